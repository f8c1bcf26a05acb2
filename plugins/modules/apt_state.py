"""What apt reads and answers is what is wanted, whoever wrote something else elsewhere, and nobody loses what he wrote.

A file that says otherwise is set aside whole, under a name that apt does not read, and given back when nothing speaks against it.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pgssi.toolkit.plugins.module_utils.locked import named

DOCUMENTATION = """
module: apt_state
short_description: Effective options and sources of apt
description:
  - Compares what C(apt-config dump) answers with what is wanted, for every program of apt.
  - Files of C(/etc/apt) that make it differ, other than ours, are renamed to C(<name>.pgssi.disabled), which apt does not read;
    so are files of sources besides ours where only ours count. They get their names back when nothing is wanted against them.
  - A package that was installed for a rule is removed when no rule wants it any more; one that was there before stays.
  - Fails when the answer is still another one, and says which option.
options:
  options: {type: dict, required: true, description: Option to its value, a text or the whole list of its items.}
  ours: {type: path, required: true, description: The file that holds what is wanted; it is never set aside.}
  sources: {type: str, default: '', description: Declared sources, as a file of apt; none keeps those of the host.}
  only_ours: {type: bool, default: false, description: Whether the declared sources are the only ones that apt reads.}
  packages: {type: list, elements: str, default: [], description: Packages that rules in force want.}
  installed: {type: str, default: '', description: What apt-get said when it installed them in this run.}
author: [The PGSSI toolkit contributors]
"""
EXAMPLES = """
- pgssi.toolkit.apt_state:
    options: {"Acquire::AllowInsecureRepositories": "false"}
    ours: /etc/apt/apt.conf.d/zz-site
"""
RETURN = """
set_aside: {description: Files that were renamed., type: list, returned: always}
given_back: {description: Files that got their names back., type: list, returned: always}
sources_changed: {description: Whether apt reads other sources than before., type: bool, returned: always}
"""

# apt passes over such names without a word (Dir::Ignore-Files-Silently).
ASIDE = ".pgssi.disabled"
PROGRAMS = ("apt", "apt-get", "apt-cache", "aptitude", "synaptic", "unattended-upgrade")
TRUTHS = {"false": "false", "no": "false", "0": "false", "off": "false", "without": "false", "disable": "false"}
OPTIONS = ("/etc/apt/apt.conf", "/etc/apt/apt.conf.d")
SOURCES = Path("/etc/apt/sources.list.d/pgssi.sources")
# Several were set aside under one name: the newest is the one that is given back.
OLDER = re.compile(r"\.\d+$")
# Packages that were not there before a rule wanted them.
MEMORY = Path("/var/lib/pgssi/updates-packages")


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


def saying(options: Iterable[str], ours: str, roots: tuple[str, ...] = OPTIONS) -> list[Path]:
    """Return the files, ours aside, that name one of the options by its last word."""
    return [path for path in _files(roots) if str(path) != ours and not path.name.endswith(ASIDE) and _names(path, options)]


def silent(options: Iterable[str], roots: tuple[str, ...] = OPTIONS) -> list[Path]:
    """Return the files that were set aside although they name none of the options that are wanted now."""
    return [path for path in _files(roots) if path.name.endswith(ASIDE) and not _names(path, options)]


def _files(roots: tuple[str, ...]) -> list[Path]:
    # apt.conf itself may be there, set aside, or both.
    found = []
    for root in map(Path, roots):
        found += sorted(root.iterdir()) if root.is_dir() else [root, Path(f"{root}{ASIDE}")]
    return [path for path in found if path.is_file()]


def _names(path: Path, options: Iterable[str]) -> bool:
    text = path.read_text("utf-8", "replace").lower()
    return any(option.rsplit("::", 1)[-1].lower() in text for option in options)


def source_files(etc: Path, suffix: str = "") -> list[Path]:
    """Return the files of sources besides ours: those that apt reads, or those that were set aside."""
    patterns = ("sources.list", "sources.list.d/*.list", "sources.list.d/*.sources")
    found = [path for pattern in patterns for path in sorted(etc.glob(pattern + suffix))]
    return [path for path in found if path.name != SOURCES.name and not path.is_dir()]


def says(path: Path) -> bool:
    """Return whether a file of sources names any: unattended-upgrade leaves an empty sources.list where there is none."""
    lines = path.read_text("utf-8", "replace").splitlines()
    return any(line.strip() and not line.lstrip().startswith("#") for line in lines)


def without(sources: str, others: Iterable[str]) -> str:
    """Return the declared sources less those whose address another text names: apt refuses two keys for one source."""
    lines = (line for text in others for line in text.splitlines() if not line.lstrip().startswith("#"))
    known = {word.rstrip("/") for line in lines for word in line.split()}
    stanzas = re.split(r"\n{2,}", sources.strip("\n"))
    kept = [one for one in stanzas if not {uri.rstrip("/") for uri in _uris(one)} & known]
    return "\n\n".join(kept) + "\n" if any(map(_uris, kept)) else ""


def _uris(stanza: str) -> list[str]:
    return [uri for line in stanza.splitlines() if line.startswith("URIs:") for uri in line.split()[1:]]


def move_aside(path: Path) -> None:
    """Give a file the name that apt does not read; one that was set aside before it under this name is kept, numbered."""
    aside = path.with_name(path.name + ASIDE)
    if aside.exists():
        numbers = (path.with_name(f"{path.name}.{number}{ASIDE}") for number in itertools.count(1))
        aside.rename(next(name for name in numbers if not name.exists()))
    path.rename(aside)


def new_packages(said: str) -> set[str]:
    """Return the packages that apt-get said to be new ones."""
    block = re.search(r"NEW packages will be installed:\n((?: +.*\n)+)", said)
    return set(block[1].split()) if block else set()


class Apt:
    """What is done, told, and left undone in check mode."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module, self.diffs = module, []
        self.aside: list[str] = []
        self.back: list[str] = []
        self.sources_changed = False

    def told(self, path: Path, before: str, after: str) -> None:
        self.diffs.append({"before_header": str(path), "after_header": str(path), "before": before, "after": after})

    def set_aside(self, path: Path) -> None:
        self.aside.append(str(path))
        self.told(path, "read by apt\n", f"set aside as {path.name}{ASIDE}\n")
        if not self.module.check_mode:
            with named(self.module, path):
                move_aside(path)

    def give_back(self, path: Path) -> None:
        """Give a file its name again; where somebody wrote a new one meanwhile, that one counts and both stay."""
        plain = path.with_name(path.name.removesuffix(ASIDE))
        if plain.exists() or OLDER.search(plain.name):
            return
        self.back.append(str(plain))
        self.told(plain, "set aside\n", "read by apt\n")
        if not self.module.check_mode:
            with named(self.module, path):
                path.rename(plain)

    def sources(self, wanted: str, only_ours: bool) -> None:
        moved = len(self.aside) + len(self.back)
        if only_ours:
            for path in filter(says, source_files(SOURCES.parent.parent)):
                self.set_aside(path)
        else:
            aside = source_files(SOURCES.parent.parent, ASIDE)
            for path in aside:
                self.give_back(path)
            others = [*source_files(SOURCES.parent.parent), *(aside if self.module.check_mode else [])]
            wanted = without(wanted, (path.read_text("utf-8", "replace") for path in others))
        before = SOURCES.read_text("utf-8", "replace") if SOURCES.is_file() else ""
        if before != wanted:
            self.told(SOURCES, before, wanted)
            if not self.module.check_mode:
                self.write(SOURCES, wanted)
        self.sources_changed = before != wanted or len(self.aside) + len(self.back) > moved

    def packages(self, wanted: list[str], said: str) -> None:
        """Remember what a rule brought, and remove it when no rule wants it: what was there before stays."""
        ours = set(MEMORY.read_text("utf-8").split()) if MEMORY.is_file() else set()
        needless = sorted(ours - set(wanted))
        kept = (ours | (new_packages(said) & set(wanted))) - set(needless)
        for name in needless:
            _, plan, _ = self.module.run_command(["apt-get", "--simulate", "purge", name], environ_update={"LC_ALL": "C"})
            gone = [line.split()[1] for line in plan.splitlines() if line.startswith(("Purg ", "Remv "))]
            if gone != [name]:  # gone already, or needed by what somebody installed since: it is theirs now
                continue
            self.diffs.append({"before_header": "packages", "after_header": "packages", "before": f"{name}\n", "after": ""})
            if not self.module.check_mode:
                command = ["apt-get", "--quiet", "--yes", "purge", name]
                self.module.run_command(command, check_rc=True, environ_update={"DEBIAN_FRONTEND": "noninteractive"})
        if kept != ours and not self.module.check_mode:
            self.write(MEMORY, "".join(f"{name}\n" for name in sorted(kept)))

    def write(self, path: Path, text: str) -> None:
        with named(self.module, path):
            if not text:
                path.unlink(missing_ok=True)
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_name(f".{path.name}.new")
            new.write_text(text, "utf-8")
            new.chmod(0o644)
            new.replace(path)


