"""Media made of files, for the programs of the data_destruction role: what they hold is read from outside."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from pgssi.paths import ROOT

FILES = ROOT / "roles" / "data_destruction" / "files"
MARKER = b"DOSSIER-PATIENT-"


def program(name: str) -> ModuleType:
    """Import a module of the role as its programs do."""
    if str(FILES) not in sys.path:
        sys.path.insert(0, str(FILES))
    return importlib.import_module(f"pgssi_media_{name}")


def medium(serial: str, **changes: Any) -> dict[str, Any]:
    """Return a quiet disk that nothing uses."""
    return {
        "name": "sdz", "path": "/nowhere", "devno": "8:0", "type": "disk", "bus": "sata", "serial": serial, "serials": [serial],
        "wwn": f"0x5000{serial}", "model": "Disk", "revision": "1", "size": 65536, "rotational": True, "removable": False,
        "read_only": False, "discard": False, "contents": [], "holders": [], "mounted": [], "system": [], "swap": [],
        "numbers": ["8:0"], "last_write": None, "hidden": 0, "firmware": [], "parts": [], **changes,
    }  # fmt: skip


def request(_serial: str, **changes: Any) -> dict[str, Any]:
    """Return a request that nothing is missing from."""
    serial, destination = _serial, changes.get("destination", "internal")
    return {
        "serial": serial, "typed": serial, "destination": destination, "palier": 2, "guidance": "pssi", "operator": "jean",
        "content": {"worthless": "postes de formation"}, "detached": [],
        "approval": {"by": "claire", "serial": serial, "destination": destination, "until": "2099-01-01T00:00:00+00:00"},
        **changes,
    }  # fmt: skip


class Shelf:
    """A host whose media are files; the names of the devices move, disks come and go."""

    def __init__(self, folder: Path) -> None:
        """Keep the files in a folder."""
        self.folder = folder
        self.media: dict[str, dict[str, Any]] = {}
        self.device: type[Any] = program("device").Device

    def add(self, found: dict[str, Any]) -> None:
        """Plug in a disk that is full of markers."""
        path = self.folder / f"disk-{len(self.media)}"
        path.write_bytes((MARKER + found["serial"].encode()).ljust(64, b".") * (found["size"] // 64))
        self.media[found["serial"]] = {**found, "path": str(path), "name": path.name, "devno": str(len(self.media))}

    def rename(self) -> None:
        """Restart: every disk gets the name of the next one."""
        names = [one["name"] for one in self.media.values()]
        for one, name in zip(self.media.values(), [*names[1:], names[0]], strict=True):
            one["name"] = name

    def holds_data(self, serial: str) -> bool:
        """Return whether a marker is left anywhere, or anything else than zeros."""
        return bool(Path(self.media[serial]["path"]).read_bytes().strip(b"\0"))

    def list(self) -> list[dict[str, Any]]:
        """Return the media that are plugged in."""
        return [one for one in self.media.values() if not one.get("gone")]

    def find(self, wanted: dict[str, Any], request: dict[str, Any] | None = None) -> dict[str, Any]:
        """Do what the host's own program does, on these media."""
        facts = program("facts")
        real, facts.media, facts.looked = (facts.media, facts.looked), self.list, dict
        try:
            found: dict[str, Any] = program("device").Host().find(wanted, request)
        finally:
            facts.media, facts.looked = real
        return found

    @contextlib.contextmanager
    def opened(self, found: dict[str, Any]) -> Iterator[Any]:
        """Open the file of a medium."""
        device = self.device(found["path"], "", found["size"])
        try:
            yield device
        finally:
            with contextlib.suppress(OSError):
                os.fsync(device.handle)
            device.close()
