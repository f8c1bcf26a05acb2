#!/usr/bin/python
"""The TLS key of a host for one use (logs, RADIUS, Wi-Fi): made on the host, its private half never leaves it."""

from __future__ import annotations

import grp
import hashlib
import os
import stat
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: tls_identity
short_description: TLS key made on the host, its certificate, the authority and its revocations
description:
  - Makes the missing EC key, returns its public half and what is there; installs the certificates given.
  - Used by the action of the same name, which signs on the control node.
options:
  folder: {type: path, required: true, description: Where C(host.key) and the certificates are.}
  group: {type: str, default: root, description: Group that reads the folder.}
  name: {type: str, description: Name in the certificate; only the action reads it.}
  unit: {type: str, description: Organisational unit in the certificate (network of a device); only the action reads it.}
  purposes: {type: list, elements: str, choices: [client, server], description: Uses of the certificate (for the action).}
  authority: {type: str, description: Private key on the control node; only the action reads it.}
  revoked: {type: list, elements: raw, description: Revoked serials and dates; only the action reads it.}
  files: {type: dict, default: {}, description: Public files to write, content by name.}
author: [The PGSSI toolkit contributors]
"""
EXAMPLES = """
- pgssi.toolkit.tls_identity:
    folder: /etc/pgssi/radius
    group: freerad
    name: radius.ch-demo.example
    purposes: [server]
    authority: /safe/wifi-authority
    revoked: [[4660, 2026-01-31]]
"""
RETURN = """
public: {description: Public key, returned: always, type: str}
present: {description: Public files that are there, content by name, returned: always, type: dict}
digest: {description: Digest of the public files, to restart what has read them., returned: always, type: str}
"""


class Folder:
    """The folder of one identity: what has to change is noted, and done unless in check mode."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.path = Path(module.params["folder"])
        self.made: list[str] = []
        try:
            self.group = grp.getgrnam(module.params["group"]).gr_gid
        except KeyError:  # in check mode on a bare host its package is not there yet
            if not module.check_mode:
                module.fail_json(msg=f"no group {module.params['group']} on this host")
            self.group = 0

    def right(self, path: Path, mode: int) -> None:
        """Bring owner, group and mode of a file that exists."""
        if not path.exists():
            return
        found = path.stat()
        if (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) != (mode, 0, self.group):
            self.made.append(str(path))
            if not self.module.check_mode:
                os.chown(path, 0, self.group)
                path.chmod(mode)

    def key(self) -> str:
        """Make the key when it is absent; return its public half."""
        path = self.path / "host.key"
        if not path.exists():
            self.made.append(str(path))
            if self.module.check_mode:
                return ""
            self.path.mkdir(mode=0o750, parents=True, exist_ok=True)
            partial = path.with_suffix(".new")
            before = os.umask(0o077)
            generate = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(partial)]
            self.module.run_command(generate, check_rc=True)
            os.umask(before)
            partial.replace(path)
        self.right(self.path, 0o750)
        self.right(path, 0o640)
        return str(self.module.run_command(["openssl", "pkey", "-in", str(path), "-pubout"], check_rc=True)[1])

    def write(self, name: str, content: str) -> None:
        """Write a public file whole."""
        path = self.path / name
        if not path.exists() or path.read_text("ascii") != content:
            self.made.append(str(path))
            if not self.module.check_mode:
                partial = self.path / f".{name}.new"
                partial.write_text(content, "ascii")
                partial.replace(path)
        self.right(path, 0o640)


def main() -> None:
    os.umask(0o022)  # folders on the way to ours are for everybody, whatever the umask of the operators' sessions
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "group": {"type": "str", "default": "root"},
            "name": {"type": "str"},
            "unit": {"type": "str"},
            "purposes": {"type": "list", "elements": "str", "choices": ["client", "server"]},
            "authority": {"type": "str"},
            "revoked": {"type": "list", "elements": "raw"},
            "files": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    folder = Folder(module)
    public = folder.key()
    for name, content in module.params["files"].items():
        folder.write(name, content)
    present = {path.name: path.read_text("ascii") for path in sorted(folder.path.glob("*.pem"))}
    digest = hashlib.sha256("".join(present.values()).encode()).hexdigest()[:16]
    module.exit_json(changed=bool(folder.made), made=folder.made, public=public, present=present, digest=digest)


if __name__ == "__main__":
    main()
