"""The Wi-Fi of the site model: bad input in words, names and passphrases, what a host is told, certificates that hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from pathlib import Path
from subprocess import run
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from test_site_check import TODAY, changed
from test_site_check import demo as demo
from test_site_check import groups as groups
from test_site_check import model as model
from test_site_check import own as own
from wifi_faults import BAD_WIFI, PASSPHRASE, WIFI

from pgssi import authority
from pgssi.paths import ROOT
from pgssi.site import Host, Review, review
from pgssi.wifi.model import host_view, load, secrets_of
from pgssi.wifi.naming import tells, weakness
from pgssi.wifi.portal import portal_view

RADIUS, GATEWAY = "log1", "gw1"
EXTRA = {RADIUS: frozenset(["radius_servers"]), GATEWAY: frozenset(["guest_portals"])}


def checked(model: Mapping[str, Any], demo: Path, groups: Mapping[str, frozenset[str]], own: Mapping[str, Any]) -> Review:
    """Review the demo with one of its hosts as RADIUS server."""
    hosts = [
        Host(
            name,
            member | EXTRA.get(name, frozenset()),
            {**model, **own[name], "ansible_user": "pgssi", "site_backup_passphrase": f"a secret of the host {name}"},
        )
        for name, member in groups.items()
    ]
    return review(hosts, [str(demo)], today=TODAY)


@pytest.fixture
def wifi_model(model: dict[str, Any]) -> dict[str, Any]:
    """The demo's variables with a Wi-Fi."""
    return {**model, "site_wifi": WIFI, "site_wifi_authority": "/srv/control/wifi"}


def test_a_good_wifi_is_sound(wifi_model: dict[str, Any], demo: Path, groups: Any, own: Any) -> None:
    """A Wi-Fi with all that it needs has neither problem nor warning."""
    found = checked(wifi_model, demo, groups, own)
    assert not found.problems and not found.warnings, "\n".join(map(str, (*found.problems, *found.warnings)))


@pytest.mark.parametrize(("path", "value", "words"), BAD_WIFI, ids=[f"{n}-{case[0][-1]}" for n, case in enumerate(BAD_WIFI)])
def test_bad_wifi_is_refused(
    wifi_model: dict[str, Any], demo: Path, groups: Any, own: Any, path: tuple[Any, ...], value: Any, words: str
) -> None:
    """One wrong value gives a problem with its key and its remedy, and no secret is shown."""
    problems = checked(changed(wifi_model, path, value), demo, groups, own).problems
    told = [one for one in problems if words in f"{one.message} {one.remedy} {one.value}"]
    assert told, "\n".join(map(str, problems)) or "nothing was said"
    assert told[0].key.startswith("site_wifi") and told[0].remedy
    assert PASSPHRASE not in "\n".join(map(str, problems))


def test_enterprise_needs_a_radius_server(wifi_model: dict[str, Any], demo: Path, groups: Any, own: Any) -> None:
    """802.1X without a host in group radius_servers is refused."""
    hosts = [Host(name, member, {**wifi_model, **own[name]}) for name, member in groups.items()]
    assert any("radius_servers" in one.remedy for one in review(hosts, [str(demo)], today=TODAY).problems)


def test_an_old_passphrase_is_a_warning(wifi_model: dict[str, Any], demo: Path, groups: Any, own: Any) -> None:
    """A passphrase older than the site's own limit is told, and stops nothing."""
    old = changed(wifi_model, ("site_wifi", "networks", "capteurs", "passphrase_changed"), date(2024, 1, 1))
    found = checked(old, demo, groups, own)
    assert not found.problems
    assert any("inchangée" in one.message for one in found.warnings)


@pytest.mark.parametrize(
    ("ssid", "word"),
    [("Vega", ""), ("Red-Fox", "red"), ("Fredo", ""), ("CHUvert", ""), ("Acces-CHU", "chu"), ("livebox-1", "livebox"),
     ("CiscoAP", "cisco"), ("ServiceUrgences", "urgence"), ("TP-Link_2", "tplink"), ("Sirius 3", "")],
)  # fmt: skip
def test_what_a_name_tells(ssid: str, word: str) -> None:
    """Short words count alone, longer ones anywhere."""
    assert tells(ssid, ()) == word


def test_current_guidance_wants_longer_passphrases() -> None:
    """What the canevas admits may be too short today."""
    assert weakness("q7#Lp2vT-rS9", "Vega", ()) == ("", "")
    assert weakness("q7#Lp2vT-rS9", "Vega", (), "current") == ("short", 20)


