"""What the page shows, prepared from a score: grouped, ordered, and in both languages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Any

from markupsafe import Markup

from pgssi.catalogue import PALIERS, Catalogue, Rule
from pgssi.coverage import attestation_holds, evidence_holds
from pgssi.findings import VERDICTS, day
from pgssi.report.figures import svg_both
from pgssi.report.words import Pair, long_date, subject
from pgssi.scoring import Finding, RequirementScore, Score, Tally

SOON = timedelta(days=60)  # a waiver or attestation that expires within this is flagged


@dataclass(frozen=True)
class Observation:
    """Hosts on which one rule gave the same verdict, the same message and the same observation."""

    verdict: str
    cause: str
    message: str
    observed: tuple[str, ...]
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class RuleView:
    """One rule over all hosts; observations are sorted worst first.

    rule: None when this toolkit's catalogue does not know it.
    """

    id: str
    guide: str
    palier: int
    rule: Rule | None
    requirements: tuple[str, ...]
    tally: Tally
    observations: tuple[Observation, ...]
    tests: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """Return the worst verdict over all hosts."""
        return self.observations[0].verdict

    def by_verdict(self) -> list[tuple[str, list[Observation]]]:
        """Return the observations grouped by verdict, worst first."""
        return [(verdict, list(group)) for verdict, group in groupby(self.observations, lambda o: o.verdict)]


@dataclass(frozen=True)
class WaiverView:
    """One waiver with the hosts and rule it was met on. state: ``valid``, ``soon`` or ``void``."""

    rule: str
    hosts: tuple[str, ...]
    reason: str
    owner: str
    expires: str
    state: str
    days: int


def rule_views(score: Score, catalogue: Catalogue) -> list[RuleView]:
    """Return every rule that some host carries, by guide and palier, in catalogue order."""
    order = {rule: position for position, rule in enumerate(catalogue.rules)}
    by_rule: dict[str, list[Finding]] = {}
    for finding in score.findings:
        by_rule.setdefault(finding.rule, []).append(finding)
    views = [_rule_view(name, findings, catalogue) for name, findings in by_rule.items()]
    return sorted(views, key=lambda v: (v.guide, v.palier, order.get(v.id, len(order)), v.id))


def _rule_view(name: str, findings: Sequence[Finding], catalogue: Catalogue) -> RuleView:
    first = findings[0]
    grouped: dict[tuple[str, str, str, tuple[str, ...]], list[str]] = {}
    for f in findings:
        grouped.setdefault((f.verdict, f.cause, f.message, f.observed), []).append(f.host)
    observations = [Observation(*key, hosts=tuple(hosts)) for key, hosts in grouped.items()]
    return RuleView(
        id=name,
        guide=first.guide,
        palier=first.palier,
        rule=catalogue.rules.get(name),
        requirements=first.requirements,
        tally=Tally.of(f.verdict for f in findings),
        observations=tuple(sorted(observations, key=lambda o: VERDICTS.index(o.verdict))),
        tests=tuple(sorted({str(test["id"]) for f in findings for test in f.tests})),
    )


def unverified(score: Score) -> list[tuple[str, list[tuple[str, str, tuple[str, ...]]]]]:
    """Return what was not verified by cause: ``(cause, [(rule, message, hosts)])``.

    The rules of a host that could not be reached are one entry without a rule, with that host once per rule.
    """
    causes: dict[str, dict[tuple[str, str, str], list[str]]] = {}
    for f in score.findings:
        if f.verdict == "non_verifie":
            lost = f.cause == "unreachable"
            key = ("", "", f.host) if lost else (f.rule, f.message, "")
            causes.setdefault(f.cause, {}).setdefault(key, []).append(f.host)
    return [
        (cause, [(rule, message, tuple(hosts)) for (rule, message, _), hosts in entries.items()])
        for cause, entries in sorted(causes.items())
    ]


def waivers(score: Score) -> list[WaiverView]:
    """Return the waivers that the verdicts carry, soonest expiry first; void ones are marked, not hidden."""
    met: dict[tuple[str, str, str, str], list[Finding]] = {}
    for f in score.findings:
        if f.waiver:
            w = f.waiver
            met.setdefault((f.rule, str(w["reason"]), str(w["owner"]), str(w["expires"])), []).append(f)
    views = []
    for (rule, reason, owner, expires), findings in met.items():
        end = day(expires)
        left = (end - score.as_of).days if end else -1
        void = left < 0 or any(f.cause == "waiver_void" for f in findings)
        state = "void" if void else "soon" if left <= SOON.days else "valid"
        views.append(WaiverView(rule, tuple(f.host for f in findings), reason, owner, expires, state, left))
    return sorted(views, key=lambda w: (w.expires, w.rule))


def themes(score: Score) -> list[tuple[str, list[RequirementScore]]]:
    """Return all the requirements by theme, themes in alphabetical order of their French name."""
    by_theme: dict[str, list[RequirementScore]] = {}
    for requirement in score.requirements.values():
        by_theme.setdefault(requirement.requirement.theme, []).append(requirement)
    return sorted(by_theme.items(), key=lambda item: subject(item[0])[0].casefold())


def gaps_by_host(score: Score) -> list[tuple[str, list[tuple[str, tuple[Finding, ...]]]]]:
    """Return ``(host, [(guide, gaps)])`` for the hosts with gaps that someone can close.

    Rules left out by the selection are no gap of the host: they are listed with what was not verified.
    An unreachable host is there without its rules.
    """
    lost = {finding.host for finding in score.findings if finding.cause == "unreachable"}
    found = []
    for host, cells in groupby(score.cells.items(), key=lambda item: item[0][0]):
        guides = [(guide, tuple(g for g in cell.gaps if g.cause != "not_selected")) for (_, guide), cell in cells]
        shown = [] if host in lost else [(guide, gaps) for guide, gaps in guides if gaps]
        if shown or host in lost:
            found.append((host, shown))
    return found


def captions(results: Mapping[str, Any], score: Score) -> dict[int, Markup]:
    """Return what stands under each step of the stairs: its due date and where the site is with it."""
    found: dict[int, Markup] = {}
    for entry in results["site"].get("trajectory") or ():
        palier, due = entry.get("palier"), day(entry.get("by"))
        if palier in PALIERS and due:
            line = Markup('<tspan>{}</tspan><tspan x="{}" dy="18" class="{}">{}</tspan>')
            state, words = _progress(score, palier, due)
            found[palier] = line.format(svg_dates(due), (palier - 1) * 150 + 6, state, svg_both(words))
    return found


def _progress(score: Score, palier: int, due: date) -> tuple[str, Pair]:
    if score.site and score.site.proven >= palier:
        return "met", ("atteint", "reached")
    left = (due - score.as_of).days
    if left < 0:
        return "late", (f"en retard de {-left} j", f"{-left} days late")
    return "due", (f"dans {left} j", f"in {left} days")


def svg_dates(due: date) -> Markup:
    """Return a long date inside an SVG text."""
    return Markup(str(long_date(due)).replace("span", "tspan"))


def weakest(score: Score) -> list[str]:
    """Return the hosts that hold the site where it is: those with the lowest proven palier."""
    known = {host: level for host, level in score.hosts.items() if level}
    lowest = min((level.proven for level in known.values()), default=0)
    return [host for host, level in known.items() if level.proven == lowest]


def attestation_rows(results: Mapping[str, Any], score: Score) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Return each attestation with its state: ``counts``, ``soon``, ``void`` or ``ignored``."""
    for attestation in results["attestations"]:
        known = score.requirements.get(attestation["requirement"])
        end = day(attestation.get("expires"))
        if not attestation_holds(attestation, score.as_of):
            yield attestation, "void"
        elif known is None or known.attestation != attestation:
            yield attestation, "ignored"
        else:
            yield attestation, "soon" if end and end - score.as_of <= SOON else "counts"


def evidence_rows(results: Mapping[str, Any], score: Score) -> Iterable[tuple[Mapping[str, Any], bool]]:
    """Return each evidence record, newest first, with whether it still counts."""
    ordered = sorted(results["evidence"], key=lambda record: day(record["when"]) or date.min, reverse=True)
    return [(record, evidence_holds(record, score.as_of)) for record in ordered]
