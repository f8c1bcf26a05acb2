"""Cut at random moments, names moved: the work goes on where it was and ends true, as read from outside."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from .media_station import MIB, SIZE, Station

SEED = 10
WORK: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("usb", {}, 1),
    ("sata", {"destination": "external"}, 4),
    ("nvme", {"destination": "external", "guidance": "current"}, 1),
    ("scsi", {}, 1),
)
WAYS = ("kill",) * 4 + ("power",) * 3 + ("reset",) * 3


# Runs on the machine: the way to it takes longer than what is left of the work. Starts the unit, waits until the kernel has
# counted that many sectors written to the disk, then that many read, and kills where it is to be killed.
MOMENT = """
unit=$1 disk=/sys/block/$2/stat written=$3 read=$4 kill=$5
count() { read -r _ _ got _ _ _ put _ <"$disk"; }
count; written=$((put + written))
systemctl start --no-block "$unit"
until count; [ "$put" -ge "$written" ]; do sleep 0.01; done
read=$((got + read))
until count; [ "$got" -ge "$read" ]; do sleep 0.01; done
[ -z "$kill" ] || exec systemctl kill --signal=KILL "$unit"
"""


def cut(station: Station, way: str, job: str, moment: tuple[int, int]) -> None:
    """Begin the work and end it without a word: its process, the power of the machine, or its reset button.

    moment: bytes that are written, then read, before that.
    """
    written, read = (str(amount // 512) for amount in moment)
    unit, kill = f"pgssi-media@{job}.service", "kill" if way == "kill" else ""
    station.run("sh", "-euc", MOMENT, "sh", unit, Path(station.media("state", job)["medium"]["path"]).name, written, read, kill)
    if way == "kill":
        station.run("sh", "-c", "systemctl reset-failed 'pgssi-media@*'; true")
    elif way == "power":
        station.qemu.cut()
        station.lab.machines.start(station.host)
    else:
        station.qemu.ask("system_reset")
        station.lab.machines.wait(station.host)


@pytest.mark.parametrize(("number", "way"), list(enumerate(Random(SEED).sample(WAYS, len(WAYS)))))
def test_cut_at_a_random_moment_it_goes_on_and_ends_true(station: Station, number: int, way: str) -> None:
    """kill -9 of the work, power cut, reset, anywhere from the first byte written to the reading back: no sheet before the end,
    then a true one.
    """
    chance = Random(SEED + number)
    name, asked, passes = chance.choice(WORK)
    station.fill(name)
    job = station.open(name, **asked)
    every = passes * SIZE
    moment = int(chance.uniform(0, 1.1) * every)
    cut(station, way, job, (max(min(moment, every), MIB), max(moment - every, 0)))
    state = station.media("state", job)
    assert state["result"] is None or (way != "kill" and station.left(name) == 0), state
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
