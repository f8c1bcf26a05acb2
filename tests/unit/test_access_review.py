"""The access review finds every difference between matrix and hosts, and samples as PSSI asks."""

from __future__ import annotations

import copy
import importlib.util
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from pgssi.access_review import Observed, business_sample, review
from pgssi.evidence import Journal
from pgssi.evidence.page import page
from pgssi.habilitations import declared_accounts, fingerprint

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "inventories/demo/group_vars/all/people.yml"
GROUPS = ("servers", "database_servers", "backup_clients")
TODAY = date(2026, 7, 1)


def on_host(name: str) -> Any:
    """Load what runs on the hosts: standard library only, so that it needs no Ansible to be tested."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "plugins/module_utils" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reading = on_host("access_reading")


@pytest.fixture
def site() -> dict[str, Any]:
    site = copy.deepcopy(yaml.safe_load(DEMO.read_text("utf-8")))
    site["site_automation"]["keys"] = [site["site_people"][0]["accounts"][0]["keys"][0].replace("AAAIC", "AAAID")]
    return site


def live_account(login: str, uid: int, **fields: Any) -> dict[str, Any]:
    return {
        "login": login,
        "uid": uid,
        "shell": "/bin/bash",
        "interactive": True,
        "expired": False,
        "login_by": ["password"],
        "groups": [],
        "keys": [],
        "sudo": [],
        "last_login": None,
        **fields,
    }


def conform(site: dict[str, Any], name: str = "dpi1", on: date = TODAY) -> dict[str, dict[str, Any]]:
    """What access_inventory reads on a host that is exactly as declared."""
    found = {"root": live_account("root", 0, login_by=[])}
    for uid, account in enumerate(declared_accounts(site, name, GROUPS, on), 1000):
        if account.kind == "service":
            found[account.login] = live_account(account.login, uid, login_by=[], groups=["ssl-cert"])
        elif account.state == "active":
            found[account.login] = live_account(
                account.login,
                uid,
                groups=list(account.groups),
                keys=[{"fingerprint": fingerprint(k), "comment": "", "file": "x"} for k in account.keys],
                sudo=[
                    {"run_as": rule.run_as, "commands": list(rule.commands), "password": rule.password} for rule in account.sudo
                ],
            )
    return found


def differences(site: dict[str, Any], live: dict[str, dict[str, Any]], on: date = TODAY) -> set[tuple[str, str]]:
    details = review([Observed("dpi1", GROUPS, site, list(live.values()))], ["dpi1"], on)
    json.dumps(details)
    return {(found["code"], found["account"]) for found in details["differences"]}


def test_a_conform_host_has_no_difference(site: dict[str, Any]) -> None:
    """When host and matrix agree, nothing is to be decided."""
    assert differences(site, conform(site)) == set()


def key(name: str) -> dict[str, str]:
    return {"fingerprint": f"SHA256:{name}", "comment": name, "file": "/home/x/.ssh/authorized_keys"}


@pytest.mark.parametrize(
    ("login", "change", "code"),
    [
        ("eve", {}, "undeclared_account"),
        ("eve", {"login_by": ["key"], "keys": [key("e")]}, "extra_key"),
        ("root", {"uid": 0}, "default_login"),
        ("root", {"uid": 0, "login_by": [], "keys": [key("r")]}, "extra_key"),
        ("postgres", {}, "service_login"),
        (
            "postgres",
            {"login_by": [], "sudo": [{"run_as": "root", "commands": ["ALL"], "password": True}]},
            "extra_sudo",
        ),
        ("jroux", {}, "person_gone"),
        ("adm-adurand", {"groups": ["adm", "backup-operators", "docker"]}, "extra_group"),
        ("adm-adurand", {"groups": ["adm"]}, "missing_group"),
        ("adm-adurand", {"login_by": []}, "missing_account"),
        ("adm-adurand", {"sudo": []}, "missing_sudo"),
        ("adm-adurand", {"sudo": [{"run_as": "root", "commands": ["ALL"], "password": False}]}, "extra_sudo"),
        (
            "clemoine",
            {"sudo": [{"run_as": "postgres", "commands": ["/usr/bin/psql"], "password": True}]},
            "extra_sudo",
        ),
        ("clemoine", {"keys": []}, "missing_key"),
        ("clemoine", {"keys": [key("new")]}, "extra_key"),
        ("twin", {"uid": 0, "login_by": []}, "duplicate_uid"),
    ],
)
def test_each_difference_is_found(site: dict[str, Any], login: str, change: dict[str, Any], code: str) -> None:
    """One thing out of place on a host gives the difference of that name, on that account."""
    live = conform(site)
    live[login] = {**live.get(login, live_account(login, 2000)), "login_by": ["password"], **change}
    found = differences(site, live)
    assert any(one == code and login in account for one, account in found), found


def test_a_replacement_that_is_over_is_named_as_such(site: dict[str, Any]) -> None:
    """Rights left behind by an ended replacement are told apart from rights nobody ever gave."""
    live = conform(site, on=date(2027, 1, 31))
    assert differences(site, live, date(2027, 1, 31)) == set()
    assert differences(site, live, date(2027, 2, 1)) == {("replacement_expired", "adm-adurand")}
    site["site_people"][1]["functions"] = []
    assert ("replacement_expired", "adm-adurand") in differences(site, live, date(2027, 2, 1))


def test_sudo_rules_are_compared_by_what_they_allow(site: dict[str, Any]) -> None:
    """Everything as anybody is everything as root; two one-command rules are one two-command rule."""
    live = conform(site)
    live["adm-adurand"]["sudo"] = [{"run_as": "ALL", "commands": ["ALL"], "password": True}]
    assert differences(site, live) == set()


def test_groups_of_the_toolkit_follow_from_the_rights(site: dict[str, Any]) -> None:
    """The role's own groups are no difference where they belong, and one where nothing calls for them."""
    live = conform(site)
    live["adm-adurand"]["groups"] += ["pgssi-sudo"]
    live["secours"]["groups"] += ["pgssi-sudo", "pgssi-break-glass"]
    assert differences(site, live) == set()
    live["clemoine"]["groups"] += ["pgssi-sudo"]
    assert differences(site, live) == {("extra_group", "clemoine")}


