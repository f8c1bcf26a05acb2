"""Who uses a medium without a claim, where it is, and what it is part of: read from trees that stand for /sys and /proc."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from media_builder import medium, program

users, facts = program("users"), program("facts")
QUIET = medium("A1")
HELD = {"name": "qemu 42", "kind": "process"}


def test_who_only_passes_by_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """udev reads a disk that was just closed: the second look finds it quiet; who stays is told."""
    seen = iter([[HELD], []])
    monkeypatch.setattr(users, "_now", lambda _medium: next(seen))
    monkeypatch.setattr(users, "LOOK", 0)
    assert users.of(QUIET) == []
    monkeypatch.setattr(users, "_now", lambda _medium: [HELD])
    assert users.of(QUIET, patience=0.01) == [HELD]


def test_a_process_that_holds_a_part_or_another_way_to_the_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual machine on a partition, one on the SCSI generic device, one on another disk, one that has ended."""
    proc, sys = tmp_path / "proc", tmp_path / "sys"
    for number, name in ((41, "qemu"), (42, "vmm"), (43, "other"), (44, "gone")):
        (proc / f"{number}" / "fd").mkdir(parents=True)
        (proc / f"{number}" / "comm").write_text(f"{name}\n")
    devices = {"41": (0o060000, 8, 1), "42": (0o020000, 21, 0), "43": (0o060000, 8, 16)}
    for number in devices:
        (proc / number / "fd" / "3").touch()
    (proc / "44" / "fd").rmdir()
    (sys / "block" / "sdz" / "device" / "scsi_generic" / "sg0").mkdir(parents=True)
    (sys / "block" / "sdz" / "device" / "scsi_generic" / "sg0" / "dev").write_text("21:0\n")

    def stat(path: Path) -> Any:
        kind, major, minor = devices[path.parts[-3]]
        return SimpleNamespace(st_mode=kind | 0o600, st_rdev=os.makedev(major, minor))

    monkeypatch.setattr(users, "PROC", proc)
    monkeypatch.setattr(users, "SYS", sys)
    monkeypatch.setattr(users, "_seen", stat)
    found = users.of({**QUIET, "numbers": ["8:0", "8:1"]}, patience=0)
    assert sorted(one["name"] for one in found) == ["qemu 41", "vmm 42"]


@pytest.mark.parametrize(
    ("ways", "bus"),
    [(["pcie"], "nvme"), (["tcp"], "nvme-tcp"), (["rdma", "pcie"], "nvme-rdma"), (["fc"], "nvme-fc"), ([], "nvme")],
)
def test_a_volume_of_another_host_is_no_disk_of_this_one(tmp_path: Path, ways: list[str], bus: str) -> None:
    """NVMe over a network looks like NVMe to every list: the controller tells, and each of several does."""
    for number, way in enumerate(ways):
        (tmp_path / f"nvme{number}").mkdir()
        (tmp_path / f"nvme{number}" / "transport").write_text(f"{way}\n")
    assert facts._transport(tmp_path) == bus
    alone = tmp_path / "nvme0"
    assert facts._transport(alone) == (f"nvme-{ways[0]}" if ways and ways[0] != "pcie" else "nvme")


@pytest.mark.parametrize(("disks", "kind"), [(1, "btrfs"), (2, "btrfs_member")])
def test_a_btrfs_volume_on_several_media_is_told_by_its_superblock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disks: int, kind: str
) -> None:
    """One that lives on this medium alone may go; one of several is a member."""
    path = tmp_path / "disk"
    path.write_bytes(bytes(0x10000 + 0x88) + disks.to_bytes(8, "little") + bytes(4096))
    monkeypatch.setattr(facts, "run", lambda *_command: '{"signatures": [{"type": "btrfs"}]}')
    found = facts.looked({**QUIET, "parts": [(str(path), 0, "btrfs")]})
    assert [one["type"] for one in found["contents"]] == [kind]
