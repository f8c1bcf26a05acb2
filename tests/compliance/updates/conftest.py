"""What several tests of this folder use: tasks on the host, and the timers that install packages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

SCRIPT = Path(__file__).with_name("on_host.py").read_text("utf-8")
# What installs packages, wherever it stands in a command or a script.
INSTALLS = re.compile(
    r"unattended-upgrade(?!s)|apt\.systemd\.daily\s+install|\b(apt|apt-get|aptitude)\b[^\n]*\b(full-|dist-|safe-)?upgrade\b"
)
JOBS = r"""
for timer in $(systemctl list-units --type=timer --state=active --no-legend --plain | cut -d' ' -f1); do
    service=$(systemctl show -P Unit -- "$timer")
    commands=$(systemctl show -p ExecStart,ExecStartPre,ExecStartPost -- "$service" | tr '\n' ' ')
    printf '%s\t%s\t%s\n' "$timer" "$service" "$commands"
    # The program itself, and what is given to a shell.
    words=$(systemctl show -P ExecStart -- "$service" | grep -oE '(path|argv\[\])=[^;]*' | tr ' =' '\n\n')
    for file in $(printf '%s\n' "$words" | grep '^/' | sort -u); do
        if [ -f "$file" ] && [ "$(head -c 2 "$file" | tr -d '\0')" = '#!' ] && [ "${file##*/}" != apt.systemd.daily ]; then
            head -c 20000 "$file" | grep -E '(apt|unattended).*upgrade|aptitude|systemd.daily' | grep -v '^ *#' | tr '\t' ' ' |
                while read -r line; do printf '%s\t%s\t%s\n' "$timer" "$service" "$line"; done
        fi
    done
done
"""


@dataclass(frozen=True)
class Job:
    """A timer that installs packages. before: commands that precede, as lists of words."""

    timer: str
    service: str
    before: tuple[tuple[str, ...], ...]


@pytest.fixture(scope="session")
def on_host(host: Host) -> Callable[..., Any]:
    """``on_host("attacks", key=…)``: a task of on_host.py, on the host."""

    def run(task: str, timeout: float = 300, **arguments: Any) -> Any:
        result = host.run("python3 -I -c %s %s", SCRIPT, json.dumps({"task": task, **arguments}), timeout=timeout)
        if result.rc != 0:
            raise RuntimeError(result.stderr[-400:])
        return json.loads(result.stdout)

    return run


@pytest.fixture(scope="session")
def apt(facts: Any) -> Callable[[str], str]:
    """``apt("Unattended-Upgrade::Automatic-Reboot")``: what apt-config answers, the last value of the general tree."""

    def ask(option: str) -> str:
        lines = facts("apt-config", "apt-config dump").splitlines()
        values = [line.split(" ", 1)[1].rstrip(";").strip('"') for line in lines if line.lower().startswith(f"{option.lower()} ")]
        return values[-1] if values else ""

    return ask


@pytest.fixture(scope="session")
def jobs(facts: Any, apt: Callable[[str], str]) -> list[Job]:
    """Every active timer whose service installs packages; that of the distribution counts when it is told to."""
    found = {}
    for line in facts("updates-jobs", JOBS, 60).splitlines():
        timer, service, commands = [*line.split("\t"), "", ""][:3]
        if not INSTALLS.search(commands):
            continue
        if "apt.systemd.daily" in commands and apt("APT::Periodic::Unattended-Upgrade") in ("", "0"):
            continue
        before = facts(f"updates-before:{service}", f"systemctl show -P ExecStartPre -- '{service}'")
        steps = tuple(tuple(argv.split()) for argv in re.findall(r"argv\[\]=(.*?) ;", before))
        found.setdefault(timer, Job(timer, service, steps))
    return list(found.values())


@pytest.fixture(scope="session")
def codename(facts: Any) -> str:
    """The codename of the host's release."""
    return str(facts("codename", ". /etc/os-release; echo $VERSION_CODENAME").strip())


@pytest.fixture(scope="session")
def upgrade(on_host: Callable[..., Any], jobs: list[Job], codename: str, site: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the host would install today of two security updates, one published now and one two months ago."""
    # Reading the archives again is done apart; the rest of what precedes decides what may come.
    before = [list(step) for job in jobs for step in job.before if "update" not in step]
    patterns = [source.get("security", "") for source in site.get("site_package_sources") or ()]
    origins = {"Debian", "Ubuntu", *re.findall(r"\borigin=([^,]+)", ",".join(patterns))}
    seen: Mapping[str, Any] = on_host("upgrade", codename=codename, before=before, origins=sorted(origins))
    return seen


@pytest.fixture(scope="session")
def ring_days(site: Mapping[str, Any]) -> int:
    """Days that updates wait before this host: those of its ring, or the most when it names none."""
    rings = site.get("site_update_rings") or {"production": 0}
    return int(rings[site["site_update_ring"]] if site.get("site_update_ring") else max(rings.values()))
