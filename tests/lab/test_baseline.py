"""On a machine of its own: the baseline guides hold at palier 3, a restart included, and the applications go on working."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgssi.lab.lifecycle import Lab

from .baseline_site import APPLICATIONS, WORKING, changes, faults, hardened, red_then_green, run, server

HOST = "srv1"
GUIDES = ("system_hardening",)


@pytest.fixture(scope="module")
def lab_of_server() -> Iterator[Lab]:
    """The server as its applications' supplier left it."""
    yield from server(HOST)


def test_the_baseline_holds(lab_of_server: Lab, tmp_path: Path) -> None:
    """After the roles every rule holds, the applications work, and a second run changes nothing."""
    hardened(HOST, GUIDES)
    assert faults(HOST, GUIDES, tmp_path) == {}
    assert run(lab_of_server, HOST, APPLICATIONS).split() == WORKING
    assert changes(hardened(HOST, GUIDES)) == set()


def test_it_holds_after_a_restart(lab_of_server: Lab, tmp_path: Path) -> None:
    """The machine starts again: every rule holds without any role, and the applications work."""
    lab_of_server.restart(HOST)
    assert faults(HOST, GUIDES, tmp_path) == {}
    assert run(lab_of_server, HOST, APPLICATIONS).split() == WORKING


def test_each_rule_turns_red_on_its_break_and_green_after_the_role(lab_of_server: Lab, tmp_path: Path) -> None:
    """Green before, red after its break, green after the role ran once more, nothing changed on the run after that."""
    red_then_green(HOST, GUIDES, tmp_path)
