"""On simulated radios and on the wire: every rule of the Wi-Fi proves that it can fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgssi.catalogue import load_catalogue
from pgssi.lab.lifecycle import Lab
from pgssi.paths import ROOT

from .support import INVENTORY, Play, play
from .test_breaks import breaks_of, sabotage

MACHINES = ROOT / "inventories" / "machines"
HOSTS = ("ap1", "rad1")
BATCHES = 4


@pytest.fixture(scope="module")
def radios() -> Iterator[Lab]:
    """The access point on its first day, with its RADIUS servers; taken down at the end."""
    lab = Lab.load([str(INVENTORY), str(MACHINES)])
    lab.reset(*HOSTS)
    yield lab
    lab.down()


def hardened() -> Play:
    """Run the guide at palier 3."""
    options = (
        "-i",
        str(MACHINES),
        "--limit",
        ":".join(HOSTS),
        "-e",
        "site_palier=3",
        "-e",
        "backup_without_change_archives=essai",
    )
    return play("wifi", *options, timeout=1800).succeeded()


@pytest.mark.parametrize("host", HOSTS)
def test_each_rule_turns_red_on_its_break_and_green_after_the_role(radios: Lab, tmp_path: Path, host: str) -> None:
    """Green after the role, red after its break, green after the role ran once more, nothing changed on the run after that."""
    hardened()
    inventories = (INVENTORY, MACHINES)
    rules = load_catalogue().rules
    todo = [one for one in breaks_of("wifi", inventories) if one["host"] == host and "pssi" in rules[one["rule"]].guidance]
    assert todo
    for _ in range(BATCHES):
        outcomes = sabotage(host, todo, tmp_path, inventories)
        hardened()
        green = [one for one in outcomes if one["before"] == "conforme"]
        assert [one for one in green if one["after"] != "non_conforme"] == []
        waiting = {one["rule"] for one in outcomes} - {one["rule"] for one in green}
        todo = [one for one in todo if one["rule"] in waiting]
        if not todo:
            break
    assert todo == [], "never green before their break"
    assert hardened().changed() == set()
