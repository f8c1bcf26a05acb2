"""The verdicts of all requirements: machines, people and evidence together."""

from __future__ import annotations

from typing import Any

import pytest
from report_builder import make_catalogue, make_host, make_requirement, make_results, make_rule

from pgssi.catalogue import load_catalogue
from pgssi.scoring import RequirementScore, score

ATTESTATION = {
    "requirement": "2.1.1.1",
    "answer": "yes",
    "by": "Direction générale",
    "date": "2026-02-10",
    "expires": "2027-02-10",
    "comment": "",
}
DRILL = {
    "kind": "restore_drill",
    "id": "r1",
    "when": "2026-10-01T10:00:00Z",
    "result": "success",
    "where": ["dpi1"],
}


def judged(class_: str, verdict: str | None = None, **more: Any) -> RequirementScore:
    """Score requirement 2.1.1.1 of the given class, covered by one rule when a verdict is given."""
    covered = ("2.1.1.1",) if verdict else ("1.1.1.1",)
    catalogue = make_catalogue(
        [make_rule("rule", requirements=covered)],
        [make_requirement("1.1.1.1"), make_requirement("2.1.1.1", class_, evidence=("restore_drill",))],
    )
    results = make_results(catalogue, [make_host("h")], lambda *_: verdict or "conforme", **more)
    return score(results, catalogue).requirements["2.1.1.1"]


@pytest.mark.parametrize("verdict", ["conforme", "non_conforme", "non_verifie", "non_applicable"])
def test_automated_requirement_follows_its_rules(verdict: str) -> None:
    """With one rule, its verdict is the requirement's."""
    assert judged("automated", verdict).verdict == verdict


def test_automated_requirement_takes_its_worst_rule_over_all_hosts() -> None:
    """One bad host is enough."""
    catalogue = make_catalogue()
    results = make_results(
        catalogue,
        decide=lambda host, rule: "non_conforme" if (host, rule.id) == ("ws1", "backup-daily") else "conforme",
    )
    judgement = score(results, catalogue).requirements["7.4.1.1"]
    assert judgement.verdict == "non_conforme"
    assert (judgement.rules["conforme"], judgement.rules.total) == (4, 5)


def test_automated_requirement_without_a_rule_is_not_verified() -> None:
    """Neither an attestation nor an evidence record replaces the machine's observation."""
    assert judged("automated", attestations=[ATTESTATION], evidence=[DRILL]).verdict == "non_verifie"


@pytest.mark.parametrize("class_", ["assisted", "organisational"])
@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("yes", "atteste"),
        ("Oui", "atteste"),
        (True, "atteste"),
        ("no", "non_conforme"),
        (False, "non_conforme"),
        ("partial", "non_conforme"),
        ("not_applicable", "non_applicable"),
        ("peut-être", "non_verifie"),
    ],
)
def test_attestation_answers_for_what_no_machine_sees(class_: str, answer: object, verdict: str) -> None:
    """A yes is 'atteste', never 'conforme'; a no is a fault; an unknown word is no answer."""
    assert judged(class_, attestations=[{**ATTESTATION, "answer": answer}]).verdict == verdict


@pytest.mark.parametrize(
    "change",
    [
        {"expires": "2026-11-21"},
        {"date": "2026-11-23"},
        {"expires": "un jour"},
        {"expires": None, "date": "2025-11-21"},
        {"by": ""},
        {"requirement": "1.1.1.1"},
    ],
)
def test_attestation_that_does_not_hold_does_not_count(change: dict[str, object]) -> None:
    """Expired, of the future, undated, unsigned, or of another requirement."""
    judgement = judged("organisational", attestations=[{**ATTESTATION, **change}])
    assert (judgement.verdict, judgement.attestation) == ("non_verifie", None)


def test_latest_attestation_wins() -> None:
    """An old yes does not outlive a newer no."""
    newer = {**ATTESTATION, "answer": "no", "date": "2026-11-01"}
    assert judged("organisational", attestations=[newer, ATTESTATION]).verdict == "non_conforme"


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "atteste"),
        ({"result": "failure"}, "non_conforme"),
        ({"result": "partial"}, "non_verifie"),
        ({"when": "2025-11-21T10:00:00Z"}, "non_verifie"),
        ({"when": "2026-11-23T10:00:00Z"}, "non_verifie"),
        ({"kind": "access_review"}, "non_verifie"),
    ],
)
def test_evidence_answers_while_it_is_fresh_and_successful(change: dict[str, object], verdict: str) -> None:
    """A record counts for a year, unless it failed or is of another kind."""
    assert judged("assisted", evidence=[{**DRILL, **change}]).verdict == verdict


def test_a_failing_rule_contradicts_an_attestation() -> None:
    """What a machine saw outweighs what a person declared."""
    assert judged("assisted", "non_conforme", attestations=[ATTESTATION]).verdict == "non_conforme"


def test_conforming_rules_alone_do_not_settle_an_assisted_requirement() -> None:
    """Its human part is still open."""
    assert judged("assisted", "conforme").verdict == "non_verifie"
    assert judged("assisted", "conforme", attestations=[ATTESTATION]).verdict == "atteste"


def test_every_requirement_of_the_official_text_has_a_verdict() -> None:
    """All 337, and none of them good when nothing at all was measured."""
    catalogue = load_catalogue()
    result = score(make_results(catalogue, [], site={"palier": 1, "guidance": "pssi"}), catalogue)
    assert len(result.requirements) == 337
    assert {requirement.verdict for requirement in result.requirements.values()} == {"non_verifie"}
    assert result.site is None
