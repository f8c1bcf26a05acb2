"""Every automated rule of the demo hospital proves that it can fail, on Debian 12 and 13 by turns (--every-release: on both)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from pgssi.catalogue import load_catalogue
from pgssi.inventory import Inventory, load_inventory
from pgssi.lab.podman import podman
from pgssi.paths import BREAKS, COMPLIANCE, ROOT

from .support import INVENTORY, play, verify
from .test_walk import faults, reached

PALIER = ("-e", "site_palier=3")
BATCHES = 4
# Their rules are judged by what other hosts do, or those of the others by what they do: first, while all is whole, and last.
FIRST, LAST = "backup_offsite", "log_servers"


def _targets(inventory: Inventory, groups: Collection[str], wanted: str | None) -> Iterator[str]:
    """Yield, for one break, the first host of each Debian release among those that carry the rule."""
    releases = set()
    for name in sorted(inventory.hosts):
        host = inventory.hosts[name]
        here = {"all", name, *host.groups}
        if here.isdisjoint(groups) or (wanted and wanted not in here):
            continue
        if (release := host.variables["lab_image"]) not in releases:
            releases.add(release)
            yield name


def _chosen(hosts: list[str], turn: int, every_release: bool) -> list[str]:
    return hosts if every_release or not hosts else [hosts[turn % len(hosts)]]


def breaks_of(
    guide: str = "*", inventories: tuple[Path, ...] = (INVENTORY,), *, whole_site: bool = False, every_release: bool = True
) -> list[dict[str, str]]:
    """Return the breaks of a guide, or of all, each on the hosts where it is to be tried.

    whole_site: those whose rule is judged with packets from every other host, instead of the others.
    every_release: each on one host of each Debian release that has the rule; else the releases take turns.
    """
    rules, inventory = load_catalogue().rules, load_inventory([str(path) for path in inventories])
    return [
        {
            "rule": raw["rule"],
            "host": host,
            "on": raw.get("on", host),
            "shell": raw["shell"],
            "remedy": raw.get("remedy", ""),
            "remedy_on": raw.get("remedy_on", host),
        }
        for path in sorted(BREAKS.glob(f"{guide}.yml"))
        for turn, raw in enumerate(yaml.safe_load(path.read_text("utf-8"))["breaks"])
        if raw.get("whole_site", False) is whole_site
        for host in _chosen([*_targets(inventory, rules[raw["rule"]].groups, raw.get("host"))], turn, every_release)
    ]


def sabotage(
    host: str,
    breaks: list[dict[str, str]],
    directory: Path,
    inventories: tuple[Path, ...] = (INVENTORY,),
    *settings: str,
) -> list[Mapping[str, Any]]:
    """Do these breaks on one host one after the other; return what the tests of their rules said before and after.

    settings: further options of the verifier.
    """
    plan, outcomes = directory / f"{host}.breaks.json", directory / f"{host}.outcomes.json"
    plan.write_text(json.dumps(breaks), "utf-8")
    outcomes.write_text("[]", "utf-8")
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            str(COMPLIANCE),
            "--import-mode=importlib",
            "-p",
            "pgssi.verify.plugin",
            "-p",
            "saboteur",
            *(word for path in inventories for word in ("--inventory", str(path))),
            "--limit",
            host,
            "--extra-vars",
            "site_palier=3",
            *settings,
            "--acting",
            "--breaks",
            str(plan),
            "--outcomes",
            str(outcomes),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{BREAKS}:{os.environ.get('PYTHONPATH', '')}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    found: list[Mapping[str, Any]] = json.loads(outcomes.read_text("utf-8"))
    assert len(found) == len(breaks), f"the run stopped half-way:\n{run.stdout[-4000:]}{run.stderr[-2000:]}"
    return found


def _sabotaged(todo: list[dict[str, str]], directory: Path) -> list[Mapping[str, Any]]:
    """Do these breaks, six hosts at a time, those with the most breaks first."""
    hosts, by_host = load_inventory([str(INVENTORY)]).hosts, defaultdict(list)
    for one in todo:
        by_host[one["host"]].append(one)
    waves: tuple[list[str], ...] = ([], [], [])
    for name in sorted(by_host, key=lambda name: -len(by_host[name])):
        waves[0 if FIRST in hosts[name].groups else 2 if LAST in hosts[name].groups else 1].append(name)
    with ThreadPoolExecutor(6) as pool:
        done = [list(pool.map(lambda name: sabotage(name, by_host[name], directory), wave)) for wave in waves]
    return [outcome for wave in done for found in wave for outcome in found]


def _remedy(lab: Any, done: Mapping[str, str]) -> None:
    """Do what a person does, where no role may decide it."""
    container = lab.model.container(done["remedy_on"])
    podman("exec", "-i", container, "sh", "-euc", f"HOST={done['host']}\n{done['remedy']}")


def test_every_rule_turns_red_on_its_break_and_green_after_the_role(
    lab: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Green after the role (test_walk leaves palier 3), red after its break, green after the role ran once more,
    nothing changed on the run after that.
    """
    todo, seen = breaks_of(every_release=request.config.getoption("every_release")), []
    assert todo
    for batch in range(BATCHES):
        outcomes = _sabotaged(todo, tmp_path)
        waiting = {(o["rule"], o["host"]) for o in outcomes if o["before"] != "conforme"}
        seen += [o for o in outcomes if o["before"] == "conforme"]
        # All of the site once; what waited, then, is looked at alone.
        where = ["--limit", ":".join(sorted({one[end] for one in todo for end in ("host", "on")}))] if batch else []
        play("site", *PALIER, *where).succeeded()
        broken = {(o["rule"], o["host"]) for o in outcomes if o["after"]}
        for one in todo:
            if one["remedy"] and (one["rule"], one["host"]) in broken:
                _remedy(lab, one)
        only = [word for rule in sorted({one["rule"] for one in todo}) for word in ("--rule", rule)] if batch else []
        results = verify(tmp_path / f"batch{batch}", *PALIER, *only)
        assert faults(3, results) == [], "still red after the role ran once more"
        assert batch or reached(results) == {3}
        assert play("site", *PALIER, *where).succeeded().changed() == set()
        if not waiting:
            break
        todo = [s for s in todo if (s["rule"], s["host"]) in waiting]
    assert waiting == set(), f"never green before their break: {sorted(waiting)}"
    assert [o for o in seen if o["after"] != "non_conforme"] == []
