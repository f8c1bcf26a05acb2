"""Paliers, gaps and maturity, as they follow from the verdicts of one run."""

from __future__ import annotations

import random
from datetime import date

import pytest
from report_builder import make_catalogue, make_host, make_results, make_rule, make_verdict, make_waiver

from pgssi.catalogue import Rule
from pgssi.findings import VERDICTS
from pgssi.scoring import Level, Tally, score

CATALOGUE = make_catalogue([make_rule("one"), make_rule("two", palier=2), make_rule("three", palier=3)])


def reached(decisions: dict[str, str], **more: object) -> int | None:
    """Score one host whose rules have the given verdicts; return the palier reached."""
    results = make_results(CATALOGUE, [make_host("h")], lambda _, rule: decisions.get(rule.id, "conforme"), **more)
    level = score(results, CATALOGUE).hosts["h"]
    assert level
    return level.reached


@pytest.mark.parametrize(
    ("decisions", "palier"),
    [
        ({}, 3),
        ({"three": "non_conforme"}, 2),
        ({"three": "non_verifie"}, 2),
        ({"two": "non_conforme"}, 1),
        ({"one": "non_conforme"}, 0),
        ({"one": "derogation_without_waiver"}, None),
        ({"one": "non_applicable"}, 3),
        ({"one": "atteste"}, None),
    ],
)
def test_palier_is_the_highest_whose_rules_are_all_accepted(decisions: dict[str, str], palier: int | None) -> None:
    """A fault or a rule that was not verified stops the palier below it."""
    assert reached(decisions) == palier


def test_palier_is_not_established_when_nothing_is_proven_and_nothing_refuted() -> None:
    """Palier 0 is a finding too: it takes an observed fault at palier 1."""
    assert reached({"one": "non_verifie"}) is None
    assert reached({"one": "non_verifie", "two": "non_conforme"}) is None


def test_unreachable_host_has_no_palier_whatever_was_reported() -> None:
    """Verdicts that claim to come from an unreachable host are not believed."""
    host = make_host("h", status="unreachable", message="Connection timed out")
    for decide in (lambda *_: "conforme", lambda *_: "non_conforme", lambda *_: None):
        result = score(make_results(CATALOGUE, [host], decide), CATALOGUE)
        assert result.hosts["h"] == Level(0, 3)
        assert result.hosts["h"].reached is None
        assert {f.verdict for f in result.findings} == {"non_verifie"}
        assert {f.cause for f in result.findings} == {"unreachable"}


def test_unreachable_host_withholds_the_palier_of_the_site() -> None:
    """The site is as strong as its weakest host, so one unknown host leaves the site unknown."""
    hosts = [make_host("seen"), make_host("lost", status="unreachable")]
    result = score(make_results(CATALOGUE, hosts), CATALOGUE)
    assert result.hosts["seen"] == Level(3, 3)
    assert result.site and result.site.reached is None


def test_one_host_at_palier_0_settles_the_site_even_if_another_is_unreachable() -> None:
    """What is refuted on one host is refuted for the site."""
    hosts = [make_host("bad"), make_host("lost", status="unreachable")]
    result = score(make_results(CATALOGUE, hosts, lambda *_: "non_conforme"), CATALOGUE)
    assert result.site and result.site.reached == 0


def test_limited_run_proves_nothing_about_the_site() -> None:
    """With --limit the hosts get their palier; site and guides do not."""
    selection = {"palier": None, "limit": "h", "guides": [], "rules": [], "acting": False}
    result = score(make_results(CATALOGUE, [make_host("h")], selection=selection), CATALOGUE)
    assert result.hosts["h"] == Level(3, 3)
    assert result.site and result.site.reached is None
    assert result.guides["backup"].level == Level(0, 3)


def test_rule_without_a_verdict_is_not_verified() -> None:
    """The rules a host carries come from the catalogue, so a verdict that is missing cannot hide."""
    results = make_results(CATALOGUE, [make_host("h")], lambda _, rule: None if rule.id == "two" else "conforme")
    result = score(results, CATALOGUE)
    assert result.hosts["h"] == Level(1, 3)
    assert [(f.rule, f.verdict, f.cause) for f in result.gaps()] == [("two", "non_verifie", "not_run")]


@pytest.mark.parametrize("chosen", [{"palier": 1}, {"rules": ["one"]}, {"guides": ["other"]}])
def test_rule_left_out_of_the_selection_is_not_verified(chosen: dict[str, object]) -> None:
    """Running fewer tests never makes a host look better."""
    selection = {"palier": None, "limit": None, "guides": [], "rules": [], "acting": False, **chosen}
    results = make_results(CATALOGUE, [make_host("h")], lambda *_: None, selection=selection)
    causes = {f.rule: f.cause for f in score(results, CATALOGUE).findings}
    assert causes["three"] == "not_selected"


