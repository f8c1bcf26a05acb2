"""The virtual machine of the destruction tests, and its media as they are outside of it."""

from __future__ import annotations

import getpass
import json
import os
import shlex
import struct
import subprocess
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from pgssi.lab.lifecycle import Lab
from pgssi.lab.machine import Disk, Machine
from pgssi.lab.qemu import Qemu, QemuError
from pgssi.paths import ROOT

from .support import Play, play

MACHINES = ROOT / "inventories" / "machines"
MIB = 1 << 20
SIZE = 64 * MIB
MARKER = b"DOSSIER-PATIENT-"
BY = """by() { lsblk -dnpo PATH,SERIAL | awk -v s="$1" '$2 == s { print $1 }'; }"""  # the disk of a serial number
# What takes disks into use; a stopped array must not come back by itself.
TOOLS = f"""
systemctl --quiet mask mdmonitor.service
mkdir -p /etc/mdadm; echo 'AUTO -all' > /etc/mdadm/mdadm.conf
DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends cryptsetup-bin mdadm >/dev/null
{BY}
"""
# When a disk does not answer, the kernel looks by itself after 30 s whether the answer was lost; each time, for a lost interrupt.
IMPATIENT = """
for t in /sys/block/sd*/device/timeout; do [ ! -e "$t" ] || echo 10 > "$t"; done
for t in /sys/block/nvme*/queue/io_timeout; do [ ! -e "$t" ] || echo 10000 > "$t"; done
"""
COMPLAINTS = "dmesg --level=emerg,alert,crit,err,warn | grep -iE {} | tail -n 20"
OPERATOR = os.environ.get("SUDO_USER") or getpass.getuser()  # who erases: whoever is logged in
END = 900.0  # seconds that a command may take under emulation, on a machine that is busy with something else; 10 in quiet


