"""Who agreed, what is backed up, what the sheet says: decided on the control node before a host is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pgssi.destruction.consent import AGREED, Refused, approval, content, declared, oneself, proven, request
from pgssi.destruction.physical import METHODS
from pgssi.destruction.physical import fields as physical
from pgssi.destruction.sheet import agreement, fields, remains
from pgssi.errors import PgssiError
from pgssi.evidence import Journal
from pgssi.evidence.page import page

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ENTRY = {
    "serial": "A1",
    "host": "h1",
    "kind": "disk",
    "state": "leaving",
    "destination": "external",
    "former_owner": "Radiologie",
    "new_owner": "Recyclage",
    "transfer": "2026-12-15",
    "worthless": "formation",
}


def record(kind: str, name: str, days: float = 1, result: str = "success", **details: Any) -> dict[str, Any]:
    when = (NOW - timedelta(days=days)).isoformat()
    return {
        "id": name,
        "kind": kind,
        "result": result,
        "when": {"start": when, "end": when},
        "recorded": when,
        "details": details,
    }


def agreed(name: str = "ok", days: float = 1, **changes: Any) -> dict[str, Any]:
    return record("destruction_approval", name, days, **{**agreement(ENTRY, "claire")["details"], **changes})


def test_an_agreement_signed_by_somebody_else_counts() -> None:
    """A recent agreement for this medium, signed by another person, is returned with its end."""
    found = approval(ENTRY, [agreed()], {"ok": ("claire",)}, {"jean"}, NOW)
    assert (found["by"], found["record"]) == ("claire", "ok")
    assert found["until"] == (NOW + timedelta(days=6)).isoformat()


@pytest.mark.parametrize(
    ("records", "approved", "why"),
    [
        ([], {}, "aucun accord"),
        ([agreed()], {}, "signature valable de personne"),
        ([agreed()], {"ok": ("Jean",)}, "qui efface"),
        ([agreed(destination="internal")], {"ok": ("claire",)}, "destination de site_media a changé"),
        ([agreed(host="h2")], {"ok": ("claire",)}, "host de site_media a changé"),
        ([agreed(worthless=None, components=["dossiers"])], {"ok": ("claire",)}, "components, worthless de site_media a changé"),
        ([agreed(new_owner="Don")], {"ok": ("claire",)}, "new_owner de site_media a changé"),
        ([agreed(detached=["zfs_member"])], {"ok": ("claire",)}, "detached de site_media a changé"),
        ([agreed(serial="B2")], {"ok": ("claire",)}, "aucun accord"),
        ([agreed(days=8)], {"ok": ("claire",)}, "n'est plus valable"),
        ([agreed(), record("data_destruction", "d", approval={"record": "ok"})], {"ok": ("claire",)}, "déjà servi"),
    ],
)
def test_any_other_agreement_is_refused(records: list[Any], approved: dict[str, Any], why: str) -> None:
    """Unsigned, signed by the one who erases, for something else, for what has changed since, too old, used: each is told, with
    what to do.
    """
    with pytest.raises(Refused, match=why) as caught:
        approval(ENTRY, records, approved, {"jean"}, NOW)
    assert "decommission=approve" in str(caught.value)


def test_who_agrees_is_nobody_else_under_the_name_of_a_role() -> None:
    """A login, a second login and the role of one person are that person; a name that nobody bears is itself."""
    people = [("jean", "Jean Roux"), ("adm-jean", "Jean Roux"), ("rssi", "Jean Roux"), ("claire", "Claire"), ("sealing-1", "")]
    assert oneself("Jean", people) == {"jean", "adm-jean", "rssi"}
    assert oneself("sealing-1", [*people, ("sealing-2", "")]) == {"sealing-1"}
    with pytest.raises(Refused, match="la personne qui efface"):
        approval(ENTRY, [agreed()], {"ok": ("rssi",)}, oneself("jean", people), NOW)


@pytest.mark.parametrize(
    ("named", "login", "owner", "who"),
    [
        (None, "jean", None, "jean"), ("jean", "jean", None, "jean"), (None, "root", "jean", "jean"),
        ("Jean", "root", "jean", "Jean"),
        ("jean", "claire", None, "rien ne prouve"), ("jean", "jean", "claire", "avec la clé de claire"),
    ],
)  # fmt: skip
def test_who_erases_is_logged_in_or_shows_their_key(named: str | None, login: str, owner: str | None, who: str) -> None:
    """A name that is only typed is nobody's: who has agreed would erase under another one."""
    if " " in who:
        with pytest.raises(Refused, match=who):
            proven(named, login, owner)
    else:
        assert proven(named, login, owner) == who


