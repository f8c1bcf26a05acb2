"""A medium is erased when it was read back so, and never otherwise: kills, bad disks, disks that lie, half-written journals."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest
from media_builder import FILES, MARKER, Shelf, medium, program, request

rules, journal, engine, device, facts, programs = map(program, ("rules", "journal", "engine", "device", "facts", "programs"))
MIB = 1 << 20
RUN = """
import sys
sys.path[:0] = [{files!r}, {tests!r}]
from pathlib import Path
from media_builder import Shelf, program
shelf = Shelf(Path({folder!r}))
job = program("journal").Job({job!r}, Path({root!r}))
found = job.state()["medium"]
shelf.media[found["serial"]] = found
program("engine").Engine(job, shelf).run()
"""


def opened(shelf: Shelf, root: Path, serial: str = "A1", **changes: Any) -> Any:
    asked = request(serial, **changes)
    return journal.Job.open(asked, shelf.media[serial], rules.plan(asked, shelf.media[serial]), root)


def shelf_of(folder: Path, **changes: Any) -> Shelf:
    shelf = Shelf(folder)
    shelf.add(medium("A1", **{"size": 4 * MIB, **changes}))
    return shelf


@pytest.mark.parametrize("seed", range(10))
def test_killed_at_any_moment_the_destruction_goes_on_and_ends_true(tmp_path: Path, seed: int) -> None:
    """Killed with SIGKILL again and again, it takes up from what the journal says, and the medium ends up blank."""
    shelf = shelf_of(tmp_path, size=96 * MIB)
    job = opened(shelf, tmp_path / "jobs")
    script = RUN.format(files=str(FILES), tests=str(Path(__file__).parent), folder=str(tmp_path), job=job.name,
                        root=str(tmp_path / "jobs"))  # fmt: skip
    chance, killed = Random(seed), 0
    for _ in range(4):
        before = len(job.lines())
        child = subprocess.Popen([sys.executable, "-c", script])
        while child.poll() is None and len(job.lines()) < before + chance.randint(2, 8):
            time.sleep(0.001)
        killed += child.poll() is None
        child.send_signal(signal.SIGKILL)
        child.wait()
    subprocess.run([sys.executable, "-c", script], check=True)
    assert killed
    assert job.state()["end"]["result"] == "erased"
    assert not shelf.holds_data("A1")


def spoiled(shelf: Shelf, **methods: Any) -> Shelf:
    """Give the shelf a device some of whose methods are spoilt."""
    shelf.device = type("Spoilt", (device.Device,), methods)
    return shelf


def lies(_self: Any, _offset: int, _data: bytes) -> None:
    """Say that it is written, and keep what was there."""


def refuses_second_half(self: Any, offset: int, data: bytes) -> None:
    """Refuse as the kernel does."""
    if offset + len(data) > self.size // 2:
        raise OSError(errno.EIO, "refused")
    device.Device.write(self, offset, data)


def deaf_at_third(self: Any, offset: int, length: int) -> Any:
    """Be unreadable in the third mebibyte."""
    if offset == 2 * MIB:
        raise OSError(errno.EIO, "unreadable")
    return device.Device.read(self, offset, length)


@pytest.mark.parametrize(
    ("methods", "left"),
    [({"write": lies}, True), ({"write": refuses_second_half}, True), ({"read": deaf_at_third}, False)],
)
def test_a_disk_that_lies_or_wears_out_gets_no_certificate(tmp_path: Path, methods: dict[str, Any], left: bool) -> None:
    """Writes that never came, writes refused half-way, a place that cannot be read back: failed, with the places."""
    shelf = spoiled(shelf_of(tmp_path), **methods)
    state = engine.Engine(opened(shelf, tmp_path / "jobs"), shelf).run()
    assert state["end"]["result"] == "failed"
    assert shelf.holds_data("A1") is left
    if "read" in methods or methods["write"] is refuses_second_half:
        assert state["errors"]


def test_a_disk_that_disappears_stops_the_work_and_is_taken_up_again(tmp_path: Path) -> None:
    """A disk that was pulled out is no bad disk: nothing is judged, and the job goes on when it is back."""
    shelf = shelf_of(tmp_path)
    gone = spoiled(shelf, write=refuses_second_half, present=lambda _self: False)
    job = opened(gone, tmp_path / "jobs")
    with pytest.raises(engine.Stopped):
        engine.Engine(job, gone).run()
    assert job.state()["end"] is None
    shelf.device = device.Device
    assert engine.Engine(job, shelf).run()["end"]["result"] == "erased"


def test_another_disk_at_the_same_place_is_not_touched(tmp_path: Path) -> None:
    """The device's name now belongs to another disk: the work follows the serial number, or stops."""
    shelf = shelf_of(tmp_path)
    shelf.add(medium("B2", size=4 * MIB))
    job = opened(shelf, tmp_path / "jobs")
    shelf.media["A1"]["serials"] = ["C3"]
    with pytest.raises(engine.Stopped):
        engine.Engine(job, shelf).run()
    assert shelf.holds_data("A1") and shelf.holds_data("B2")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"mounted": ["/mnt"]}, "monté"),
        ({"contents": [{"type": "linux_raid_member", "offset": 0}]}, "ensemble"),
        ({"last_write": "2026-11-20T00:00:00+00:00"}, "plus ancienne"),
    ],
)
def test_all_that_was_asked_must_still_hold_when_the_first_byte_is_written(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    """Mounted, made part of an array, or written to after its backup, between the request and the work: nothing is written."""
    shelf = shelf_of(tmp_path, last_write="2026-11-01T00:00:00+00:00")
    backups = {"backups": [{"component": "dossiers", "backup_date": "2026-11-18T00:00:00+00:00"}]}
    job = opened(shelf, tmp_path / "jobs", content=backups)
    asked = dict(shelf.media["A1"])
    shelf.media["A1"] |= changes
    with pytest.raises(engine.Stopped, match=why):
        engine.Engine(job, shelf).run()
    assert job.state()["begun"] is False
    shelf.media["A1"] = asked
    assert engine.Engine(job, shelf).run()["end"]["result"] == "erased"


def test_a_resumed_pass_writes_no_less_than_the_whole(tmp_path: Path) -> None:
    """What the journal says was reached is not written again, and everything after it is."""
    shelf = shelf_of(tmp_path, size=32 * MIB)
    job = opened(shelf, tmp_path / "jobs")
    path = Path(shelf.media["A1"]["path"])
    with path.open("r+b") as file:
        file.write(bytes(8 * MIB))
    job.write("begins")
    job.write("reached", step=0, offset=8 * MIB)
    state = engine.Engine(job, shelf).run()
    assert (state["done"][0]["from"], state["done"][0]["written"]) == (8 * MIB, 24 * MIB)
    assert state["end"]["result"] == "erased" and not shelf.holds_data("A1")


def test_a_wrong_journal_cannot_make_a_certificate(tmp_path: Path) -> None:
    """A journal that says that more was reached than is true: the reading back finds what is left."""
    shelf = shelf_of(tmp_path, size=32 * MIB)
    job = opened(shelf, tmp_path / "jobs")
    job.write("reached", step=0, offset=31 * MIB)
    assert engine.Engine(job, shelf).run()["end"]["result"] == "failed"


def test_half_a_line_of_the_journal_is_no_fact(tmp_path: Path) -> None:
    """A power cut in the middle of a line: it counts for nothing and does not spoil the next."""
    shelf = shelf_of(tmp_path)
    job = opened(shelf, tmp_path / "jobs")
    with (job.folder / "journal").open("ab") as file:
        file.write(b'{"at": "2026", "event": "erased", "purged": tr')
    assert job.state()["end"] is None
    job.write("run")
    assert [fact["event"] for fact in job.lines()] == ["asked", "run"]


def test_two_processes_never_work_on_one_medium(tmp_path: Path) -> None:
    """The lock is the medium's, whatever its device is called."""
    shelf = shelf_of(tmp_path)
    job = opened(shelf, tmp_path / "jobs")
    with journal.locked(shelf.media["A1"], tmp_path / "jobs"), pytest.raises(journal.Busy):
        engine.Engine(job, shelf).run()
    assert shelf.holds_data("A1")


def test_the_headers_of_an_encrypted_volume_go_first(tmp_path: Path) -> None:
    """Even when the work stops right after, nobody can open the volume any more."""
    shelf = shelf_of(tmp_path, contents=[{"type": "crypto_LUKS", "offset": 2 * MIB}])
    job = opened(shelf, tmp_path / "jobs")
    assert [step["do"] for step in job.state()["steps"]] == ["luks", "overwrite", "verify"]
    worker = engine.Engine(job, shelf)
    with shelf.opened(shelf.media["A1"]) as disk:
        worker._luks(disk, job.state()["steps"][0], 0)
    data = Path(shelf.media["A1"]["path"]).read_bytes()
    assert MARKER not in data[2 * MIB :] and MARKER in data[: 2 * MIB]


@pytest.mark.parametrize("honest", [True, False])
def test_a_command_of_the_medium_is_believed_when_the_data_has_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                                     honest: bool) -> None:  # fmt: skip
    """A firmware command that exits 0 and erases nothing gives no certificate, though the overwriting after it does erase."""

    def command(_name: str, path: str) -> dict[str, Any]:
        if honest:
            size = Path(path).stat().st_size
            Path(path).write_bytes(os.urandom(size))
        return {"rc": 0, "said": ""}

    monkeypatch.setattr(programs, "firmware", command)
    shelf = shelf_of(tmp_path, firmware=["nvme-format"])
    job = opened(shelf, tmp_path / "jobs", destination="external", guidance="current")
    end = engine.Engine(job, shelf).run()["end"]
    assert end["result"] == ("erased" if honest else "failed")
    assert end.get("purged") is (True if honest else None)


