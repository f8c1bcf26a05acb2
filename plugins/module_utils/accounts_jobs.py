"""The programs that cron and systemd run as root, wherever they stand. Read only; standard library only."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Iterator, List

CRONTAB_OF_ROOT = Path("/var/spool/cron/crontabs/root")
_NAME = re.compile(r"(?:^|(?<=[\s;&|=('\"]))(/[\w./+-]+)")
_EXECUTED = re.compile(r"argv\[\]=(.*?) ; ")
_OF_ANOTHER = re.compile(r"^User=(?!root$).", re.MULTILINE)
_ASKED = ("systemctl", "show", "--type=service", "*", "--property=ExecStart,ExecStartPre,ExecStartPost,ExecReload,User")


def _text(path: Path) -> List[str]:
    return path.read_text("utf-8", "replace").splitlines() if path.is_file() else []


def _commands() -> Iterator[str]:
    for path in (Path("/etc/crontab"), *sorted(Path("/etc/cron.d").glob("*"))):
        for line in _text(path):
            words = line.split(None, 2 if line.startswith("@") else 6)
            if not line.lstrip().startswith("#") and len(words) in (3, 7) and words[-2] == "root":
                yield words[-1]
    yield from _text(CRONTAB_OF_ROOT)
    done = subprocess.run(_ASKED, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, env={"LC_ALL": "C.UTF-8"})
    for unit in done.stdout.decode("utf-8", "replace").split("\n\n"):
        if not _OF_ANOTHER.search(unit):
            yield from _EXECUTED.findall(unit)


def programs() -> List[str]:
    """Return the programs and scripts of root's jobs, links followed, and the folders that lead to them."""
    found = set()
    for line in _commands():
        for name in _NAME.findall(line):
            if os.path.isfile(name) and (os.access(name, os.X_OK) or name.endswith((".sh", ".py", ".pl"))):
                for path in (Path(name), Path(os.path.realpath(name))):
                    found |= {str(path), *map(str, path.parents)}
    return sorted(found)
