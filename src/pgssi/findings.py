"""One settled verdict per host and rule. What was not observed is ``non_verifie``, whatever was reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from pgssi.catalogue import Catalogue
from pgssi.inforce import HostContext, Waiver

# Worst first: the order in which several verdicts become one.
VERDICTS = ("non_conforme", "non_verifie", "derogation", "atteste", "conforme", "non_applicable")
# Verdicts that do not keep a host below a palier.
ACCEPTED = frozenset({"conforme", "derogation", "non_applicable"})


@dataclass(frozen=True)
class Finding:
    """The settled verdict of one rule on one host.

    cause: why ``verdict`` is not simply the reported one: ``unreachable``, ``not_selected`` (left out by the
    selection of the run), ``not_run`` (selected, yet nothing was reported), ``no_test`` (a good verdict
    without a test that ran), ``contradicted`` (by its own tests), ``waiver_void`` (expired or foreign),
    else "".
    """

    host: str
    rule: str
    guide: str
    palier: int
    verdict: str
    raw: str = ""
    cause: str = ""
    message: str = ""
    requirements: tuple[str, ...] = ()
    observed: tuple[str, ...] = ()
    tests: tuple[Mapping[str, Any], ...] = ()
    waiver: Mapping[str, Any] | None = None

    @property
    def accepted(self) -> bool:
        """Return whether this verdict does not keep the host below the rule's palier."""
        return self.verdict in ACCEPTED


@dataclass(frozen=True)
class Tally:
    """Counts per verdict; ``total`` is the denominator that must stand beside every share."""

    counts: Mapping[str, int]

    @classmethod
    def of(cls, verdicts: Iterable[str]) -> Tally:
        """Count verdicts."""
        return cls(Counter(verdicts))

    def __getitem__(self, verdict: str) -> int:
        """Return how often a verdict occurs."""
        return self.counts.get(verdict, 0)

    @property
    def total(self) -> int:
        """Return how many verdicts there are, of every kind."""
        return sum(self.counts.values())

    @property
    def applicable(self) -> int:
        """Return the denominator of ``share``: every verdict but ``non_applicable``."""
        return self.total - self["non_applicable"]

    @property
    def share(self) -> float | None:
        """Return the observed conforming part of what applies, 0.0–1.0; None when nothing applies."""
        return self["conforme"] / self.applicable if self.applicable else None


def settle(results: Mapping[str, Any], catalogue: Catalogue, as_of: date) -> tuple[Finding, ...]:
    """Return one finding per host and carried rule; a reported verdict is made safe, a missing one added."""
    reported: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    by_host: dict[str, list[str]] = {}
    for raw in results["verdicts"]:
        key = (raw["host"], raw["rule"])
        if key not in reported:
            by_host.setdefault(raw["host"], []).append(raw["rule"])
        reported.setdefault(key, []).append(raw)
    order = {rule: position for position, rule in enumerate(catalogue.rules)}
    settled: list[Finding] = []
    for host in results["hosts"]:
        context = HostContext(host["name"], tuple(host["groups"]), int(host["palier"]), results["site"]["guidance"], (), as_of)
        carried = [rule.id for rule in catalogue.rules.values() if context.carries(rule)]
        extra = [rule for rule in by_host.get(host["name"], ()) if rule not in set(carried)]
        findings = [
            worst_finding(_settled(raw, host, as_of) for raw in reported[host["name"], rule])
            if (host["name"], rule) in reported
            else _missing(rule, host, results["selection"], catalogue)
            for rule in (*carried, *extra)
        ]
        settled += sorted(findings, key=lambda f: (f.guide, f.palier, order.get(f.rule, len(order)), f.rule))
    return tuple(settled)


def worst(verdicts: Iterable[str]) -> str:
    """Return the worst of several verdicts; ``non_verifie`` for none at all or an unknown word."""
    return min((v if v in VERDICTS else "non_verifie" for v in verdicts), key=VERDICTS.index, default="non_verifie")


def worst_finding(findings: Iterable[Finding]) -> Finding:
    """Return the finding with the worst verdict."""
    return min(findings, key=lambda finding: VERDICTS.index(finding.verdict))


def _settled(raw: Mapping[str, Any], host: Mapping[str, Any], as_of: date) -> Finding:
    verdict = raw["verdict"] if raw["verdict"] in VERDICTS else "non_verifie"
    cause = ""
    waiver = raw.get("waiver")
    if verdict == "derogation" and not _waiver_holds(waiver, raw["rule"], host, as_of):
        verdict, cause = worst([raw.get("raw") or "non_verifie"]), "waiver_void"
        verdict = "non_conforme" if verdict == "derogation" else verdict
    if verdict in ("conforme", "non_applicable"):
        outcomes = [test["outcome"] for test in raw["tests"]]
        if not outcomes:
            verdict, cause = "non_verifie", "no_test"
        elif worst(outcomes) not in ACCEPTED:
            verdict, cause = worst(outcomes), "contradicted"
    if host["status"] != "ok":
        verdict, cause = "non_verifie", "unreachable"
    return Finding(
        host=raw["host"],
        rule=raw["rule"],
        guide=raw["guide"],
        palier=int(raw["palier"]),
        verdict="non_verifie" if verdict == "atteste" else verdict,  # a person cannot attest a host rule
        raw=raw.get("raw") or "",
        cause=cause,
        message="" if cause == "unreachable" else raw.get("message") or "",
        requirements=tuple(raw["requirements"]),
        observed=() if cause == "unreachable" else tuple(raw["observed"]),
        tests=tuple(raw["tests"]),
        waiver=waiver,
    )


def _waiver_holds(waiver: Mapping[str, Any] | None, rule: str, host: Mapping[str, Any], as_of: date) -> bool:
    expires = day((waiver or {}).get("expires"))
    if not waiver or expires is None:
        return False
    scope = waiver["scope"]
    scope = (scope,) if isinstance(scope, str) else tuple(scope)
    known = Waiver(waiver["rule"], scope, waiver["reason"], waiver["owner"], expires)
    return known.covers(rule, host["name"], host["groups"], as_of)


def _missing(rule_id: str, host: Mapping[str, Any], selection: Mapping[str, Any], catalogue: Catalogue) -> Finding:
    rule = catalogue.rules[rule_id]
    left_out = (
        (selection.get("palier") and rule.palier > selection["palier"])
        or (selection.get("guides") and rule.guide not in selection["guides"])
        or (selection.get("rules") and rule.id not in selection["rules"])
    )
    cause = "unreachable" if host["status"] != "ok" else "not_selected" if left_out else "not_run"
    return Finding(
        host=host["name"],
        rule=rule.id,
        guide=rule.guide,
        palier=rule.palier,
        verdict="non_verifie",
        cause=cause,
        requirements=rule.requirements,
    )


def day(value: object) -> date | None:
    """Return the day of an ISO text, a date or a ``{start, end}`` mapping; None when it has none."""
    if isinstance(value, Mapping):
        value = value.get("end") or value.get("start")
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        return None
