"""Files of a journal that survive a kill at any point, and one writer at a time."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pgssi.errors import PgssiError
from pgssi.evidence._canonical import canonical, secret_in_bytes, sha256
from pgssi.evidence._texts import text

JOURNAL, HEAD, PENDING, FILES, LOCK = "journal.jsonl", "head.json", "pending.json", "files", ".lock"
_PATIENCE = 300.0  # seconds to wait for another writer (a person may be typing a passphrase)


def sync_directory(directory: Path) -> None:
    """Make the names of a directory durable."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file at once and durably: its old or its new content is there, never a mixture."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        _write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    temporary.replace(path)
    sync_directory(path.parent)


def _write(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def append_bytes(path: Path, data: bytes) -> None:
    """Append durably."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        _write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    sync_directory(path.parent)


@contextmanager
def locked(directory: Path, *, exclusive: bool) -> Iterator[None]:
    """Hold the journal: one writer, or any number of readers. A read-only copy is read without a lock.

    Raises PgssiError when another process keeps it for five minutes.
    """
    mode = os.O_RDWR | os.O_CREAT if exclusive else os.O_RDONLY
    try:
        handle = os.open(directory / LOCK, mode, 0o600)
    except OSError:
        if exclusive:
            raise
        yield
        return
    try:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(handle, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise PgssiError(text("locked", dir=str(directory))) from None
                time.sleep(0.02)
        yield
    finally:
        os.close(handle)


def prepare(directory: Path) -> None:
    """Create the journal's directories, readable by their owner alone."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    (directory / FILES).mkdir(mode=0o700, exist_ok=True)


def store(directory: Path, name: str, data: bytes) -> dict[str, Any]:
    """Keep an attachment under its digest and return its entry {path, sha256, size}; refuse a secret."""
    if secret_in_bytes(data):
        raise PgssiError(text("secret_file", path=name))
    digest = sha256(data)
    target = directory / FILES / digest
    if not target.is_file() or target.read_bytes() != data:
        write_whole(target, data)
    return {"path": name, "sha256": digest, "size": len(data)}


def commit(directory: Path, lines: list[bytes], head: dict[str, Any]) -> None:
    """Append lines and move the head, so that a kill at any point leaves what ``recover`` can finish."""
    journal = directory / JOURNAL
    offset = journal.stat().st_size if journal.exists() else 0
    plan = {"offset": offset, "lines": [line.decode("utf-8") for line in lines], "head": head}
    write_whole(directory / PENDING, canonical(plan) + b"\n")
    _finish(directory, plan)


def _finish(directory: Path, plan: dict[str, Any]) -> None:
    journal, offset = directory / JOURNAL, int(plan["offset"])
    payload = "".join(f"{line}\n" for line in plan["lines"]).encode("utf-8")
    written = b""
    if journal.exists():
        with journal.open("rb") as stream:
            stream.seek(offset)
            written = stream.read()
    if not payload.startswith(written) or (journal.stat().st_size if journal.exists() else 0) < offset:
        raise PgssiError(text("pending_conflict", dir=str(directory)))
    if written != payload:
        append_bytes(journal, payload[len(written) :])
    write_whole(directory / HEAD, canonical(plan["head"]) + b"\n")
    (directory / PENDING).unlink()
    sync_directory(directory)


def recover(directory: Path) -> bool:
    """Finish a write that was interrupted; return whether there was one. Only under the exclusive lock.

    Raises PgssiError when the journal no longer fits what was being written.
    """
    for folder in (directory, directory / FILES):
        for leftover in folder.glob(".*.tmp"):
            leftover.unlink()
    pending = directory / PENDING
    if not pending.exists():
        return False
    try:
        plan = json.loads(pending.read_bytes())
        _finish(directory, plan)
    except (ValueError, KeyError, TypeError) as error:
        raise PgssiError(text("pending_conflict", dir=str(directory))) from error
    return True
