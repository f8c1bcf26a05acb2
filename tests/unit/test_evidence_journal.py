"""The evidence journal: what it accepts, signs and gives back."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from pgssi.errors import PgssiError
from pgssi.evidence import Anchor, Journal, Signer, SigningError, signers_of

BASE: dict[str, Any] = {
    "kind": "red_button",
    "what": "Zone isolée",
    "where": ["bkp1"],
    "who": {"operator": "adm-x"},
}


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Key pairs by owner; nobody's is declared in no site."""
    directory = tmp_path_factory.mktemp("keys")
    for name in ("adm-x", "rssi", "robot", "nobody"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(directory / name)]
        subprocess.run(command, check=True)
    return {name: directory / name for name in ("adm-x", "rssi", "robot", "nobody")}


def public(key: Path) -> str:
    return key.with_name(key.name + ".pub").read_text("ascii").strip()


@pytest.fixture
def site(keys: dict[str, Path]) -> dict[str, Any]:
    account = {"login": "adm-x", "kind": "technical", "keys": [public(keys["adm-x"])]}
    return {
        "site_evidence_dir": "evidence",
        "site_people": [{"id": "x", "name": "Xavière", "starts": "2020-01-01", "accounts": [account]}],
        "site_contacts": {"rssi": {"name": "Nadia", "mail": "rssi@example.org"}},
        "site_automation": {"login": "robot", "keys": [public(keys["robot"])]},
        "site_sealing_recipients": [public(keys["rssi"]), "age1notanssh"],
    }


@pytest.fixture
def journal(site: dict[str, Any], tmp_path: Path) -> Journal:
    return Journal.of_site(site, tmp_path)


def test_a_record_comes_back_as_written(journal: Journal, tmp_path: Path) -> None:
    """What is appended is read back whole, with its attachments by digest, and is to be signed."""
    (tmp_path / "journal de borg.txt").write_text("tout va bien\n", "utf-8")
    written = journal.append(
        **BASE,
        when={
            "start": datetime(2026, 7, 1, 10, 0, tzinfo=timezone(timedelta(hours=2))),
            "end": "2026-07-01T08:05:00",
        },
        details={"day": date(2026, 7, 1), "tuple": (1, "deux"), "path": Path("/srv")},
        files=[tmp_path / "journal de borg.txt", ("fiche.html", b"<p>")],
    )
    read = journal.get(written.id)
    assert read == written
    assert read.when == {"start": "2026-07-01T08:00:00Z", "end": "2026-07-01T08:05:00Z"}
    assert read.details == {"day": "2026-07-01", "tuple": [1, "deux"], "path": "/srv"}
    assert [file["path"] for file in read.files] == ["journal de borg.txt", "fiche.html"]
    assert journal.attachment(read.files[1]["sha256"]).read_bytes() == b"<p>"
    assert datetime.fromisoformat(read.recorded).tzinfo == UTC
    verification = journal.verify()
    assert verification.ok
    assert {note.code for note in verification.notes} == {"unsigned_record", "unsigned_tail", "no_anchor"}
    assert not journal.verify(strict=True).ok


def test_signatures_say_who_and_a_second_one_can_follow(journal: Journal, keys: dict[str, Path]) -> None:
    """The operator signs at once, the RSSI later with a sealing key; both are verified and named."""
    record = journal.append(**BASE, sign_key=keys["adm-x"])
    journal.append(**BASE)
    again = journal.sign(record.id, keys["rssi"])
    assert [signature.by for signature in again.signatures] == ["adm-x", "rssi"]
    verification = journal.verify()
    assert (verification.ok, verification.signed[record.id]) == (True, ("adm-x", "rssi"))
    assert verification.approved(record.id) == ("adm-x", "rssi")


def test_automation_seals_but_does_not_approve(journal: Journal, keys: dict[str, Path]) -> None:
    """A record signed by the automation key is still to be signed by a person."""
    record = journal.append(**BASE, sign_key=keys["robot"])
    verification = journal.verify()
    assert verification.ok
    assert verification.approved(record.id) == ()
    assert {note.code for note in verification.notes} == {"unsigned_record", "no_anchor"}


