"""QEMU processes: their folders, how they start and stop, and the QMP socket for power cuts and counters of blocks."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pgssi.errors import PgssiError
from pgssi.lab.machine import FIRMWARE_VALUES, Machine
from pgssi.paths import ROOT

IMAGES = ROOT / ".cache" / "lab"
PROGRAM = "qemu-system-x86_64"
FAST = ("-accel", "kvm", "-cpu", "host")
EMULATED = ("-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max,la57=off")
TRIAL_SECONDS = 20  # for a kernel without disks to give up: one or two, and five when emulated
PID = "pid"
KEY = "ssh_host_ed25519_key"
OFF_SECONDS = 60


class QemuError(PgssiError):
    """A virtual machine that cannot be started, stopped or asked."""


class Qemu:
    """One virtual machine in its folder: disks, host key, pid, sockets of its console and of QMP."""

    def __init__(self, folder: Path, name: str, machine: Machine, network: str) -> None:
        """Take the folder, which bears the host's name, the machine's own, its hardware, the options of its network."""
        self.folder = folder.resolve()
        self.machine = machine
        self._arguments = ["-pidfile", str(self.folder / PID), *machine.arguments(name, folder.name, network)]

    def create(self, image: Path, authorized: str, names: Mapping[str, str]) -> None:
        """Make its disks and its first boot: a fresh root disk over the image, blank extra disks, a host key.

        authorized: the key that ``pgssi`` connects with; names: what /etc/hosts says, names by address.
        """
        forget(self.folder)
        self.folder.mkdir(mode=0o700, parents=True)
        _run(
            "qemu-img",
            "create",
            "-q",
            "-f",
            "qcow2",
            "-F",
            "raw",
            "-b",
            str(image / "root.ext4"),
            str(self.folder / "root.qcow2"),
        )
        for part in ("vmlinuz", "initrd.img", "efi.qcow2"):
            (self.folder / part).symlink_to(image / part)
        if self.machine.boot == "grub":
            shutil.copyfile(FIRMWARE_VALUES, self.folder / "firmware")
        for disk in self.machine.disks:
            with (self.folder / disk.file).open("wb") as file:
                file.truncate(disk.size)
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(self.folder / KEY))
        (self.folder / "first-boot").write_text(self._first_boot(authorized, names), "utf-8")

    def public_key(self) -> str:
        """Return the public half of its host key."""
        return (self.folder / f"{KEY}.pub").read_text("ascii").strip()

    def start(self) -> None:
        """Switch it on; nothing happens when it is. Raises QemuError with what QEMU says."""
        if self.pid():
            return
        for left in ("qmp", "console", PID):
            (self.folder / left).unlink(missing_ok=True)
        try:
            accelerator = FAST if starts_a_kernel(FAST, (self.folder / "vmlinuz").resolve()) else EMULATED
            done = subprocess.run([PROGRAM, *accelerator, *self._arguments], cwd=self.folder, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
        except FileNotFoundError as error:
            raise QemuError(f"{PROGRAM} n'est pas installé : lancer « make setup ».") from error
        if done.returncode:
            raise QemuError(f"{self.folder.name} ne s'allume pas : {done.stderr.strip()[-500:]}")

    def pid(self) -> int:
        """Return its process, 0 when it is off."""
        return _process(self.folder)

    def cut(self) -> None:
        """Cut its power: what its memory held is lost, what its disks were told stays."""
        cut(self.folder)

    def off(self) -> None:
        """Press its power button and wait until it has shut down; cut its power when it does not."""
        if self.pid():
            self.ask("system_powerdown")
            if not _gone(self.folder, OFF_SECONDS):
                self.cut()

    def ask(self, command: str, **arguments: Any) -> Any:
        """Run one QMP command, for instance ``query-blockstats`` or ``system_reset``, and return its answer."""
        try:
            with self._connected("qmp") as connection, connection.makefile("rwb") as stream:
                stream.readline()
                for name, values in (("qmp_capabilities", {}), (command, arguments)):
                    stream.write(json.dumps({"execute": name, "arguments": values}).encode() + b"\n")
                    stream.flush()
                    answer = _answer(stream)
        except OSError as error:
            raise QemuError(f"{self.folder.name} ne répond pas à {command} : {error}") from error
        if "error" in answer:
            raise QemuError(f"{self.folder.name} refuse {command} : {answer['error'].get('desc')}")
        return answer["return"]

    def console(self, keys: str, expected: str, seconds: float) -> bool:
        """Type these keys at its console again and again, until it says what is expected: whether it did."""
        heard, deadline = b"", time.monotonic() + seconds
        with self._connected("console") as connection:
            connection.settimeout(0.3)
            while expected.encode() not in heard and time.monotonic() < deadline:
                connection.sendall(keys.encode())
                with contextlib.suppress(TimeoutError):
                    heard += connection.recv(65536)
        return expected.encode() in heard

    @contextlib.contextmanager
    def _connected(self, name: str) -> Iterator[socket.socket]:
        """Connect to one of its sockets."""
        # The address of a socket holds 107 bytes; the folder may be deeper than that.
        handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(30)
                connection.connect(f"/proc/self/fd/{handle}/{name}")
                yield connection
        finally:
            os.close(handle)

    def written(self) -> dict[str, int]:
        """Return how many bytes the machine has written to each of its disks since it was switched on."""
        counters = {entry.get("qdev", ""): int(entry["stats"]["wr_bytes"]) for entry in self.ask("query-blockstats")}
        places = {place: set(place.split("/")) for place in counters}
        return {
            disk.name: sum(counters[place] for place, parts in places.items() if f"disk-{disk.name}" in parts)
            for disk in self.machine.disks
        }

    def _first_boot(self, authorized: str, names: Mapping[str, str]) -> str:
        """Return what a provider gives a new machine, as lines of tmpfiles.d that systemd takes from QEMU."""
        files = {
            "/etc/ssh/ssh_host_ed25519_key 0600 root root": (self.folder / KEY).read_text("ascii"),
            "/etc/ssh/ssh_host_ed25519_key.pub 0644 root root": f"{self.public_key()}\n",
            "/home/pgssi/.ssh/authorized_keys 0600 pgssi pgssi": f"{authorized.strip()}\n",
            "/etc/hosts 0644 root root": "".join(f"{address} {known}\n" for address, known in names.items()),
            # The kernel and its initramfs come from outside: to make another one takes minutes, for nothing.
            "/etc/initramfs-tools/update-initramfs.conf 0644 root root": "update_initramfs=no\n",
        }
        lines = ["d /home/pgssi/.ssh 0700 pgssi pgssi - -"]
        lines += [f"f+~ {place} - {base64.b64encode(text.encode()).decode()}" for place, text in files.items()]
        return "".join(f"{line}\n" for line in lines)


@functools.cache
def starts_a_kernel(accelerator: tuple[str, ...], kernel: Path) -> bool:
    """Return whether a kernel really starts with it, as far as finding no disk; asked once, of a machine of its own.

    Some hosts have a /dev/kvm that QEMU cannot use, others one in which a machine stands still, its processor busy.
    """
    hardware = ("-M", "q35", "-m", "256", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot")
    words = ("-serial", "stdio", "-kernel", str(kernel), "-append", "console=ttyS0 panic=-1")
    try:
        done = subprocess.run([PROGRAM, *accelerator, *hardware, *words], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=TRIAL_SECONDS, check=False)  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    return b"Kernel panic" in done.stdout


def forget(folder: Path) -> None:
    """Cut the power of the machine of a folder and remove its disks."""
    cut(folder)
    shutil.rmtree(folder, ignore_errors=True)


def cut(folder: Path) -> None:
    """Cut the power of the machine of a folder."""
    if pid := _process(folder):
        os.kill(pid, signal.SIGKILL)
        _gone(folder, OFF_SECONDS)


def _process(folder: Path) -> int:
    """Return the process of the machine of a folder; 0 when there is none, or when the number is another program's."""
    try:
        pid = int((folder / PID).read_text("ascii"))
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return 0
    return pid if str((folder / PID).resolve()).encode() in command else 0


def _gone(folder: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while _process(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _answer(stream: Any) -> dict[str, Any]:
    """Return the next line that is an answer, not an event."""
    while line := stream.readline():
        answer: dict[str, Any] = json.loads(line)
        if "return" in answer or "error" in answer:
            return answer
    raise OSError("connexion fermée")


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    except FileNotFoundError as error:
        raise QemuError(f"{command[0]} n'est pas installé : lancer « make setup ».") from error
    if done.returncode:
        raise QemuError(f"{command[0]} : {done.stderr.strip()}")
