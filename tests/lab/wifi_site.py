"""The access point of the lab, with RADIUS and the guests' way out on it, for the tests of the Wi-Fi."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pgssi.catalogue import load_catalogue
from pgssi.inventory import load_inventory
from pgssi.lab.lifecycle import Lab

from .media_station import MACHINES
from .support import INVENTORY, Play, play, verify
from .test_breaks import breaks_of, sabotage

INVENTORIES = (INVENTORY, MACHINES)
BATCHES = 4


def machines(*hosts: str) -> Iterator[Lab]:
    """Give these hosts on their first day, and take them away at the end."""
    lab = Lab.load([str(INVENTORY), str(MACHINES)])
    lab.reset(*hosts)
    try:
        yield lab
    finally:
        lab.remove(*hosts)


def hardened(host: str, guidance: str = "pssi", palier: int = 3) -> Play:
    """Run the guide on a host at a palier."""
    options = ("-e", f"site_palier={palier}", "-e", f"site_guidance={guidance}", "-e", "backup_without_change_archives=essai")
    return play("wifi", "-i", str(MACHINES), "--limit", host, *options, timeout=2400).succeeded()


def rules_of(host: str, guidance: str = "pssi", palier: int = 3) -> list[str]:
    """Return the rules of the guide that a palier asks of a host."""
    here = {"all", *load_inventory([str(path) for path in INVENTORIES]).hosts[host].groups}
    rules = [one for one in load_catalogue().rules.values() if one.guide == "wifi" and here & {*one.groups}]
    return [one.id for one in rules if one.palier <= palier and guidance in one.guidance]


def verdicts(host: str, directory: Path, guidance: str = "pssi", palier: int = 3) -> dict[str, str]:
    """Return the verdict on each of these rules."""
    settings = ["-e", f"site_palier={palier}", "-e", f"site_guidance={guidance}"]
    only = [word for rule in rules_of(host, guidance, palier) for word in ("--rule", rule)]
    found = verify(directory, "-i", str(MACHINES), "--limit", host, "-g", "wifi", *only, "--acting", *settings, timeout=2400)
    return {one["rule"]: f"{one['verdict']} {one['message']}".strip() for one in found["verdicts"] if one["host"] == host}


def red_then_green(host: str, directory: Path, guidance: str = "pssi") -> None:
    """Do the breaks of a host one by one: green before, red after, green once the role ran again; then a run changes nothing."""
    wanted = {*rules_of(host, guidance)}
    if guidance == "current":  # those of the other guidance have had theirs
        wanted -= {*rules_of(host)}
    todo: list[Any] = [one for one in breaks_of("wifi", INVENTORIES) if one["host"] == host and one["rule"] in wanted]
    assert todo
    for _ in range(BATCHES):
        outcomes = sabotage(host, todo, directory, INVENTORIES, "--extra-vars", f"site_guidance={guidance}")
        hardened(host, guidance)
        green = [one for one in outcomes if one["before"] == "conforme"]
        assert [one for one in green if one["after"] != "non_conforme"] == []
        waiting = {one["rule"] for one in outcomes} - {one["rule"] for one in green}
        todo = [one for one in todo if one["rule"] in waiting]
        if not todo:
            break
    assert [one for one in outcomes if one["before"] != "conforme"] == [], "never green before their break"
    found = verdicts(host, directory / "after", guidance)
    left = {rule: verdict for rule, verdict in found.items() if not sound(verdict)}
    assert left == {}, "still red after the role ran once more"
    assert hardened(host, guidance).changed() == set()


def sound(verdict: str) -> bool:
    """Return whether a verdict is no fault."""
    return verdict.split()[0] in ("conforme", "non_applicable")
