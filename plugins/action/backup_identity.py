"""Sign the backup keys of a host with the site's backup authority, which never leaves the control node.

Because every side trusts the authority and nothing else, no host needs anything from another: a server
accepts a client that it has never met, a client knows a server's key that it has never seen.
Source: OpenSSH PROTOCOL.certkeys; ssh-keygen(1), CERTIFICATES.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """``identities``: [{path, kind: user|host, principals: [..], validity}]; ``ca``: private key on the control node.

    ``purpose``: word for the comments of keys and the names of certificates (default pgssi-backup).
    """

    _VALID_ARGS = frozenset({"identities", "ca", "purpose"})
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        identities = self._task.args["identities"]
        authority = Path(self._task.args["ca"]).expanduser()
        made = self._authority(authority)
        paths = [identity["path"] for identity in identities]
        principals = {identity["path"]: identity["principals"] for identity in identities}
        result = self._module({"keys": paths, "principals": principals}, task_vars)
        if result.get("failed"):
            return result
        due = {}
        for identity in identities:
            public, present = result["public"][identity["path"]], result["certificates"][identity["path"]]
            if public and authority.exists() and not self._holds(identity, public, present, authority):
                due[identity["path"]] = self._sign(identity, public, authority)
        changed = result["changed"] or bool(due)
        if due:
            installed = self._module({"keys": paths, "certificates": due}, task_vars)
            if installed.get("failed"):
                return installed
            result["certificates"] = installed["certificates"]
        public = Path(f"{authority}.pub")
        return result | {
            "changed": changed,
            "authority": public.read_text("utf-8").strip() if public.exists() else "ssh-ed25519 (made by the real run)",
            "authority_made": made,
            "signed": sorted(due),
        }

    def _module(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        return self._execute_module("pgssi.toolkit.backup_identity", module_args=arguments, task_vars=task_vars)

    @property
    def _purpose(self) -> str:
        return str(self._task.args.get("purpose", "pgssi-backup"))

    def _authority(self, authority: Path) -> bool:
        """Make the authority once, under a lock: several hosts arrive here together."""
        if authority.exists() or self._task.check_mode:
            return False
        authority.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with Path(f"{authority}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if authority.exists():
                return False
            self._keygen("-q", "-t", "ed25519", "-N", "", "-C", f"{self._purpose}-ca", "-f", str(authority))
        return True

    def _holds(self, identity: dict[str, Any], public: str, present: str, authority: Path) -> bool:
        """Return whether the certificate is for this key, these principals and this authority, without end date."""
        if not present:
            return False
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "c.pub"
            file.write_text(present, "utf-8")
            shown = self._keygen("-L", "-f", str(file))
            file.write_text(public, "utf-8")
            key = self._keygen("-l", "-f", str(file)).split()[1]
        signer = self._keygen("-l", "-f", f"{authority}.pub").split()[1]
        names = [line.strip() for line in shown.partition("Principals:")[2].partition("Critical Options:")[0].split("\n")]
        forever = identity.get("validity") or "Valid: forever" in shown
        return bool(
            f"Public key: ED25519-CERT {key}" in shown
            and f" {signer} " in shown.partition("Signing CA:")[2]
            and f"{identity['kind']} certificate" in shown
            and sorted(filter(None, names)) == sorted(identity["principals"])
            and forever
            and not identity.get("validity")
        )

    def _sign(self, identity: dict[str, Any], public: str, authority: Path) -> str:
        private = self._loader.get_real_file(str(authority))  # opens it when it is an Ansible Vault file
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "key.pub"
            file.write_text(public, "utf-8")
            signer = Path(folder) / "ca"
            signer.touch(0o600)
            signer.write_bytes(Path(private).read_bytes())
            options = ["-h"] if identity["kind"] == "host" else ["-O", "clear"]
            options += ["-V", identity["validity"]] if identity.get("validity") else []
            name = f"{self._purpose} {identity['kind']} {','.join(identity['principals'])}"
            self._keygen("-q", "-s", str(signer), "-I", name, "-n", ",".join(identity["principals"]), *options, str(file))
            return (Path(folder) / "key-cert.pub").read_text("utf-8")

    @staticmethod
    def _keygen(*arguments: str) -> str:
        done = subprocess.run(
            ["ssh-keygen", *arguments], capture_output=True, text=True, check=False, env=os.environ | {"LC_ALL": "C"}
        )
        if done.returncode:
            raise AnsibleActionFail(f"ssh-keygen: {done.stderr.strip()}")
        return done.stdout