def test_a_key_of_two_holders_is_found_across_hosts(site: dict[str, Any]) -> None:
    """The same key on two persons' accounts, on different hosts, is one difference; one person's is none."""
    first, second = conform(site), conform(site)
    second["adm-sbenali"]["keys"] = first["adm-adurand"]["keys"]
    hosts = [
        Observed("dpi1", GROUPS, site, list(first.values())),
        Observed("dpi2", GROUPS, site, list(second.values())),
    ]
    found = review(hosts, ["dpi1", "dpi2"], TODAY)["differences"]
    assert [one["account"] for one in found if one["code"] == "shared_key"] == [
        "adm-adurand@dpi1, adm-adurand@dpi2, adm-sbenali@dpi2"
    ]


def test_the_matrix_itself_is_reviewed(site: dict[str, Any]) -> None:
    """Mixed functions, a third account, a profile without its account and an unused profile are told."""
    site["site_functions"]["medecin"]["profiles"] = ["dpi-soignant", "sysadmin"]
    site["site_functions"]["exploitant-sauvegarde"]["profiles"] = []
    site["site_people"][1]["accounts"] += [
        {"login": "a2", "kind": "business"},
        {"login": "a3", "kind": "business"},
    ]
    codes = {code for code, _ in differences(site, {})}
    assert {"mixed_rights", "too_many_accounts", "no_account_for_profile", "profile_unused"} <= codes


def test_a_host_that_was_not_read_is_named(site: dict[str, Any]) -> None:
    """The denominator is every host of the inventory, read or not."""
    details = review([Observed("dpi1", GROUPS, site, list(conform(site).values()))], ["dpi1", "log1"], TODAY)
    assert details["sample"]["hosts"] == {"observed": ["dpi1"], "missing": ["log1"], "of": 2}
    assert details["differences"] == []


def test_one_host_alone_gives_the_same_differences(site: dict[str, Any]) -> None:
    """What is found on a host does not depend on which others are reviewed with it."""
    bad = conform(site)
    bad["eve"] = live_account("eve", 2000)
    good = Observed("log1", ("servers",), site, list(conform(site, "log1").values()))
    alone = review([Observed("dpi1", GROUPS, site, list(bad.values()))], ["dpi1"], TODAY)["differences"]
    both = review([Observed("dpi1", GROUPS, site, list(bad.values())), good], ["dpi1", "log1"], TODAY)["differences"]
    assert alone == [one for one in both if one["host"] in ("dpi1", "")]