@pytest.mark.parametrize("verdict", ["conforme", "non_applicable"])
def test_good_verdict_without_a_test_is_not_believed(verdict: str) -> None:
    """No test ran, so nothing was observed."""
    results = make_results(CATALOGUE, [make_host("h")], lambda *_: {"verdict": verdict, "tests": []})
    assert {(f.verdict, f.cause) for f in score(results, CATALOGUE).findings} == {("non_verifie", "no_test")}


@pytest.mark.parametrize("outcome", ["non_conforme", "non_verifie"])
def test_good_verdict_that_its_own_tests_contradict_is_not_believed(outcome: str) -> None:
    """The worst of several tests is the verdict, whatever the document claims."""
    tests = [
        {"id": "a", "outcome": "conforme", "seconds": 0.1},
        {"id": "b", "outcome": outcome, "seconds": 0.1},
    ]
    results = make_results(CATALOGUE, [make_host("h")], lambda *_: {"verdict": "conforme", "tests": tests})
    assert {(f.verdict, f.cause) for f in score(results, CATALOGUE).findings} == {(outcome, "contradicted")}


def test_valid_waiver_is_accepted_but_never_counted_as_conforming() -> None:
    """A waiver lifts the palier and stays visible in its own column."""
    waived = {"verdict": "derogation", "raw": "non_conforme", "waiver": make_waiver("one")}
    results = make_results(CATALOGUE, [make_host("h")], lambda _, r: waived if r.id == "one" else "conforme")
    result = score(results, CATALOGUE)
    assert result.hosts["h"] == Level(3, 3)
    assert (result.tally["conforme"], result.tally["derogation"]) == (2, 1)
    assert result.tally.share == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "waiver",
    [
        make_waiver("one", expires="2026-11-21"),
        make_waiver("one", expires="bientôt"),
        make_waiver("two"),
        make_waiver("one", scope=["another-host"]),
        None,
    ],
)
@pytest.mark.parametrize("raw", ["non_conforme", "derogation"])
def test_void_waiver_does_not_count(waiver: dict[str, object] | None, raw: str) -> None:
    """Expired, undated, foreign or absent: the raw verdict stands."""
    claimed = {"verdict": "derogation", "raw": raw, "waiver": waiver}
    results = make_results(CATALOGUE, [make_host("h")], lambda _, r: claimed if r.id == "one" else "conforme")
    finding = score(results, CATALOGUE).findings[0]
    assert (finding.verdict, finding.cause) == ("non_conforme", "waiver_void")


def test_waiver_holds_on_its_last_day_and_not_after() -> None:
    """The day of judgement can be set, to re-read an old measurement today."""
    waived = {"verdict": "derogation", "raw": "non_conforme", "waiver": make_waiver("one", "2026-12-01")}
    results = make_results(CATALOGUE, [make_host("h")], lambda _, r: waived if r.id == "one" else "conforme")
    assert score(results, CATALOGUE, date(2026, 12, 1)).findings[0].verdict == "derogation"
    assert score(results, CATALOGUE, date(2026, 12, 2)).findings[0].verdict == "non_conforme"


def test_two_verdicts_for_one_rule_give_the_worst() -> None:
    """A merge of two runs cannot hide the bad one."""
    results = make_results(CATALOGUE, [make_host("h")])
    results["verdicts"].append(make_verdict("h", CATALOGUE.rules["one"], "non_conforme"))
    assert score(results, CATALOGUE).hosts["h"] == Level(0, 0)


def test_host_level_is_the_lowest_of_its_guides() -> None:
    """A strong guide does not lift a weak one."""
    catalogue = make_catalogue(
        [
            make_rule("strong", "backup"),
            make_rule("base", "access_rights"),
            make_rule("weak", "access_rights", 2),
        ]
    )
    results = make_results(catalogue, [make_host("h")], lambda _, r: "non_conforme" if r.id == "weak" else "conforme")
    result = score(results, catalogue)
    assert result.cells["h", "backup"].level == Level(3, 3)
    assert result.hosts["h"] == result.cells["h", "access_rights"].level == Level(1, 1)


def test_host_that_carries_no_rule_has_no_level() -> None:
    """It is 'not concerned', which is neither good nor bad, and does not weigh on the site."""
    catalogue = make_catalogue([make_rule("one", groups=("servers",))])
    results = make_results(catalogue, [make_host("s", ["servers"]), make_host("w", ["workstations"])])
    result = score(results, catalogue)
    assert result.hosts["w"] is None
    assert result.site == Level(3, 3)


