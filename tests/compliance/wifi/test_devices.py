"""Devices: their profile enters the real network, and shows nothing to a false one of the same name (PSSI 4.4.1.9)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgssi import authority
from pgssi.verify import not_applicable, not_verified
from pgssi.wifi.model import Wifi

PROFILE = "/etc/pgssi/wifi-client/wpa_supplicant.conf"
PATIENCE = 75  # seconds for a device to enter or to be refused, on a busy machine


@pytest.mark.rule("wifi-evil-twin-refused")
@pytest.mark.acts
def test_evil_twin(air: Any, devices: Any, wifi: Wifi, observe: Callable[[str], None]) -> None:
    """The profile of this device is held out to the real network, then to twins: another authority, open, with a key."""
    if not wifi.enterprise or not wifi.radius:
        not_applicable("aucun réseau en 802.1X (security: enterprise)")
    network = wifi.enterprise[0]
    air.ready(2)
    real = next((one for one in air.everywhere() if one.ssid == network.ssid), None)
    if real is None:
        not_verified(f"{network.ssid} n'est pas reçu ici : rien n'a été essayé")
    private, public = devices.keys()
    ends = datetime.now(UTC) + timedelta(hours=1)
    shown = authority.sign(public, authority.Subject(wifi.radius.name, ("server",)), devices.stranger, devices.strange, ends=ends)
    files = {"ca_cert": devices.trusted, "server_cert": shown, "private_key": private, "users": "* TLS\n"}
    asked = {"profile": PROFILE, "real": real.freq, "ssid": network.ssid, "files": files, "seconds": PATIENCE}
    found = air.order("twin", timeout=450, **asked)
    assert found["profile"], f"aucun profil Wi-Fi du site sur cet appareil ({PROFILE})"
    observe(f"vraie borne : {found['real']} ; fausses : {found['twins']} ; certificat montré : {found['shown']}")
    assert found["real"] == "connected", "le profil n'entre pas sur le vrai réseau : aucun refus ne prouverait rien"
    if not all(one["up"] for one in found["twins"].values()):
        not_verified("une fausse borne n'a pas pu être posée : rien n'est prouvé")
    entered = [kind for kind, one in found["twins"].items() if one["came"] == "connected"]
    assert not entered, f"le poste entre chez une fausse borne : {', '.join(entered)}"
    assert not found["shown"], "le poste montre son certificat à une fausse borne"
    if not found["twins"]["other authority"]["tried"]:
        not_verified("le poste n'a pas essayé la fausse borne : son silence ne prouve rien")
