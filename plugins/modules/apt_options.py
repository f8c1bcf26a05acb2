"""What apt's own answer must be, whoever wrote something else elsewhere.

A file that is read after ours and says otherwise is set aside whole, under a name that apt does not read.
"""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: apt_options
short_description: Effective options of apt
description:
  - Compares what C(apt-config dump) answers with what is wanted, for every program of apt.
  - Files of C(/etc/apt) that make it differ, other than ours, are renamed to C(<name>.pgssi.disabled), which apt does not read.
  - Fails when the answer is still another one, and says which option.
options:
  options: {type: dict, required: true, description: Option to its value, a text or the whole list of its items.}
  ours: {type: path, required: true, description: The file that holds what is wanted; it is never set aside.}
author: [The PGSSI toolkit contributors]
"""
EXAMPLES = """
- pgssi.toolkit.apt_options:
    options: {"Acquire::AllowInsecureRepositories": "false"}
    ours: /etc/apt/apt.conf.d/zz-site
"""
RETURN = """
set_aside: {description: Files that were renamed., type: list, returned: always}
"""

ASIDE = ".pgssi.disabled"
PROGRAMS = ("apt", "apt-get", "apt-cache", "aptitude", "synaptic", "unattended-upgrade")
TRUTHS = {"false": "false", "no": "false", "0": "false", "off": "false", "without": "false", "disable": "false"}


def answers(dump: str) -> dict[str, list[str]]:
    """Return every value of each option of a dump, by its name in lower case; those of one program among the general ones."""
    found: dict[str, list[str]] = {}
    for line in dump.splitlines():
        name, _, value = line.partition(" ")
        name = name.lower()
        for program in PROGRAMS:
            name = name.removeprefix(f"binary::{program}::")
        value = value.rstrip(";").strip('"')
        if value or not name.endswith("::"):
            found.setdefault(name.removesuffix("::"), []).append(value)
    return found


def differs(found: dict[str, list[str]], option: str, wanted: object) -> bool:
    """Return whether apt's answer for an option is not what is wanted; one that nobody names is apt's own safe default."""
    values = found.get(option.lower(), [])
    if isinstance(wanted, list):
        return sorted(value for value in values if value) != sorted(str(item) for item in wanted)
    return any(_truth(value) != _truth(str(wanted)) for value in values if value)


def _truth(value: str) -> str:
    lower = value.lower()
    return TRUTHS.get(lower, "true" if lower in ("true", "yes", "1", "on", "with", "enable") else lower)


def saying(options: list[str], ours: str, roots: tuple[str, ...] = ("/etc/apt/apt.conf", "/etc/apt/apt.conf.d")) -> list[Path]:
    """Return the files, ours aside, that name one of the options by its last word."""
    files = [path for root in map(Path, roots) for path in (sorted(root.iterdir()) if root.is_dir() else [root])]
    words = [option.rsplit("::", 1)[-1].lower() for option in options]
    found = []
    for path in files:
        if path.is_file() and str(path) != ours and not path.name.endswith(ASIDE):
            text = path.read_text("utf-8", "replace").lower()
            if any(word in text for word in words):
                found.append(path)
    return found


def main() -> None:
    module = AnsibleModule(
        argument_spec={"options": {"type": "dict", "required": True}, "ours": {"type": "path", "required": True}},
        supports_check_mode=True,
    )
    wanted, ours = module.params["options"], module.params["ours"]

    def wrong() -> list[str]:
        _, dump, _ = module.run_command(["apt-config", "dump"], check_rc=True)
        found = answers(dump)
        return [option for option, value in wanted.items() if differs(found, option, value)]

    # Before our file is there (check mode on a bare host) its lists are not either, and nobody contradicts it.
    deviating = wrong() if Path(ours).exists() else [o for o in wrong() if not isinstance(wanted[o], list)]
    aside = []
    if deviating:
        # What is read before ours has no say; lists and words of one program come from anywhere.
        last = Path(ours).name
        aside = [path for path in saying(deviating, ours) if path.name > last or path.parent == Path("/etc/apt") or _binary(path)]
    if not module.check_mode:
        for path in aside:
            path.rename(path.with_name(path.name + ASIDE))
        left = wrong()
        if left:
            module.fail_json(
                msg=f"apt-config dump : {', '.join(left)} : une autre valeur vient d'ailleurs que de /etc/apt (APT_CONFIG ?)"
            )
    diff = [
        {"before_header": str(path), "after_header": str(path), "before": "read by apt\n", "after": "set aside\n"}
        for path in aside
    ]
    module.exit_json(changed=bool(aside), set_aside=[str(path) for path in aside], diff=diff)


def _binary(path: Path) -> bool:
    return "binary::" in path.read_text("utf-8", "replace").lower()


if __name__ == "__main__":
    main()
