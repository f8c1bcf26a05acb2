"""Seals of the files of the host (AIDE), where the site asks for them: package, first base, nightly comparison."""

import os
import shutil
import subprocess
from pathlib import Path

BOOT = False
UNITS = ("pgssi-seal.service", "pgssi-seal.timer")
OURS = Path("/etc/systemd/system")
FOLDERS = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    str(OURS),
    "/run/systemd/system",
)
WANTS, AIDE = Path("/etc/systemd/system/timers.target.wants/pgssi-seal.timer"), Path("/usr/bin/aide")
FOLDER = Path("/var/lib/pgssi/seal")


def gaps(host):
    """Yield what is missing for the comparison of every night, or what is left of it when nobody asks any more."""
    if not host.wanted.get("sealed"):
        yield from left(host)
        return
    if not AIDE.exists():
        yield "paquet aide : absent", lambda: install(host)
    for path in overrides():
        yield f"{path} : présent", lambda path=path: drop(path)
    if not (FOLDER / "base").exists():
        yield "base des scellés : absente", lambda: run("/usr/local/sbin/pgssi-seal", "accept")
    said = subprocess.run(["systemctl", "is-enabled", UNITS[1]], capture_output=True, text=True, check=False).stdout.strip()
    active = subprocess.run(["systemctl", "is-active", UNITS[1]], capture_output=True, text=True, check=False).stdout.strip()
    if said != "enabled" or active != "active":
        yield f"{UNITS[1]} : {said or 'absent'}, {active}", start


def overrides():
    """Yield what changes our units: folders of drop-ins, and units of the same name that systemd reads before ours."""
    for unit in UNITS:
        for folder in map(Path, FOLDERS):
            found = [folder / f"{unit}.d", *([folder / unit] if folder != OURS else [])]
            yield from (path for path in found if path.exists() or path.is_symlink())


def left(host):
    """Yield what is left of the seals: timer, base, and the package if it came with them."""
    if WANTS.is_symlink():
        yield f"{UNITS[1]} : rendu", stop
    if FOLDER.exists():
        yield f"{FOLDER} : rendu", lambda: shutil.rmtree(FOLDER)
    if "aide" in host.had("seal"):
        yield "paquet aide : rendu", lambda: purge(host)


def run(*words):
    """Run a program; what it refuses is an error."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise OSError((done.stderr or done.stdout).strip()[-500:])


def install(host):
    """Install the program, without the timers and the settings of its companion package."""
    run("apt-get", "-q", "-y", "install", "--no-install-recommends", "aide")
    host.had("seal")["aide"] = "installed"


def purge(host):
    """Remove the program that came with the seals."""
    run("apt-get", "-q", "-y", "purge", "aide")
    host.had("seal").pop("aide")


def drop(path):
    """Take an override away."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    run("systemctl", "daemon-reload")


def start():
    """Plan the comparison of every night."""
    run("systemctl", "daemon-reload")
    run("systemctl", "unmask", "-q", UNITS[1])
    run("systemctl", "enable", "-q", "--now", UNITS[1])


def stop():
    """Plan it no more; the unit itself has gone already."""
    subprocess.run(["systemctl", "stop", UNITS[1]], capture_output=True, check=False)
    WANTS.unlink()
    run("systemctl", "daemon-reload")
