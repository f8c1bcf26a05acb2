#!/usr/bin/python
"""Make the accounts of a host those of the habilitation matrix, all of them in one guarded change."""

from __future__ import annotations

DOCUMENTATION = r"""
module: accounts
short_description: Bring accounts, groups, keys and locks to what the habilitation matrix declares
description:
  - Creates declared accounts with a random sealed password, gives exactly the declared groups and keys, locks
    everybody else by every way in. Nothing is ever deleted; files that must stop acting are set aside in
    C(/var/lib/pgssi/set-aside).
  - Everything happens in one guarded change (see M(pgssi.toolkit.protected_files)). The account that Ansible is
    connected with is never locked, and a declared state that would take its access away is refused.
options:
  declared:
    description: Result of the C(pgssi.toolkit.habilitations) filter.
    type: dict
    required: true
  rules:
    description: Rules in force on the host; a rule that is not there changes nothing.
    type: list
    elements: str
    required: true
  max_days:
    description: Longest validity of a person's password, in days.
    type: int
    default: 90
  generic_names:
    description: Logins that name nobody.
    type: list
    elements: str
    default: []
  root_groups:
    description: Groups whose members are as good as root.
    type: list
    elements: str
    default: []
  kept_sudoers:
    description: File names of C(/etc/sudoers.d) that stay.
    type: list
    elements: str
    default: []
  name_sources:
    description: Sources of accounts that C(/etc/nsswitch.conf) may name.
    type: list
    elements: str
    default: [files, systemd, compat]
  connected:
    description: Login of this connection; set by the action plugin.
    type: str
    default: root
  timeout:
    description: Seconds until the host goes back by itself.
    type: int
    default: 90
  lang:
    description: Language of the messages.
    type: str
    choices: [fr, en]
    default: fr
author: The PGSSI toolkit contributors
"""

EXAMPLES = r"""
- name: Make the accounts those of the matrix
  pgssi.toolkit.accounts:
    declared: "{{ hostvars[inventory_hostname] | pgssi.toolkit.habilitations }}"
    rules: "{{ hostvars[inventory_hostname] | pgssi.toolkit.rules }}"
"""

RETURN = r"""
steps:
  description: What was changed, in order.
  returned: always
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pgssi.toolkit.plugins.module_utils import accounts_host
from ansible_collections.pgssi.toolkit.plugins.module_utils.accounts_plan import Refused, compute
from ansible_collections.pgssi.toolkit.plugins.module_utils.guard import Guard, GuardError, settle

ALWAYS = ["/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow", "/etc/subuid", "/etc/subgid", "/etc/security/opasswd"]
OPTIONS = ("max_days", "generic_names", "root_groups", "kept_sudoers", "name_sources")


def change(module: AnsibleModule) -> dict:
    """Compute the steps and, outside check mode, take them under the guard. Raises GuardError, Refused."""
    given = module.params
    if not module.check_mode:
        settle()
    host = accounts_host.read()
    options = {name: given[name] for name in OPTIONS}
    steps = compute(host, given["declared"], given["rules"], options, given["connected"])
    texts = [step.text for step in steps]
    shown = {"before_header": "accounts", "after_header": "accounts", "before": "", "after": "".join(f"{t}\n" for t in texts)}
    result = {"changed": bool(steps), "steps": texts, "diff": [shown] if steps else []}
    if not steps or module.check_mode:
        return result
    paths = list(dict.fromkeys([*ALWAYS, *(path for step in steps for path in step.paths)]))
    label = "comptes" if given["lang"] == "fr" else "accounts"
    with Guard(paths, timeout=given["timeout"], label=label) as guard:
        for step in steps:
            step.run(guard)
    return {**result, "guard": {**guard.as_result(), "label": label}}


def main() -> None:
    """Run the module."""
    os.umask(0o022)  # folders on the way to ours are for everybody, whatever the umask of the operators' sessions
    names = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "declared": {"type": "dict", "required": True},
            "rules": {"type": "list", "elements": "str", "required": True},
            "max_days": {"type": "int", "default": 90},
            "generic_names": names,
            "root_groups": names,
            "kept_sudoers": names,
            "name_sources": {"type": "list", "elements": "str", "default": ["files", "systemd", "compat"]},
            "connected": {"type": "str", "default": "root"},
            "timeout": {"type": "int", "default": 90},
            "lang": {"type": "str", "choices": ["fr", "en"], "default": "fr"},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**change(module))
    except Refused as error:
        module.fail_json(msg=str(error))
    except GuardError as error:
        module.fail_json(msg=error.text(module.params["lang"]), restored=error.restored)


if __name__ == "__main__":
    main()
