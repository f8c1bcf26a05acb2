"""A scratch host for one test: real systemd, real SSH, and a console that nothing under test goes through."""

from __future__ import annotations

import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from pgssi.paths import ROOT

PODMAN = str(ROOT / "lab" / "podman" / "lab-podman")
NETWORK = "pgssi-safe-change"


@dataclass
class Machine:
    """A scratch host. seen: (seconds since the start of the watch, whether the operator became root)."""

    name: str
    release: str
    directory: Path
    seen: list[tuple[float, bool]] = field(default_factory=list)

    def podman(self, *arguments: str, stdin: str | None = None) -> str:
        """Run podman; return its output."""
        run = subprocess.run([PODMAN, *arguments], input=stdin, capture_output=True, text=True, timeout=120, check=False)
        assert run.returncode == 0, f"podman {' '.join(arguments)}: {run.stderr}"
        return run.stdout

    def shell(self, script: str) -> str:
        """Run a script on the console of the host: not through anything under test."""
        return self.podman("exec", self.name, "sh", "-euc", script)

    @property
    def address(self) -> str:
        """Its address, which a restart may change."""
        return self.podman("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", self.name).strip()

    @property
    def options(self) -> list[str]:
        """How ssh knows it, whatever its address."""
        known = self.directory / "known_hosts"
        return [
            "-o",
            f"UserKnownHostsFile={known}",
            "-o",
            f"HostKeyAlias={self.name}",
            "-o",
            "StrictHostKeyChecking=yes",
        ]

    def becomes_root(self) -> bool:
        """Return whether the operator can log in anew and become root."""
        command = ["ssh", "-T", "-i", str(self.directory / "key"), *self.options, "-o", "BatchMode=yes"]
        command += ["-o", "ConnectTimeout=4", f"pgssi@{self.address}", "sudo -n id -u"]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=8, check=False, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return False
        return run.stdout.strip() == "0"

    def start(self) -> Machine:
        """Create the host as it is handed over: SSH, a key, sudo without password."""
        subprocess.run([PODMAN, "rm", "-f", "-t", "1", self.name], capture_output=True, check=False)
        image = f"localhost/pgssi-lab:{self.release}"
        network = ("--cap-add", "NET_ADMIN", "--network", NETWORK)
        self.podman(
            "run",
            "-d",
            "--name",
            self.name,
            "--hostname",
            self.name,
            "--systemd=always",
            *network,
            image,
            "/sbin/init",
        )
        key = (self.directory / "key.pub").read_text("ascii")
        home = "/home/pgssi/.ssh"
        self.podman(
            "exec",
            "-i",
            self.name,
            "sh",
            "-euc",
            f"install -d -m 700 -o pgssi -g pgssi {home}; cat > {home}/authorized_keys",
            stdin=key,
        )
        self.wait_for("test -s /etc/ssh/ssh_host_ed25519_key.pub && systemctl is-active --quiet ssh")
        self.shell("systemctl enable -q --now nftables")
        with (self.directory / "known_hosts").open("a", encoding="ascii") as known:
            known.write(f"{self.name} {self.shell('cat /etc/ssh/ssh_host_ed25519_key.pub')}")
        return self

    def wait_for(self, condition: str, seconds: float = 60) -> None:
        """Wait until a shell condition holds on the host."""
        end = time.monotonic() + seconds
        while subprocess.run([PODMAN, "exec", self.name, "sh", "-c", condition], capture_output=True, check=False).returncode:
            assert time.monotonic() < end, f"{self.name}: not within {seconds} s: {condition}"
            time.sleep(0.2)

    def watch(self, stop: threading.Event) -> None:
        """Try to come in, every few seconds, as an operator outside of the toolkit would."""
        start = time.monotonic()
        while not stop.wait(6):
            self.seen.append((time.monotonic() - start, self.becomes_root()))

    def outage(self) -> float:
        """Return for how long the operator was locked out, in seconds, rounded up to the tries around it."""
        lost = [when for when, good in self.seen if not good]
        if not lost:
            return 0.0
        back = [when for when, good in self.seen if good and when > lost[-1]]
        assert back, f"{self.name}: never reachable again: {self.seen}"
        before = [when for when, good in self.seen if good and when < lost[0]]
        return back[0] - (before[-1] if before else 0.0)
