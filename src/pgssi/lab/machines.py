"""The virtual machines of a lab: made, started, seeded and removed as its containers are."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pgssi.lab.keys import pin
from pgssi.lab.model import LabHost, LabModel
from pgssi.lab.qemu import IMAGES, Qemu, QemuError, forget
from pgssi.lab.seed import seed, steps
from pgssi.lab.waiting import answers

# Under emulation, on a machine that is busy with something else.
BOOT_SECONDS = 1200
READY = "ready"


class Machines:
    """The virtual machines of one lab, each in the folder ``directory/machines/PREFIX/HOST``."""

    def __init__(self, model: LabModel, directory: Path, say: Callable[[str], None]) -> None:
        """Keep the folders in ``directory``; ``say`` receives a line for each step."""
        self._model = model
        self._directory = directory
        self._say = say

    def qemu(self, host: LabHost) -> Qemu:
        """Return the QEMU process of a host, running or not."""
        if not host.machine:
            raise QemuError(f"{host.name} n'est pas une machine virtuelle.")
        return Qemu(self._folder / host.name, self._model.container(host.name), host.machine, self._model.user_network(host))

    @property
    def _folder(self) -> Path:
        return self._directory / "machines" / self._model.prefix

    def up(self, host: LabHost) -> None:
        """Start a host and wait until it is ready; made again when its description or its image has changed."""
        started = time.monotonic()
        qemu, image = self.qemu(host), IMAGES / host.image
        if not (image / "inputs").exists():
            raise QemuError(f"Le disque {host.image} n'existe pas : lancer « make disks ».")
        marker, expected = qemu.folder / READY, self._digest(host, image)
        made = marker.exists() and marker.read_text("utf-8") == expected
        if made and qemu.pid():
            return
        public = (self._directory / "keys" / "pgssi.pub").read_text("ascii")
        if not made:
            qemu.create(image, public, {"127.0.0.1": f"localhost {host.name}", "::1": "localhost"})
            pin(self._directory, {host.pinned: [qemu.public_key()]})
        qemu.start()
        self.wait(host)
        if not made:
            seed(host, partial(self.run, host), self._directory)
            marker.write_text(expected, "utf-8")
        self._say(f"{host.name} prêt en {time.monotonic() - started:.0f} s : {host.address}:{host.port}, {host.image}")

    def restart(self, host: LabHost) -> None:
        """Shut a host down and start it again."""
        self.qemu(host).off()
        self.up(host)

    def remove(self, *hosts: LabHost) -> None:
        """Remove these hosts; without any, every machine that this lab has ever made here."""
        folders = [self._folder / host.name for host in hosts] or self._folder.glob("*")
        for folder in sorted(folders):
            if folder.exists():
                forget(folder)
                self._say(f"machine virtuelle retirée : {folder.name}")

    def state(self, host: LabHost) -> str:
        """Return ``running``, ``exited`` or ``absent``."""
        qemu = self.qemu(host)
        if qemu.pid():
            return "running"
        return "exited" if qemu.folder.exists() else "absent"

    def run(self, host: LabHost, *words: str, stdin: bytes | None = None, timeout: float = 600) -> str:
        """Run a command as root on a host, over SSH, and return its output. Raises QemuError."""
        shown = f"{host.name} : {shlex.join(words)[:200]}"
        pinned = (f"-oUserKnownHostsFile={self._directory / 'known_hosts'}", "-oStrictHostKeyChecking=yes", "-oBatchMode=yes")
        place = ("-p", str(host.port), "-i", str(self._directory / "keys" / "pgssi"), f"pgssi@{host.address}")
        try:
            done = subprocess.run(["ssh", *pinned, "-oConnectTimeout=120", *place, f"sudo -n -- {shlex.join(words)}"],
                                  input=stdin or b"", capture_output=True, timeout=timeout, check=False)  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise QemuError(f"{shown} : sans réponse après {timeout:.0f} s") from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip() or done.stdout.decode(errors="replace").strip()
            raise QemuError(f"{shown} : code {done.returncode} : {said[-2000:]}")
        return done.stdout.decode(errors="replace")

    def start(self, host: LabHost) -> None:
        """Switch a host on again with the disks that it has, and wait until it is up."""
        self.qemu(host).start()
        self.wait(host)

    def wait(self, host: LabHost) -> None:
        """Wait until sshd answers and systemd has started everything; a unit that fails is an error of the image."""
        console = self.qemu(host).folder / "console.log"
        answers(host.address, host.port, BOOT_SECONDS, lambda: self._fell(host, console))
        try:
            self.run(host, "systemctl", "is-system-running", "--wait", timeout=BOOT_SECONDS)
        except QemuError as error:
            failed = self.run(host, "systemctl", "--failed", "--no-legend", "--plain")
            raise QemuError(f"{host.name} n'a pas démarré entièrement : {failed or error}") from error

    def _fell(self, host: LabHost, console: Path) -> None:
        if not self.qemu(host).pid():
            raise QemuError(f"{host.name} s'est éteint en démarrant : voir {console}.")

    def _digest(self, host: LabHost, image: Path) -> str:
        """Return what changes when a machine must be made again."""
        public = (self._directory / "keys" / "pgssi.pub").read_text("ascii")
        parts = [(image / "inputs").read_text("ascii"), repr(host), public, steps(host).digest]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
