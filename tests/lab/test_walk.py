"""The demo hospital goes from palier 0 to 3, and each report says so, on Debian 12 and Debian 13."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pgssi.catalogue import load_catalogue
from pgssi.scoring import limited_hosts, score
from pgssi.verify.plan import Selection, make_plan

from .support import INVENTORY, play, verify

# In a run of the whole site: on a plain server, and on one with functions of its own (bastion, log server, gateway).
PLAIN, TASKS, TASKS_WITH_FUNCTIONS = "web1", 60, 70


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


# What is backed up and its server go by palier 1; three of them carry its every rule, on both releases. The others go from bare
# to palier 2 at once, as a new site does.
FIRST, CARRIERS = "backup_clients:backup_servers", "bkp1:dpi1:gw1"


def test_check_mode_on_untouched_hosts_announces_what_the_run_does(lab: Any) -> None:
    """--check --diff does not fail on bare hosts, and the first real run changes exactly what it announced."""
    target = ("-e", "site_palier=1", "--limit", FIRST)
    announced = play("site", "--check", "--diff", *target).succeeded().changed()
    done = play("site", *target).succeeded().changed()
    assert announced == done


@dataclass(frozen=True)
class Stage:
    """One palier of the walk. slices: the hosts treated, one run each, as AWX or several control nodes would.

    again: the hosts on which the next run has to change nothing; verified: those that are verified. Palier 3 holds the rules of
    palier 2: its hosts are all verified, and run once more, when test_breaks has had its breaks repaired.
    """

    slices: tuple[str, ...]
    again: str = ""
    verified: str = ""


STAGES = {
    1: Stage((), again=CARRIERS, verified=CARRIERS),
    2: Stage(("dpi1:bkp1:off1", "all:!dpi1:!bkp1:!off1"), again="all"),
    3: Stage(("all",)),
}


def _rules(palier: int, limit: str) -> set[str]:
    plan = make_plan([str(INVENTORY)], Selection(palier=palier, limit=limit))
    return {rule.id for host in plan.contexts for rule in plan.rules_of(host)}


@pytest.mark.parametrize("palier", STAGES)
def test_each_palier_is_reached(lab: Any, tmp_path: Path, palier: int) -> None:
    """The roles bring the hosts to it, the next run changes nothing, and the report says that it is reached."""
    target, stage = ("-e", f"site_palier={palier}"), STAGES[palier]
    for hosts in stage.slices:
        play("site", *target, "--limit", hosts).succeeded()
    if palier == 2:
        play("restore_drill", *target).succeeded()
        play("inventory_record", *target).succeeded()
    if stage.again:
        again = play("site", *target, "--limit", stage.again).succeeded()
        assert again.changed() == set()
        assert again.tasks(PLAIN) < TASKS and max(again.tasks(host) for host in lab.hosts) < TASKS_WITH_FUNCTIONS
    if stage.verified:
        assert _rules(palier, stage.verified) == _rules(palier, "all")
        results = verify(tmp_path, "--palier", str(palier), "--limit", stage.verified)
        assert faults(palier, results) == []
        assert reached(results) == {palier}
