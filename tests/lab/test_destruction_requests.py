"""A thousand random requests on real media: those that were rightly asked for are blank, as read from outside, and no others."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from pgssi.lab.machine import Disk

from .media_station import END, MIB, TOOLS, Station, request

SEED, REQUESTS, BOOTS = 4, 1000, 4
SIZE = 8 * MIB
DRIVER = Path(__file__).with_name("on_station.py").read_text("utf-8")
BUSES = ("scsi",) * 16 + ("virtio",) * 3 + ("sata",) * 2 + ("usb",) * 2 + ("nvme",)
# What is done with disks at each start, and why such a disk is refused; the first may be asked for.
USES = {"free": "", "formatted": "", "closed": "", "mounted": "mounted", "swap": "swap", "opened": "in_use",
        "member": "raid_member", "running": "in_use", "locked": "read_only",
        "away": "serial_unknown", "twin": "serial_shared", "system": "system"}  # fmt: skip
USE = """
luks() { printf secret | cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 "$1" -; }
array() { mdadm --create "/dev/md/$2" --run --level=1 --raid-devices=2 --metadata=1.2 "$1" missing >/dev/null 2>&1; }
use() {
    disk=$(by "$1")
    case $2 in
        formatted) mkfs.ext4 -qF -E nodiscard "$disk" ;;
        mounted) mkfs.ext4 -qF -E nodiscard "$disk"; mkdir -p "/srv/$1"; mount "$disk" "/srv/$1" ;;
        swap) mkswap "$disk" >/dev/null 2>&1; swapon "$disk" ;;
        closed) luks "$disk" ;;
        opened) luks "$disk"; printf secret | cryptsetup open --key-file - "$disk" "coffre-$1" ;;
        running) array "$disk" "$1" ;;
        member) array "$disk" "$1"; mdadm --stop "/dev/md/$1" 2>/dev/null; udevadm settle ;;
        locked) blockdev --setro "$disk" ;;
    esac
}
"""
OTHER = {"by": "rssi", "serial": "AUTRE", "destination": "internal", "until": "2099-01-01T00:00:00+00:00"}
SPOILS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("serial_typed", {"typed": "CROWD-9999"}), ("serial_unknown", {"serial": "CROWD-9999", "typed": "CROWD-9999"}),
    ("identity", {"expected": {"wwn": "0x5000000000000001"}}), ("approval_missing", {"approval": {}}),
    ("approval_self", {"operator": "RSSI"}), ("approval_other", {"approval": OTHER}),
    ("content_undeclared", {"content": {}}), ("destination", {"destination": "ailleurs"}),
)  # fmt: skip


class Crowd:
    """A machine with many small disks, and what is known of each: the expectation, made without the program."""

    def __init__(self, station: Station, chance: Random) -> None:
        """Give the machine its disks."""
        self.station, self.chance = station, chance
        self.disks = [Disk(f"d{place:02d}", bus, SIZE, f"CROWD-{place:04d}", f"5000c500{place:08x}" if bus == "scsi" else "")
                      for place, bus in enumerate(BUSES)]  # fmt: skip
        self.disks += [Disk(name, "scsi", SIZE, "TWIN-0001", "5000c500ffffffff") for name in ("twin-a", "twin-b")]
        self.open: dict[str, str] = {}
        self.use: dict[str, str] = {}
        self.blank: set[str] = set()
        self.formatted: set[str] = set()  # blank ones on which somebody has put a file system since
        self.ended = 0
        for disk in self.disks:
            with (station.qemu.folder / disk.file).open("wb") as file:
                file.truncate(disk.size)

    def start(self) -> None:
        """Restart with full disks, in another order, without two of them; the work that was left goes on; disks are used."""
        self.station.qemu.off()
        self.station.fill(*(disk.name for disk in self.disks))
        plugged = self.chance.sample(self.disks, len(self.disks))
        away = {disk.serial for disk in [disk for disk in plugged if disk.serial != "TWIN-0001"][:2]}
        self.station.plug([disk for disk in plugged if disk.serial not in away])
        self.blank, self.formatted = set(), set()
        self.go_on(away)
        self.use = {disk.serial: self.chance.choice([*USES][:-3] + ["free"] * 3) for disk in self.disks
                    if disk.serial not in self.open and disk.serial not in self.blank}  # fmt: skip
        self.use |= dict.fromkeys(away, "away") | {"TWIN-0001": "twin", "root": "system"}
        words = [f"use {serial} {use}" for serial, use in self.use.items()]
        self.station.run("sh", "-ec", "\n".join([TOOLS, USE, *words]))

    def go_on(self, away: set[str]) -> None:
        """Go on with what the last start has left open."""
        waiting = dict(self.open)
        told = self.drive([{"job": job} for job in waiting.values()])
        for serial, one in zip(waiting, told, strict=True):
            assert one["result"] == (3 if serial in away else 0), (serial, one)
            if serial not in away:
                self.erased(serial)

    def erased(self, serial: str) -> None:
        """Note that a disk must be blank now."""
        self.blank.add(serial)
        self.formatted.discard(serial)
        self.open.pop(serial, None)
        self.ended += 1

    def drive(self, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Have the machine do these lines."""
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        return [json.loads(line) for line in self.station.run("python3", "-c", DRIVER, stdin=text, timeout=4 * END).splitlines()]

    def requests(self, count: int) -> tuple[list[dict[str, Any]], list[set[str]]]:
        """Return random requests, and for each why it is refused: nothing when it is right."""
        paths = {one["serial"]: one["path"] for one in self.station.media("inventory")}
        serials = ["root", *(disk.serial for disk in self.disks)]
        lines, expected = [], []
        for _ in range(count):
            serial = self.chance.choice(serials)
            code, spoil = self.chance.choice(SPOILS) if self.chance.random() < 0.3 else ("", {})
            why = {code, USES[self.use.get(serial, "free")], "busy" if serial in self.open else ""} - {""}
            destination = self.chance.choice(["internal"] * 9 + ["external"])
            asked = request(serial, **{"destination": destination, **spoil})
            then = "run" if why else self.happens(paths.get(serial, ""))
            lines.append({"request": asked, "then": then, "path": paths.get(serial, "")})
            expected.append(why)
            if not why:
                self.foresee(serial, then)
        return lines, expected

    def happens(self, path: str) -> str:
        """Return what happens between a right request and the work."""
        if len(self.open) > 5 or self.chance.random() < 0.8:
            return "run"
        return self.chance.choice(["race", "leave", "mount", *(["pull"] if path.startswith("/dev/sd") else [])])

    def foresee(self, serial: str, then: str) -> None:
        """Note what a right request comes to."""
        if then in ("run", "race"):
            self.erased(serial)
            return
        self.open[serial] = ""
        if then == "pull":
            self.use[serial] = "away"
        if then == "mount" and serial in self.blank:
            self.blank.remove(serial)
            self.formatted.add(serial)


