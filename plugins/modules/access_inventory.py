#!/usr/bin/python
"""Read, on one host, who can get in and what they may do there. Changes nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: access_inventory
short_description: Read accounts, groups, sudo rights, SSH keys and last logins of a host
description:
  - Read-only. Asks the system (NSS, C(sudo -ll), C(sshd -T)) rather than the files a role wrote.
  - Password hashes never leave the host; only whether a password works, is locked or is empty.
options: {}
author: The PGSSI toolkit contributors
"""

EXAMPLES = r"""
- name: Read the rights in force
  pgssi.toolkit.access_inventory:
  register: seen
"""

RETURN = r"""
accounts:
  description: One entry per account, by login.
  returned: always
  type: list
  elements: dict
  contains:
    login: {description: Login., type: str}
    uid: {description: User number., type: int}
    shell: {description: Shell., type: str}
    interactive: {description: Whether the shell lets somebody in., type: bool}
    expired: {description: Whether the account has expired., type: bool}
    login_by: {description: C(password), C(empty password), C(key), or none., type: list}
    groups: {description: Effective groups, without the account's own., type: list}
    keys: {description: Authorized keys by fingerprint, with comment and file., type: list}
    sudo: {description: Effective sudo rights as run_as, commands, password., type: list}
    last_login: {description: UTC ISO 8601, or nothing when the host keeps no trace., type: str}
"""

import os
import pwd
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pgssi.toolkit.plugins.module_utils import access_reading as reading


def accounts(module: AnsibleModule) -> list[dict[str, object]]:
    def run(command: list[str]) -> str:
        code, output, _ = module.run_command(command, environ_update={"LC_ALL": "C", "LANGUAGE": "C"})
        return output if code == 0 else ""

    sudo, sshd = shutil.which("sudo"), shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
    shadow, last = reading.shadow_states(), reading.last_logins()
    found = []
    for entry in sorted(pwd.getpwall(), key=lambda item: item.pw_name):
        login = entry.pw_name
        where = f"user={login},host=localhost,addr=127.0.0.1"
        patterns = reading.key_files(run([sshd, "-T", "-C", where]) if sshd else "")
        keys = reading.keys_of(entry, patterns)
        password, expired = shadow.get(login, ("locked", False))
        found.append(
            {
                "login": login,
                "uid": entry.pw_uid,
                "shell": entry.pw_shell,
                "interactive": reading.is_interactive(entry.pw_shell),
                "expired": expired,
                "login_by": [] if expired else reading.ways_in(password, bool(keys)),
                "groups": reading.groups_of(login, entry.pw_gid),
                "keys": keys,
                "sudo": reading.sudo_rights(run([sudo, "-ll", "-U", login])) if sudo and login != "root" else [],
                "last_login": last.get(login) or last.get(entry.pw_uid),
            }
        )
    return found


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    if os.geteuid() != 0:
        module.fail_json(msg="root is needed to read passwords' states and sudo rights; set become: true")
    module.exit_json(changed=False, accounts=accounts(module))


if __name__ == "__main__":
    main()
