"""A writer killed at any point loses nothing that it said was written, and damages nothing."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pgssi.errors import PgssiError
from pgssi.evidence import Journal

WRITER = """
import os, sys
from pathlib import Path
from pgssi.evidence import Journal

fatal, calls = int(sys.argv[2]), 0

def counted(real, half=False):
    def call(*arguments):
        global calls
        calls += 1
        if calls == fatal:
            if half:
                real(arguments[0], arguments[1][: len(arguments[1]) // 2])
            os._exit(9)
        return real(*arguments)
    return call

os.write = counted(os.write, half=True)
os.fsync = counted(os.fsync)
Path.replace = counted(Path.replace)
Path.unlink = counted(Path.unlink)
record = Journal(sys.argv[1]).append(
    kind="red_button", what="second", where=["a"], who={"operator": "x"}, files=[("p", b"data")]
)
print(record.id)
"""


def first(directory: Path) -> Journal:
    journal = Journal(directory)
    journal.append(kind="red_button", what="first", where=["a"], who={"operator": "x"})
    return journal


def write(directory: Path, fatal: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WRITER, str(directory), str(fatal)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)


def test_killed_at_every_system_call(tmp_path: Path) -> None:
    """Whatever call it dies in, the next append goes through and the journal verifies."""
    survived = False
    for fatal in range(1, 60):
        directory = tmp_path / str(fatal)
        journal = first(directory)
        done = write(directory, fatal)
        assert done.returncode in (0, 9), done.stderr
        journal.append(kind="red_button", what="third", where=["a"], who={"operator": "x"})
        seen = [record.what for record in journal.records()]
        assert seen in (["first", "third"], ["first", "second", "third"]), fatal
        assert done.returncode == 9 or "second" in seen
        verification = journal.verify()
        assert verification.ok, (fatal, verification.findings)
        if done.returncode == 0:
            survived = True
            break
    assert survived, "the writer was never let through: raise the range"
    assert fatal > 10


def test_a_full_disk_at_any_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No space left, at any write: refused in a sentence, and the next append goes through."""
    real = os.write
    for fatal in range(1, 20):
        journal = first(tmp_path / str(fatal))
        calls = 0

        def full(handle: int, data: bytes, limit: int = fatal) -> int:
            nonlocal calls
            calls += 1
            if calls >= limit:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(handle, data[: len(data) // 2 or 1] if calls == limit - 1 else data)

        monkeypatch.setattr(os, "write", full)
        try:
            journal.append(kind="red_button", what="x", where=[], who={"operator": "x"}, files=[("p", b"data")])
        except PgssiError as error:
            assert "No space left" in str(error)
        else:
            break
        finally:
            monkeypatch.setattr(os, "write", real)
        journal.append(kind="red_button", what="y", where=[], who={"operator": "x"})
        assert journal.verify().ok, fatal
    assert fatal > 4


def test_a_forbidden_directory_is_told_in_a_sentence(tmp_path: Path) -> None:
    """A file where the directory should be is a refusal, not a traceback."""
    (tmp_path / "ev").write_text("x", "ascii")
    with pytest.raises(PgssiError, match="ev"):
        Journal(tmp_path / "ev").append(kind="red_button", what="x", where=[], who={"operator": "x"})


def test_an_interrupted_write_is_reported_until_it_is_finished(tmp_path: Path) -> None:
    """Between the kill and the next write, verify says that a write was interrupted and how to finish it."""
    for fatal in range(1, 60):
        journal = first(tmp_path / str(fatal))
        write(journal.directory, fatal)
        if (journal.directory / "pending.json").exists():
            verification = journal.verify()
            assert "interrupted" in {finding.code for finding in verification.findings}
            assert journal.repair() is None
            assert journal.verify().ok
            assert [record.what for record in journal.records()] == ["first", "second"]
            return
    pytest.fail("no kill left a write to finish")


def test_a_half_line_of_unknown_origin_is_refused_then_set_aside(tmp_path: Path) -> None:
    """An incomplete last line is reported, never written after, and repair keeps its bytes in a record."""
    journal = first(tmp_path / "ev")
    path = journal.directory / "journal.jsonl"
    path.write_bytes(path.read_bytes() + b'{"details":{"trace":"ici"')
    assert [finding.code for finding in journal.verify().findings] == ["half_line"]
    with pytest.raises(PgssiError, match="repair"):
        journal.append(kind="red_button", what="x", where=[], who={"operator": "x"})
    record = journal.repair()
    assert record is not None
    assert record.details["start"] == '{"details":{"trace":"ici"'
    assert journal.verify().ok


def test_a_pending_write_that_no_longer_fits_is_refused(tmp_path: Path) -> None:
    """A redo file beside a journal that is not the one it was made for changes nothing."""
    for fatal in range(1, 60):
        journal = first(tmp_path / str(fatal))
        write(journal.directory, fatal)
        if (journal.directory / "pending.json").exists():
            path = journal.directory / "journal.jsonl"
            path.write_bytes(path.read_bytes()[:100])
            with pytest.raises(PgssiError, match="verify"):
                journal.append(kind="red_button", what="x", where=[], who={"operator": "x"})
            assert path.stat().st_size == 100
            return
    pytest.fail("no kill left a write to finish")
