"""A timer that has no next start is not one that starts soon, and a job that runs is not one that is forgotten."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from pgssi.verify import NotVerified
from pgssi.verify.facts import Facts
from pgssi.verify.timers import timer

NOW = 1_800_000_000


def asked(active: str, enabled: str, sub: str, after: float | None, listed: bool = True) -> Any:
    """Return what a host says of x.timer: its next start after so many seconds, or none."""
    moment = None if after is None else int((NOW + after) * 1e6)
    entries = [{"next": moment, "unit": "x.timer", "activates": "x.service"}] if listed else []
    text = f"{active}\n{enabled}\n{sub}\n{NOW}\n{json.dumps(entries)}\n"
    return timer(cast(Facts, lambda *_: text), "x.timer")


def test_planned_start() -> None:
    """Seconds to the next start and the unit that it starts are told, and the limit is the caller's."""
    seen = asked("active", "enabled", "waiting", 500)
    assert (seen.due, seen.starts, seen.fault("job", 600)) == (500, "x.service", "")
    assert seen.fault("job", 400) == "job : prochain départ dans 8 min seulement"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (("active", "enabled", "elapsed", None), "n'a plus aucun départ"),
        (("active", "enabled", "waiting", None), "n'a plus aucun départ"),
        (("active", "disabled", "waiting", 60), "active disabled"),
        (("inactive", "enabled", "dead", None, False), "inactive enabled"),
        (("inactive", "", "dead", None, False), "x.timer inactive"),
        (("inactive", "not-found", "dead", None, False), "inactive not-found"),
        (("active", "masked", "waiting", 60), "active masked"),
    ],
)
def test_job_that_does_not_come(said: tuple[Any, ...], told: str) -> None:
    """Elapsed, disabled, stopped, unknown and masked timers are faults."""
    assert told in asked(*said).fault("job", 600)


def test_job_that_runs_meanwhile() -> None:
    """Nothing can be said of the next start while the job runs: neither good nor bad."""
    with pytest.raises(NotVerified, match="en cours"):
        asked("active", "enabled", "running", None).fault("job", 600)


def test_host_without_systemd() -> None:
    """A host that does not answer has no timer."""
    assert "absent" in timer(cast(Facts, lambda *_: ""), "x.timer").fault("job", 600)
