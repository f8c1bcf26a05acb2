"""On a machine of its own: the guides of a server hold at palier 3 from its restart on, and the applications go on working."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgssi.lab.lifecycle import Lab

from .baseline_site import APPLICATIONS, GUIDES, OPTIONS, WORKING, changes, faults, hardened, red_then_green, run, server
from .media_station import MACHINES
from .support import play

HOST = "srv1"
MINUTES = 180.0
# What the kernel is given counts from its next start on.
NEXT_START = {"boot-memory-protected", "boot-iommu-forced"}


@pytest.fixture(scope="module")
def lab_of_server() -> Iterator[Lab]:
    """The server as its applications' supplier left it."""
    yield from server(HOST)


def test_the_guides_hold(lab_of_server: Lab, tmp_path: Path) -> None:
    """After the roles every rule holds but those of the next start, the applications work, and a second run changes nothing."""
    hardened(HOST, GUIDES)
    play("inventory_record", "-i", str(MACHINES), "--limit", HOST, *OPTIONS).succeeded()
    assert changes(hardened(HOST, GUIDES)) == set()
    assert set(faults(HOST, GUIDES, tmp_path)) == NEXT_START
    assert run(lab_of_server, HOST, APPLICATIONS).split() == WORKING


def test_they_hold_after_a_restart(lab_of_server: Lab, tmp_path: Path) -> None:
    """The machine starts again: every rule holds without any role, and the applications work."""
    lab_of_server.restart(HOST)
    assert faults(HOST, GUIDES, tmp_path) == {}
    assert run(lab_of_server, HOST, APPLICATIONS).split() == WORKING


def test_the_console_asks_whoever_changes_an_entry(lab_of_server: Lab) -> None:
    """Whoever presses e at a start is asked for a name, and a wrong password gives nothing; left alone, the server starts."""
    host = lab_of_server.model.hosts[HOST]
    machine = lab_of_server.machines.qemu(host)
    machine.ask("system_reset")
    assert machine.console("e", "Enter username:", MINUTES), "the entry was open to all"
    assert machine.console("intrus\rfaux\r", "access denied", MINUTES), "whoever has no password was not refused"
    machine.ask("system_reset")
    lab_of_server.machines.wait(host)


def test_each_rule_turns_red_on_its_break_and_green_after_the_role(lab_of_server: Lab, tmp_path: Path) -> None:
    """Green before, red after its break, green after the role ran once more, nothing changed on the run after that."""
    red_then_green(HOST, GUIDES, tmp_path)
