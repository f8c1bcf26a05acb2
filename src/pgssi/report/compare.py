"""Before and after on one page: paliers side by side, and what changed, rule by rule."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pgssi.catalogue import Catalogue, load_catalogue
from pgssi.findings import VERDICTS
from pgssi.report.cautions import Caution, cautions
from pgssi.report.document import load_results
from pgssi.report.page import render
from pgssi.report.view import captions
from pgssi.report.words import Pair, subject
from pgssi.scoring import Level, Score, score


@dataclass(frozen=True)
class Side:
    """One of the two reports. page: how the comparison links to its report.html, "" when it has none."""

    name: Pair
    results: Mapping[str, Any]
    score: Score
    captions: Mapping[int, Markup]
    cautions: tuple[Caution, ...]
    page: str


@dataclass(frozen=True)
class Change:
    """Hosts on which one rule went from one verdict to another; None: not in that report.

    trend: ``up``, ``down``, or ``side`` when neither is better.
    """

    rule: str
    before: str | None
    after: str | None
    hosts: tuple[str, ...]
    trend: str


@dataclass(frozen=True)
class Step:
    """A level before and after; ``known`` tells on which side the host or guide exists."""

    before: Level | None
    after: Level | None
    known: tuple[bool, bool]

    @property
    def trend(self) -> str:
        """Return ``up`` or ``down`` when the proven palier moved, else ``same``."""
        before, after = (level.proven if level else 0 for level in (self.before, self.after))
        if not all(self.known) or before == after:
            return "same"
        return "up" if after > before else "down"


def write_comparison(before: Path, after: Path, page: Path, catalogue: Catalogue | None = None) -> Path:
    """Write the comparison of two results.json files as one page; return its path.

    The report.html beside each of them is linked when it is there. Raises InvalidInput for a bad document.
    """
    known = catalogue or load_catalogue()
    sides = [_side(name, path, page, known) for name, path in ((("Avant", "Before"), before), (("Après", "After"), after))]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(render("compare.html.j2", _values(sides[0], sides[1], known)), "utf-8")
    return page


def _side(name: Pair, path: Path, page: Path, catalogue: Catalogue) -> Side:
    results = load_results(path)
    judged = score(results, catalogue)
    report = path.with_name("report.html")
    link = Path(os.path.relpath(report, page.parent)).as_posix() if report.is_file() else ""
    return Side(name, results, judged, captions(results, judged), tuple(cautions(results, judged, catalogue)), link)


def _values(before: Side, after: Side, catalogue: Catalogue) -> dict[str, Any]:
    old, new = before.score, after.score
    guides = sorted({*old.guides, *new.guides})
    hosts = list(dict.fromkeys([*old.hosts, *new.hosts]))
    changed = changes(old, new, catalogue)
    guide_of = {f.rule: f.guide for f in (*old.findings, *new.findings)}
    by_guide = {guide: [c for c in changed if guide_of[c.rule] == guide] for guide in guides}
    return {
        "site": after.results["site"],
        "sides": (before, after),
        "same_site": before.results["site"]["name"] == after.results["site"]["name"],
        "catalogue": catalogue,
        "guides": guides,
        "guide_names": {guide: subject(guide) for guide in guides},
        "hosts": hosts,
        "whole": {host: _step(old.hosts, new.hosts, host) for host in hosts},
        "steps": {(host, guide): _step(_levels(old, guide), _levels(new, guide), host) for host in hosts for guide in guides},
        "changes": by_guide,
        "trends": {trend: sum(len(c.hosts) for c in changed if c.trend == trend) for trend in ("up", "down", "side")},
        "total": len({(f.host, f.rule) for f in (*old.findings, *new.findings)}),
        "targets": {**old.targets, **new.targets},
    }


def _step(old: Mapping[str, Level | None], new: Mapping[str, Level | None], host: str) -> Step:
    return Step(old.get(host), new.get(host), (host in old, host in new))


def _levels(judged: Score, guide: str) -> dict[str, Level | None]:
    return {host: cell.level for (host, name), cell in judged.cells.items() if name == guide}


def changes(before: Score, after: Score, catalogue: Catalogue) -> list[Change]:
    """Return what changed, rule by rule: what got worse first, then what got better, in catalogue order."""
    old = {(f.rule, f.host): f.verdict for f in before.findings}
    new = {(f.rule, f.host): f.verdict for f in after.findings}
    grouped: dict[tuple[str, str | None, str | None], list[str]] = {}
    for rule, host in dict.fromkeys([*old, *new]):
        pair = old.get((rule, host)), new.get((rule, host))
        if pair[0] != pair[1]:
            grouped.setdefault((rule, *pair), []).append(host)
    found = [Change(*key, hosts=tuple(hosts), trend=_trend(*key[1:])) for key, hosts in grouped.items()]
    order = {rule: position for position, rule in enumerate(catalogue.rules)}
    return sorted(found, key=lambda c: (("down", "up", "side").index(c.trend), order.get(c.rule, len(order))))


def _trend(before: str | None, after: str | None) -> str:
    """Judge one change; a fault that is waived or no longer observed is no improvement of the host."""
    if before is None or after is None or "non_applicable" in (before, after):
        return "side"
    faulty = ("non_conforme", "non_verifie")
    if before in faulty and after in (*faulty, "derogation"):
        return "side"
    return "up" if VERDICTS.index(after) > VERDICTS.index(before) else "down"
