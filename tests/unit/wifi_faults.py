"""A Wi-Fi for the demo, and one wrong value each: where, what, and what must be said."""

from __future__ import annotations

from datetime import date
from typing import Any

PASSPHRASE = "q7#Lp2vT-rS9!xWd4mKz"
WIFI: dict[str, Any] = {
    "networks": {
        "soins": {"ssid": "Vega", "use": "professionals", "security": "enterprise", "zone": "users"},
        "capteurs": {
            "ssid": "Rigel", "use": "technical", "security": "personal", "zone": "biomedical",
            "passphrase": PASSPHRASE, "passphrase_changed": date(2026, 6, 1),
        },
        "visiteurs": {"ssid": "Mira", "use": "guests", "security": "open", "zone": "guests"},
    },
    "access_points": {"irm1": {"secret": "a" * 32}, "guest1": {"secret": "b" * 32}},
    "radius": {"name": "radius.ch-demo.example", "monitor_secret": "c" * 32},
    "guests": {
        "addresses": ["10.90.8.1", "fd90:0:0:8::1"], "leases": ["10.90.8.100", "10.90.8.200"],
        "resolvers": ["198.51.100.53"], "contact": "Service informatique",
    },
}  # fmt: skip
NETS, POINTS, GUESTS = ("site_wifi", "networks"), ("site_wifi", "access_points"), ("site_wifi", "guests")
BAD_WIFI: list[tuple[tuple[Any, ...], Any, str]] = [
    # path, new value, part of the message or remedy
    ((*NETS, "soins", "ssid"), "Livebox-4F2A", "« livebox »"),
    ((*NETS, "soins", "ssid"), "CH Démonstration", "ASCII"),
    ((*NETS, "soins", "ssid"), "Aile-Demonstration", "« demonstration »"),
    ((*NETS, "soins", "ssid"), "CHU-2", "« chu »"),
    ((*NETS, "soins", "ssid"), "Etage2-Radiologie", "« radiologie »"),
    ((*NETS, "soins", "ssid"), "Mira", "nom différent"),
    ((*NETS, "soins", "ssid"), "a" * 33, "32 caractères"),
    ((*NETS, "soins", "use"), "guest", "« guests »"),
    ((*NETS, "soins", "security"), "open", "802.1X"),
    ((*NETS, "soins", "security"), "wep", "enterprise"),
    ((*NETS, "soins", "zone"), "usres", "« users »"),
    ((*NETS, "soins", "zone"), "guests", "zone interne"),
    ((*NETS, "soins", "zone"), "biomedical", "une zone à chaque usage"),
    ((*NETS, "soins", "zone"), ..., "clé absente"),
    ((*NETS, "soins", "passphrase"), PASSPHRASE, "La retirer"),
    ((*NETS, "visiteurs", "zone"), "dmz", "[guest]"),
    ((*NETS, "visiteurs", "security"), "enterprise", "visiteurs en 802.1X"),
    ((*NETS, "capteurs", "passphrase"), "Ab1!Ab1!", "12 caractères"),
    ((*NETS, "capteurs", "passphrase"), "Ab1!Ab1!Ab1!Ab1!", "trop simple"),
    ((*NETS, "capteurs", "passphrase"), "abcdefghijklmnop", "trop simple"),
    ((*NETS, "capteurs", "passphrase"), "Rigel-2026-capteurs!", "« Rigel »"),
    ((*NETS, "capteurs", "passphrase"), "chdemo!4821-Xz!k-9Wq", "« chdemo »"),
    ((*NETS, "capteurs", "passphrase"), "é" * 20, "ASCII"),
    ((*NETS, "capteurs", "passphrase"), ..., "clé absente"),
    ((*NETS, "capteurs", "passphrase_changed"), ..., "clé absente"),
    ((*NETS, "capteurs", "passphrase_changed"), date(2026, 12, 1), "date à venir"),
    ((*NETS, "capteurs", "passphrase_changed"), "juin", "AAAA-MM-JJ"),
    ((*POINTS, "irm1", "secret"), "court", "20 à 64"),
    ((*POINTS, "irm1", "secret"), "b" * 32, "même secret"),
    ((*POINTS, "irm1", "secret"), "c" * 32, "même secret"),
    ((*POINTS, "irm1", "secret"), ..., "clé absente"),
    ((*POINTS, "born1"), {"secret": "d" * 32}, "site_equipment"),
    ((*POINTS, "irm1", "radios"), {"wlan0": {"channel": 7, "networks": ["soins"]}}, "11"),
    ((*POINTS, "irm1", "radios"), {"wlan0": {"channel": 6, "networks": ["soin"]}}, "« soins »"),
    ((*POINTS, "irm1", "radios"), {"wlan0; reboot": {"channel": 6, "networks": ["soins"]}}, "interface"),
    (("site_wifi", "radius"), ..., "clé absente"),
    (("site_wifi", "radius", "name"), "Radius", "minuscules"),
    (("site_wifi", "radius", "revoked"), [{"serial": "zz", "date": date(2026, 1, 1)}], "hexadécimal"),
    ((*GUESTS, "addresses"), ["10.90.2.1"], "10.90.8.0/24"),
    ((*GUESTS, "addresses"), ["fd90:0:0:8::1"], "[IPv4, IPv6]"),
    ((*GUESTS, "addresses"), ["10.90.8.1", "10.90.8.2"], "[IPv4, IPv6]"),
    ((*GUESTS, "addresses"), ["10.90.8"], "adresse IP"),
    ((*GUESTS, "leases"), ["10.90.8.200", "10.90.8.100"], "première"),
    ((*GUESTS, "leases"), ["fd90:0:0:8::5", "fd90:0:0:8::9"], "adresse IP"),
    ((*GUESTS, "leases"), ["10.90.8.100"], "au moins 2"),
    ((*GUESTS, "contact"), ..., "clé absente"),
    ((*GUESTS, "code_days"), 400, "31"),
    ((*GUESTS, "uplink"), "eth1; reboot", "interface"),
    ((*NETS, "visiteurs", "use"), "technical", "réseau des visiteurs"),
    (("site_wifi_authority",), ..., "La définir"),
    (("site_wifi", "netwroks"), {}, "« networks »"),
]
