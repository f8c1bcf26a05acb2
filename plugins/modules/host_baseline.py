#!/usr/bin/python
"""Make the host baseline effective, and tell what was not."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_baseline
short_description: Make the host baseline effective, and tell what was not
description:
  - Runs the program that the role system_hardening writes on the host. What it finds is what changes; in check mode it corrects
    nothing. A host that does not have the program yet is told to change.
options:
  program:
    description: The program, called with C(check) or C(apply). Prints a line for each gap, on stderr what it cannot correct.
    type: path
    default: /usr/local/sbin/pgssi-hardening
author: The PGSSI toolkit contributors
"""

EXAMPLES = r"""
- name: Make the baseline effective
  pgssi.toolkit.host_baseline:
"""

RETURN = r"""
gaps:
  description: What was not as wanted.
  returned: always
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    module = AnsibleModule(
        argument_spec={"program": {"type": "path", "default": "/usr/local/sbin/pgssi-hardening"}},
        supports_check_mode=True,
    )
    program = module.params["program"]
    if module.check_mode and not Path(program).exists():
        gaps, wrong = [f"{program} : absent, rien n'est encore en vigueur"], ""
    else:
        _, out, wrong = module.run_command([program, "check" if module.check_mode else "apply"])
        gaps = out.splitlines()
    diff = {"before_header": "baseline", "after_header": "baseline", "before": "", "after": "".join(f"{gap}\n" for gap in gaps)}
    if wrong.strip():
        module.fail_json(msg=f"Le socle n'est pas tenu : {wrong.strip()[-3000:]}", gaps=gaps, diff=diff)
    module.exit_json(changed=bool(gaps), gaps=gaps, diff=diff)


if __name__ == "__main__":
    main()
