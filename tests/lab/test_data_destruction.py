"""On a real kernel with media of five kinds: what was asked for is gone, as read from outside of the guest, and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pgssi.evidence import Journal
from pgssi.lab.lifecycle import Lab
from pgssi.lab.machine import Machine
from pgssi.lab.qemu import Qemu
from pgssi.paths import ROOT

from .support import INVENTORY, Play, play
from .test_breaks import breaks_of, sabotage

MACHINES = ROOT / "inventories" / "machines"
MIB = 1 << 20
SIZE = 64 * MIB
MARKER = b"DOSSIER-PATIENT-"
SERIALS = {"virtio": "VIRTIO-0001", "sata": "SATA-0001", "flash": "FLASH-0001", "scsi": "SCSI-0001", "nvme": "NVME-0001",
           "usb": "USB-0001", "worn": "WORN-0001", "locked": "LOCKED-0001", "liar": "LIAR-0001"}  # fmt: skip


class Station:
    """The virtual machine, and its media as they are outside of it."""

    def __init__(self, lab: Lab, evidence: Path) -> None:
        self.lab, self.evidence = lab, evidence
        self.host = lab.model.hosts["media1"]

    @property
    def qemu(self) -> Qemu:
        return self.lab.machines.qemu(self.host)

    def run(self, *words: str, stdin: str = "") -> str:
        return self.lab.machines.run(self.host, *words, stdin=stdin.encode())

    def media(self, *words: str, stdin: str = "", refused: bool = False) -> Any:
        """Run the host's program; return what it answers, or its refusals."""
        script = 'pgssi-media "$@"; code=$?; [ $code = 2 ] && exit 0; exit $code' if refused else 'exec pgssi-media "$@"'
        said = self.run("sh", "-c", script, "sh", *words, stdin=stdin)
        return json.loads(said) if said.lstrip().startswith(("{", "[")) else said

    def fill(self, *names: str) -> None:
        """Put markers on media at known places, from outside."""
        for name in names:
            with (self.qemu.folder / f"{name}.img").open("r+b") as file:
                for chunk in range(0, SIZE, MIB):
                    file.seek(chunk)
                    file.write((MARKER + name.encode()).ljust(64, b".") * (MIB // 64))

    def left(self, name: str) -> int:
        """Return how many bytes of a medium are not zero, as read from outside."""
        data = (self.qemu.folder / f"{name}.img").read_bytes()
        return len(data) - data.count(0)

    def ask(self, name: str, **changes: Any) -> str:
        serial = SERIALS[name]
        destination = changes.get("destination", "internal")
        asked = {"serial": serial, "typed": serial, "destination": destination, "palier": 2, "guidance": "pssi",
                 "operator": "adurand", "content": {"worthless": "essai"}, "detached": [],
                 "approval": {"by": "rssi", "serial": serial, "destination": destination, "until": "2099-01-01T00:00:00+00:00"},
                 **changes}  # fmt: skip
        return json.dumps(asked)

    def refused(self, name: str, **changes: Any) -> list[str]:
        return [one["code"] for one in self.media("request", stdin=self.ask(name, **changes), refused=True)["refusals"]]

    def erase(self, name: str, **changes: Any) -> dict[str, Any]:
        """Ask, run to the end, and return what the sheet is made of."""
        job = self.media("request", stdin=self.ask(name, **changes))["job"]
        self.start(job)
        return self.finished(job)

    def start(self, job: str) -> None:
        self.run("systemctl", "start", "--no-block", f"pgssi-media@{job}.service")

    def finished(self, job: str) -> dict[str, Any]:
        end = time.monotonic() + 300
        while not self.media("state", job)["result"]:
            assert time.monotonic() < end, f"{job} does not end: {self.media('state', job)}"
            time.sleep(2)
        told: dict[str, Any] = self.media("sheet", job)
        return told


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """A Debian 12 machine on its first day, with the role."""
    lab = Lab.load([str(INVENTORY), str(MACHINES)])
    lab.reset("media1")
    ready = Station(lab, tmp_path_factory.mktemp("journal") / "evidence")
    playbook(ready, "data_destruction", "--limit", "media1").succeeded()
    yield ready
    lab.machines.remove(ready.host)


def playbook(station: Station, name: str, *options: str) -> Play:
    return play(name, "-i", str(MACHINES), "-e", f"site_evidence_dir={station.evidence}", *options)


@pytest.mark.parametrize(
    ("name", "asked", "passes"),
    [
        ("virtio", {}, 1),
        ("usb", {}, 1),
        ("sata", {"destination": "external"}, 4),
        ("scsi", {"destination": "external", "guidance": "both"}, 4),
        ("flash", {"destination": "external"}, 1),
        ("nvme", {"destination": "external", "guidance": "current"}, 1),
    ],
)
def test_a_medium_of_each_kind_is_blank_from_end_to_end(station: Station, name: str, asked: dict[str, Any], passes: int) -> None:
    """Read from outside of the guest nothing is left; QEMU has counted as many full passes as the method has."""
    station.fill(name)
    before = station.qemu.written()[name]
    told = station.erase(name, **asked)
    assert told["end"]["result"] == "erased"
    assert station.left(name) == 0
    assert station.qemu.written()[name] - before >= passes * SIZE
    assert told["end"]["purged"] is (name == "nvme")


USE = """
by() { lsblk -dnpo PATH,SERIAL | awk -v s="$1" '$2 == s { print $1 }'; }
systemctl --quiet mask mdmonitor.service
mkdir -p /etc/mdadm; echo 'AUTO -all' > /etc/mdadm/mdadm.conf  # or a stopped array comes back by itself
DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends cryptsetup-bin mdadm >/dev/null
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
    station.run("sh", "-ec", USE)
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


def test_the_work_follows_the_disk_when_names_change_at_a_restart(station: Station) -> None:
    """The disks come back in another order: the one whose serial number was typed is erased, its old name's new owner is not."""
    station.fill("worn", "scsi", "locked", "liar")
    job = station.media("request", stdin=station.ask("scsi"))["job"]
    path = station.media("state", job)["medium"]["path"]
    station.qemu.off()
    hardware = station.host.machine
    assert hardware
    turned = Machine(hardware.port, hardware.memory, hardware.processors, hardware.radios, hardware.disks[::-1])
    network = station.lab.model.user_network(station.host)
    Qemu(station.qemu.folder, station.lab.model.container("media1"), turned, network).start()
    station.lab.machines.wait(station.host)
    station.start(job)
    told = station.finished(job)
    assert told["end"]["result"] == "erased" and station.left("scsi") == 0
    assert {step["device"] for step in told["done"]} != {path}
    assert [name for name in ("worn", "locked", "liar") if station.left(name) < SIZE // 2] == []


@pytest.mark.parametrize("way", ["kill", "power", "reset"])
def test_cut_at_random_moments_it_goes_on_and_ends_true(station: Station, way: str) -> None:
    """kill -9 of the work, power cut of the guest, reset: run again, it goes on and the medium ends up blank."""
    chance = Random(way)
    station.fill("usb")
    job = station.media("request", stdin=station.ask("usb", destination="external"))["job"]
    for _ in range(4 if way == "kill" else 1):
        station.start(job)
        time.sleep(chance.uniform(0.5, 8))
        if way == "kill":
            station.run("systemctl", "kill", "--signal=KILL", f"pgssi-media@{job}.service")
            station.run("sh", "-c", "systemctl reset-failed 'pgssi-media@*'; true")
        elif way == "reset":
            station.qemu.ask("system_reset")
        else:
            station.qemu.cut()
            station.lab.machines.start(station.host)
        station.lab.machines.wait(station.host)
    station.start(job)
    told = station.finished(job)
    assert told["end"]["result"] == "erased"
    assert told["runs"] > 1
    assert station.left("usb") == 0


def test_the_playbook_wants_the_serial_number_and_a_second_person(station: Station) -> None:
    """No agreement, an agreement of oneself, a wrong number typed: nothing is written; then a signed sheet and its page."""
    station.fill("virtio")
    target = ("-e", "decommission_host=media1", "-e", "decommission_serial=VIRTIO-0001")
    erase = (*target, "-e", "decommission=erase", "-e", "decommission_operator=adurand", "-e", "decommission_typed=VIRTIO-0001")
    agree = (*target, "-e", "decommission=approve", "-e", f"site_evidence_sign_key={ROOT / '.lab' / 'keys' / 'rssi'}")
    assert "aucun accord" in "".join(playbook(station, "decommission", *erase).failures())
    playbook(station, "decommission", *agree, "-e", "decommission_operator=rssi").succeeded()
    mine = playbook(station, "decommission", *erase, "-e", "decommission_operator=rssi")
    assert "qui efface" in "".join(mine.failures())
    wrong = playbook(station, "decommission", *erase, "-e", "decommission_typed=VIRTIO-0002")
    assert "Rien n'a été touché" in "".join(wrong.failures())
    assert station.left("virtio") == SIZE
    playbook(station, "decommission", *erase).succeeded()
    assert station.left("virtio") == 0
    journal = Journal(station.evidence)
    record = journal.records("data_destruction")[-1]
    assert (record.result, record.details["medium"]["serial"]) == ("success", "VIRTIO-0001")
    assert (record.who["operator"], record.who["approver"]) == ("adurand", "rssi")
    html = (station.evidence.parent / "pages" / f"{record.id}.html").read_text("utf-8")
    assert "VIRTIO-0001" in html and "tout le support relu à zéro" in html
    again = playbook(station, "decommission", *erase)
    assert "a déjà servi" in "".join(again.failures())


def test_the_sheet_of_a_disk_that_lies_is_no_certificate(station: Station) -> None:
    """The playbook fails, the record says failure, the page says that it is no certificate."""
    station.fill("liar")
    target = ("-e", "decommission_host=media1", "-e", "decommission_serial=LIAR-0001")
    key = f"site_evidence_sign_key={ROOT / '.lab' / 'keys' / 'rssi'}"
    playbook(station, "decommission", *target, "-e", "decommission=approve", "-e", key).succeeded()
    failed = playbook(station, "decommission", *target, "-e", "decommission=erase", "-e", "decommission_operator=adurand",
                      "-e", "decommission_typed=LIAR-0001")  # fmt: skip
    assert failed.returncode and "aucun certificat" in "".join(failed.failures())
    record = Journal(station.evidence).records("data_destruction")[-1]
    assert record.result == "failure" and record.details["verification"]["ok"] is False
    html = (station.evidence.parent / "pages" / f"{record.id}.html").read_text("utf-8")
    assert "Ceci n&#39;est pas un certificat" in html


def test_each_rule_turns_red_on_its_break_and_green_after_the_role(station: Station, tmp_path: Path) -> None:
    """Green after the role, red after its break; the role puts everything back, and its next run changes nothing."""
    inventories = (INVENTORY, MACHINES)
    mine = [one for one in breaks_of("data_destruction", inventories) if one["host"] == "media1"]
    for attempt in ("broken", "mended"):
        outcomes = sabotage("media1", mine, tmp_path, inventories)
        assert [(one["before"], one["after"]) for one in outcomes] == [("conforme", "non_conforme")] * len(mine), attempt
        assert playbook(station, "data_destruction", "--limit", "media1").succeeded().changed()
    assert playbook(station, "data_destruction", "--limit", "media1").succeeded().changed() == set()
