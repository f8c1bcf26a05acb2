"""Cut at random moments, names moved: the work goes on where it was and ends true, as read from outside."""

from __future__ import annotations

import time
from random import Random
from typing import Any

import pytest

from .media_station import END, SIZE, Station

SEED = 10
WORK: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("usb", {}, 1),
    ("sata", {"destination": "external"}, 4),
    ("nvme", {"destination": "external", "guidance": "current"}, 1),
    ("scsi", {}, 1),
)
WAYS = ("kill",) * 4 + ("power",) * 3 + ("reset",) * 3


def cut(station: Station, way: str, job: str) -> None:
    """End the work without a word: its process, the power of the machine, or its reset button."""
    if way == "kill":
        station.run("systemctl", "kill", "--signal=KILL", f"pgssi-media@{job}.service")
        station.run("sh", "-c", "systemctl reset-failed 'pgssi-media@*'; true")
    elif way == "power":
        station.qemu.cut()
        station.lab.machines.start(station.host)
    else:
        station.qemu.ask("system_reset")
        station.lab.machines.wait(station.host)


def written(station: Station, name: str, before: int, amount: float) -> None:
    """Wait until the machine has written that much to a disk, by QEMU's count."""
    end = time.monotonic() + END
    while station.qemu.written()[name] - before < amount:
        assert time.monotonic() < end, f"nothing more is written to {name}"
        time.sleep(0.05)


@pytest.mark.parametrize(("number", "way"), list(enumerate(Random(SEED).sample(WAYS, len(WAYS)))))
def test_cut_at_a_random_moment_it_goes_on_and_ends_true(station: Station, number: int, way: str) -> None:
    """kill -9 of the work, power cut, reset, anywhere from the first byte written to the reading back: no sheet before the end,
    then a true one.
    """
    chance = Random(SEED + number)
    name, asked, passes = chance.choice(WORK)
    station.fill(name)
    job = station.open(name, **asked)
    before, every = station.qemu.written()[name], passes * SIZE
    moment = chance.uniform(0, 1.1) * every
    station.start(job)
    written(station, name, before, min(max(moment, 1), every))
    time.sleep(2 if moment > every else 0)
    cut(station, way, job)
    state = station.media("state", job)
    assert state["result"] is None or station.left(name) == 0, state
    told = station.finished(job)
    assert told["end"]["result"] == "erased", (way, name, moment)
    assert told["runs"] == (2 if state["result"] is None else 1)
    assert station.left(name) == 0


def test_the_work_follows_the_disk_when_names_change_at_a_restart(station: Station) -> None:
    """The disks come back in another order: the one whose serial number was typed is erased, its old name's new owner is not."""
    station.fill("worn", "scsi", "locked", "liar")
    job = station.open("scsi")
    path = station.media("state", job)["medium"]["path"]
    station.plug(station.hardware.disks[::-1])
    told = station.finished(job)
    assert told["end"]["result"] == "erased" and station.left("scsi") == 0
    assert {step["device"] for step in told["done"]} != {path}
    assert [name for name in ("worn", "locked", "liar") if station.left(name) < SIZE // 2] == []
