"""The unit that makes the baseline effective again at boot."""

import shutil
import subprocess
from pathlib import Path

UNIT = "pgssi-hardening.service"
FOLDERS = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/etc/systemd/system",
    "/run/systemd/system",
)


def gaps(_host):
    """Yield what overrides the unit, and the unit when systemd does not start it at boot."""
    over = [Path(folder, f"{UNIT}.d") for folder in FOLDERS]
    for path in (path for path in over if path.exists()):
        yield f"{path} : présent", lambda path=path: shutil.rmtree(path)
    seen = subprocess.run(["systemctl", "is-enabled", UNIT], capture_output=True, text=True, check=False).stdout.strip()
    if seen != "enabled":
        yield f"{UNIT} : {seen or 'absent'}", enable


def enable():
    """Make systemd read the files and enable the unit."""
    for words in (["unmask", "-q", UNIT], ["daemon-reload"], ["enable", "-q", UNIT]):
        done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"systemd refuse de l'activer : {done.stderr.strip()}")
