"""The verdicts of all requirements of the official text: from rules, attestations and evidence records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from pgssi.catalogue import Catalogue, Requirement
from pgssi.findings import Finding, Tally, day, worst

# An evidence record, or an attestation without expiry, older than this no longer answers for a requirement.
RECORD_MAX_AGE = timedelta(days=365)
# A person's answers in an attestation, as verdicts; any other word is no answer.
ANSWERS = {
    "yes": "atteste", "oui": "atteste", "true": "atteste",
    "no": "non_conforme", "non": "non_conforme", "false": "non_conforme", "partial": "non_conforme",
    "not_applicable": "non_applicable",
}  # fmt: skip
RESULTS = {"success": "atteste", "failure": "non_conforme"}  # of evidence; "partial" answers nothing


@dataclass(frozen=True)
class RequirementScore:
    """The verdict of one requirement, and where it comes from."""

    requirement: Requirement
    verdict: str
    rules: Tally
    attestation: Mapping[str, Any] | None = None
    evidence: tuple[Mapping[str, Any], ...] = ()


def requirement_scores(
    results: Mapping[str, Any], catalogue: Catalogue, findings: Iterable[Finding], as_of: date
) -> dict[str, RequirementScore]:
    """Return the score of every requirement of the catalogue, by id; ``as_of`` decides what has expired."""
    verdicts: dict[str, list[str]] = {}
    for finding in findings:
        for requirement_id in finding.requirements:
            verdicts.setdefault(requirement_id, []).append(finding.verdict)
    attestations = _latest(((a["requirement"], a) for a in results["attestations"] if attestation_holds(a, as_of)), "date")
    evidence = _latest(((e["kind"], e) for e in results["evidence"] if evidence_holds(e, as_of)), "when")
    return {
        requirement.id: _requirement_score(
            requirement,
            verdicts.get(requirement.id, ()),
            attestations.get(requirement.id),
            tuple(evidence[kind] for kind in requirement.evidence if kind in evidence),
        )
        for requirement in catalogue.requirements.values()
    }


def _requirement_score(
    requirement: Requirement,
    verdicts: Sequence[str],
    attestation: Mapping[str, Any] | None,
    evidence: tuple[Mapping[str, Any], ...],
) -> RequirementScore:
    """Automated: the worst of its rules. Otherwise a person must answer too, and the rules may contradict."""
    rules = Tally.of(verdicts)
    if requirement.class_ == "automated":
        return RequirementScore(requirement, worst(verdicts), rules)
    answers = [RESULTS.get(record["result"], "non_verifie") for record in evidence]
    if attestation:
        answers.append(ANSWERS.get(str(attestation["answer"]).lower(), "non_verifie"))
    return RequirementScore(requirement, worst([*verdicts, *(answers or ["non_verifie"])]), rules, attestation, evidence)


def attestation_holds(attestation: Mapping[str, Any], as_of: date) -> bool:
    """Return whether an attestation is dated, signed by someone, and neither future nor expired.

    Without an expiry of its own it holds as long as an evidence record.
    """
    start, expires = day(attestation.get("date")), attestation.get("expires")
    if start is None or not attestation.get("by"):
        return False
    end = day(expires) if expires else start + RECORD_MAX_AGE
    return end is not None and start <= as_of <= end


def evidence_holds(record: Mapping[str, Any], as_of: date) -> bool:
    """Return whether an evidence record counts: not of the future, at most RECORD_MAX_AGE old."""
    when = day(record.get("when"))
    return when is not None and as_of - RECORD_MAX_AGE <= when <= as_of


def _latest(records: Iterable[tuple[str, Mapping[str, Any]]], dated: str) -> dict[str, Mapping[str, Any]]:
    """Keep the most recent record of each key."""
    kept: dict[str, Mapping[str, Any]] = {}
    for key, record in sorted(records, key=lambda pair: day(pair[1][dated]) or date.min):
        kept[key] = record
    return kept
