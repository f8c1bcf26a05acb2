"""The flow matrix of the demo hospital, proven by packets at palier 2, and proven again once every container has restarted."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from pathlib import Path
from typing import Any

from pgssi.inventory import load_inventory
from pgssi.transport import TransportError
from pgssi.transport.backend import channel_for

from .support import BIN, INVENTORY, ROOT
from .test_breaks import breaks_of, sabotage

SECONDS = 120
LOADED = "systemctl -q is-enabled pgssi-firewall.service || exec echo active; systemctl is-active pgssi-firewall.service"


def _proven(directory: Path) -> dict[str, Any]:
    """Prove the matrix in one command, as an administrator does; return what it found."""
    started = time.monotonic()
    run = subprocess.run(
        [str(BIN / "pgssi"), "flows", "prove", "-i", str(INVENTORY), "-o", str(directory), "-e", "site_palier=2"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    assert time.monotonic() - started < SECONDS
    found: dict[str, Any] = json.loads((directory / "proof.json").read_text("utf-8"))
    return found


def _settled(patience: float = 180) -> None:
    """Wait until every host answers and has its rules: what has just started proves nothing."""
    end = time.monotonic() + patience
    for name, one in load_inventory([str(INVENTORY)]).hosts.items():
        state = ""
        while state != "active":
            channel = channel_for(one.connection)
            with contextlib.closing(channel), contextlib.suppress(TransportError):
                state = channel.run(LOADED, timeout=10).stdout.decode().strip()
            assert state == "active" or time.monotonic() < end, f"{name} is not back after a restart: {state or 'no answer'}"
            time.sleep(0 if state == "active" else 1)


def test_the_matrix_is_proven_and_again_after_every_container_has_restarted(lab: Any, tmp_path: Path) -> None:
    """At palier 2 every declared flow passes and the rest is dropped, from every zone to every host; a restart opens nothing."""
    before = _proven(tmp_path / "before")
    assert set(before["totals"]) == {"conforme"}
    assert before["faults"] == {} and before["zones_without_source"] == []
    assert {probe["to"] for probe in before["probes"]} == set(lab.hosts)
    assert {probe["from_zone"] for probe in before["probes"]} == set(lab.model.zones)
    assert {":" in probe["source"] for probe in before["probes"]} == {True, False}
    lab.restart()
    _settled()
    assert _proven(tmp_path / "after")["totals"] == before["totals"]


def test_a_matrix_that_no_longer_holds_is_red(lab: Any, tmp_path: Path) -> None:
    """Judged with packets from every other host, so while none of them is broken; palier 3 (test_walk) puts it back."""
    todo = breaks_of(whole_site=True)
    assert todo
    settings = ("--extra-vars", "site_palier=2")
    done = [one for each in todo for one in sabotage(each["host"], [each], tmp_path, (INVENTORY,), *settings)]
    assert [(one["before"], one["after"]) for one in done] == [("conforme", "non_conforme")] * len(todo), done
