"""What is in force on a host: palier, groups, guidance and waivers, for roles and tests alike."""

from __future__ import annotations

from datetime import date

import pytest

from pgssi.catalogue import Catalogue, Rule
from pgssi.inforce import HostContext, Waiver, rules_in_force, settings_in_force

TODAY = date(2026, 11, 22)
TEXT = {"fr": "x", "en": "x"}


def rule(
    name: str,
    palier: int,
    groups: tuple[str, ...] = ("all",),
    guidance: tuple[str, ...] = ("pssi", "current"),
) -> Rule:
    return Rule(name, "g", TEXT, TEXT, TEXT, palier, ("1.1.1.1",), groups, guidance=guidance)


CATALOGUE = Catalogue(
    {},
    {
        item.id: item
        for item in (
            rule("one", 1),
            rule("two", 2),
            rule("three", 3),
            rule("database", 1, ("database_servers",)),
            rule("old-way", 1, guidance=("pssi",)),
        )
    },
    "sha256:0",
)


def context(
    palier: int = 2,
    guidance: str = "pssi",
    waivers: tuple[Waiver, ...] = (),
    groups: tuple[str, ...] = ("servers",),
) -> HostContext:
    return HostContext("h1", groups, palier, guidance, waivers, TODAY)


@pytest.mark.parametrize(
    ("palier", "expected"),
    [
        (0, ()),
        (1, ("one", "old-way")),
        (2, ("one", "two", "old-way")),
        (3, ("one", "two", "three", "old-way")),
    ],
)
def test_paliers_are_cumulative_and_zero_enforces_nothing(palier: int, expected: tuple[str, ...]) -> None:
    """A host has every rule up to its palier; at palier 0 it has none."""
    assert rules_in_force(CATALOGUE, context(palier)) == expected


def test_groups_and_guidance_select() -> None:
    """A rule holds only for hosts of its groups and under its guidance."""
    assert "database" in rules_in_force(CATALOGUE, context(groups=("servers", "database_servers")))
    assert "old-way" not in rules_in_force(CATALOGUE, context(guidance="current"))


@pytest.mark.parametrize("scope", ["h1", "servers", "all"])
def test_a_waiver_lifts_the_rule_until_its_last_day(scope: str) -> None:
    """A waiver by host, group or all holds on its expiry date and no longer the day after."""
    for expires, waived in ((TODAY, True), (date(2026, 11, 21), False)):
        waiver = Waiver("one", (scope,), "reason", "rssi", expires)
        assert ("one" not in rules_in_force(CATALOGUE, context(waivers=(waiver,)))) is waived


def test_a_waiver_for_another_host_changes_nothing() -> None:
    """A waiver scoped elsewhere does not lift the rule here."""
    waiver = Waiver("one", ("h2",), "reason", "rssi", TODAY)
    assert "one" in rules_in_force(CATALOGUE, context(waivers=(waiver,)))


def test_the_highest_palier_reached_decides_the_value_of_a_key() -> None:
    """One key may tighten with the palier, whatever the order of the list."""
    settings = [
        {"rule": "one", "key": "minlen", "value": 12, "palier": 3},
        {"rule": "one", "key": "minlen", "value": 10},
        {"rule": "two", "key": "other", "value": 1},
    ]
    assert {s["key"]: s["value"] for s in settings_in_force(settings, CATALOGUE, context(1))} == {"minlen": 10}
    assert {s["key"]: s["value"] for s in settings_in_force(settings, CATALOGUE, context(3))} == {
        "minlen": 12,
        "other": 1,
    }


def test_a_setting_of_an_unknown_rule_is_refused() -> None:
    """A role that names a rule the catalogue does not have fails at once."""
    with pytest.raises(KeyError):
        settings_in_force([{"rule": "nope", "key": "k", "value": 1}], CATALOGUE, context())
