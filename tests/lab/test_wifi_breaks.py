"""On simulated radios and on the wire: every rule of the Wi-Fi proves that it can fail, in both guidances."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgssi.lab.lifecycle import Lab

from .wifi_site import hardened, machines, red_then_green, sound, verdicts

HOSTS = ("ap1", "rad1")


@pytest.fixture(scope="module")
def radios() -> Iterator[Lab]:
    """The access point on its first day, and a RADIUS server of the other release."""
    yield from machines(*HOSTS)


@pytest.mark.parametrize("host", HOSTS)
def test_each_rule_turns_red_on_its_break_and_green_after_the_role(radios: Lab, tmp_path: Path, host: str) -> None:
    """Green after the role, red after its break, green after the role ran once more, nothing changed on the run after that."""
    hardened(host)
    red_then_green(host, tmp_path)


def test_todays_guidance_on_the_air(radios: Lab, tmp_path: Path) -> None:
    """With the guidance of today the beacons say WPA3, SAE and OWE, PEAP is refused, guests still enter; then the breaks."""
    hardened("ap1", "current")
    found = verdicts("ap1", tmp_path / "before", "current")
    assert {rule: verdict for rule, verdict in found.items() if not sound(verdict)} == {}
    assert {"wifi-wpa3", "radius-no-peap"} <= found.keys()
    red_then_green("ap1", tmp_path, "current")