def test_a_key_that_is_nobody_s_cannot_sign(journal: Journal, keys: dict[str, Path]) -> None:
    """An undeclared key is refused before anything is written."""
    with pytest.raises(SigningError, match="site_people"):
        journal.append(**BASE, sign_key=keys["nobody"])
    assert not journal.directory.exists()


def test_someone_who_left_cannot_sign(site: dict[str, Any], tmp_path: Path, keys: dict[str, Path]) -> None:
    """After the last day a key signs nothing more, and a signature dated after it is found."""
    signed_in_time = Journal.of_site(site, tmp_path)
    signed_in_time.append(**BASE, sign_key=keys["adm-x"])
    site["site_people"][0]["leaves"] = "2021-01-01"
    later = Journal.of_site(site, tmp_path)
    with pytest.raises(SigningError):
        later.append(**BASE, sign_key=keys["adm-x"])
    assert {finding.code for finding in later.verify().findings} == {"signature_date"}


def test_former_keys_keep_verifying(site: dict[str, Any], tmp_path: Path, keys: dict[str, Path]) -> None:
    """After a rotation the old key, kept in site_evidence_signers, still vouches for what it signed."""
    Journal.of_site(site, tmp_path).append(**BASE, sign_key=keys["adm-x"])
    site["site_people"][0]["accounts"][0]["keys"] = [public(keys["nobody"])]
    assert {f.code for f in Journal.of_site(site, tmp_path).verify().findings} == {"signature_unknown"}
    site["site_evidence_signers"] = [{"login": "adm-x", "keys": [public(keys["adm-x"])], "ends": "2099-12-31"}]
    assert Journal.of_site(site, tmp_path).verify().ok


