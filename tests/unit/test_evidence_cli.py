"""`pgssi evidence` and the Ansible action, as their users meet them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from pgssi.errors import PgssiError
from pgssi.evidence import Journal
from pgssi.evidence.cli import app
from pgssi.evidence.page import page
from pgssi.paths import ROOT

runner = CliRunner()
SHEET: dict[str, Any] = {
    "kind": "restore_drill",
    "what": "Exercice de restauration",
    "where": ["scratch1"],
    "who": {"operator": "adm-x", "requester": "<i>DIM</i>"},
    "when": {"start": "2026-07-01T08:00:00Z", "end": "2026-07-01T09:12:00Z"},
    "details": {
        "component": "dpi-base",
        "backup_date": "2026-06-30T23:05:00Z",
        "restored": ["/srv/dpi/documents"],
        "checks": [
            {"check": "La base s'ouvre", "ok": True, "observed": "oui"},
            {"check": "Droits", "ok": False},
        ],
        "duration_seconds": 4320,
        "dmard_hours": 1,
    },
}


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "adm-x"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@pytest.fixture
def inventory(tmp_path: Path, key: Path) -> Path:
    account = {
        "login": "adm-x",
        "kind": "technical",
        "keys": [key.with_name("adm-x.pub").read_text().strip()],
    }
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "site_name": "CH",
        "site_evidence_dir": "evidence",
        "site_people": [{"id": "x", "name": "Xavière", "accounts": [account]}],
    }
    path = tmp_path / "hosts.yml"
    path.write_text(yaml.safe_dump({"all": {"hosts": {"a1": None, "a2": None}, "vars": variables}}), "utf-8")
    return path


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "evidence")


def run(*arguments: object, code: int = 0) -> str:
    result = runner.invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "140"})
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def test_from_the_record_to_the_signed_sheet(journal: Journal, inventory: Path, key: Path, tmp_path: Path) -> None:
    """List shows it to be signed, sign signs it, verify is clean, html prints it with the signer's name."""
    record = journal.append(**SHEET)
    assert "à signer" in run("list", "-i", inventory)
    assert "signé par adm-x" in run("sign", record.id, "--key", key, "-i", inventory)
    assert "Journal intègre" in run("verify", "-i", inventory, "--strict")
    assert "signed by adm-x" in run("list", "-i", inventory, "--lang", "en")
    assert json.loads(run("list", "-i", inventory, "--json"))[0]["id"] == record.id
    run("html", "1", "-i", inventory, "-o", tmp_path / "fiche.html")
    sheet = (tmp_path / "fiche.html").read_text("utf-8")
    assert "Xavière" in sheet
    assert "CH" in sheet


def test_the_restore_sheet_has_the_six_items_and_the_dmard(journal: Journal) -> None:
    """Operator, requester, files, both dates, status of the checks, and a duration over the DMARD."""
    record = journal.append(**SHEET)
    french = page(record, verification=journal.verify())
    for item in (
        "Opérateur de sauvegarde",
        "Demandeur de la restauration",
        "Fichiers restaurés",
        "Date de la sauvegarde",
        "Date de restauration",
        "Statut des vérifications",
        "1 h 12 min",
        "dépassé",
        "non conforme",
        "À signer",
    ):
        assert item in french
    assert "<i>DIM" not in french
    assert "Backup operator" in page(record, language="en")


@pytest.mark.parametrize("missing", ["component", "backup_date", "restored", "checks", "duration_seconds"])
def test_an_incomplete_restore_sheet_is_refused(journal: Journal, missing: str) -> None:
    """Each item that PSSI 7.4.5.3 asks for is mandatory."""
    details = {name: value for name, value in SHEET["details"].items() if name != missing}
    with pytest.raises(PgssiError, match=missing):
        journal.append(**{**SHEET, "details": details})


def test_any_kind_has_a_page(journal: Journal) -> None:
    """A kind without a template of its own is printed whole, nested details included."""
    record = journal.append(
        kind="media_destruction",
        what="<b>x</b>",
        where=[],
        who={"operator": "x", "witness": None},
        details={"disks": [{"serial": "<s>", "wiped": True}], "none": None, "empty": []},
    )
    shown = page(record, language="en")
    assert "Media destruction" in shown
    assert "&lt;s&gt;" in shown
    assert "<b>x" not in shown
    assert "Integrity not checked" in shown


def test_tampering_is_told_with_its_place_and_exits_1(journal: Journal, inventory: Path, tmp_path: Path) -> None:
    """Verify, list, show and html all say that the journal is damaged; the page proves nothing."""
    journal.append(**SHEET)
    journal.append(**SHEET)
    path = journal.directory / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"Exercice", b"exercice", 1))
    assert "journal.jsonl:1" in run("verify", "-i", inventory, code=1)
    assert "altéré" in run("list", "-i", inventory, code=1)
    assert "exercice" in run("show", "1", "-i", inventory, code=1)
    run("html", "2", "-i", inventory, "-o", tmp_path / "x.html", code=1)
    assert "cette page ne prouve rien" in (tmp_path / "x.html").read_text("utf-8")
    found = json.loads(run("verify", "-i", inventory, "--json", "--lang", "en", code=1))
    assert found["findings"][0]["place"] == "journal.jsonl:1"


