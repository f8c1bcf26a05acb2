#!/usr/bin/python
"""The TLS key of a host for its logs: made on the host, its private half never leaves it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: log_identity
short_description: TLS key made on the host, and the certificates that go with it
description:
  - Makes the missing EC key in C(/etc/pgssi/log), returns its public half and its certificate; installs the certificates given.
  - Used by the action of the same name, which signs on the control node.
options:
  name: {type: str, description: Name of the host in its certificate; only the action reads it.}
  authority: {type: str, default: "", description: Private key on the control node; for the module the authority certificate.}
  certificate: {type: str, default: "", description: Certificate of the host, PEM.}
author: [The PGSSI toolkit contributors]
"""
EXAMPLES = """
- pgssi.toolkit.log_identity:
    name: "{{ inventory_hostname }}"
    authority: /safe/log-authority
"""
RETURN = """
public: {description: Public key, returned: always, type: str}
certificate: {description: Present certificate, returned: always, type: str}
digest: {description: Digest of certificate and authority, to restart what has read them., returned: always, type: str}
"""

FOLDER = Path("/etc/pgssi/log")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str"},
            "authority": {"type": "str", "default": ""},
            "certificate": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    made: list[str] = []
    key, certificate = FOLDER / "host.key", FOLDER / "host.pem"
    if not key.exists():
        made.append(str(key))
        if not module.check_mode:
            FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
            os.umask(0o077)
            module.run_command(
                ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(key)], check_rc=True
            )
    elif key.stat().st_mode & 0o077:
        made.append(str(key))
        if not module.check_mode:
            key.chmod(0o600)
    for path, wanted in ((FOLDER / "authority.pem", module.params["authority"]), (certificate, module.params["certificate"])):
        if wanted and (not path.exists() or path.read_text("ascii") != wanted):
            made.append(str(path))
            if not module.check_mode:
                partial = path.with_suffix(".new")
                partial.write_text(wanted, "ascii")
                partial.chmod(0o644)
                partial.replace(path)
    public = ""
    if key.exists():
        _, public, _ = module.run_command(["openssl", "pkey", "-in", str(key), "-pubout"], check_rc=True)
    present = certificate.read_text("ascii") if certificate.exists() else ""
    read = b"".join(path.read_bytes() for path in (certificate, FOLDER / "authority.pem") if path.exists())
    module.exit_json(
        changed=bool(made), made=made, public=public, certificate=present, digest=hashlib.sha256(read).hexdigest()[:16]
    )


if __name__ == "__main__":
    main()