def test_an_agreement_dated_later_than_it_was_written_holds_no_longer() -> None:
    """Its seven days begin when the journal takes it, whatever day it says it is of."""
    late = {**agreed(days=8), "when": {"start": "2027-01-01T00:00:00+00:00", "end": "2027-01-01T00:00:00+00:00"}}
    with pytest.raises(Refused, match="n'est plus valable"):
        approval(ENTRY, [late], {"ok": ("claire",)}, {"jean"}, NOW)


def drill(days: float = 3, result: str = "success") -> dict[str, Any]:
    return record("restore_drill", "r", days, result, component="dossiers", backup_date="2026-11-18T02:00:00+00:00")


PLAN = [{"component": "dossiers", "host": "h1"}]


def test_a_backup_counts_when_it_was_restored() -> None:
    """A successful restore of the last month gives the date of the backup that it proves."""
    safe = {key: value for key, value in ENTRY.items() if key != "worthless"} | {"components": ["dossiers"]}
    found = content(safe, PLAN, [drill()], NOW)
    assert found["backups"] == [{"component": "dossiers", "backup_date": "2026-11-18T02:00:00+00:00", "record": "r"}]


@pytest.mark.parametrize(
    ("changes", "records", "why"),
    [
        ({}, [], "PSSI 3.1.4.6"),
        ({"components": ["dossiers"], "worthless": "x"}, [drill()], "à la fois"),
        ({"components": ["autre"]}, [drill()], "n'est pas un composant"),
        ({"components": ["dossiers"]}, [], "aucune restauration réussie"),
        ({"components": ["dossiers"]}, [drill(result="failure")], "aucune restauration réussie"),
        ({"components": ["dossiers"]}, [drill(days=40)], "aucune restauration réussie"),
    ],
)
def test_a_content_that_nothing_is_proven_of_is_refused(changes: dict[str, Any], records: list[Any], why: str) -> None:
    """No declaration, both, an unknown component, a backup never restored, not any more, or without success."""
    entry = {key: value for key, value in ENTRY.items() if key != "worthless"} | changes
    with pytest.raises(Refused, match=why):
        content(entry, PLAN, records, NOW)


def test_only_a_declared_medium_that_leaves_is_erased() -> None:
    """A medium of another host, an unknown one, or one in service is refused."""
    site = {"site_media": [ENTRY, {**ENTRY, "serial": "B2", "state": "in_service"}]}
    assert declared(site, "h1", "A1") == ENTRY
    for host, serial in (("h2", "A1"), ("h1", "C3"), ("h1", "B2")):
        with pytest.raises(Refused):
            declared(site, host, serial)


def told(result: str, residue: int = 0, **changes: Any) -> dict[str, Any]:
    asked = request(ENTRY, {"site_palier": 2, "site_guidance": "pssi"}, "A1", "jean",
                    {"by": "claire", "record": "ok"}, {"worthless": "formation"})  # fmt: skip
    return {
        "job": "J", "request": asked, "medium": {"serial": "A1", "size": 4096, "model": "Disk", "wwn": "", "bus": "sata"},
        "steps": [{"do": "overwrite"}, {"do": "verify"}],
        "done": [{"do": "overwrite", "seconds": 1, "counted_written": 4096}, {"do": "verify", "read": 4096, "residue": residue}],
        "errors": [], "runs": 1, "end": {"result": result, "purged": False, "reason": "relecture"},
        "host": {"name": "h1", "mac": ["52:54:00:00:00:01"]}, "tools": {"nwipe": "nwipe 0.34"}, "journal_sha256": "0" * 64,
        "began": "2026-11-22T10:00:00Z", "ended": "2026-11-22T11:00:00Z", **changes,
    }  # fmt: skip


@pytest.mark.parametrize(("result", "shown"), [("erased", "tout le support relu à zéro"), ("failed", "pas un certificat")])
def test_the_sheet_says_what_happened(tmp_path: Path, result: str, shown: str) -> None:
    """The six items of PSSI 3.1.4.8 are on the page; a failure is recorded as one, and its page is no certificate."""
    journal = Journal(tmp_path / "journal")
    written = journal.append(**fields(told(result, 0 if result == "erased" else 8), ENTRY))
    assert written.result == ("success" if result == "erased" else "failure")
    html = page(written)
    for item in ("A1", "52:54:00:00:00:01", "Radiologie", "Recyclage", "15/12/2026", "jean", "claire", shown):
        assert item in html, item
    assert "This is no certificate" in page(written, language="en") or result == "erased"