def test_the_business_sample_changes_until_all_were_seen() -> None:
    """Ten rights, three at a time: no repetition with the previous review, all seen within four reviews."""
    rights = [{"host": "dpi1", "account": f"u{n}", "name": "", "groups": []} for n in range(10)]
    records: list[dict[str, Any]] = []
    seen: set[str] = set()
    for turn in range(4):
        sample = business_sample(rights, records)
        chosen = {right["account"] for right in sample["reviewed"]}
        assert len(chosen) == 3
        if records:
            assert chosen.isdisjoint({r["account"] for r in records[-1]["details"]["sample"]["business"]["reviewed"]})
            assert sample["previous"] == records[-1]["id"]
        assert sample == business_sample(list(reversed(rights)), records)
        seen |= chosen
        records.append({"id": f"r{turn}", "sha256": f"{turn}" * 64, "details": {"sample": {"business": sample}}})
    assert len(seen) == 10


def test_a_single_business_right_is_reviewed_again_and_it_is_said() -> None:
    """When there is nothing else to draw, the same right comes back with a note."""
    rights = [{"host": "dpi1", "account": "u", "name": "", "groups": []}]
    first = business_sample(rights, [])
    assert first["note"] == ""
    again = business_sample(rights, [{"id": "r", "sha256": "0", "details": {"sample": {"business": first}}}])
    assert again["note"]


def test_the_review_is_a_valid_record_and_a_page(site: dict[str, Any], tmp_path: Path) -> None:
    """The details satisfy the schema, and everything on the page is escaped."""
    live = conform(site)
    live["eve"] = live_account("eve", 2000, keys=[{**key("e"), "comment": "<script>alert(1)</script>"}])
    details = review([Observed("dpi1", GROUPS, site, list(live.values()))], ["dpi1", "log1"], TODAY)
    journal = Journal(tmp_path)
    record = journal.append(
        kind="access_review",
        what="Revue",
        where=["dpi1"],
        who={"operator": "x"},
        result="partial",
        details=details,
    )
    for language, word in (("fr", "Écarts à décider"), ("en", "Differences to decide")):
        html = page(record, language=language, verification=journal.verify(), site_name="<b>CH</b>")
        assert word in html
        assert "<script>" not in html
        assert "<b>CH" not in html
        assert "&lt;script&gt;" in html
        assert "http" not in html


LISTING = """Matching Defaults entries for eve on h:
    env_reset, use_pty

User eve may run the following commands on h:

Sudoers entry: /etc/sudoers.d/zz
    RunAsUsers: postgres
    Options: !authenticate
    Commands:
\t/usr/bin/psql
\t/usr/bin/pg_dump *

Sudoers entry:
    RunAsUsers: ALL
    RunAsGroups: ALL
    Commands:
\tALL
"""


def test_sudo_listing_of_both_releases() -> None:
    """The long listing of sudo 1.9.13 and 1.9.16 gives user, commands and whether a password is asked."""
    first, second = reading.sudo_rights(LISTING)
    assert (first["run_as"], first["password"]) == ("postgres", False)
    assert first["commands"] == ["/usr/bin/psql", "/usr/bin/pg_dump *"]
    assert (second["run_as"], second["commands"], second["password"]) == ("ALL", ["ALL"], True)
    assert reading.sudo_rights("User bob is not allowed to run sudo on h.\n") == []


def test_password_states(tmp_path: Path) -> None:
    """Usable, locked, empty and expired are told apart, and no hash is kept."""
    lines = [
        "a:$y$j9T$x$y:20000:0:99999:7:::",
        "b:!$6$x$y:1::::::",
        "c:*:1::::::",
        "d::1::::::",
        "e:$6$x$y:1:::::100:",
    ]
    (tmp_path / "shadow").write_text("\n".join(lines), "utf-8")
    assert reading.shadow_states(str(tmp_path / "shadow"), today=100) == {
        "a": ("usable", False),
        "b": ("locked", False),
        "c": ("locked", False),
        "d": ("empty", False),
        "e": ("usable", True),
    }


def test_keys_are_read_as_sshd_reads_them(site: dict[str, Any]) -> None:
    """Options before the key and a comment after it are understood; commented lines are no keys."""
    line = site["site_people"][0]["accounts"][0]["keys"][0]
    text = f'# {line}\nfrom="10.0.0.0/8",command="a \\" b" {line}\nrubbish\n\n{line}\n'
    assert [found["fingerprint"] for found in reading.keys_in(text)] == [fingerprint(line)] * 2


def test_key_files_of_sshd() -> None:
    """AuthorizedKeysFile comes from the effective configuration, none included."""
    assert reading.key_files("port 22\nauthorizedkeysfile /etc/ssh/keys/%u .ssh/k\n") == [
        "/etc/ssh/keys/%u",
        ".ssh/k",
    ]
    assert reading.key_files("authorizedkeysfile none\n") == []
    assert reading.key_files("") == [".ssh/authorized_keys", ".ssh/authorized_keys2"]
