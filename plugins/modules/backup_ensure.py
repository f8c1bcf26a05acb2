"""Make the archive or the copy that is missing, or say which one is."""

from __future__ import annotations

import json
import shutil
import time

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: backup_ensure
short_description: Archive or copy now what the plan wants and the repository lacks
description:
  - Asks the host's own program. An archive that only covers a change is not reported as a change of the host.
options:
  program: {type: path, required: true, description: pgssi-backup on a client, pgssi-offsite on the off-site host.}
  change: {type: str, choices: [before_change, after_change], description: Side of a change to cover.}
  run: {type: str, default: "", description: Identifier of this run, journaled.}
  wait: {type: int, default: 60, description: Seconds to wait for a backup server that is still being set up.}
author: [The PGSSI toolkit contributors]
"""
EXAMPLES = """
- pgssi.toolkit.backup_ensure: {program: /usr/local/sbin/pgssi-backup, change: before_change}
"""
RETURN = """
archives: {description: Archives or copies that were made., type: list, returned: always}
missing: {description: What was missing, and why., type: dict, returned: always}
"""
NOT_READY = (
    "Connection refused",
    "Connection timed out",
    "Permission denied (publickey",
    "Connection reset",
    "Connection closed",
)

REFUSED = (
    "Changement refusé sur cet hôte (PSSI 7.4.2.1) : son état actuel n'a pas pu être archivé. {why}\n"
    "Rétablissez la sauvegarde, ou passez outre en donnant le motif, qui sera consigné : "
    "-e backup_without_change_archives='motif'"
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "program": {"type": "path", "required": True},
            "change": {"type": "str", "choices": ["before_change", "after_change"]},
            "run": {"type": "str", "default": ""},
            "wait": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    program, change = module.params["program"], module.params["change"]
    if shutil.which(program) is None:
        if module.check_mode:
            module.exit_json(
                changed=True, archives=[], missing={"*": "not set up yet"}, diff={"before": "", "after": "first archive\n"}
            )
        module.fail_json(msg=f"{program} is not there: run the role backup on this host first")
    command = [program, "ensure"]
    command += ["--change", change] if change else []
    command += ["--run", module.params["run"]] if module.params["run"] else []
    command += ["--dry-run"] if module.check_mode else []
    deadline = time.monotonic() + (0 if module.check_mode else module.params["wait"])
    while True:
        code, out, err = module.run_command(command)
        if code == 0 or time.monotonic() > deadline or not any(text in err for text in NOT_READY):
            break
        time.sleep(3)
    if code and change == "before_change":
        module.fail_json(msg=REFUSED.format(why=err.strip() or out.strip()))
    if code:
        module.fail_json(msg=err.strip() or out.strip())
    result = json.loads(out)
    only_covers = change and not result["first"] and all("modifiée" in why for why in result["missing"].values())
    after = "".join(f"archive: {name}: {why}\n" for name, why in result["missing"].items())
    module.exit_json(
        changed=bool(result["missing"]) and not only_covers,
        archives=result["archives"],
        missing=result["missing"],
        diff={"before": "", "after": after},
    )


if __name__ == "__main__":
    main()