def test_exactly_the_media_that_were_rightly_asked_for_are_blank(station: Station) -> None:
    """Wrong serial number, nobody's agreement, disks in use, pulled out, mounted in between, asked for twice at once, wiped
    before; the names of all change at each start, and what was left open goes on. After each start every disk is read outside.
    """
    crowd = Crowd(station, Random(SEED))
    seen: Counter[str] = Counter()
    for _ in range(BOOTS):
        crowd.start()
        lines, expected = crowd.requests(REQUESTS // BOOTS)
        told = crowd.drive(lines)
        for line, why, one in zip(lines, expected, told, strict=True):
            shown = f"graine {SEED} : {line}, attendu {why or 'accepté'} : {one}"
            assert bool(one["codes"]) == bool(why) and (why & set(one["codes"]) or not why), shown
            assert why or one["result"] == {"leave": None, "mount": 3, "pull": 3}.get(line["then"], 0), shown
            seen.update(why or [line["then"]])
            if not why and line["request"]["serial"] in crowd.open:
                crowd.open[line["request"]["serial"]] = one["job"]
        left = [(disk, station.left(disk.name)) for disk in crowd.disks]
        assert {disk.serial for disk, count in left if not count} == crowd.blank, f"graine {SEED} : {crowd.use}"
        emptied = crowd.blank | crowd.formatted
        assert [disk.name for disk, count in left if disk.serial not in emptied and count < SIZE // 2] == []
    results = Counter(one["result"] for one in station.media("state"))
    assert results == {"erased": crowd.ended} | ({None: len(crowd.open)} if crowd.open else {})
    every = {code for code, _ in SPOILS} | set(USES.values()) | {"busy", "run", "race", "leave", "mount", "pull"}
    assert set(seen) == every - {""}