def test_palier_that_demands_nothing_is_passed_but_proves_nothing() -> None:
    """A guide whose rules start at palier 2 does not hold its host at 0, nor show a palier unseen."""
    catalogue = make_catalogue([make_rule("low", "access_rights"), make_rule("high", "backup", 2)])
    results = make_results(catalogue, [make_host("h")], lambda _, r: "conforme" if r.id == "low" else "non_conforme")
    result = score(results, catalogue)
    assert result.hosts["h"] == Level(1, 1)
    assert result.cells["h", "backup"].level == Level(0, 1)
    assert [gap.rule for gap in result.gaps()] == ["high"]


def test_guide_without_any_applicable_rule_has_no_level() -> None:
    """All 'not applicable' must not read as palier 3."""
    results = make_results(CATALOGUE, [make_host("h")], lambda *_: "non_applicable")
    assert score(results, CATALOGUE).cells["h", "backup"].level is None


def test_gaps_stop_at_the_next_palier_with_observed_faults_first() -> None:
    """A host at palier 0 is told what palier 1 lacks, not what palier 3 will want."""
    catalogue = make_catalogue([make_rule("a"), make_rule("b"), make_rule("c", palier=2)])
    verdicts = {"a": "non_verifie", "b": "non_conforme", "c": "non_conforme"}
    results = make_results(catalogue, [make_host("h")], lambda _, rule: verdicts[rule.id])
    assert [gap.rule for gap in score(results, catalogue).gaps()] == ["b", "a"]


def test_rule_unknown_to_this_catalogue_still_counts() -> None:
    """Results of another toolkit version are scored on what they say themselves."""
    newer = make_catalogue([*CATALOGUE.rules.values(), make_rule("newer")])
    results = make_results(newer, [make_host("h")], lambda _, r: "non_conforme" if r.id == "newer" else "conforme")
    assert score(results, CATALOGUE).hosts["h"] == Level(0, 0)


def test_rules_of_the_other_guidance_are_not_expected() -> None:
    """Under guidance 'current', rules that only 'pssi' demands are not missing."""
    catalogue = make_catalogue([make_rule("both"), make_rule("old", guidance=("pssi",))])
    results = make_results(catalogue, [make_host("h")], lambda _, r: "conforme" if r.id == "both" else None)
    results["site"]["guidance"] = "current"
    assert [f.rule for f in score(results, catalogue).findings] == ["both"]


def test_share_is_none_without_a_denominator() -> None:
    """No rule applies: there is no percentage to show."""
    assert Tally.of([]).share is None
    assert Tally.of(["non_applicable"]).share is None
    assert Tally.of(["non_verifie", "conforme"]).share == 0.5


def test_counts_towards_the_target_leave_out_higher_paliers() -> None:
    """Each host is held to its own target."""
    hosts = [make_host("a", palier=1), make_host("b", palier=3)]
    assert score(make_results(CATALOGUE, hosts), CATALOGUE).towards_target.total == 1 + 3


@pytest.mark.parametrize("seed", range(40))
def test_one_more_conforming_verdict_never_lowers_anything(seed: int) -> None:
    """Monotone: improving any one verdict lowers no proven palier, no share and no requirement."""
    chance = random.Random(seed)
    catalogue = make_catalogue()
    table: dict[tuple[str, str], str] = {}

    def decide(host: str, rule: Rule) -> str:
        weights = (2, 2, 0, 0, 8, 1)
        return table.setdefault((host, rule.id), chance.choices(VERDICTS, weights)[0])

    before = score(make_results(catalogue, decide=decide), catalogue)
    changed = chance.choice([key for key, verdict in table.items() if verdict != "non_applicable"])
    table[changed] = "conforme"
    after = score(make_results(catalogue, decide=decide), catalogue)
    for key, cell in before.cells.items():
        if cell.level:
            improved = after.cells[key].level
            assert improved and improved.proven >= cell.level.proven and improved.possible >= cell.level.possible
    assert before.site and after.site and after.site.proven >= before.site.proven
    assert (after.tally.share or 0) >= (before.tally.share or 0)
    for identifier, requirement in before.requirements.items():
        position = VERDICTS.index(requirement.verdict)
        assert VERDICTS.index(after.requirements[identifier].verdict) >= position


@pytest.mark.parametrize("seed", range(20))
def test_what_was_not_verified_is_never_counted_as_conforming(seed: int) -> None:
    """Turning any verdict into non_verifie never raises a proven palier or the conforming count."""
    chance = random.Random(seed)
    catalogue = make_catalogue()
    table: dict[tuple[str, str], str] = {}

    def decide(host: str, rule: Rule) -> str:
        return table.setdefault((host, rule.id), chance.choice(["conforme", "non_conforme"]))

    before = score(make_results(catalogue, decide=decide), catalogue)
    table[chance.choice(list(table))] = "non_verifie"
    after = score(make_results(catalogue, decide=decide), catalogue)
    assert after.tally["conforme"] <= before.tally["conforme"]
    for key, cell in before.cells.items():
        improved = after.cells[key].level
        assert cell.level and improved and improved.proven <= cell.level.proven
