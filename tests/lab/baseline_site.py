"""A server on a machine of its own with its applications, and the baseline guides on it: what the tests of these guides share."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pgssi.lab.lifecycle import Lab

from .media_station import MACHINES
from .support import INVENTORY, Play, play, verify
from .test_breaks import breaks_of, sabotage

INVENTORIES = (INVENTORY, MACHINES)
OPTIONS = ("-e", "site_palier=3", "-e", "backup_without_change_archives=essai")
LONG = 3600
# The guides that make a server what it is, whatever else its site does, in the order of the whole site.
GUIDES = ("access_rights", "audit_trail", "malware_protection", "updates", "system_hardening")
# What needs another machine, a log server or a clock; this one is alone on its cable, and the hospital of containers proves them.
ELSEWHERE = {"access-records-leave-host", "clock-one-source", "records-leave-host", "records-name-source", "records-wait-on-disk"}
# What care depends on: a page, a record read and written, a Java program. Each prints one word.
APPLICATIONS = """
python3 -c 'import urllib.request as r; print(r.urlopen("http://127.0.0.1/", timeout=30).status)'
cd /
runuser -u postgres -- psql -qAtX -c "UPDATE sejour SET service = service WHERE id = 1 RETURNING service"
java -version 2>&1 | grep -c 'Server VM'
"""
WORKING = ["200", "cardiologie", "1"]


@dataclass(frozen=True)
class Server:
    """A server that its applications' supplier has left, and that the roles are run on."""

    lab: Lab
    name: str

    def run(self, script: str) -> str:
        """Run a script as root on it."""
        return self.lab.machines.run(self.lab.model.hosts[self.name], "sh", "-euc", script, timeout=LONG)

    def works(self) -> bool:
        """Return whether all of its applications do what they are there for."""
        return self.run(APPLICATIONS).split() == WORKING


def on(*names: str) -> pytest.MarkDecorator:
    """Run a test on these servers, one after the other."""
    return pytest.mark.parametrize("server", names, indirect=True, scope="module")


def first_day(name: str) -> Iterator[Server]:
    """Give a server on its first day, with Java, and take it away at the end."""
    given = Server(Lab.load([str(INVENTORY), str(MACHINES)]), name)
    given.lab.reset(name)
    try:
        given.run("DEBIAN_FRONTEND=noninteractive apt-get -q -q install -y --no-install-recommends default-jre-headless")
        yield given
    finally:
        given.lab.remove(name)


def hardened(host: str, guides: Sequence[str], *more: str) -> list[Play]:
    """Run these guides on a host at palier 3, one after the other."""
    return [play(guide, "-i", str(MACHINES), "--limit", host, *OPTIONS, *more, timeout=LONG).succeeded() for guide in guides]


def changes(plays: Sequence[Play]) -> set[tuple[str, str]]:
    """Return what these runs changed."""
    return set().union(*(one.changed() for one in plays))


def faults(host: str, guides: Sequence[str], directory: Path, rules: Collection[str] = ()) -> dict[str, str]:
    """Return the rules of these guides, or those named, that are not held at palier 3, with what is said of them."""
    chosen = [word for guide in guides for word in ("-g", guide)] + [word for rule in sorted(rules) for word in ("--rule", rule)]
    found = verify(directory, "-i", str(MACHINES), "--limit", host, *chosen, "--acting", "-e", "site_palier=3", timeout=LONG)
    mine = [one for one in found["verdicts"] if one["host"] == host]
    assert {"conforme"} <= {one["verdict"] for one in mine}, "nothing was seen to hold"
    wrong = {one["rule"]: one["message"] for one in mine if one["verdict"] not in ("conforme", "non_applicable")}
    return {rule: message for rule, message in wrong.items() if rule not in ELSEWHERE}


def red_then_green(host: str, guides: Sequence[str], directory: Path) -> None:
    """Do the breaks of these guides: green before, red after, green once the role ran again; then a run changes nothing.

    What an earlier break had already turned red waits until the role has run; once nothing waits, every rule is looked at.
    """
    todo: list[Any] = [one for guide in guides for one in breaks_of(guide, INVENTORIES) if one["host"] == host]
    todo = [one for one in todo if one["rule"] not in ELSEWHERE]
    assert todo
    for turn in range(len(todo)):
        outcomes = sabotage(host, todo, directory, INVENTORIES)
        waiting = {one["rule"] for one in outcomes if one["before"] != "conforme"}
        broken = [one for one in outcomes if one["rule"] not in waiting]
        assert broken, f"not green before their breaks: {outcomes}"
        assert [one for one in broken if one["after"] != "non_conforme"] == [], "not red after its break"
        hardened(host, guides)
        only = {one["rule"] for one in broken} if waiting else ()
        assert faults(host, guides, directory / f"after{turn}", only) == {}, "still red after the role ran once more"
        todo = [one for one in todo if one["rule"] in waiting]
        if not todo:
            break
    assert changes(hardened(host, guides)) == set()
