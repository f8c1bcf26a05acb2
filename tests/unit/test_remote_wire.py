"""The upkeep of a host's openings: what no window wants goes at once, what a test put there for a moment stays."""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

import pytest

from pgssi.paths import ROLES

PARTS = ["203.0.113.8", "10.0.9.10", "tcp", 2222]
KEY = "203.0.113.8 . 10.0.9.10 . tcp . 2222"
TRIAL = "pgssi-essai"


@pytest.fixture(scope="module")
def wire() -> ModuleType:
    path = ROLES / "remote_maintenance" / "files" / "pgssi_remote_wire.py"
    spec = importlib.util.spec_from_file_location("pgssi_remote_wire", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("wanted", "there", "verbs"),
    [
        ({KEY: 100.0}, None, ["add"]),
        ({KEY: 100.0}, {"expires": 99}, []),
        ({KEY: 100.0}, {"expires": 50}, ["delete", "add"]),
        ({}, {"expires": 3000}, ["delete"]),
        ({}, {}, ["delete"]),
        # A window closed in its last seconds closes; only what says that it is a trial stays, if it ends soon.
        ({}, {"expires": 20}, ["delete"]),
        ({}, {"expires": 20, "comment": "autre"}, ["delete"]),
        ({}, {"expires": 20, "comment": TRIAL}, []),
        ({}, {"expires": 3000, "comment": TRIAL}, ["delete"]),
        ({}, {"comment": TRIAL}, ["delete"]),
        ({KEY: 100.0}, {"expires": 20, "comment": TRIAL}, ["delete", "add"]),
    ],
)
def test_what_is_taken_away(wire: ModuleType, wanted: dict[str, float], there: dict[str, Any] | None, verbs: list[str]) -> None:
    """Each element is judged by what the windows want, by its end, and by whose it says it is."""
    present = [] if there is None else [{"val": {"concat": PARTS}, **there}]
    lines = wire._changes("pgssi", "windows4", dict(wanted), present)
    assert [line.split()[0] for line in lines] == verbs
    assert all(KEY in line for line in lines)
