"""What the habilitation matrix declares for a host on a date."""

from __future__ import annotations

import copy
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from pgssi.errors import InvalidInput
from pgssi.habilitations import Account, SudoRule, as_date, declared_accounts, fingerprint, person_grants

DEMO = Path(__file__).resolve().parents[2] / "inventories/demo/group_vars/all/people.yml"
DPI1 = ("servers", "database_servers", "backup_clients")


@pytest.fixture
def site() -> dict[str, Any]:
    return copy.deepcopy(yaml.safe_load(DEMO.read_text("utf-8")))


def account(site: dict[str, Any], login: str, host: str, groups: tuple[str, ...], on: str) -> Account:
    return {a.login: a for a in declared_accounts(site, host, groups, date.fromisoformat(on))}[login]


def test_business_account_only_where_its_profile_applies(site: dict[str, Any]) -> None:
    """A physician has her care group on the patient-record server and nothing elsewhere."""
    here = account(site, "clemoine", "dpi1", DPI1, "2026-07-01")
    assert (here.state, here.groups, here.sudo, len(here.keys)) == ("active", ("dpi-soin",), (), 1)
    there = account(site, "clemoine", "log1", ("servers",), "2026-07-01")
    assert (there.state, there.reason, there.groups, there.keys) == ("locked", "no_profile", (), ())


def test_technical_account_has_sudo_with_password(site: dict[str, Any]) -> None:
    """The system administrator's own account may become root, with a password."""
    admin = account(site, "adm-adurand", "log1", ("servers",), "2026-07-01")
    assert admin.sudo == (SudoRule("root", ("ALL",), password=True),)
    assert admin.groups == ("adm",)


@pytest.mark.parametrize(
    ("on", "groups"),
    [
        ("2026-06-30", ("adm",)),
        ("2026-07-01", ("adm", "backup-operators")),
        ("2027-01-31", ("adm", "backup-operators")),
        ("2027-02-01", ("adm",)),
    ],
)
def test_replacement_holds_between_its_dates(site: dict[str, Any], on: str, groups: tuple[str, ...]) -> None:
    """The replacer gets the replaced person's profile on his own account, from the first to the last day."""
    assert account(site, "adm-adurand", "dpi1", DPI1, on).groups == groups


def test_account_held_by_replacement_only_is_locked_after(site: dict[str, Any]) -> None:
    """An account whose only right here came from a replacement is locked, with that reason, when it ends."""
    site["site_people"][1]["functions"] = []
    during = account(site, "adm-adurand", "dpi1", DPI1, "2026-12-01")
    assert (during.state, during.last_day) == ("active", date(2027, 1, 31))
    assert account(site, "adm-adurand", "dpi1", DPI1, "2027-02-01").reason == "replacement_ended"
    assert account(site, "adm-adurand", "dpi1", DPI1, "2026-01-01").reason == "replacement_not_started"


def test_leaving_is_effective_the_day_after_the_last_day(site: dict[str, Any]) -> None:
    """The last day is worked; from the next one the account is locked."""
    assert account(site, "jroux", "dpi1", DPI1, "2026-06-30").last_day == date(2026, 6, 30)
    after = account(site, "jroux", "dpi1", DPI1, "2026-07-01")
    assert (after.state, after.reason, after.keys) == ("locked", "left", ())


def test_not_started_is_locked(site: dict[str, Any]) -> None:
    """Nobody has an account before the first day."""
    assert account(site, "clemoine", "dpi1", DPI1, "2024-02-29").reason == "not_started"


def test_a_replacement_never_outlives_the_person(site: dict[str, Any]) -> None:
    """A replacement stops when the replacer leaves, whatever its own end."""
    site["site_people"][1]["leaves"] = "2026-09-30"
    grant = next(g for g in person_grants(site, "adurand") if g.via.startswith("replacement"))
    assert grant.ends == date(2026, 9, 30)


def test_replacement_without_profiles_gives_all_those_of_the_replaced(site: dict[str, Any]) -> None:
    """When no profile is named, the replacement covers every profile of the replaced person."""
    del site["site_replacements"][0]["profiles"]
    assert "backup-operators" in account(site, "adm-adurand", "dpi1", DPI1, "2026-07-01").groups


def test_technical_rights_never_reach_a_business_account(site: dict[str, Any]) -> None:
    """One person with both functions and two accounts: each account has the rights of its own kind."""
    site["site_people"][1]["functions"].append("medecin")
    site["site_people"][1]["accounts"].append({"login": "adurand", "kind": "business"})
    assert account(site, "adurand", "dpi1", DPI1, "2026-07-01").groups == ("dpi-soin",)
    assert "dpi-soin" not in account(site, "adm-adurand", "dpi1", DPI1, "2026-07-01").groups


def test_accounts_that_are_nobody_s(site: dict[str, Any]) -> None:
    """Automation has password-less sudo and its key, services are locked, break-glass is console only."""
    robot = account(site, "pgssi", "ws1", (), "2026-07-01")
    assert (robot.kind, robot.sudo[0].password, len(robot.keys)) == ("automation", False, 1)
    assert account(site, "postgres", "ws1", (), "2026-07-01").reason == "service"
    glass = account(site, "secours", "ws1", (), "2026-07-01")
    assert (glass.kind, glass.console_only, glass.person, glass.keys) == ("break_glass", True, "rssi", ())


@pytest.mark.parametrize(
    ("change", "key", "value"),
    [
        (lambda s: s["site_people"][0].update(functions=["medcin"]), "site_people[0].functions[0]", "medcin"),
        (lambda s: s["site_replacements"][0].update(replaces="x"), "site_replacements[0].replaces", "x"),
        (
            lambda s: s["site_replacements"][0].update(profiles=["x"]),
            "site_people[1] (replacement:sbenali)",
            "x",
        ),
        (lambda s: s["site_people"][0].update(leaves="demain"), "site_people[0].leaves", "demain"),
        (lambda s: s["site_break_glass"].update(login="jroux"), "login", "jroux"),
    ],
)
def test_bad_input_names_key_value_and_remedy(site: dict[str, Any], change: Any, key: str, value: str) -> None:
    """An unknown name, a bad date or a doubled login stops with the key, the value and what to write."""
    change(site)
    with pytest.raises(InvalidInput) as caught:
        declared_accounts(site, "dpi1", DPI1, date(2026, 7, 1))
    problem = caught.value.problems[0]
    assert (problem.key, problem.value) == (key, value)
    assert problem.remedy


def test_fingerprint_is_the_one_ssh_keygen_prints(site: dict[str, Any]) -> None:
    """Known key, with and without options, gives the known fingerprint; anything else is refused."""
    key = site["site_people"][0]["accounts"][0]["keys"][0]
    assert fingerprint(key) == fingerprint(f'restrict,command="a b" {key}')
    assert fingerprint(key).startswith("SHA256:")
    for bad in ("", "ssh-ed25519", "ssh-ed25519 !!!!", "ssh-rsa " + key.split()[1]):
        with pytest.raises(ValueError, match="not an SSH public key"):
            fingerprint(bad)


def test_dates_come_in_three_shapes() -> None:
    """A YAML date, ISO text and nothing are all understood."""
    assert as_date("2026-01-02") == as_date(date(2026, 1, 2)) == date(2026, 1, 2)
    assert as_date(None) is None
