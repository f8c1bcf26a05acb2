"""Who uses a medium without claiming it, so that the kernel lets others open it alone, and write under them: loop devices,
processes (the disk of a virtual machine), volumes that are served to other hosts.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

SYS, PROC = Path("/sys"), Path("/proc")
LOOP_GET_STATUS64 = 0x4C05
LOOP_INFO = 232
# What serves a device to others names it there; the kernel opens it for them without a word to /proc.
SERVED = ("kernel/config/nvmet/subsystems/*/namespaces/*/device_path", "kernel/config/target/core/*/*/udev_path")
# Other ways to the same disk, which reach it under its block device.
GENERIC = ("device/scsi_generic/*/dev", "device/bsg/*/dev")
PATIENCE = 20.0  # seconds; udev, smartd and the like open a disk and close it again
LOOK = 0.5

User = dict[str, str]


def of(medium: dict[str, Any], claimed: bool = False, patience: float = PATIENCE) -> list[User]:
    """Return who goes on using a medium, or a part of it: {name, kind}.

    claimed: tell as well whether the kernel keeps it for something that no list shows: a mount in another namespace, the
    second disk of a btrfs volume.
    """
    end = time.monotonic() + patience
    while True:
        found = [*_now(medium), *(_claims(medium["path"]) if claimed else ())]
        if not found or time.monotonic() > end:
            return found
        time.sleep(LOOK)


def _now(medium: dict[str, Any]) -> Iterator[User]:
    numbers = set(medium["numbers"])
    yield from _loops(numbers)
    yield from _served(numbers)
    generic = {path.read_text("ascii").strip() for one in GENERIC for path in (SYS / "block" / medium["name"]).glob(one)}
    yield from _processes(numbers, generic)


def _loops(numbers: Collection[str]) -> Iterator[User]:
    """Yield the loop devices on it; the kernel is asked for the number, since names of files move."""
    for backing in SYS.glob("block/loop*/loop/backing_file"):
        name = backing.parts[-3]
        try:
            handle = os.open(f"/dev/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise OSError(f"{name} n'a pas de fichier dans /dev : on ne sait pas ce qu'il porte") from error
        try:
            told = fcntl.ioctl(handle, LOOP_GET_STATUS64, bytes(LOOP_INFO))
        except OSError as error:
            if error.errno != errno.ENXIO:  # let go meanwhile
                raise
            continue
        finally:
            os.close(handle)
        if _number(struct.unpack_from("<QQQ", told)[2]) in numbers:
            yield {"name": name, "kind": "loop"}


def _served(numbers: Collection[str]) -> Iterator[User]:
    for path in (one for pattern in SERVED for one in SYS.glob(pattern)):
        enabled = path.with_name("enable")
        try:
            if enabled.exists() and enabled.read_text("ascii").strip() == "0":
                continue
            number = _number(Path(path.read_text("utf-8").strip()).stat().st_rdev)
        except (OSError, ValueError):
            continue  # it names nothing, or a file
        if number in numbers:
            yield {"name": path.parents[2].name if "nvmet" in path.parts else path.parent.name, "kind": "served"}


def _processes(numbers: Collection[str], generic: Collection[str]) -> Iterator[User]:
    for folder in PROC.iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            handles = [*(folder / "fd").iterdir()]
        except OSError:
            continue  # it has ended
        if any(_holds(handle, numbers, generic) for handle in handles):
            yield {"name": f"{_name(folder)} {folder.name}", "kind": "process"}


def _holds(path: Path, numbers: Collection[str], generic: Collection[str]) -> bool:
    try:
        seen = _seen(path)
    except OSError:
        return False
    wanted = numbers if stat.S_ISBLK(seen.st_mode) else generic if stat.S_ISCHR(seen.st_mode) else ()
    return bool(wanted) and _number(seen.st_rdev) in wanted


def _seen(path: Path) -> os.stat_result:
    return path.stat()


def _name(folder: Path) -> str:
    try:
        return (folder / "comm").read_text("utf-8", "replace").strip()
    except OSError:
        return "?"


def _claims(path: str) -> Iterator[User]:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        if error.errno == errno.EBUSY:
            yield {"name": "noyau", "kind": "claimed"}


def _number(device: int) -> str:
    return f"{os.major(device)}:{os.minor(device)}"
