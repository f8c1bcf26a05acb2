"""What the verdicts of one run add up to: paliers, gaps, maturity, and all the requirements.

Pure functions over a ``pgssi-results/1`` document and the catalogue. One principle decides every doubtful
case: what was not observed is ``non_verifie``, and ``non_verifie`` never counts as good.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import Any

from pgssi.catalogue import PALIERS, Catalogue
from pgssi.coverage import RequirementScore, requirement_scores
from pgssi.findings import VERDICTS, Finding, Tally, day, settle

__all__ = [
    "Cell",
    "Finding",
    "GuideScore",
    "Level",
    "RequirementScore",
    "Score",
    "Tally",
    "limited_hosts",
    "score",
]


@dataclass(frozen=True)
class Level:
    """A palier as an interval, because part of the rules may not have been observed.

    proven: highest palier (0–3) of which every rule was observed and accepted.
    possible: highest palier (0–3) that no observed fault rules out.
    """

    proven: int
    possible: int

    @property
    def reached(self) -> int | None:
        """Return the palier reached, or None when it is not established: nothing proven, nothing refuted."""
        return self.proven if self.proven or not self.possible else None

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Level | None:
        """Return the level that these findings show; None when no rule applies.

        A palier that demands nothing here is passed on the way up, but proves nothing by itself: below the
        first accepted rule, proven is 0.
        """
        kept = [finding for finding in findings if finding.verdict != "non_applicable"]
        if not kept:
            return None
        beyond = PALIERS[-1] + 1
        proven = min((f.palier for f in kept if not f.accepted), default=beyond) - 1
        refuted = min((f.palier for f in kept if f.verdict == "non_conforme"), default=beyond)
        if not any(f.accepted and f.palier <= proven for f in kept):
            proven = 0
        return cls(proven, refuted - 1)

    @classmethod
    def lowest(cls, levels: Iterable[Level | None]) -> Level | None:
        """Return the level of a whole from its parts; parts without any rule (None) do not matter."""
        known = [level for level in levels if level]
        if not known:
            return None
        return cls(min(level.proven for level in known), min(level.possible for level in known))


@dataclass(frozen=True)
class Cell:
    """One guide on one host.

    next: the palier that it lacks next, None when it lacks nothing; gaps: what it lacks there, worst first.
    """

    level: Level | None
    tally: Tally
    next: int | None
    gaps: tuple[Finding, ...]


@dataclass(frozen=True)
class GuideScore:
    """One guide over all hosts; ``by_palier`` counts the rules of exactly that palier."""

    level: Level | None
    tally: Tally
    by_palier: Mapping[int, Tally]


@dataclass(frozen=True)
class Score:
    """Everything a report needs, derived once. ``as_of`` is the day for which expiries were judged."""

    as_of: date
    target: int
    findings: tuple[Finding, ...]
    hosts: Mapping[str, Level | None]
    cells: Mapping[tuple[str, str], Cell]
    guides: Mapping[str, GuideScore]
    site: Level | None
    requirements: Mapping[str, RequirementScore]
    targets: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def tally(self) -> Tally:
        """Return the counts over every rule that the hosts carry."""
        return Tally.of(finding.verdict for finding in self.findings)

    @cached_property
    def towards_target(self) -> Tally:
        """Return the counts over the rules that each host's target palier demands."""
        return Tally.of(f.verdict for f in self.findings if f.palier <= self.targets[f.host])

    def gaps(self) -> tuple[Finding, ...]:
        """Return what keeps each host and guide from its next palier, in host and guide order."""
        return tuple(gap for cell in self.cells.values() for gap in cell.gaps)


def score(results: Mapping[str, Any], catalogue: Catalogue, today: date | None = None) -> Score:
    """Derive the whole score of one results document.

    today: the day on which waivers, attestations and evidence must hold; by default the day of measurement.
    """
    as_of = today or day(results["generated"]) or date.min
    findings = settle(results, catalogue, as_of)
    grouped: dict[tuple[str, str], list[Finding]] = {}
    guides: dict[str, list[Finding]] = {}
    by_host: dict[str, list[Finding]] = {host["name"]: [] for host in results["hosts"]}
    for finding in findings:
        by_host[finding.host].append(finding)
        grouped.setdefault((finding.host, finding.guide), []).append(finding)
        guides.setdefault(finding.guide, []).append(finding)
    cells = {key: _cell(group) for key, group in grouped.items()}
    hosts = {name: Level.of(group) for name, group in by_host.items()}
    guide_scores = {guide: _guide(group) for guide, group in sorted(guides.items())}
    site = Level.lowest(hosts.values())
    if limited_hosts(results):  # nothing is proven about the hosts that were left out
        site = site and replace(site, proven=0)
        guide_scores = {
            guide: replace(whole, level=whole.level and replace(whole.level, proven=0)) for guide, whole in guide_scores.items()
        }
    return Score(
        as_of=as_of,
        target=int(results["site"]["palier"]),
        findings=findings,
        hosts=hosts,
        cells=cells,
        guides=guide_scores,
        site=site,
        requirements=requirement_scores(results, catalogue, findings, as_of),
        targets={host["name"]: int(host["palier"]) for host in results["hosts"]},
    )


def limited_hosts(results: Mapping[str, Any]) -> str:
    """Return the host limit of the run as one text; "" when every host of the inventory was asked for."""
    limit = results["selection"].get("limit") or ""
    text = limit if isinstance(limit, str) else ",".join(map(str, limit))
    return "" if text == "all" else text


def _cell(findings: Sequence[Finding]) -> Cell:
    lacking = [finding for finding in findings if not finding.accepted]
    following = min((finding.palier for finding in lacking), default=None)
    gaps = sorted(
        (finding for finding in lacking if finding.palier == following),
        key=lambda finding: VERDICTS.index(finding.verdict),
    )
    return Cell(Level.of(findings), Tally.of(finding.verdict for finding in findings), following, tuple(gaps))


def _guide(findings: Sequence[Finding]) -> GuideScore:
    return GuideScore(
        level=Level.of(findings),
        tally=Tally.of(finding.verdict for finding in findings),
        by_palier={n: Tally.of(f.verdict for f in findings if f.palier == n) for n in PALIERS},
    )