def table(size: int) -> bytes:
    """Return a partition table whose partition ends half-way: what lies beyond it is on the medium too."""
    return bytes(446) + struct.pack("<4xB3xII", 0x83, 2048, size // 2 // 512 - 2048) + bytes(48) + b"\x55\xaa"


def request(medium: str, **changes: Any) -> dict[str, Any]:
    """Return a request for a serial number that nothing is missing from, but for the changes."""
    destination = changes.get("destination", "internal")
    return {
        "serial": medium, "typed": medium, "destination": destination, "palier": 2, "guidance": "pssi", "operator": "adurand",
        "content": {"worthless": "essai"}, "detached": [],
        "approval": {"by": "rssi", "serial": medium, "destination": destination, "until": "2099-01-01T00:00:00+00:00"},
        **changes,
    }  # fmt: skip


class Station:
    """A machine with media, its program that erases, and the backing files of its media."""

    def __init__(self, lab: Lab, host: str, evidence: Path) -> None:
        """Take the machine; its playbooks write into that journal."""
        self.lab, self.evidence = lab, evidence
        self.host = lab.model.hosts[host]

    @property
    def hardware(self) -> Machine:
        """The machine's hardware."""
        assert self.host.machine
        return self.host.machine

    @property
    def qemu(self) -> Qemu:
        """The machine as it is outside."""
        return self.lab.machines.qemu(self.host)

    def plug(self, disks: Collection[Disk]) -> None:
        """Switch it off, and on again with these disks in this order."""
        self.qemu.off()
        self.host = replace(self.host, machine=replace(self.hardware, disks=tuple(disks)))
        self.lab.machines.start(self.host)
        self.hurry()

    def hurry(self) -> None:
        """Have its kernel look after 10 s for the answer of a disk."""
        self.run("sh", "-ec", IMPATIENT)

    def complaints(self, about: str = ".") -> str:
        """Return the last errors and warnings of its kernel that match a regular expression; nothing when it is off."""
        if not self.qemu.pid():
            return ""
        return self.lab.machines.run(self.host, "sh", "-c", COMPLAINTS.format(shlex.quote(about)), timeout=120)

    def serial(self, name: str) -> str:
        """Return the serial number of a disk."""
        return next(disk.serial for disk in self.hardware.disks if disk.name == name)

    def run(self, *words: str, stdin: str = "", timeout: float = END) -> str:
        """Run a command as root; one that does not end says what the machine's kernel complains about."""
        try:
            return self.lab.machines.run(self.host, *words, stdin=stdin.encode(), timeout=timeout)
        except QemuError as error:
            if not isinstance(error.__cause__, subprocess.TimeoutExpired):
                raise
            raise QemuError(f"{error}\n{self.complaints()}") from error

    def media(self, *words: str, stdin: str = "", refused: bool = False) -> Any:
        """Run the program; return what it answers, or its refusals."""
        script = 'pgssi-media "$@"; code=$?; [ $code = 2 ] && exit 0; exit $code' if refused else 'exec pgssi-media "$@"'
        said = self.run("sh", "-c", script, "sh", *words, stdin=stdin)
        return json.loads(said) if said.lstrip().startswith(("{", "[")) else said

    def fill(self, *names: str) -> None:
        """Cover media with markers from end to end, from outside, with a partition that ends half-way."""
        for name in names:
            path = self.qemu.folder / f"{name}.img"
            size = path.stat().st_size
            with path.open("r+b") as file:
                for _ in range(0, size, MIB):
                    file.write((MARKER + name.encode()).ljust(64, b".") * (MIB // 64))
                file.seek(0)
                file.write(table(size))

    def left(self, name: str) -> int:
        """Return how many bytes of a medium are not zero, as read from outside."""
        data = (self.qemu.folder / f"{name}.img").read_bytes()
        return len(data) - data.count(0)

    def ask(self, name: str, **changes: Any) -> str:
        """Return a request that nothing is missing from, but for the changes."""
        return json.dumps(request(self.serial(name), **changes))

    def refused(self, name: str, **changes: Any) -> list[str]:
        """Return the reasons why a request is refused."""
        return [one["code"] for one in self.media("request", stdin=self.ask(name, **changes), refused=True)["refusals"]]

    def open(self, name: str, **changes: Any) -> str:
        """Open the job of a request."""
        job: str = self.media("request", stdin=self.ask(name, **changes))["job"]
        return job

    def erase(self, name: str, **changes: Any) -> dict[str, Any]:
        """Ask, run to the end, and return what the sheet is made of."""
        return self.finished(self.open(name, **changes))

    def start(self, job: str) -> None:
        """Begin, or go on, in the job's own unit."""
        self.run("systemctl", "start", "--no-block", f"pgssi-media@{job}.service")

    def finished(self, job: str) -> dict[str, Any]:
        """Begin, or go on, to the end of a job, and return what the sheet is made of."""
        self.run("systemctl", "start", "--wait", f"pgssi-media@{job}.service")
        told: dict[str, Any] = self.media("sheet", job)
        return told

    def playbook(self, name: str, *options: str) -> Play:
        """Run a playbook of the toolkit on it."""
        return play(name, "-i", str(MACHINES), "-e", f"site_evidence_dir={self.evidence}", *options)

    def install(self) -> Play:
        """Run the role on it."""
        return self.playbook("data_destruction", "--limit", self.host.name)

    def decommission(self, name: str, step: str, *options: str) -> Play:
        """Run a step of the decommission of one medium."""
        medium = ("-e", f"decommission_host={self.host.name}", "-e", f"decommission_serial={self.serial(name)}")
        return self.playbook("decommission", *medium, "-e", f"decommission={step}", *options)

    def agree(self, name: str) -> None:
        """Have the second person agree, with their key."""
        key = f"site_evidence_sign_key={ROOT / '.lab' / 'keys' / 'rssi'}"
        self.decommission(name, "approve", "-e", "decommission_operator=rssi", "-e", key).succeeded()

    def destroy(self, name: str, *options: str) -> Play:
        """Erase as whoever is logged in does, who types the serial number."""
        return self.decommission(name, "erase", "-e", f"decommission_typed={self.serial(name)}", *options)
