"""The sudo policy of a host, as sudo's own parser reads it, and what it means for one account that acts as another.

Members of lists stand as sudoers writes them: ``login``, ``%group``, ``#uid``, ``%#gid``, ``ALL``.
Source: sudoers(5), cvtsudoers(1), sudo 1.9.13 to 1.9.16.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from pgssi.verify.facts import Facts

# cvtsudoers prints these tags without the braces that make them JSON.
BARE_TAG = re.compile(r'^(\s*)("(?:runcwd|runchroot|role|type|apparmor_profile|privs|limitprivs)": "[^"]*")(,?)$', re.MULTILINE)
MARKS = {"username": "", "usergroup": "%", "userid": "#", "usergid": "%#", "netgroup": "+", "nonunixgroup": "%:"}
Entry = Mapping[str, Any]


def named(who: Entry) -> str:
    """Return a member of a sudo list as sudoers writes it, with the ``!`` of one that is taken out."""
    return ("!" if who.get("negated") else "") + _name(who)


def _name(who: Entry) -> str:
    return next((f"{mark}{who[kind]}" for kind, mark in MARKS.items() if kind in who), str(next(iter(who.values()), "?")))


@dataclass(frozen=True)
class SudoPolicy:
    """document: the answer of cvtsudoers, aliases resolved; targets: its ``Defaults>``; fault: why there is none."""

    document: Mapping[str, Any] = field(default_factory=dict)
    targets: Sequence[Entry] = ()
    fault: str = ""

    def options(self, asker: Collection[str], target: Collection[str], command: str) -> dict[str, Any]:
        """Return the options that hold when one runs a command as another. asker, target: all their names.

        An option for a host counts on every host. Those for a target prevail over those for everybody and for users,
        those for a command over both; among them the last. Source: sudoers(5), SUDOERS OPTIONS and Defaults.
        """
        people, bound = [], []
        for entry in self.document.get("Defaults", ()):
            binding = entry.get("Binding") or ()
            if any("command" in who for who in binding):
                bound += [entry] if _runs(binding, command) else []
            elif not any(MARKS.keys() & who.keys() for who in binding) or _names(binding, asker):
                people.append(entry)
        targets = [entry for entry in self.targets if _names(entry.get("Binding") or (), target)]
        found: dict[str, Any] = {}
        for option in (option for entry in (*people, *targets, *bound) for option in entry["Options"]):
            _set(found, option)
        return found

    def tags(self, asker: Collection[str], target: Collection[str], command: str) -> Iterator[tuple[str, Any]]:
        """Yield the tags of every right to run this command as this target: ``("log_input", False)`` for NOLOG_INPUT."""
        for spec in self.document.get("User_Specs", ()):
            for right in spec["Cmnd_Specs"] if _names(spec["User_List"], asker) else ():
                if _names(right.get("runasusers") or (), target) and _runs(right["Commands"], command):
                    yield from (pair for option in right.get("Options") or () for pair in option.items())


def _names(members: Iterable[Entry], names: Collection[str]) -> bool:
    """Return whether a list means somebody of these names: the last member that names them decides."""
    answers = [not who.get("negated", False) for who in members if _name(who) in names or _name(who) == "ALL"]
    return bool(answers) and answers[-1]


def _runs(members: Iterable[Entry], command: str) -> bool:
    answers = []
    for who in members:
        pattern = str(who.get("command", "")).split(" ")[0]
        if pattern == "ALL" or fnmatchcase(command, pattern) or (pattern.endswith("/") and command.startswith(pattern)):
            answers.append(not who.get("negated", False))
    return bool(answers) and answers[-1]


def _set(found: dict[str, Any], option: Entry) -> None:
    """Set one option; lists may grow: ``{"operation": "list_add", "env_keep": ["LANG"]}``."""
    how = option.get("operation")
    for name, value in option.items():
        before = found.get(name) or []
        if name == "operation":
            continue
        if how == "list_remove":
            found[name] = [one for one in before if one not in value]
        else:
            found[name] = [*before, *value] if how == "list_add" else value


def read_policy(facts: Facts) -> SudoPolicy:
    """Read the policy of a host, from where sudo says that it is."""
    shown = facts("access-sudo-version", "sudo -V")
    path = re.search(r"^Sudoers path: (.+)$", shown, re.MULTILINE)
    if not path:
        return SudoPolicy(fault="sudo n'applique pas de fichier de règles : un autre greffon décide")
    result = facts.result("access-sudoers", f"cvtsudoers -e -f json {shlex.quote(path[1])}")
    if result.rc != 0:
        return SudoPolicy(fault=f"sudo ne sait pas lire sa politique : {result.stderr[-200:]}")
    # In JSON an option for what runs as root (Defaults>root) looks like one for root's own use of sudo.
    targets = (
        rf"cvtsudoers -e -f sudoers {shlex.quote(path[1])} | sed -e :a -e '/\\$/N; s/\\\n//; ta' "
        "| sed -n 's/^Defaults>/Defaults:/p' | cvtsudoers -f json"
    )
    told = json.loads(facts("access-sudoers-targets", targets).strip() or "{}")
    return SudoPolicy(dict(json.loads(BARE_TAG.sub(r"\1{\2}\3", result.stdout))), tuple(told.get("Defaults", ())))
