"""The SSH key of a host for backups: made on the host, its private half never leaves it."""

from __future__ import annotations

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: backup_identity
short_description: SSH keys made on the host, and the certificates that go with them
description:
  - Makes each missing ed25519 key, returns its public half and its certificate; installs the certificates given.
  - A key that cannot be read, or whose certificate names only other hosts (a cloned machine), is made anew.
  - Used by the action of the same name, which signs on the control node.
options:
  keys: {type: list, elements: str, required: true, description: Paths of the private keys.}
  certificates: {type: dict, default: {}, description: Certificate text by path of the key.}
  principals: {type: dict, default: {}, description: Names of this host by path of the key.}
author: [The PGSSI toolkit contributors]
"""
EXAMPLES = """
- pgssi.toolkit.backup_identity:
    identities: [{path: /etc/pgssi/backup/id_ed25519, kind: user, principals: [borg-dpi1]}]
    ca: /safe/backup-ca
"""
RETURN = """
public: {description: Public key by path., type: dict, returned: always}
certificates: {description: Present certificate by path., type: dict, returned: always}
"""


def public_half(module: AnsibleModule, path: Path) -> str:
    """Return the public half that belongs to the private key, as ssh-keygen works it out; empty when it cannot be read."""
    code, out, _ = module.run_command(["ssh-keygen", "-y", "-P", "", "-f", str(path)])
    return " ".join(out.split()[:2]) + " pgssi-backup\n" if code == 0 and out.strip() else ""


def of_another_host(module: AnsibleModule, certificate: Path, names: list[str]) -> bool:
    """Return whether the certificate beside a key names other hosts only: the key was then made elsewhere."""
    if not names or not certificate.exists():
        return False
    _, out, _ = module.run_command(["ssh-keygen", "-L", "-f", str(certificate)])
    found = [line.strip() for line in out.partition("Principals:")[2].partition("Critical Options:")[0].splitlines()]
    return bool(set(filter(None, found))) and set(names).isdisjoint(found)


def main() -> None:
    os.umask(0o022)  # folders on the way to ours are for everybody, whatever the umask of the operators' sessions
    module = AnsibleModule(
        argument_spec={
            "keys": {"type": "list", "elements": "str", "required": True, "no_log": False},
            "certificates": {"type": "dict", "default": {}},
            "principals": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    made, public, present = [], {}, {}
    for name in module.params["keys"]:
        path = Path(name)
        half, certificate = Path(f"{name}.pub"), Path(f"{name}-cert.pub")
        derived = public_half(module, path) if path.exists() else ""
        if path.exists() and (not derived or of_another_host(module, certificate, module.params["principals"].get(name, []))):
            made.append(name)
            derived = ""
            if not module.check_mode:
                for old in (path, half, certificate):
                    old.unlink(missing_ok=True)
        if not path.exists():
            made.append(name)
            if not module.check_mode:
                path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                module.run_command(
                    ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "pgssi-backup", "-f", name], check_rc=True
                )
                derived = public_half(module, path)
        if derived and (not half.exists() or half.read_text("utf-8").split()[:2] != derived.split()[:2]):
            made += [] if name in made else [str(half)]
            if not module.check_mode:
                half.write_text(derived, "utf-8")
        public[name] = derived
        present[name] = certificate.read_text("utf-8") if certificate.exists() else ""
        wanted = module.params["certificates"].get(name)
        if wanted and wanted != present[name]:
            made.append(str(certificate))
            present[name] = wanted
            if not module.check_mode:
                partial = certificate.with_suffix(".new")
                partial.write_text(wanted, "utf-8")
                os.chmod(partial, 0o644)
                partial.replace(certificate)
        if path.exists() and path.stat().st_mode & 0o077:
            made.append(name)
            if not module.check_mode:
                path.chmod(0o600)
    module.exit_json(changed=bool(made), made=made, public=public, certificates=present)


if __name__ == "__main__":
    main()
