"""On simulated radios: the whole guide holds, seen on the air and on the wire, and what matters most turns red when broken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgssi.lab.lifecycle import Lab

from .wifi_site import hardened, machines, red_then_green, sound, verdicts

HOST = "ap1"
# What a device shows on the air, and what a guest may do on the wire; every other break is in test_wifi_breaks.
FIRST = ("wifi-evil-twin-refused", "guests-need-code")


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


def test_what_matters_most_turns_red(radios: Lab, tmp_path: Path) -> None:
    """Green, red after the break, green after the role ran once more."""
    red_then_green(HOST, tmp_path, only=FIRST)
