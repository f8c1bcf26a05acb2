"""On a machine of its own: the guides of a server hold at palier 3 from its restart on, and the applications go on working."""

from __future__ import annotations

from pathlib import Path

from .baseline_site import GUIDES, OPTIONS, Server, changes, faults, hardened, on, red_then_green
from .media_station import MACHINES
from .support import play

SERVERS = on("srv1", "srv2")
MINUTES = 180.0
# What the kernel is given counts from its next start on.
NEXT_START = {"boot-memory-protected", "boot-iommu-forced"}


@SERVERS
def test_the_guides_hold(server: Server, tmp_path: Path) -> None:
    """After the roles every rule holds but those of the next start, the applications work, and a second run changes nothing."""
    hardened(server.name, GUIDES)
    play("inventory_record", "-i", str(MACHINES), "--limit", server.name, *OPTIONS).succeeded()
    assert changes(hardened(server.name, GUIDES)) == set()
    found = faults(server.name, GUIDES, tmp_path)
    assert {rule: message for rule, message in found.items() if rule not in NEXT_START} == {}
    assert found.keys() == NEXT_START
    assert server.works()


@SERVERS
def test_they_hold_after_a_restart(server: Server, tmp_path: Path) -> None:
    """The machine starts again: every rule holds without any role, and the applications work."""
    server.lab.restart(server.name)
    assert faults(server.name, GUIDES, tmp_path) == {}
    assert server.works()


@on("srv1")
def test_the_console_asks_whoever_changes_an_entry(server: Server) -> None:
    """Whoever presses e at a start is asked for a name, and a wrong password gives nothing; left alone, the server starts."""
    host, machines = server.lab.model.hosts[server.name], server.lab.machines
    machine = machines.qemu(host)
    machine.ask("system_reset")
    assert machine.console("e", "Enter username:", MINUTES), "the entry was open to all"
    assert machine.console("intrus\rfaux\r", "access denied", MINUTES), "whoever has no password was not refused"
    machine.ask("system_reset")
    machines.wait(host)


@SERVERS
def test_each_rule_turns_red_on_its_break_and_green_after_the_role(server: Server, tmp_path: Path) -> None:
    """Green before, red after its break, green after the role ran once more, nothing changed on the run after that."""
    red_then_green(server.name, GUIDES, tmp_path)
