"""The rulesets in a kernel, with packets: what passes, what is refused, and what is cut while it runs (see packet_world)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

VERSIONS = ("4", "6")


@pytest.fixture(scope="session")
def world() -> dict[str, Any]:
    """What was seen over each family; both are tried at the same time."""
    namespace = ["unshare", "-nm"] if os.geteuid() == 0 else ["unshare", "-rnm"]
    environment = {**os.environ, "PATH": f"/usr/sbin:{os.environ['PATH']}"}
    script = str(Path(__file__).with_name("packet_world.py"))
    running = {
        version: subprocess.Popen(
            [*namespace, sys.executable, script, version],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for version in VERSIONS
    }
    seen = {}
    for version, one in running.items():
        output, complaints = one.communicate(timeout=300)
        assert one.returncode == 0, complaints
        seen[version] = json.loads(output)
    return seen


@pytest.mark.parametrize("version", VERSIONS)
def test_matrix_is_what_passes(world: dict[str, Any], version: str) -> None:
    """Declared TCP, UDP and echo pass, and the operators; other ports, zones and directions do not, and are counted."""
    seen = world[version]["matrix"]
    assert all(seen[name] for name in ("declared", "declared datagram", "declared echo", "operators", "counted"))
    assert not any(seen[name] for name in seen if name.startswith("other"))


@pytest.mark.parametrize("place", ["gateway", "host"])
@pytest.mark.parametrize("version", VERSIONS)
def test_removed_flow_is_cut(world: dict[str, Any], version: str, place: str) -> None:
    """A flow that leaves the ruleset stops carrying bytes in both directions of a connection that was established."""
    seen = world[version][f"removed at the {place}"]
    assert seen == {"opened": True, "before": True, "to server": False, "to client": False, "new": False}


@pytest.mark.parametrize("version", VERSIONS)
def test_windows(world: dict[str, Any], version: str) -> None:
    """An open window outlives a new ruleset, and cuts what runs through it when its time is over."""
    seen = world[version]["windows"]
    assert all(seen["reload"].values())
    assert seen["timeout"] == {"opened": True, "before": True, "to server": False, "to client": False, "new": False}


@pytest.mark.parametrize("version", VERSIONS)
def test_spoofed_source(world: dict[str, Any], version: str) -> None:
    """A source of another zone is dropped where it comes in, although its flow is declared."""
    assert world[version]["spoofed"] == {"opened": False, "counted": True}


@pytest.mark.parametrize("version", VERSIONS)
def test_each_palier(world: dict[str, Any], version: str) -> None:
    """Palier 1 closes hosts, palier 2 zones, palier 3 what servers send."""
    seen = world[version]["paliers"]
    assert seen["1 zone to zone"] and not seen["2 zone to zone"] and not seen["3 zone to zone"]
    assert not any(seen[f"{palier} into a host"] for palier in (1, 2, 3))
    assert [seen[f"{palier} refused by the sender"] for palier in (1, 2, 3)] == [False, False, True]


@pytest.mark.parametrize("version", VERSIONS)
def test_connection_older_than_the_ruleset(world: dict[str, Any], version: str) -> None:
    """The first ruleset of a host does not cut what it declares, whichever end speaks first afterwards."""
    seen = world[version]["older"]
    assert all(seen[name] for name in ("opened", "server first", "then client", "palier 3")) and not seen["removed"]


@pytest.mark.parametrize("version", VERSIONS)
def test_no_address_is_translated(world: dict[str, Any], version: str) -> None:
    """No ruleset translates addresses."""
    assert not world[version]["nat"]