def test_an_anchor_kept_elsewhere_catches_a_cut(journal: Journal, inventory: Path, tmp_path: Path) -> None:
    """The anchor written yesterday catches today's journal when it is shorter than it was."""
    journal.append(**SHEET)
    run("anchor", "-i", inventory, "-o", tmp_path / "ancre")
    run("verify", "-i", inventory, "--anchor", tmp_path / "ancre")
    for path in journal.directory.glob("*.json*"):
        path.unlink()
    journal.append(**{**SHEET, "what": "Autre chose"})
    run("verify", "-i", inventory)
    assert "ancre" in run("verify", "-i", inventory, "--anchor", tmp_path / "ancre", code=1)


def test_an_auditor_needs_ssh_keygen_alone(journal: Journal, inventory: Path, key: Path, tmp_path: Path) -> None:
    """The documented recipe: signers file, statement less its place and signature, ssh-keygen -Y verify."""
    journal.append(**SHEET)
    run("sign", "1", "--key", key, "-i", inventory)
    (tmp_path / "signers").write_text(run("signers", "-i", inventory), "utf-8")
    entry = json.loads((journal.directory / "journal.jsonl").read_bytes().splitlines()[1])
    blob = entry.pop("signature")
    del entry["seq"], entry["previous"]
    statement = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    armour = f"-----BEGIN SSH SIGNATURE-----\n{blob}\n-----END SSH SIGNATURE-----\n"
    (tmp_path / "signature").write_text(armour, "ascii")
    command = ["ssh-keygen", "-Y", "verify", "-n", "pgssi-evidence", "-I", "adm-x"]
    command += ["-f", str(tmp_path / "signers"), "-s", str(tmp_path / "signature")]
    assert subprocess.run(command, input=statement, capture_output=True, check=False).returncode == 0
    assert subprocess.run(command, input=statement + b" ", capture_output=True, check=False).returncode != 0


def test_unknown_record_and_nowhere_to_look(journal: Journal, inventory: Path) -> None:
    """Both are refused in a sentence, not with a traceback."""
    journal.append(**SHEET)
    for arguments in (
        ["show", "99", "-i", str(inventory)],
        ["list"],
        ["list", "-i", str(inventory), "--lang", "de"],
    ):
        assert isinstance(runner.invoke(app, arguments).exception, PgssiError)


def play(inventory: Path, tasks: list[dict[str, Any]], *options: str) -> subprocess.CompletedProcess[str]:
    book = inventory.parent / "book.yml"
    book.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]), "utf-8")
    command = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        "-i",
        str(inventory),
        str(book),
        *options,
    ]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )


def test_the_action_appends_and_signs_from_a_playbook(journal: Journal, inventory: Path, key: Path) -> None:
    """Two hosts at once, a signing key, attachments given as text: two signed records in one chain."""
    task = {
        "pgssi.toolkit.evidence": {
            "kind": "red_button",
            "what": "Zone isolée {{ inventory_hostname }}",
            "details": {"n": 3, "day": "{{ '2026-01-01' }}"},
            "files": [{"name": "r.txt", "content": "é"}],
            "sign_key": str(key),
        }
    }
    done = play(inventory, [task], "--check")
    assert done.returncode == 0, done.stdout
    assert not journal.directory.exists()
    done = play(inventory, [task])
    assert done.returncode == 0, done.stdout
    records = journal.records()
    assert {record.where for record in records} == {("a1",), ("a2",)}
    assert all(record.signatures[0].by == "adm-x" and record.who["operator"] for record in records)
    assert journal.verify().ok


def test_a_playbook_seals_with_the_key_it_connects_with(journal: Journal, inventory: Path, key: Path, tmp_path: Path) -> None:
    """Without a signing key the automation's own key seals the record; a person has still to sign it."""
    robot = tmp_path / "robot"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(robot)], check=True)
    site = yaml.safe_load(inventory.read_text("utf-8"))
    public = robot.with_name("robot.pub").read_text("ascii").strip()
    site["all"]["vars"] |= {
        "ansible_ssh_private_key_file": str(robot),
        "site_automation": {"login": "pgssi", "keys": [public]},
    }
    inventory.write_text(yaml.safe_dump(site), "utf-8")
    done = play(inventory, [{"pgssi.toolkit.evidence": {"kind": "red_button", "what": "x"}}], "-l", "a1")
    assert done.returncode == 0, done.stdout
    assert journal.records()[0].signatures[0].by == "pgssi"
    assert "à signer" in run("list", "-i", inventory)
    run("verify", "-i", inventory, "--strict", code=1)
    run("sign", "1", "--key", key, "-i", inventory)
    run("verify", "-i", inventory, "--strict")


def test_the_action_keeps_what_cannot_be_signed_and_refuses_secrets(journal: Journal, inventory: Path) -> None:
    """A missing key leaves a record to be signed, with a warning; a secret fails the task."""
    evidence = {"kind": "red_button", "what": "x", "sign_key": "/nowhere/key"}
    done = play(inventory, [{"pgssi.toolkit.evidence": evidence}], "-l", "a1")
    assert done.returncode == 0, done.stdout
    assert "à signer" in done.stdout + done.stderr
    assert len(journal.records()) == 1
    secret = {"kind": "red_button", "what": "x", "details": {"password": "abcdef"}}
    done = play(inventory, [{"pgssi.toolkit.evidence": secret}], "-l", "a1")
    assert done.returncode != 0
    assert "details.password" in done.stdout + done.stderr
    assert len(journal.records()) == 1
