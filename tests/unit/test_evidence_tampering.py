"""Any change to an evidence directory is found, whatever file, byte or record it touches."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pgssi.errors import PgssiError
from pgssi.evidence import Anchor, Journal, Signer
from pgssi.evidence._canonical import GENESIS, canonical, sha256

SEED = 20260701
FLIPS = 60  # per file; every bit of a byte is drawn, seeded


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Signer]:
    key = tmp_path_factory.mktemp("key") / "adm-x"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    return key, Signer("adm-x", key.with_name("adm-x.pub").read_text("ascii"))


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory, signer: tuple[Path, Signer]) -> Path:
    """Six records: signed, unsigned, signed later, with attachments; the last lines are signed."""
    directory = tmp_path_factory.mktemp("site") / "evidence"
    journal = Journal(directory, [signer[1]])
    for number in range(6):
        record = journal.append(
            kind="red_button",
            what=f"Épreuve {number}",
            where=["bkp1"],
            who={"operator": "adm-x"},
            details={"n": number, "texte": "à é ü"},
            files=[(f"p{number}.txt", f"pièce {number}\n".encode() * 5)] if number % 2 else (),
            sign_key=signer[0] if number != 3 else None,
        )
        if number == 4:
            journal.sign(record.id, signer[0])
    return directory


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "evidence")
    return tmp_path / "evidence"


def places(directory: Path, signer: tuple[Path, Signer], **options: Any) -> list[str]:
    verification = Journal(directory, [signer[1]]).verify(**options)
    assert all(str(finding) for finding in verification.findings)
    return [finding.place for finding in verification.findings]


def lines_of(directory: Path) -> list[bytes]:
    return (directory / "journal.jsonl").read_bytes().splitlines()


def rewrite(directory: Path, lines: list[bytes]) -> None:
    (directory / "journal.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))


def forge(directory: Path, lines: list[bytes], signed: Any = None) -> None:
    """Rewrite the journal as someone would who knows the format and has no key: chain and head recomputed."""
    previous, chained = GENESIS, []
    for number, line in enumerate(lines, 1):
        raw = canonical({**json.loads(line), "seq": number, "previous": previous})
        previous = sha256(raw)
        chained.append(raw)
    rewrite(directory, chained)
    head = {"schema": "pgssi-evidence-head/1", "count": len(lines), "last": previous, "signed": signed}
    (directory / "head.json").write_bytes(canonical(head) + b"\n")


def test_untouched_is_clean(original: Path, signer: tuple[Path, Signer]) -> None:
    """The journal the other tests damage is intact to begin with."""
    assert places(original, signer) == []


def test_every_flipped_bit_is_found_where_it_is(copy: Path, signer: tuple[Path, Signer]) -> None:
    """One bit changed in any file of the journal is reported, in the file and on the line that hold it."""
    draw = random.Random(SEED)
    for path in sorted(p for p in copy.rglob("*") if p.is_file() and p.name != ".lock"):
        data = path.read_bytes()
        for position in sorted(draw.sample(range(len(data)), min(FLIPS, len(data)))):
            changed = bytearray(data)
            changed[position] ^= 1 << draw.randrange(8)
            path.write_bytes(changed)
            found = places(copy, signer)
            assert found, f"{path.name}: byte {position} changed unseen"
            if path.name == "journal.jsonl":
                assert f"journal.jsonl:{data[:position].count(10) + 1}" in found
            elif path.name == "head.json":
                assert any(place == "head.json" or place.startswith("journal.jsonl:") for place in found)
        path.write_bytes(data)


@pytest.mark.parametrize("number", range(12))
def test_each_line_removed_is_found(copy: Path, signer: tuple[Path, Signer], number: int) -> None:
    """Any line, the first and the last included, is missed."""
    lines = lines_of(copy)
    assert len(lines) == 12
    rewrite(copy, lines[:number] + lines[number + 1 :])
    assert places(copy, signer)


def test_swapped_and_repeated_lines_are_found(copy: Path, signer: tuple[Path, Signer]) -> None:
    """Two lines swapped, and one line written twice, are reported at every position."""
    lines = lines_of(copy)
    for number in range(len(lines)):
        rewrite(copy, [*lines[: number + 1], *lines[number:]])
        assert places(copy, signer)
        if number:
            order = lines.copy()
            order[number - 1], order[number] = order[number], order[number - 1]
            rewrite(copy, order)
            assert f"journal.jsonl:{number}" in places(copy, signer)


def test_every_truncation_is_found(copy: Path, signer: tuple[Path, Signer]) -> None:
    """The journal, the head and an attachment cut at any point are reported."""
    draw = random.Random(SEED)
    for path in [copy / "journal.jsonl", copy / "head.json", next((copy / "files").iterdir())]:
        data = path.read_bytes()
        for size in sorted({0, len(data) - 1, *draw.sample(range(len(data)), 40)}):
            path.write_bytes(data[:size])
            assert places(copy, signer), f"{path.name} cut at {size}"
        path.unlink()
        assert places(copy, signer), f"{path.name} removed"
        path.write_bytes(data)


@pytest.mark.parametrize("what", ["journal", "all", "files"])
def test_a_journal_removed_as_a_whole_is_found(copy: Path, signer: tuple[Path, Signer], what: str) -> None:
    """Without its journal, its attachments or anything at all, a directory proves nothing."""
    anchor = Journal(copy).anchor()
    if what == "all":
        shutil.rmtree(copy)
    elif what == "files":
        shutil.rmtree(copy / "files")
    else:
        (copy / "journal.jsonl").unlink()
    assert places(copy, signer)
    assert places(copy, signer, anchor=anchor)


def _change_a_record(lines: list[bytes]) -> list[bytes]:
    value = json.loads(lines[0])
    return [canonical({**value, "what": "autre chose"}), *lines[1:]]


FORGERIES: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "a record rewritten": _change_a_record,
    "the last record and its signature dropped": lambda lines: lines[:-2],
    "all but the first record dropped": lambda lines: lines[:2],
    "the first record dropped": lambda lines: lines[2:],
    "the last signature dropped": lambda lines: lines[:-1],
}


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("keep_seal", [True, False])
def test_a_consistent_forgery_without_the_key_is_found(
    copy: Path, signer: tuple[Path, Signer], forgery: str, keep_seal: bool
) -> None:
    """Chain and head recomputed, the seal of the head kept or thrown away: the signatures give it away."""
    seal = json.loads((copy / "head.json").read_bytes())["signed"] if keep_seal else None
    forge(copy, FORGERIES[forgery](lines_of(copy)), seal)
    assert places(copy, signer)


def test_a_forgery_without_any_signature_needs_the_anchor(copy: Path, signer: tuple[Path, Signer]) -> None:
    """Documented limit: with every signature stripped it looks merely unsigned; anchor and --strict tell."""
    anchor = Journal(copy).anchor()
    records = [line for line in lines_of(copy) if json.loads(line)["entry"] == "record"]
    forge(copy, records)
    assert places(copy, signer) == []
    assert places(copy, signer, strict=True)
    assert places(copy, signer, anchor=anchor) == ["journal.jsonl"]


def test_an_old_copy_put_back_needs_the_anchor(tmp_path: Path, signer: tuple[Path, Signer], original: Path) -> None:
    """Documented limit: yesterday's whole directory, put back, is intact; today's anchor tells."""
    shutil.copytree(original, tmp_path / "evidence")
    journal = Journal(tmp_path / "evidence", [signer[1]])
    shutil.copytree(tmp_path / "evidence", tmp_path / "yesterday")
    journal.append(kind="red_button", what="x", where=[], who={"operator": "x"}, sign_key=signer[0])
    anchor = journal.anchor()
    assert places(tmp_path / "yesterday", signer) == []
    assert places(tmp_path / "yesterday", signer, anchor=anchor) == ["journal.jsonl"]
    assert places(tmp_path / "evidence", signer, anchor=Anchor.read(str(Journal(original).anchor()))) == []


def test_an_old_head_put_back_is_found(tmp_path: Path, signer: tuple[Path, Signer], original: Path) -> None:
    """A head older than the journal, even one rightly signed at its time, is found."""
    shutil.copytree(original, tmp_path / "evidence")
    old = (tmp_path / "evidence" / "head.json").read_bytes()
    journal = Journal(tmp_path / "evidence", [signer[1]])
    journal.append(kind="red_button", what="x", where=[], who={"operator": "x"}, sign_key=signer[0])
    (tmp_path / "evidence" / "head.json").write_bytes(old)
    assert "head.json" in places(tmp_path / "evidence", signer)


def test_a_signature_of_another_key_is_found(copy: Path, signer: tuple[Path, Signer], tmp_path: Path) -> None:
    """Someone who signs the whole forgery with a key of their own is named as nobody."""
    own = tmp_path / "own"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(own)], check=True)
    shutil.rmtree(copy)
    Journal(copy).append(kind="red_button", what="x", where=[], who={"operator": "adm-x"}, sign_key=own)
    verification = Journal(copy, [signer[1]]).verify()
    assert {finding.code for finding in verification.findings} == {"signature_unknown"}


def test_nothing_is_added_to_a_damaged_journal(copy: Path, signer: tuple[Path, Signer]) -> None:
    """Append and sign refuse, with a remedy, and leave the damage as it is for whoever investigates."""
    data = (copy / "journal.jsonl").read_bytes()
    damaged = data.replace("Épreuve 2".encode(), "Épreuve 9".encode())
    (copy / "journal.jsonl").write_bytes(damaged)
    journal = Journal(copy, [signer[1]])
    for act in (
        lambda: journal.append(kind="red_button", what="x", where=[], who={"operator": "x"}),
        lambda: journal.sign("1", signer[0]),
        lambda: journal.repair(),
    ):
        with pytest.raises(PgssiError, match="Remède"):
            act()
    assert (copy / "journal.jsonl").read_bytes() == damaged
    assert len(journal.records(damaged=True)) == 6


def test_a_line_added_by_hand_is_found(copy: Path, signer: tuple[Path, Signer]) -> None:
    """A well-formed, well-chained record that pgssi did not write is not counted by the head."""
    lines = lines_of(copy)
    value = json.loads(lines[0])
    lines.append(canonical({**value, "seq": 13, "previous": sha256(lines[-1]), "id": "20260101-red_button-13"}))
    rewrite(copy, lines)
    assert places(copy, signer) == ["head.json"]


def test_two_spellings_of_one_record_are_not_one(copy: Path, signer: tuple[Path, Signer]) -> None:
    """Spaces, another key order or a doubled key are reported even where JSON would not care."""
    lines = lines_of(copy)
    for changed in (
        json.dumps(json.loads(lines[-1])).encode(),
        lines[-1][:-1] + b',"by":"adm-x"}',
        lines[-1] + b" ",
    ):
        rewrite(copy, [*lines[:-1], changed])
        assert "journal.jsonl:12" in places(copy, signer)
