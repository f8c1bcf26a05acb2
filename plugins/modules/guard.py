#!/usr/bin/python
"""Look at the guarded changes of a host, wait for them, or take one back now."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guard
short_description: Show, await or take back the guarded change that is pending on a host
description:
  - A guarded change is one that M(pgssi.toolkit.protected_files) made and no new session has confirmed yet.
options:
  action:
    description:
      - V(status) lists the pending changes; V(settle) waits until none is pending; V(rollback) takes them
        back now instead of when their time is over.
    type: str
    choices: [status, settle, rollback]
    default: status
  lang:
    description: Language of the messages.
    type: str
    choices: [fr, en]
    default: fr
author: The PGSSI toolkit contributors
"""

EXAMPLES = r"""
- name: Take a pending change back now
  pgssi.toolkit.guard:
    action: rollback
"""

RETURN = r"""
pending:
  description: State of every change that was pending when the module started.
  returned: always
  type: list
  elements: dict
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pgssi.toolkit.plugins.module_utils.guard import GuardError, pending, rollback, settle


def main() -> None:
    os.umask(0o022)  # folders on the way to ours are for everybody, whatever the umask of the operators' sessions
    module = AnsibleModule(
        argument_spec={
            "action": {"type": "str", "choices": ["status", "settle", "rollback"], "default": "status"},
            "lang": {"type": "str", "choices": ["fr", "en"], "default": "fr"},
        },
        supports_check_mode=True,
    )
    action = module.params["action"]
    try:
        if os.geteuid() != 0:
            raise GuardError("not_root")
        waiting = pending()
        if action == "settle" and not module.check_mode:
            settle()
        elif action == "rollback" and not module.check_mode:
            for state in waiting:
                rollback(state["id"])
        module.exit_json(changed=action == "rollback" and bool(waiting), pending=waiting)
    except GuardError as error:
        module.fail_json(msg=error.text(module.params["lang"]))


if __name__ == "__main__":
    main()
