"""On a real kernel with media of five kinds: what was asked for is gone, as read from outside of the guest, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pgssi.evidence import Journal

from .media_station import MACHINES, OPERATOR, SIZE, TOOLS, Station
from .support import INVENTORY, verify
from .test_breaks import breaks_of, sabotage

# Each kind of medium, where it goes, and how many times all of it is written at least.
KINDS: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("virtio", {}, 1),
    ("usb", {}, 1),
    ("sata", {"destination": "external"}, 4),
    ("scsi", {}, 1),
    ("flash", {"destination": "external"}, 1),
    ("nvme", {"destination": "external", "guidance": "current"}, 1),
)


@pytest.mark.parametrize(("name", "asked", "passes"), KINDS)
def test_a_medium_of_each_kind_is_blank_from_end_to_end(station: Station, name: str, asked: dict[str, Any], passes: int) -> None:
    """Read from outside of the guest nothing is left, beyond the partition either; QEMU has counted as many full passes as the
    method has.
    """
    station.fill(name)
    before = station.qemu.written()[name]
    told = station.erase(name, **asked)
    assert told["end"]["result"] == "erased"
    assert "dos" in {one["type"] for one in told["medium"]["contents"]}
    assert station.left(name) == 0
    assert station.qemu.written()[name] - before >= passes * SIZE
    assert told["end"]["purged"] is (name == "nvme")


USE = """
mkfs.ext4 -q "$(by USB-0001)"; mount "$(by USB-0001)" /mnt
mkswap -q "$(by VIRTIO-0001)" >/dev/null; swapon "$(by VIRTIO-0001)"
printf secret | cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "$(by SATA-0001)" -
printf secret | cryptsetup open --key-file - "$(by SATA-0001)" coffre
mdadm --create /dev/md9 --run --level=1 --raid-devices=2 --metadata=1.2 "$(by SCSI-0001)" missing >/dev/null 2>&1
"""
LEAVE = """
umount /mnt; swapoff -a; cryptsetup close coffre; mdadm --stop /dev/md9 >/dev/null 2>&1; true
"""


@pytest.fixture
def used(station: Station) -> Iterator[None]:
    """Four disks in use, each in its own way; let go afterwards, and what was on them stays."""
    station.run("sh", "-ec", TOOLS + USE)
    yield
    station.run("sh", "-c", LEAVE)


def test_media_that_are_used_are_refused_by_name(station: Station, used: None) -> None:
    """The system's own disk, mounted, swap, open LUKS volume, RAID member, read-only: refused, and no job is opened."""
    before, quiet = station.media("state"), station.qemu.written()["sata"]
    root = json.loads(station.ask("usb")) | {"serial": "root", "typed": "root"}
    root["approval"]["serial"] = "root"
    told = station.media("request", stdin=json.dumps(root), refused=True)["refusals"]
    assert {"system", "mounted"} <= {one["code"] for one in told}
    found = {name: station.refused(name) for name in ("usb", "virtio", "sata", "scsi", "locked")}
    assert found == {"usb": ["mounted"], "virtio": ["swap"], "sata": ["in_use"], "scsi": ["in_use", "raid_member"],
                     "locked": ["read_only"]}  # fmt: skip
    assert station.media("state") == before
    assert station.qemu.written()["sata"] == quiet


def test_a_closed_volume_and_a_former_member_are_erased_once_detached(station: Station) -> None:
    """What was detached for real, and declared so, is erased; the headers of the encrypted volume go first."""
    assert station.refused("scsi") == ["raid_member"]
    told = station.erase("sata")
    assert [step["do"] for step in told["steps"]] == ["luks", "overwrite", "verify"]
    assert told["end"]["result"] == "erased" and station.left("sata") == 0
    assert station.erase("scsi", detached=["linux_raid_member"])["end"]["result"] == "erased"
    assert station.left("scsi") == 0


@pytest.mark.parametrize("name", ["worn", "liar"])
def test_a_disk_that_fails_or_lies_gets_no_certificate(station: Station, name: str) -> None:
    """A disk that refuses a write, and one that reports success and keeps its data: failed, and what is left is left."""
    station.fill(name)
    told = station.erase(name)
    assert told["end"]["result"] == "failed"
    assert station.left(name) > 0
    assert bool(told["errors"]) is (name == "worn")


def test_the_playbook_wants_a_second_person_and_leaves_a_signed_sheet(station: Station) -> None:
    """Without an agreement nothing is written; with one the medium is blank, and the sheet has its page."""
    station.fill("virtio")
    assert "aucun accord" in "".join(station.destroy("virtio").failures())
    assert station.left("virtio") > SIZE // 2
    station.agree("virtio")
    station.destroy("virtio").succeeded()
    assert station.left("virtio") == 0
    record = Journal(station.evidence).records("data_destruction")[-1]
    assert (record.result, record.details["medium"]["serial"]) == ("success", "VIRTIO-0001")
    assert (record.who["operator"], record.who["approver"]) == (OPERATOR, "rssi")
    html = (station.evidence.parent / "pages" / f"{record.id}.html").read_text("utf-8")
    assert "VIRTIO-0001" in html and "tout le support relu à zéro" in html


def test_each_rule_turns_red_on_its_break_and_green_after_the_role(station: Station, tmp_path: Path) -> None:
    """Green after the role, red after its break; the role puts everything back, and its next run changes nothing."""
    inventories = (INVENTORY, MACHINES)
    mine = [one for one in breaks_of("data_destruction", inventories) if one["host"] == station.host.name]
    outcomes = sabotage(station.host.name, mine, tmp_path, inventories)
    assert [(one["rule"], one["before"], one["after"]) for one in outcomes] == [
        (one["rule"], "conforme", "non_conforme") for one in mine
    ], outcomes
    assert station.install().succeeded().changed()
    results = verify(tmp_path / "after", "-i", str(MACHINES), "--limit", station.host.name, "--guide", "data_destruction")
    assert {one["verdict"] for one in results["verdicts"] if one["rule"] in {one["rule"] for one in mine}} == {"conforme"}
    assert station.install().succeeded().changed() == set()
