"""On simulated radios: the whole guide holds on an access point, seen on the air and on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgssi.lab.lifecycle import Lab

from .wifi_site import hardened, machines, sound, verdicts

HOST = "ap1"


@pytest.fixture(scope="module")
def radios() -> Iterator[Lab]:
    """The access point on its first day."""
    yield from machines(HOST)


def test_the_guide_holds_on_the_air(radios: Lab, tmp_path: Path) -> None:
    """After the role every rule is conforme, none is unverified, and a second run changes nothing."""
    hardened(HOST)
    found = verdicts(HOST, tmp_path)
    assert {rule: verdict for rule, verdict in found.items() if not sound(verdict)} == {}
    assert hardened(HOST).changed() == set()
