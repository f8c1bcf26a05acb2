#!/usr/bin/python
"""Bring what runs on a host to what is declared there, by a program of ours that says what it changes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: settled
short_description: Bring what runs on a host to what is declared there, by a program of ours
description:
  - Runs O(program) C(settle); each line C(changed:) that it prints is a change, a status other than 0 a failure.
  - In check mode it runs O(program) C(settle --look), which prints the same lines and changes nothing. A program that the
    host does not have yet would change something.
options:
  program:
    description: The program.
    type: path
    required: true
author: The PGSSI toolkit contributors
"""

EXAMPLES = r"""
- name: Load signatures and start the scanner
  pgssi.toolkit.settled:
    program: /usr/local/sbin/pgssi-antivirus
"""

RETURN = r"""
changes:
  description: What was changed, or would be.
  returned: always
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

SIGN = "changed: "


def main() -> None:
    module = AnsibleModule(argument_spec={"program": {"type": "path", "required": True}}, supports_check_mode=True)
    program = module.params["program"]
    if module.check_mode and not Path(program).exists():
        changes, fault = [program], ""
    else:
        code, out, wrong = module.run_command([program, "settle", *(["--look"] if module.check_mode else [])])
        changes = [line.removeprefix(SIGN) for line in out.splitlines() if line.startswith(SIGN)]
        fault = (wrong or out).strip()[-2000:] if code else ""
    diff = {"before_header": program, "after_header": program, "before": "", "after": "".join(f"{one}\n" for one in changes)}
    if fault:
        module.fail_json(msg=f"{program} settle : {fault}", changes=changes, diff=diff)
    module.exit_json(changed=bool(changes), changes=changes, diff=diff)


if __name__ == "__main__":
    main()
