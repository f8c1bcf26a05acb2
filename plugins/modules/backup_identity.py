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
  - Used by the action of the same name, which signs on the control node.
options:
  keys: {type: list, elements: str, required: true, description: Paths of the private keys.}
  certificates: {type: dict, default: {}, description: Certificate text by path of the key.}
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


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "keys": {"type": "list", "elements": "str", "required": True, "no_log": False},
            "certificates": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    made, public, present = [], {}, {}
    for name in module.params["keys"]:
        path = Path(name)
        if not path.exists():
            made.append(name)
            if not module.check_mode:
                path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                module.run_command(
                    ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "pgssi-backup", "-f", name], check_rc=True
                )
        half, certificate = Path(f"{name}.pub"), Path(f"{name}-cert.pub")
        if path.exists() and not half.exists():
            _, out, _ = module.run_command(["ssh-keygen", "-y", "-f", name], check_rc=True)
            half.write_text(out, "utf-8")
        public[name] = half.read_text("utf-8") if half.exists() else ""
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