def test_a_radius_server_knows_access_points_and_networks() -> None:
    """Its view holds every address of access points, VLANs by network, and no secret."""
    zones = {"users": {"vlan": 60}, "biomedical": {}, "guests": {"vlan": 80}}
    site = {"site_wifi": WIFI, "site_zones": zones, "site_equipment": {"irm1": {"addresses": ["192.0.2.7", "2001:db8::7"]}}}
    hosts = {"rad1": {**site, "site_interfaces": {"servers": ["192.0.2.1"]}}, "other": site}
    wifi = load(hosts, {"radius_servers": ["rad1"]})
    view = host_view(wifi, "rad1", ["radius_servers"])
    assert view["functions"] == ["radius"]
    assert [(one["name"], one["address"]) for one in view["radius"]["clients"]] == [
        ("irm1", "192.0.2.7"),
        ("irm1", "2001:db8::7"),
    ]
    assert {one["ssid"]: one["vlan"] for one in view["networks"]} == {"Vega": 60, "Rigel": 0, "Mira": 80}
    assert "c" * 32 not in str(view) and secrets_of(wifi)["points"]["irm1"] == "a" * 32
    assert host_view(wifi, "other", ["servers"])["functions"] == []
    assert host_view(load({"x": {}}, {}), "x", ["radius_servers"]) == {"functions": []}


def public_half() -> str:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def test_certificates_hold_for_whom_they_were_made(tmp_path: Path) -> None:
    """A certificate is kept for its key, name, uses and authority, until its last year."""
    path, other = tmp_path / "authority", tmp_path / "other"
    assert authority.make(path, "a") and not authority.make(path, "a") and authority.make(other, "a")
    key, own = path.read_bytes(), authority.certificate_path(path).read_text("ascii")
    public, subject = public_half(), authority.Subject("poste1", ("client",), "professionals")
    signed = authority.sign(public, subject, key, own)
    assert authority.holds(signed, public, subject, own)
    assert not authority.holds(signed, public_half(), subject, own)
    assert not authority.holds(signed, public, authority.Subject("poste1", ("client",), "technical"), own)
    assert not authority.holds(signed, public, authority.Subject("poste1", ("client", "server"), "professionals"), own)
    assert not authority.holds(signed, public, subject, authority.certificate_path(other).read_text("ascii"))
    assert not authority.holds("", public, subject, own)
    soon = authority.sign(public, subject, key, own, ends=datetime.now(UTC) + timedelta(days=90))
    assert not authority.holds(soon, public, subject, own)


def test_revocations_are_those_of_the_site(tmp_path: Path) -> None:
    """A list is kept while it names the same serials, and always holds the trial number."""
    path = tmp_path / "authority"
    authority.make(path, "a")
    key, own = path.read_bytes(), authority.certificate_path(path).read_text("ascii")
    day = date(2026, 5, 1)
    listed = authority.revocations([(0x1234, day)], key, own)
    assert authority.revokes(listed, [(0x1234, day)], own)
    assert not authority.revokes(listed, [], own)
    assert not authority.revokes(listed, [(0x1234, day), (0x5678, day)], own)
    assert not authority.revokes("", [], own)


@pytest.mark.parametrize(
    ("extra", "words"),
    [({}, "il y en a 0"), ({GATEWAY: {"guest_portals"}, RADIUS: {"guest_portals"}}, "il y en a 2"),
     ({RADIUS: {"guest_portals", "radius_servers"}}, "sans être une passerelle")],
)  # fmt: skip
def test_guests_leave_by_one_gateway(wifi_model: Any, groups: Any, own: Any, demo: Path, extra: Any, words: str) -> None:
    """The guests' way out is one host, and one that forwards by the flow matrix."""
    hosts = [Host(name, member | extra.get(name, frozenset()), {**wifi_model, **own[name]}) for name, member in groups.items()]
    assert any(words in one.message for one in review(hosts, [str(demo)], today=TODAY).problems)


def test_what_is_internal_to_a_guest() -> None:
    """Zones and private addresses are internal; the rest of the world, declared as a zone, is not."""
    zones = {
        "soins": {"cidr4": "198.18.0.0/24", "cidr6": "2001:db8:1::/64"},
        "guests": {"cidr4": "10.9.8.0/24", "cidr6": "fd09:8::/64"},
        "world": {"cidr4": "0.0.0.0/0", "cidr6": "::/0"},
    }
    wifi = load({"gw": {"site_wifi": {**WIFI, "guests": {"addresses": ["10.9.8.1"], "contact": "-"}}, "site_zones": zones}}, {})
    assert wifi and wifi.guests
    view = portal_view(wifi, wifi.guests, zones)
    assert {"198.18.0.0/24", "10.0.0.0/8", "192.168.0.0/16"} <= set(view["internal4"]) and "0.0.0.0/0" not in view["internal4"]
    assert {"2001:db8:1::/64", "fc00::/7", "fe80::/10"} <= set(view["internal6"]) and "::/0" not in view["internal6"]
    assert view["addresses"] == ["10.9.8.1/24"] and view["own6"] == ""


def test_a_password_that_makers_ship_is_found_in_its_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash of a known password opens, another's and a locked one do not."""
    monkeypatch.syspath_prepend(str(ROOT / "plugins" / "modules"))
    module = import_module("known_passwords")
    hashes = {
        word: run(["perl", "-e", "print crypt(shift, '$6$pgssi$')", word], capture_output=True, text=True, check=True).stdout
        for word in ("admin", "Vrai!")
    }
    assert module.opens(hashes["admin"], ["root", "admin"])
    assert not module.opens(hashes["Vrai!"], ["root", "admin"])
    assert not module.opens(f"!{hashes['admin']}", ["root", "admin"])
