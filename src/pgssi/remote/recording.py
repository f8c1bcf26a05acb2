"""Recordings of remote sessions as the log server tells them (``pgssi-records``, JSON)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

RECORDS = "/usr/local/lib/pgssi/pgssi-records"
# Sessions that the verification itself starts, on the bastion, with nobody behind: short, small, without a window.
VERIFICATION, SMALL, SHORT = "verification", 65536, 300.0


def digest(files: Mapping[str, Mapping[str, Any]] | None) -> str:
    """Return one SHA-256 for a whole recording: of its files' names, sizes and digests, as JSON with sorted keys."""
    if files is None:
        return ""
    told = {name: [file["size"], file["sha256"]] for name, file in files.items()}
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class Session:
    """One recorded session. end: empty while it runs; sha256: of the whole recording, empty while it runs."""

    recording: str
    bastion: str
    account: str
    window: str
    mode: str
    source: str
    command: str
    start: str
    end: str
    complete: bool
    sha256: str
    size: int

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Session:
        """Read one session of the log server's answer."""
        files = raw.get("files")
        return cls(
            raw["recording"],
            raw["bastion"],
            raw["account"],
            raw["window"],
            raw["mode"],
            raw["source"],
            raw["command"],
            raw["start"],
            raw["end"] or "",
            bool(raw.get("complete")),
            digest(files),
            sum(file["size"] for file in (files or {}).values()),
        )

    @property
    def started(self) -> datetime:
        """When it began, by the clock of the log server."""
        return datetime.fromisoformat(self.start)

    @property
    def ended(self) -> datetime:
        """When it ended; only for one that has."""
        return datetime.fromisoformat(self.end)


def sessions(answer: Mapping[str, Any]) -> Iterator[Session]:
    """Yield every session of an answer of ``pgssi-records windows``."""
    for window in answer["windows"]:
        yield from map(Session.of, window["sessions"])
    yield from map(Session.of, answer["strays"])


def is_verification(session: Session) -> bool:
    """Return whether the verification made this recording; never true of a session that could hold a day's work."""
    if session.window != VERIFICATION or not session.account.startswith("essai") or not session.end or session.size > SMALL:
        return False
    return (session.ended - session.started).total_seconds() < SHORT