def test_an_agent_key_signs_through_its_public_half(
    journal: Journal, keys: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a public key file, ssh-agent signs."""
    shown = subprocess.run(["ssh-agent", "-a", str(tmp_path / "agent"), "-s"], capture_output=True, check=True)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    monkeypatch.setenv("SSH_AGENT_PID", shown.stdout.decode().split("SSH_AGENT_PID=")[1].split(";")[0])
    try:
        subprocess.run(["ssh-add", "-q", str(keys["adm-x"])], check=True, capture_output=True)
        alone = tmp_path / "seule.pub"
        alone.write_text(public(keys["adm-x"]), "ascii")
        assert journal.append(**BASE, sign_key=alone).signatures[0].by == "adm-x"
    finally:
        subprocess.run(["ssh-agent", "-k"], check=True, capture_output=True)


def test_a_passphrase_is_never_asked_for_in_a_playbook(tmp_path: Path) -> None:
    """A protected key fails at once with a remedy, instead of hanging on a prompt."""
    key = tmp_path / "protected"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "abcdef", "-f", str(key)], check=True)
    with pytest.raises(SigningError):
        Journal(tmp_path / "other").append(**BASE, sign_key=key)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"kind": "Red button"}, "kind"),
        ({"what": ""}, "what"),
        ({"who": {}}, "who"),
        ({"who": {"operator": 3}}, "who"),
        ({"result": "ok"}, "result"),
        ({"when": {"start": "hier"}}, "when"),
        ({"when": {"start": "2026-07-02T00:00:00Z", "end": "2026-07-01T00:00:00Z"}}, "when.end"),
        ({"details": {"x": float("nan")}}, "details"),
        ({"details": {"x": b"bytes"}}, "details"),
        ({"details": {"x": "\ud800"}}, "details"),
        ({"files": ["/nowhere/at/all"]}, "/nowhere/at/all"),
        ({"kind": "restore_drill"}, "requester"),
        ({"details": {"db": [{"password": "hunter22"}]}}, "db[0].password"),
        ({"details": {"borg_passphrase": "x"}}, "borg_passphrase"),
        ({"details": {"mot de passe": "x"}}, "mot de passe"),
        ({"details": {"note": "$6$abcdefgh$" + "a" * 86}}, "note"),
        ({"files": [("id_ed25519", b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl")]}, "id_ed25519"),
    ],
)
def test_what_cannot_stand_in_a_journal_is_refused(journal: Journal, change: dict[str, Any], named: str) -> None:
    """A record against the schema, or with a secret in it, is refused by name; nothing is written."""
    with pytest.raises(PgssiError) as caught:
        journal.append(**{**BASE, **change})
    assert named in str(caught.value)
    assert not (journal.directory / "journal.jsonl").exists()


def test_a_flag_named_password_is_no_secret(journal: Journal) -> None:
    """A yes, a no or a number under such a key is a fact, not a secret."""
    details = {"sudo": [{"password": True}], "password": None, "password_max_days": 90}
    assert journal.append(**BASE, details=details).details["sudo"] == [{"password": True}]


def _append_many(arguments: tuple[str, int]) -> list[str]:
    directory, number = arguments
    journal = Journal(directory)
    return [journal.append(**{**BASE, "what": f"{number}-{turn}"}).id for turn in range(10)]


def test_writers_do_not_tread_on_each_other(tmp_path: Path) -> None:
    """Four processes of ten records each: forty records, one chain."""
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        written = pool.map(_append_many, [(str(tmp_path / "ev"), n) for n in range(4)])
    journal = Journal(tmp_path / "ev")
    assert {record.id for record in journal.records()} == {name for names in written for name in names}
    assert len(journal.records()) == 40
    assert journal.verify().ok


def test_an_anchor_reads_from_text_file_or_head(journal: Journal, tmp_path: Path) -> None:
    """The three ways to keep an anchor give the same one; anything else is refused."""
    journal.append(**BASE)
    anchor = journal.anchor()
    (tmp_path / "ancre").write_text(f"{anchor}\n", "ascii")
    assert anchor == Anchor.read(str(anchor)) == Anchor.read(tmp_path / "ancre")
    assert anchor == Anchor.read(journal.directory / "head.json")
    for bad in ("", "3", "x:y", "{}", str(tmp_path)):
        with pytest.raises(PgssiError):
            Anchor.read(bad)


def test_signers_come_from_the_site_model(site: dict[str, Any]) -> None:
    """People by login, sealing recipients by the role their key names, automation apart, age keys ignored."""
    assert [(s.principal, s.kind) for s in signers_of(site)] == [
        ("adm-x", "person"),
        ("robot", "automation"),
        ("rssi", "role"),
    ]


def test_without_signers_a_signature_is_still_checked(tmp_path: Path, keys: dict[str, Path]) -> None:
    """With the directory alone, signatures are checked against their own key and verify says so."""
    journal = Journal(tmp_path / "ev")
    journal.append(**BASE, sign_key=keys["nobody"])
    verification = journal.verify()
    assert verification.ok
    assert {note.code for note in verification.notes} == {"no_signers", "no_anchor"}


def test_journal_lines_are_the_documented_schema(journal: Journal, keys: dict[str, Path]) -> None:
    """Every line of the file is one JSON object, in canonical form, of the published schema."""
    journal.append(**BASE, sign_key=keys["adm-x"])
    for number, raw in enumerate((journal.directory / "journal.jsonl").read_bytes().splitlines(), 1):
        value = json.loads(raw)
        assert (value["schema"], value["seq"]) == ("pgssi-evidence/1", number)
        assert list(value) == sorted(value)


def test_signer_dates_are_inclusive() -> None:
    """The first and the last day count."""
    signer = Signer("x", "", starts=date(2026, 1, 1), ends=date(2026, 1, 31))
    assert signer.counts_on(date(2026, 1, 1))
    assert signer.counts_on(date(2026, 1, 31))
    assert not signer.counts_on(date(2026, 2, 1))
