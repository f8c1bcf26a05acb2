"""One medium, opened so that nothing else may claim it: what is written reaches it, what is read comes from it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pgssi_media_facts as facts
import pgssi_media_rules as rules
import pgssi_media_users as users

CHUNK = 1 << 20
SECTOR = 4096
BLKFLSBUF = 0x1261


class Lost(Exception):
    """The medium is not there, is not the one that was asked for, or may not be written to any more."""


class Device:
    """An open medium. size: bytes; name: the kernel's name for it now, "" for a file."""

    def __init__(self, path: str, name: str, size: int) -> None:
        """Open it for this process alone: the kernel refuses when it is mounted or part of anything, and from now on."""
        self.path, self.name = path, name
        self.handle = _opened(path)
        self.size = os.lseek(self.handle, 0, os.SEEK_END)
        self._buffer = mmap.mmap(-1, CHUNK)
        if self.size != size:
            self.close()
            raise Lost(f"{path} fait {self.size} octets et non {size}")

    def close(self) -> None:
        """Give it back."""
        os.close(self.handle)

    def write(self, offset: int, data: bytes) -> None:
        """Write a whole chunk; OSError when the device refuses it."""
        self._buffer[: len(data)] = data
        view, done = memoryview(self._buffer), 0
        while done < len(data):
            done += os.pwrite(self.handle, view[done : len(data)], offset + done)

    def read(self, offset: int, length: int) -> bytes:
        """Read a whole chunk from the device; OSError when it cannot."""
        view, done = memoryview(self._buffer), 0
        while done < length:
            count = os.preadv(self.handle, [view[done:length]], offset + done)
            if not count:
                raise OSError(errno.EIO, "fin prématurée")
            done += count
        return self._buffer[:length]

    def flush(self) -> None:
        """Return when the device has taken everything. Raises OSError when it says that it has not."""
        os.fsync(self.handle)

    def forget(self) -> None:
        """Drop what the kernel remembers of it, so that reads come from the device."""
        self.flush()
        if stat.S_ISBLK(os.fstat(self.handle).st_mode):
            fcntl.ioctl(self.handle, BLKFLSBUF, 0)
        os.posix_fadvise(self.handle, 0, 0, os.POSIX_FADV_DONTNEED)

    def chunks(self, start: int = 0) -> Iterator[tuple[int, int]]:
        """Yield (offset, length) from a place to the end."""
        for offset in range(start, self.size, CHUNK):
            yield offset, min(CHUNK, self.size - offset)

    def present(self) -> bool:
        """Return whether the kernel still has it; a disk that was pulled out answers with the errors of a bad one."""
        return not self.name or (facts.SYS / "block" / self.name).exists()

    def counted(self) -> dict[str, int]:
        """Return the kernel's own counters of this disk; {} for a file."""
        return facts.counters(self.name) if self.name else {}


def _opened(path: str) -> int:
    flags = os.O_RDWR | os.O_EXCL | os.O_CLOEXEC
    try:
        with contextlib.suppress(OSError):
            return os.open(path, flags | os.O_DIRECT)
        return os.open(path, flags)
    except OSError as error:
        raise Lost(f"{path} ne s'ouvre pas : {os.strerror(error.errno or 0)}") from error


class Host:
    """The media of this host, as the kernel knows them now."""

    def find(self, wanted: dict[str, Any], request: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the medium of that identity, whatever its device is called today. Raises Lost.

        request: what was asked, as long as nothing is written; all of it must still hold. Without it, signatures on the
        medium are those of what is being erased, and refuse nothing any more.
        """
        known = {key: wanted[key] for key in rules.IDENTITY}
        asked = {"serial": wanted["serial"], "typed": wanted["serial"], "expected": known}
        medium, told = rules.chosen(asked, facts.media())
        if medium is not None and request is None:
            told = rules.use(medium)
        elif medium is not None:
            medium = facts.looked(dict(medium))
            told = rules.missing(request, medium, datetime.now(UTC))
        if told or medium is None:
            raise Lost(" ; ".join(one["text"] for one in told))
        return dict(medium)

    @contextlib.contextmanager
    def opened(self, medium: dict[str, Any]) -> Iterator[Device]:
        """Open a medium that was just found, and check once more that it is the one: names move when devices come and go."""
        device = Device(medium["path"], medium["name"], medium["size"])
        try:
            number = os.fstat(device.handle).st_rdev
            if f"{os.major(number)}:{os.minor(number)}" != medium["devno"]:
                raise Lost(f"{medium['path']} a changé de support")
            # Nothing may claim it from here on; who uses it without a claim would write what they hold after the proof.
            if others := users.of(self.find(medium)):
                raise Lost(rules.used(others)["text"])
            yield device
        finally:
            device.close()
