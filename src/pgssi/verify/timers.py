"""When systemd starts a job next, told apart from a job that runs at this very moment.

While the job of a timer runs, systemd plans no next start: whoever asks then must wait, and may not take the missing date
for "now" nor for "never". Source: systemd.timer(5), systemctl(1), systemd 252 to 257.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any

from testinfra.backend.base import CommandResult
from testinfra.host import Host

from pgssi.transport import CommandTimeout
from pgssi.verify import not_verified
from pgssi.verify.facts import Facts

PATIENCE = 20  # seconds for a job to end
DAY = 26 * 3600  # seconds: between two daily starts, with an hour of random delay, on the day that has one more


@dataclass(frozen=True)
class Timer:
    """One timer.

    states: what is-active and is-enabled say; running: its job runs; due: seconds to the next start, if any; now: the
    host's clock, seconds of the epoch; starts: the unit that it starts.
    """

    name: str
    states: tuple[str, ...]
    running: bool = False
    due: float | None = None
    now: float = 0.0
    starts: str = ""

    def fault(self, job: str, longest: float) -> str:
        """Return in French what is wrong when a job must start within so many seconds, and after a reboot; else nothing.

        Its verdict is not verified while the job runs longer than this waits.
        """
        if self.states != ("active", "enabled"):
            return f"{job} : minuteur {self.name} {' '.join(self.states) or 'absent'}"
        if self.due is None and self.running:
            not_verified(f"{job} : en cours, le départ suivant n'est pas encore fixé")
        if self.due is None:
            return f"{job} : {self.name} n'a plus aucun départ"
        if self.due > longest:
            return f"{job} : prochain départ dans {self.due / 60:.0f} min seulement"
        return ""

    def __str__(self) -> str:
        """Say briefly what was seen."""
        when = "en cours" if self.running else "aucun départ" if self.due is None else f"dans {self.due / 60:.0f} min"
        return f"{self.name} {' '.join(self.states) or 'absent'}, {when}"


def settled(host: Host, unit: str, timeout: float = 60.0) -> None:
    """Wait for the end of a pass of this job that is under way; not verified when it lasts longer than this (s).

    What such a pass finds, or does not find, says nothing of the job as it is now: it began as it was then.
    """
    try:
        host.run(_ended(unit), timeout=timeout)
    except CommandTimeout:
        not_verified(f"{unit} est en cours, et n'a pas fini en {timeout:.0f} s : ce qu'il ferait ne peut pas être observé")


def one_pass(host: Host, unit: str, timeout: float = 60.0) -> CommandResult:
    """Have a job make a pass that begins now or later, and wait for its end; return what ``systemctl start`` says.

    A pass may be under way that began before what it is to find; a start would only join that one. systemd refuses to start
    a unit more often than five times in ten seconds, which says nothing of the job: its count begins anew.
    """
    name = shlex.quote(unit)
    return host.run(
        f"{_ended(unit)}; systemctl reset-failed -- {name} 2>/dev/null; systemctl start -- {name}",
        timeout=timeout,
    )


def _ended(unit: str) -> str:
    """Return the command that waits for the end of a pass under way."""
    return f'while [ "$(systemctl is-active -- {shlex.quote(unit)})" = activating ]; do sleep 0.1; done'


def timer(facts: Facts, name: str) -> Timer:
    """Ask a host for a timer by its unit name; wait up to PATIENCE seconds for a job that runs."""
    unit = shlex.quote(name)
    script = f"""tries={2 * PATIENCE}
    while
        said=$(systemctl list-timers --output=json -- {unit})
        case $said in *'"next":null'* | *'"next":0,'*) ;; *) false ;; esac &&
        [ "$(systemctl show -P SubState -- {unit})" != elapsed ] && [ $tries -gt 0 ]
    do
        tries=$((tries - 1))
        sleep 0.5
    done
    for word in is-active is-enabled 'show -P SubState'; do
        one=$(systemctl $word -- {unit} 2>/dev/null)
        echo "$one"
    done
    date +%s
    echo "$said"
    """
    lines = facts(f"timer:{name}", script, PATIENCE + 30).splitlines()
    if len(lines) < 4:
        return Timer(name, ())
    active, enabled, sub, now = (line.strip() for line in lines[:4])
    listed = json.loads("".join(lines[4:]) or "[]")
    mine: dict[str, Any] = next((one for one in listed if one["unit"] == name), {})
    due = mine["next"] / 1e6 - float(now) if mine.get("next") else None
    states = tuple(filter(None, (active, enabled)))
    return Timer(name, states, sub == "running", due, float(now), mine.get("activates", ""))
