"""The journal of each destruction on the host's own disk: one folder for a job, one line for a fact, each on the disk
before the next step begins; and the lock that keeps two jobs from one medium.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

STATE = Path("/var/lib/pgssi/media")
JOB = re.compile(r"[0-9]{8}T[0-9]{6}Z-[A-Za-z0-9_-]{1,64}")
ENDS = ("erased", "failed", "cancelled")


class Busy(Exception):
    """Another process works on this medium."""


def now() -> str:
    """Return the present moment as the journal writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class Job:
    """One destruction, asked for or under way. Its state is what its lines add up to."""

    def __init__(self, name: str, root: Path = STATE) -> None:
        """Name a job; ValueError for a name that is none."""
        if not JOB.fullmatch(name):
            raise ValueError(f"nom de demande inconnu : {name}")
        self.name = name
        self.folder = root / name

    @classmethod
    def open(cls, request: dict[str, Any], medium: dict[str, Any], steps: list[dict[str, Any]], root: Path = STATE) -> Job:
        """Write a new job that nothing has been done for."""
        serial = re.sub(r"[^A-Za-z0-9_-]", "_", medium["serial"])[:64]
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        stamp = now().replace("-", "").replace(":", "")
        known = len(list(root.glob(f"{stamp}-{serial}*")))
        job = cls(f"{stamp}-{serial}{f'-{known}' if known else ''}", root)
        job.folder.mkdir(mode=0o700)
        job.write("asked", request=request, medium=medium, steps=steps)
        _settle(root)
        return job

    def write(self, event: str, **facts: Any) -> None:
        """Add a line, and return when the disk holds it."""
        line = json.dumps({"at": now(), "event": event, **facts}, sort_keys=True, ensure_ascii=False)
        handle = os.open(self.folder / "journal", os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            whole = os.fstat(handle).st_size
            # A power cut may have left half a line: what follows must not be glued to it.
            torn = b"\n" if whole and os.pread(handle, 1, whole - 1) != b"\n" else b""
            data = torn + line.encode() + b"\n"
            while data:
                data = data[os.write(handle, data) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        _settle(self.folder)

    def lines(self) -> list[dict[str, Any]]:
        """Return the facts in order; half a line, left by a power cut, is no fact."""
        facts = []
        for raw in (self.folder / "journal").read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                facts.append(json.loads(raw))
        return [fact for fact in facts if isinstance(fact, dict) and "event" in fact]

    def state(self) -> dict[str, Any]:
        """Return {job, request, medium, steps, step, offset, progress, done, errors, stopped, runs, begun, end}.

        step and offset: where to go on from; progress: bytes of that step, for people; begun: the medium may have been
        written to; end: the last word, or None.
        """
        state: dict[str, Any] = {"job": self.name, "step": 0, "offset": 0, "progress": 0, "done": [], "errors": [],
                                 "stopped": None, "runs": 0, "begun": False, "end": None}  # fmt: skip
        for fact in self.lines():
            event = fact["event"]
            if event == "asked":
                state |= {key: fact[key] for key in ("request", "medium", "steps")} | {"asked": fact["at"]}
            elif event == "run":
                state |= {"runs": state["runs"] + 1, "stopped": None}
            elif event == "begins":
                state["begun"] = True
            elif event == "stopped":
                state["stopped"] = fact["reason"]
            elif event in ("reached", "progress") and fact["step"] == state["step"]:
                state["progress"] = fact["offset"]
                state["offset"] = fact["offset"] if event == "reached" else state["offset"]
            elif event == "error":
                state["errors"].append({key: fact[key] for key in ("step", "offset", "reason")})
            elif event == "step" and fact["step"] == state["step"]:
                state["done"].append(fact)
                state |= {"step": fact["step"] + 1, "offset": 0, "progress": 0}
            elif event in ENDS:
                state["end"] = {**fact, "result": event}
        return state

    def digest(self) -> str:
        """Return the SHA-256 of the journal."""
        return hashlib.sha256((self.folder / "journal").read_bytes()).hexdigest()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only process that works on this medium. Raises Busy."""
        medium = self.state()["medium"]
        with locked(medium, self.folder.parent):
            yield


@contextlib.contextmanager
def locked(medium: dict[str, Any], root: Path = STATE) -> Iterator[None]:
    """Hold the lock of a medium, whatever its device is called today. Raises Busy."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = hashlib.sha256(f"{medium['serial']}".encode()).hexdigest()[:32]
    handle = os.open(root / f".{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Busy(medium["serial"]) from error
        yield
    finally:
        os.close(handle)


def jobs(root: Path = STATE) -> list[dict[str, Any]]:
    """Return the state of every job, oldest first; one that was never written to the end is not there."""
    if not root.is_dir():
        return []
    found = []
    for folder in sorted(root.iterdir()):
        if JOB.fullmatch(folder.name) and (folder / "journal").exists():
            state = Job(folder.name, root).state()
            if "medium" in state:
                found.append(state)
    return found


def busy(root: Path = STATE) -> dict[str, str]:
    """Return the open job of each medium, by serial number."""
    return {state["medium"]["serial"]: state["job"] for state in jobs(root) if state["end"] is None}


def _settle(folder: Path) -> None:
    """Make the disk hold the folder's own entries."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
