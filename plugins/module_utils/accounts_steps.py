"""The steps of a change of accounts: what the operator reads, what is run, what is altered. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Callable, List, Mapping, Set

from ansible_collections.pgssi.toolkit.plugins.module_utils import accounts_files as files
from ansible_collections.pgssi.toolkit.plugins.module_utils.accounts_host import Host

ISSUE = "/usr/local/sbin/pgssi-initial-password"
BREAK_GLASS = "pgssi-break-glass"
SUDOERS = "pgssi-sudo"
SUPPLIERS = "pgssi-suppliers"  # primary group of the accounts that the remote_maintenance role keeps on a bastion
EPOCH = date(1970, 1, 1)


class Refused(Exception):
    """A declared state that would take the operator's access away; the text names the remedy."""


@dataclass
class Step:
    """One change. text: what the operator reads; run: called with the armed Guard; paths: what it alters."""

    text: str
    run: Callable[[Any], object]
    paths: List[str] = field(default_factory=list)


@dataclass
class Steps:
    """The steps from the host as it is to the host as declared, in the order in which they are safe."""

    host: Host
    accounts: Mapping[str, Mapping[str, Any]]
    rules: Set[str]
    options: Mapping[str, Any]
    connected: str
    steps: List[Step] = field(default_factory=list)
    today: int = field(default_factory=lambda: (date.today() - EPOCH).days)
    _locked: Set[str] = field(default_factory=set)
    _issued: Set[str] = field(default_factory=set)

    def command(self, text: str, *argv: str) -> None:
        """Add a command."""
        self.steps.append(Step(text, lambda guard: guard.run(list(argv))))

    def aside(self, text: str, *paths: Path) -> None:
        """Add the move of files that must stop acting."""
        if paths:
            self.steps.append(Step(text, lambda _: files.set_aside(paths), [str(path) for path in paths]))

    def issue(self, login: str, why: str, keep: bool = False) -> None:
        """Give a random password, sealed for its recipients; the holder must change it unless ``keep``."""
        if login in self._issued:
            return
        self._issued.add(login)
        self.command(f"{login}: new sealed password ({why})", ISSUE, *(["--keep"] if keep else []), login)

    def wanted_groups(self, account: Mapping[str, Any]) -> Set[str]:
        """Return the supplementary groups of one declared account, ours included."""
        groups = set(account["groups"])
        if "sudo-group-only" in self.rules and account["sudo"]:
            groups.add(SUDOERS)
        if account["kind"] == "break_glass":
            groups.add(BREAK_GLASS)
        return groups