def main() -> None:
    os.umask(0o022)  # folders on the way to ours are for everybody, whatever the umask of the operators' sessions
    module = AnsibleModule(
        argument_spec={
            "options": {"type": "dict", "required": True},
            "ours": {"type": "path", "required": True},
            "sources": {"type": "str", "default": ""},
            "only_ours": {"type": "bool", "default": False},
            "packages": {"type": "list", "elements": "str", "default": []},
            "installed": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    wanted, ours, apt = module.params["options"], module.params["ours"], Apt(module)

    def wrong() -> list[str]:
        _, dump, _ = module.run_command(["apt-config", "dump"], check_rc=True)
        found = answers(dump)
        return [option for option, value in wanted.items() if differs(found, option, value)]

    apt.packages(module.params["packages"], module.params["installed"])
    apt.sources(module.params["sources"], module.params["only_ours"])
    for path in silent(wanted):
        apt.give_back(path)
    # Before our file is there (check mode on a bare host) its lists are not either, and nobody contradicts it.
    deviating = wrong() if Path(ours).exists() else [o for o in wrong() if not isinstance(wanted[o], list)]
    if deviating:
        # What is read before ours has no say; lists and words of one program come from anywhere, and ours names no place.
        last, places = Path(ours).name, [option for option in deviating if option.startswith("Dir::")]
        for path in saying(deviating, ours):
            if path.name > last or path.parent == Path("/etc/apt") or _binary(path) or _names(path, places):
                apt.set_aside(path)
    if not module.check_mode:
        left = wrong()
        if left:
            module.fail_json(
                msg=f"apt-config dump : {', '.join(left)} : une autre valeur vient d'ailleurs que de /etc/apt (APT_CONFIG ?)"
            )
    module.exit_json(
        changed=bool(apt.diffs), set_aside=apt.aside, given_back=apt.back, sources_changed=apt.sources_changed, diff=apt.diffs
    )


def _binary(path: Path) -> bool:
    return "binary::" in path.read_text("utf-8", "replace").lower()


if __name__ == "__main__":
    main()
