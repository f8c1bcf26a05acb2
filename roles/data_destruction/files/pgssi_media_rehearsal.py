"""The same engine on a file, through a loop device: to learn the procedure, and to see that it still works."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pgssi_media_journal as journal
import pgssi_media_rules as rules
from pgssi_media_device import Device, Host
from pgssi_media_engine import Engine

ROOT = journal.STATE / "rehearsals"
NONE: dict[str, Any] = {"mounted": [], "system": [], "swap": [], "holders": [], "contents": [], "serials": [], "firmware": []}


class LoopHost(Host):
    """A host whose only medium is one loop device."""

    def __init__(self, medium: dict[str, Any]) -> None:
        """Take the medium that stands for the file."""
        self.medium = medium

    def find(self, _wanted: dict[str, Any], _request: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return it."""
        return self.medium

    @contextlib.contextmanager
    def opened(self, medium: dict[str, Any]) -> Iterator[Device]:
        """Open it."""
        device = Device(medium["path"], medium["name"], medium["size"])
        try:
            yield device
        finally:
            device.close()


class Rehearsal:
    """One rehearsal on one file."""

    def __init__(self, file: Path, destination: str, kind: str) -> None:
        """Treat the file as a disk, or as flash memory, that goes to that destination."""
        self.file, self.kind = file, kind
        self.request = {"destination": destination, "guidance": "pssi", "palier": 2, "operator": "essai"}

    def run(self) -> dict[str, Any]:
        """Erase the file's whole content and return the state of the job."""
        path = subprocess.run(["losetup", "--find", "--show", "--nooverlap", str(self.file)], check=True, capture_output=True,
                              text=True).stdout.strip()  # fmt: skip
        try:
            medium = {**NONE, "serial": f"REHEARSAL-{Path(path).name}", "wwn": "", "model": "", "size": self.file.stat().st_size,
                      "path": path, "name": Path(path).name, "bus": "loop", "rotational": self.kind == "disk", "type": "disk",
                      "last_write": None}  # fmt: skip
            job = journal.Job.open(self.request, medium, rules.plan(self.request, medium), ROOT)
            return Engine(job, LoopHost(medium)).run()
        finally:
            subprocess.run(["losetup", "--detach", path], check=True)