def test_the_journal_refuses_a_success_that_is_none(tmp_path: Path) -> None:
    """A record that says success with a residue, or with errors, is against the schema and is not written."""
    good = fields(told("erased"), ENTRY)
    for spoil in ({"verification": {"read": 4096, "residue": 8, "ok": True}}, {"errors": [{"offset": 0}]}, {"new_owner": ""}):
        with pytest.raises(PgssiError):
            Journal(tmp_path / "journal").append(**{**good, "details": {**good["details"], **spoil}})


@pytest.mark.parametrize(
    "changes",
    [
        {"done": [{"do": "overwrite", "seconds": 1}]},
        {"done": [{"do": "verify", "read": 2048, "residue": 0}]},
        {"done": [{"do": "verify", "read": 4096, "residue": 1}]},
        {"done": []},
        {"medium": {"serial": "B2", "size": 4096, "model": "Disk"}},
        {"errors": [{"step": 0, "offset": 0, "reason": "EIO"}]},
    ],
)
def test_the_word_of_the_host_alone_makes_no_certificate(changes: dict[str, Any]) -> None:
    """Half a reading back, none, a residue, another medium, an error: a failure, whatever the host says came of it."""
    written = fields(told("erased", **changes), ENTRY)
    assert written["result"] == "failure"
    assert (written["details"]["verification"]["ok"], written["details"]["level"]) == (False, None)
    assert written["details"]["reason"]


def test_an_agreement_is_a_record(tmp_path: Path) -> None:
    """What the second person signs names the medium, where it is and where it goes."""
    written = Journal(tmp_path / "journal").append(**agreement(ENTRY, "claire"))
    assert {key: written.details[key] for key in ("serial", *AGREED) if key in ENTRY} == {
        key: ENTRY[key] for key in ("serial", *AGREED) if key in ENTRY
    }


def test_what_still_names_a_host_is_told_line_by_line(tmp_path: Path) -> None:
    """A host whose name begins alike, and a comment, are not it."""
    (tmp_path / "hosts.yml").write_text("all:\n  hosts:\n    h1: {}\n    h10: {}\n    # h1 is old\n    other-h1: {}\n")
    (tmp_path / "vars.yml").write_text("x: [h2, h1]\n")
    found = [line.split(":", 1)[1] for line in remains(["h1"], [str(tmp_path)])]
    assert found == ["3: h1: {}", "1: x: [h2, h1]"]


SHREDDED = {"method": "shredding", "witness": "claire", "contractor": "Broyage SA"}
RESET = {
    "method": "factory_reset",
    "witness": "claire",
    "erased_on": "2026-11-20",
    "reset_on": "2026-11-21",
    "procedure": "MAN-12",
}


@pytest.mark.parametrize("kind", METHODS)
def test_a_physical_destruction_is_a_record(tmp_path: Path, kind: str) -> None:
    """Each kind of medium has a way that its record may name, with a witness; the page prints it."""
    done = RESET if METHODS[kind][0] == "factory_reset" else {**SHREDDED, "method": METHODS[kind][0]}
    written = Journal(tmp_path / "journal").append(**physical({**ENTRY, "kind": kind}, done, "jean"))
    assert (written.result, written.who["witness"]) == ("success", "claire")
    assert METHODS[kind][0] in page(written)


@pytest.mark.parametrize(
    ("kind", "done", "why"),
    [
        ("flash", {**SHREDDED, "method": "degaussing"}, "ne détruit pas"),
        ("optical", {**SHREDDED, "method": "degaussing"}, "ne détruit pas"),
        ("disk", {**SHREDDED, "method": "factory_reset"}, "ne détruit pas"),
        ("disk", {}, "aucune méthode"),
        ("disk", {**SHREDDED, "witness": " "}, "witness manque"),
        ("disk", {**SHREDDED, "witness": "Jean"}, "une autre personne"),
        ("phone", {**RESET, "reset_on": ""}, "reset_on manque"),
    ],
)
def test_an_act_without_effect_or_without_a_witness_is_refused(kind: str, done: dict[str, Any], why: str) -> None:
    """Degaussing flash memory or a disc, resetting a disk, nobody else there, one step of two: each is told."""
    with pytest.raises(Refused, match=why):
        physical({**ENTRY, "kind": kind}, done, "jean")
