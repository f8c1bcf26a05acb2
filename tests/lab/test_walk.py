"""The demo hospital goes from palier 0 to 3, and each report says so, on Debian 12 and Debian 13."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pgssi.catalogue import load_catalogue
from pgssi.scoring import limited_hosts, score
from pgssi.verify.plan import Selection, make_plan

from .support import INVENTORY, play, verify


def faults(palier: int, results: Mapping[str, Any]) -> list[str]:
    """Return what is red or unseen up to this palier."""
    return [
        f"{v['host']} {v['rule']} {v['verdict']}: {v['message']}"
        for v in results["verdicts"]
        if v["palier"] <= palier and v["verdict"] in ("non_conforme", "non_verifie")
    ]


def reached(results: Mapping[str, Any]) -> set[int]:
    """Return the paliers that the site and its hosts have reached; only its hosts when some were left out."""
    scores = score(results, load_catalogue())
    levels = [*scores.hosts.values(), None if limited_hosts(results) else scores.site]
    return {level.reached for level in levels if level}


def test_untouched_hosts_are_at_palier_0_and_stay_untouched(lab: Any, tmp_path: Path) -> None:
    """The audit of hosts that no role ever touched finds palier 0 and changes nothing on them."""
    before = lab.fingerprint()
    results = verify(tmp_path, "--no-acting")
    assert reached(results) == {0}
    assert lab.fingerprint() == before


def test_check_mode_on_untouched_hosts_announces_what_the_run_does(lab: Any) -> None:
    """--check --diff does not fail on bare hosts, and the first real run changes exactly what it announced."""
    announced = play("site", "--check", "--diff", "-e", "site_palier=1").succeeded().changed()
    done = play("site", "-e", "site_palier=1").succeeded().changed()
    assert announced == done


# Palier 1 was reached by the test before. At palier 2 the site is treated in two slices, as AWX or several control nodes would.
SLICES: dict[int, tuple[str, ...]] = {1: (), 2: ("dpi1:bkp1:off1", "all:!dpi1:!bkp1:!off1"), 3: ("all",)}
# Three hosts carry every rule of palier 1, on both releases. The site at palier 3 is verified once its breaks are repaired.
VERIFIED = {1: "bkp1:dpi1:gw1", 2: "all"}


def _rules(palier: int, limit: str) -> set[str]:
    plan = make_plan([str(INVENTORY)], Selection(palier=palier, limit=limit))
    return {rule.id for host in plan.contexts for rule in plan.rules_of(host)}


@pytest.mark.parametrize("palier", [1, 2, 3])
def test_each_palier_is_reached_and_then_nothing_changes(lab: Any, tmp_path: Path, palier: int) -> None:
    """The next run changes nothing, and the report says this palier, no more and no less."""
    target = ("-e", f"site_palier={palier}")
    for hosts in SLICES[palier]:
        play("site", *target, "--limit", hosts).succeeded()
    if palier == 2:
        play("restore_drill", *target).succeeded()
        play("inventory_record", *target).succeeded()
    again = play("site", *target).succeeded()
    assert again.changed() == set()
    assert max(again.tasks(host) for host in lab.hosts) < 40
    if limit := VERIFIED.get(palier):
        assert _rules(palier, limit) == _rules(palier, "all")
        results = verify(tmp_path, *target, "--limit", limit)
        assert faults(palier, results) == []
        assert reached(results) == {palier}
