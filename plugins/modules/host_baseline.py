#!/usr/bin/python
"""Make the host baseline effective, and tell what was not."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_baseline
short_description: Make the host baseline effective, and tell what was not
description:
  - Runs the program that the role system_hardening writes on the host. What it finds is what changes.
  - What it leaves to a person is a warning.
  - In check mode it corrects nothing, and judges by O(files), whether the host has them yet or not.
options:
  files:
    description: Files of the role, as M(pgssi.toolkit.protected_files) takes them; the program, its parts and what is wanted.
    type: list
    elements: dict
    required: true
  secrets:
    description: Parts of contents that are neither shown nor written to the log of the host.
    type: list
    elements: str
    default: []
  program:
    description: The program, called with C(check) or C(apply). Prints a line for each gap, on stderr what it cannot correct.
    type: path
    default: /usr/local/sbin/pgssi-hardening
author: The PGSSI toolkit contributors
"""

EXAMPLES = r"""
- name: Make the baseline effective
  pgssi.toolkit.host_baseline:
    files: "{{ baseline_files }}"
"""

RETURN = r"""
gaps:
  description: What was not as wanted.
  returned: always
  type: list
  elements: str
"""

import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

# What the program leaves to a person.
NOTE = "note : "
STAGED = (".py", ".json")


def announce(module: AnsibleModule) -> tuple[str, str]:
    """Run the program from a folder of its own; return what it finds, and what went wrong."""
    with tempfile.TemporaryDirectory(dir=module.tmpdir) as folder:
        for file in module.params["files"]:
            path = Path(file["path"])
            if str(path) == module.params["program"] or path.suffix in STAGED:
                Path(folder, path.name).write_text(file.get("content", ""), "utf-8")
        program = Path(folder, Path(module.params["program"]).name)
        program.chmod(0o700)
        code, out, wrong = module.run_command(["/usr/bin/python3", str(program), "check", folder])
    return out, "" if code == 0 else wrong


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "dict", "required": True},
            "secrets": {"type": "list", "elements": "str", "default": [], "no_log": True},
            "program": {"type": "path", "default": "/usr/local/sbin/pgssi-hardening"},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        out, wrong = announce(module)
    else:
        code, out, wrong = module.run_command([module.params["program"], "apply"])
        wrong = wrong if code else ""
    gaps = [line for line in out.splitlines() if not line.startswith(NOTE)]
    for line in out.splitlines():
        if line.startswith(NOTE):
            module.warn(line.removeprefix(NOTE))
    diff = {"before_header": "baseline", "after_header": "baseline", "before": "", "after": "".join(f"{gap}\n" for gap in gaps)}
    if wrong.strip():
        module.fail_json(msg=f"Le socle n'est pas tenu : {wrong.strip()[-3000:]}", gaps=gaps, diff=diff)
    module.exit_json(changed=bool(gaps), gaps=gaps, diff=diff)


if __name__ == "__main__":
    main()
