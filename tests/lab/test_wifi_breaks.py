"""On simulated radios and on the wire: every rule of the Wi-Fi proves that it can fail, in both guidances."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgssi.lab.lifecycle import Lab

from .wifi_site import hardened, machines, red_then_green, sound, verdicts

HOSTS = ("ap1", "rad1")
# What of the guests' way out, of the watch and of the traces is there, one by line, after what the kernel knows of them.
LEFT = """
units=/etc/systemd/system
for one in /etc/pgssi/guests/* $units/pgssi-guest* $units/*/pgssi-guest* $units/pgssi-wifi-watch.* \\
    /etc/rsyslog.d/61-pgssi-wifi.conf /usr/local/lib/pgssi/pgssi-guest-page /usr/local/sbin/pgssi-{guests,wifi-watch}; do
    [ ! -e "$one" ] || echo "$one"
done
nft list tables | sed -n '/pgssi_guests/p'
systemctl list-units --all --plain --no-legend 'pgssi-guest*' 'pgssi-wifi-watch*'
ss -Hlntu 'sport = :67 or sport = :80 or sport = :6515'
ip -o -4 address show | sed -n '/ br[0-9]/p'
[ "$(cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding)" = "0
0" ] || echo forwarding
"""


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


def test_a_lowered_palier_takes_the_guests_way_out_with_it(radios: Lab, tmp_path: Path) -> None:
    """From palier 3 to 1: portal, watch and traces are gone from the host and its kernel; its networks are still sound."""
    hardened("ap1")
    hardened("ap1", palier=1)
    assert radios.machines.run(radios.model.hosts["ap1"], "bash", "-euc", LEFT).splitlines() == []
    found = verdicts("ap1", tmp_path, palier=1)
    assert {rule: verdict for rule, verdict in found.items() if not sound(verdict)} == {}
    assert hardened("ap1", palier=1).changed() == set()