def test_a_disk_whose_counters_moved_too_little_gets_no_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """nwipe exits 0 after an unknown option, without wiping: three passes are what the kernel has counted."""
    monkeypatch.setattr(programs, "nwipe", lambda *_words: {"rc": 0, "said": [], "counted_written": 4 * MIB})
    shelf = shelf_of(tmp_path)
    job = opened(shelf, tmp_path / "jobs", destination="external")
    assert engine.Engine(job, shelf).run()["end"]["result"] == "failed"


def test_the_commands_that_a_device_offers_are_read_from_what_it_says() -> None:
    """NVMe by bits, ATA by words; a frozen ATA device offers none."""
    assert facts.nvme_commands(2, 4, 2) == ["nvme-sanitize-block", "nvme-format-crypto", "nvme-format"]
    assert facts.nvme_commands(0, 0, 0) == []
    shown = "Commands:\n\t*\tBLOCK_ERASE_EXT command\nSecurity: \n\t\tsupported\n\tnot\tfrozen\n\t\tsupported: enhanced erase\n"
    assert facts.ata_commands(shown) == ["ata-sanitize-block", "ata-security-erase-enhanced"]
    assert facts.ata_commands(shown.replace("not\tfrozen", "frozen")) == ["ata-sanitize-block"]


@pytest.mark.parametrize(
    ("shown", "free", "told"),
    [
        ('{"nsid_list": [{"nsid": 1}]}', 0, []),
        ("", 0, []),
        ('{"nsid_list": [{"nsid": 1}, {"nsid": 2}]}', 0, ["1 autres espaces de noms"]),
        ('{"nsid_list": [{"nsid": 1}]}', 4096, ["4096 octets qui ne sont dans aucun"]),
    ],
)
def test_what_an_nvme_controller_has_beyond_what_is_seen_is_told(shown: str, free: int, told: list[str]) -> None:
    """A namespace that was detached, and the place of one that was deleted, hold what they held."""
    assert facts.nvme_beyond(shown, free) == told


@pytest.mark.parametrize(
    ("shown", "hidden"),
    [
        ("/dev/sda:\n max sectors   = 131072/131072, HPA is disabled\n", 0),
        ("/dev/sda:\n max sectors   = 78125000/78165360, HPA is enabled\n", 40360),
        ("/dev/sda:\n max sectors   = 976773168/976773168, ACCESSIBLE MAX ADDRESS disabled\n", 0),
        ("", 0),
    ],
)
def test_hidden_sectors_are_counted(shown: str, hidden: int) -> None:
    """The area that an ATA disk hides is told by two numbers; some disks have none and say nothing."""
    assert facts.ata_hidden(shown) == hidden
