"""The access point of the lab, with RADIUS and the guests' way out on it, for the tests of the Wi-Fi."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pgssi.catalogue import load_catalogue
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


def verdicts(host: str, directory: Path, guidance: str = "pssi", palier: int = 3) -> dict[str, str]:
    """Return the verdict on each rule of the guide."""
    settings = ["-e", f"site_palier={palier}", "-e", f"site_guidance={guidance}"]
    found = verify(directory, "-i", str(MACHINES), "--limit", host, "-g", "wifi", "--acting", *settings, timeout=2400)
    return {one["rule"]: f"{one['verdict']} {one['message']}".strip() for one in found["verdicts"] if one["host"] == host}


def red_then_green(host: str, directory: Path, guidance: str = "pssi") -> None:
    """Do the breaks of a host one by one: green before, red after, green once the role ran again; then a run changes nothing."""
    rules = load_catalogue().rules
    todo: list[Any] = [
        one for one in breaks_of("wifi", INVENTORIES) if one["host"] == host and guidance in rules[one["rule"]].guidance
    ]
    if guidance == "current":  # those of the other guidance have had theirs
        todo = [one for one in todo if "pssi" not in rules[one["rule"]].guidance]
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
