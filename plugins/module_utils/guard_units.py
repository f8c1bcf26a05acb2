"""The systemd units that take a guarded change back: a timer, its service, and one for the next boot."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Callable, List, Tuple

Execute = Callable[..., Tuple[int, str]]
DIRECTORY = Path("/etc/systemd/system")
WANTS = DIRECTORY / "sysinit.target.wants" / "pgssi-guard-boot.service"
ACCESS = ("ssh.service", "ssh.socket", "sshd.service")  # what operators come in through

_TIMER = """[Unit]
Description=Takes the last guarded change back unless it is confirmed
[Timer]
OnActiveSec={timeout}
AccuracySec=100ms
"""
_SERVICE = """[Unit]
Description=Takes the last guarded change back
After=ssh.service sshd.service nftables.service
[Service]
Type=oneshot
ExecStart={command} rollback {identifier}
TimeoutStartSec=120
Restart=on-failure
RestartSec=5
"""
# Before any service, so that a host that was switched off in the middle comes back as it was.
_BOOT = """[Unit]
Description=Takes an unconfirmed change back before the services start
DefaultDependencies=no
RequiresMountsFor={directory}
After=local-fs.target
Before=sysinit.target shutdown.target
Conflicts=shutdown.target
[Service]
Type=oneshot
ExecStart={command} boot {identifier}
TimeoutStartSec=60
"""


def available() -> bool:
    """Return whether systemd runs this host."""
    return os.path.isdir("/run/systemd/system")


def running(execute: Execute) -> List[str]:
    """Return the access services that run now."""
    return [unit for unit in ACCESS if execute(["systemctl", "is-active", "--quiet", unit])[0] == 0]


def start_again(units: List[str], execute: Execute) -> None:
    """Start the access services that ran before and do not any more."""
    for unit in units:
        if execute(["systemctl", "is-active", "--quiet", unit])[0] != 0:
            execute(["systemctl", "reset-failed", unit])
            execute(["systemctl", "start", unit])


def arm(directory: Path, timeout: int, execute: Execute) -> str:
    """Install and start the units; return what went wrong, or an empty text once the timer runs."""
    values = {
        "timeout": timeout,
        "directory": directory,
        "identifier": directory.name,
        "command": f"{sys.executable} -B -E -s {directory}/guard.py",
    }
    for suffix, text in (("guard.timer", _TIMER), ("guard.service", _SERVICE), ("guard-boot.service", _BOOT)):
        (DIRECTORY / f"pgssi-{suffix}").write_text(text.format(**values), "ascii")
    WANTS.parent.mkdir(mode=0o755, exist_ok=True)
    if not WANTS.is_symlink():
        WANTS.symlink_to("../pgssi-guard-boot.service")
    for command in ("daemon-reload", "start pgssi-guard.timer", "is-active pgssi-guard.timer"):
        status, output = execute(["systemctl", *command.split()])
        if status != 0:
            return f"systemctl {command}: {output}"
    return ""


def disarm(execute: Execute) -> None:
    """Stop the timer and remove the units."""
    present = [path for path in (WANTS, *DIRECTORY.glob("pgssi-guard*")) if path.is_symlink() or path.exists()]
    if present:
        execute(["systemctl", "stop", "pgssi-guard.timer"])
        for path in present:
            path.unlink()
        execute(["systemctl", "daemon-reload"])


def finish_after_boot(execute: Execute) -> None:
    """Queue the second half of a rollback: it waits for the services by its ordering."""
    execute(["systemctl", "--no-block", "start", "pgssi-guard.service"])
