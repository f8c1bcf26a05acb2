"""The programs that cron and systemd run as root, wherever they stand. Read only; standard library only."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Iterator, List

CRONTAB_OF_ROOT = Path("/var/spool/cron/crontabs/root")
_NAME = re.compile(r"(?:^|(?<=[\s;&|=('\"]))(/[\w./+-]+)")
_FOLDER = re.compile(r"\brun-parts\b[^;&|]*?\s(/[\w./+-]+)")  # everything in it is run
_INSIDE = re.compile(r"\bcd\s+(/[\w./+-]+)\s*(?:&&|;)\s*(?:(?:ba|da)?sh\s+|python3?\s+|\.\s+)?(?:\./)?([\w.+-][\w./+-]*)")
_EXECUTED = re.compile(r"argv\[\]=(.*?) ; ")
_OF_ANOTHER = re.compile(r"^User=(?!root$).", re.MULTILINE)
_OBEYED = re.compile(r"^(FragmentPath|DropInPaths|EnvironmentFiles)=(.*)", re.MULTILINE)
_PROPERTIES = (
    "ExecStart,ExecStartPre,ExecStartPost,ExecReload,ExecCondition,ExecStop,ExecStopPost,User"
    ",FragmentPath,DropInPaths,EnvironmentFiles"
)


def _text(path: Path) -> List[str]:
    return path.read_text("utf-8", "replace").splitlines() if path.is_file() else []


def _commands(units: List[str]) -> Iterator[str]:
    for path in (Path("/etc/crontab"), *sorted(Path("/etc/cron.d").glob("*"))):
        for line in _text(path):
            words = line.split(None, 2 if line.startswith("@") else 6)
            if not line.lstrip().startswith("#") and len(words) in (3, 7) and words[-2] == "root":
                yield words[-1]
    yield from _text(CRONTAB_OF_ROOT)
    for unit in units:
        if not _OF_ANOTHER.search(unit):
            yield from _EXECUTED.findall(unit)


def _units() -> List[str]:
    """Return what systemd says of each service that it knows."""
    asked = ["systemctl", "show", "--type=service", "*", f"--property={_PROPERTIES}"]
    done = subprocess.run(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, env={"LC_ALL": "C.UTF-8"})
    return done.stdout.decode("utf-8", "replace").split("\n\n")


def _obeyed(units: List[str]) -> Iterator[str]:
    """Yield the files, wherever they stand, that say what a service runs and as whom; for root, in which environment too."""
    for unit in units:
        for name, line in _OBEYED.findall(unit):
            if name != "EnvironmentFiles" or not _OF_ANOTHER.search(unit):
                yield from (word for word in line.split() if word.startswith("/"))


def _preloaded() -> Iterator[str]:
    """Yield the libraries that every program loads first. Those of a vendor's folder are for a person to settle."""
    for line in _text(Path("/etc/ld.so.preload")):
        yield from (word for word in re.split(r"[\s:]+", line.partition("#")[0]) if word.startswith("/"))


def run_from(line: str) -> Iterator[str]:
    """Yield the files that a command line runs: those that it names, those of a folder given to run-parts, those below a cd."""
    for name in (*_NAME.findall(line), *(f"{folder}/{name}" for folder, name in _INSIDE.findall(line))):
        if os.path.isfile(name) and (os.access(name, os.X_OK) or name.endswith((".sh", ".py", ".pl"))):
            yield name
    for folder in filter(os.path.isdir, _FOLDER.findall(line)):
        yield from (folder, *(f"{folder}/{name}" for name in os.listdir(folder)))


def programs() -> List[str]:
    """Return what root's jobs run and obey, links followed, and the folders that lead to it."""
    units, found = _units(), set()
    named = [name for line in _commands(units) for name in run_from(line)]
    for name in (*named, *filter(os.path.isfile, (*_preloaded(), *_obeyed(units)))):
        for path in (Path(name), Path(os.path.realpath(name))):
            found |= {str(path), *map(str, path.parents)}
    return sorted(found)
