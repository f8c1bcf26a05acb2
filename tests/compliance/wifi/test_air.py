"""Access points as seen on the air: their beacons, who enters, what a device that entered reaches (PSSI 4.4.1 to 4.4.3)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest
from testinfra.host import Host

from pgssi.inforce import HostContext
from pgssi.interfaces import addresses_of
from pgssi.verify import not_applicable, not_verified
from pgssi.wifi.model import RENEWAL_DAYS, Wifi
from pgssi.wifi.naming import site_words, tells, weakness

Observe = Callable[[str], None]
STRONG = {"CCMP", "GCMP", "CCMP-256", "GCMP-256"}
ENTERPRISE = {"802.1X", "802.1X/SHA-256", "FT/802.1X", "802.1X/SUITE-B", "802.1X/SUITE-B-192"}
TODAY = {"enterprise": {"802.1X/SHA-256", "802.1X/SUITE-B-192"}, "personal": {"SAE", "FT/SAE"}, "open": {"OWE"}}
PORTS = (22, 53, 80, 443, 1812, 5353)


@pytest.mark.rule("wifi-wps-off")
def test_no_wps_on_the_air(beacons: Any, observe: Observe) -> None:
    """The beacons of this access point, received by another radio, are searched for the WPS element."""
    found = beacons()
    with_wps = sorted({one.ssid for one in found if one.wps})
    observe(f"{len(found)} réseaux reçus : {', '.join(one.ssid for one in found)}")
    assert not with_wps, f"WPS annoncé par : {', '.join(with_wps)}"


@pytest.mark.rule("wifi-strong-cipher")
def test_ciphers_on_the_air(beacons: Any, observe: Observe) -> None:
    """The RSN element of each internal network is read from its beacon, as another radio receives it."""
    found = beacons("enterprise", "personal")
    observe(" ; ".join(f"{one.ssid} : {', '.join(sorted(one.pairwise))} / {one.group or '-'}" for one in found))
    for one in found:
        assert one.rsn, f"{one.ssid} n'annonce pas WPA2 (RSN)"
        assert not one.wpa1, f"{one.ssid} annonce encore WPA 1"
        assert one.pairwise <= STRONG, f"{one.ssid} accepte {', '.join(sorted(one.pairwise - STRONG))}"
        assert one.group in STRONG, f"{one.ssid} diffuse en {one.group}"


@pytest.mark.rule("wifi-ssid-neutral")
def test_names_on_the_air(beacons: Any, wifi: Wifi, site: Mapping[str, Any], observe: Observe) -> None:
    """The names in the beacons of this access point are compared with the declared ones and with what a name gives away."""
    names = {one.ssid for one in beacons()}
    declared = {network.ssid for network in wifi.networks.values()}
    observe(f"émis : {', '.join(sorted(names))}")
    strange = sorted(name for name in names - declared if name)
    assert not strange, f"émis sans être déclarés : {', '.join(strange)}"
    telling = [f"{name} ({word})" for name in names if (word := tells(name, site_words(site)))]
    assert not telling, f"noms qui renseignent : {', '.join(telling)}"


@pytest.mark.rule("wifi-passphrase-renewed")
@pytest.mark.acts
def test_shared_key(air: Any, beacons: Any, wifi: Wifi, site: Mapping[str, Any], context: HostContext, observe: Observe) -> None:
    """A device enters with the declared key and not with another one; the key is judged as the site's check judges it."""
    found = beacons("personal", needed=False)
    if not found:
        not_applicable("aucun réseau à clé partagée sur cette borne")
    for one in found:
        network = next(n for n in wifi.networks.values() if n.ssid == one.ssid)
        came = air.enter(bon=(network, {}), mauvais=(network, {"psk": secrets.token_urlsafe(16), "stranger": True}))
        age = (context.today - network.passphrase_changed).days if network.passphrase_changed else 10**6
        observe(f"{one.ssid} : clé déclarée {came['bon']}, autre clé {came['mauvais']}, {age} jours")
        assert came["bon"] == "connected", f"{one.ssid} : la clé déclarée n'ouvre pas le réseau"
        assert came["mauvais"] != "connected", f"{one.ssid} : une autre clé ouvre le réseau"
        assert not weakness(network.passphrase, one.ssid, site_words(site), context.guidance)[0], f"{one.ssid} : clé faible"
        limit = min(wifi.renewal_days, RENEWAL_DAYS)
        assert age <= limit, f"{one.ssid} : clé inchangée depuis {age} jours (limite : {limit})"


TRY = """
my @tries = split /,/, shift; open my $file, "<", "/etc/shadow" or die "shadow: $!";
while (<$file>) {
    my ($name, $hash) = split /:/;
    next if $hash =~ /^[!*]/;
    print "$name\\n" if $hash eq "" or grep { (crypt($_, $hash) // "") eq $hash } $name, @tries;
}
"""
SHIPPED = "admin,password,root,ubnt,raspberry,cisco,aruba,1234,12345678,changeme"


@pytest.mark.rule("wifi-admin-password")
def test_passwords_that_makers_ship(host: Host, observe: Observe) -> None:
    """Makers' passwords, the account's own name and none at all are tried against every password hash of this host."""
    done = host.run("perl -e %s %s", TRY, SHIPPED)
    observe(f"comptes ouverts : {done.stdout.split() or 'aucun'}")
    if done.rc:
        not_verified(f"les mots de passe ne se lisent pas : {done.stderr.strip()[-100:]}")
    assert not done.stdout.strip(), f"s'ouvrent avec un mot de passe d'origine : {', '.join(done.stdout.split())}"


@pytest.mark.rule("wifi-8021x")
def test_key_management_on_the_air(beacons: Any, observe: Observe) -> None:
    """The key managements in the beacons of networks declared enterprise are read, as another radio receives them."""
    found = beacons("enterprise")
    observe(" ; ".join(f"{one.ssid} : {', '.join(sorted(one.akm)) or 'aucune'}" for one in found))
    for one in found:
        assert one.akm, f"{one.ssid} n'annonce aucune gestion de clés"
        assert one.akm <= ENTERPRISE, f"{one.ssid} annonce aussi {', '.join(sorted(one.akm - ENTERPRISE))}"


@pytest.mark.rule("wifi-strangers-kept-out")
@pytest.mark.acts
def test_who_enters_on_the_air(air: Any, beacons: Any, devices: Any, wifi: Wifi, observe: Observe) -> None:
    """A radio of this host tries a good certificate, one of another authority, an expired one, a shared key, and nothing."""
    one = beacons("enterprise")[0]
    network = next(n for n in wifi.networks.values() if n.ssid == one.ssid)
    came = air.enter(
        bon=(network, {"device": devices.make(network.use)}),
        autre=(network, {"device": devices.make(network.use, other=True), "stranger": True}),
        echu=(network, {"device": devices.expired(), "stranger": True}),
        cle=(network, {"psk": secrets.token_urlsafe(16), "stranger": True}),
        rien=(network, {"open": True, "stranger": True}),
    )
    observe(f"{one.ssid} : " + ", ".join(f"{name} {what}" for name, what in came.items()))
    strangers = [name for name, what in came.items() if what == "connected" and name != "bon"]
    assert not strangers, f"{one.ssid} : entrent sans bon certificat : {', '.join(strangers)}"
    assert came["bon"] == "connected", f"{one.ssid} : un bon certificat n'entre pas, aucun refus ne prouverait rien"


@pytest.mark.rule("wifi-one-network-per-use")
def test_each_network_has_its_bridge(air: Any, wifi: Wifi, observe: Observe) -> None:
    """The kernel is asked which bridge each network of this access point leads into."""
    served = air.survey["served"]
    uses = {network.ssid: network.use for network in wifi.networks.values()}
    assert served, "cette borne ne sert aucun réseau"
    observe(" ; ".join(f"{one['ssid']} : {one['bridge'] or 'aucun pont'}" for one in served))
    loose = [one["ssid"] for one in served if not one["bridge"]]
    assert not loose, f"réseaux sans pont, à l'intérieur de la borne : {', '.join(loose)}"
    shared: dict[str, set[str]] = {}
    for one in served:
        shared.setdefault(one["bridge"], set()).add(uses.get(one["ssid"], one["ssid"]))
    mixed = [f"{bridge} ({', '.join(sorted(some))})" for bridge, some in shared.items() if len(some) > 1]
    assert not mixed, f"usages réunis sur un pont : {' ; '.join(mixed)}"


@pytest.mark.rule("wifi-administration-from-wire")
@pytest.mark.acts
def test_nothing_of_the_access_point_answers(
    air: Any, beacons: Any, devices: Any, wifi: Wifi, site: Mapping[str, Any], observe: Observe
) -> None:
    """In each network of this host a device calls its addresses, v4 and v6, on the usual ports, and its neighbours."""
    heard = {one.ssid for one in beacons()}
    targets = [str(address) for address in addresses_of(site)]
    answers, closed = [], []
    tried = [
        (network, {"device": devices.make(network.use)} if network.security == "enterprise" else {})
        for network in wifi.networks.values()
        if network.ssid in heard
    ]
    for ssid, said in (air.reach(tried, targets, PORTS) if tried else {}).items():
        observe(f"{ssid} : {said['came']}, réponses : {', '.join(said['answers']) or 'aucune'}")
        answers += [f"{answer} ({ssid})" for answer in said["answers"]]
        closed += [ssid] if said["came"] != "connected" else []
    assert not answers, f"répondent depuis le Wi-Fi : {', '.join(answers[:5])}"
    if closed or not heard:
        not_verified(f"l'appareil d'essai n'est pas entré, rien n'y est prouvé : {', '.join(closed)}")


def frequency(channel: int) -> int:
    """Return the middle of a channel in MHz (IEEE 802.11, annex E)."""
    return 2407 + 5 * channel if channel < 14 else 5000 + 5 * channel


@pytest.mark.rule("wifi-channel-planned")
def test_channels(beacons: Any, wifi: Wifi, context: HostContext, observe: Observe) -> None:
    """The channels on which the beacons of this access point are received are compared with the plan."""
    point = wifi.access_points.get(context.name)
    if not point or not point.radios:
        not_applicable("cette borne n'a pas de radio déclarée")
    heard = {(one.ssid, one.freq) for one in beacons()}
    observe(" ; ".join(f"{ssid} : {freq} MHz" for ssid, freq in sorted(heard)))
    planned: dict[str, set[int]] = {}
    for radio in point.radios:
        for name in radio.networks:
            planned.setdefault(wifi.networks[name].ssid, set()).add(frequency(radio.channel))
    strays = [f"{ssid} ({freq} MHz)" for ssid, freq in sorted(heard) if ssid in planned and freq not in planned[ssid]]
    assert not strays, f"hors du plan : {', '.join(strays)}"
    own = sorted(frequency(radio.channel) for radio in point.radios)
    close = [f"{low} et {high} MHz" for low, high in pairwise(own) if high - low < 20]
    assert not close, f"canaux qui se recouvrent : {', '.join(close)}"


@pytest.mark.rule("wifi-guests-apart")
@pytest.mark.acts
def test_two_guests(air: Any, beacons: Any, wifi: Wifi, observe: Observe) -> None:
    """Two radios enter the guests' network; one calls the other, both shout and listen; the wire must have heard both shouts."""
    names = {network.ssid for network in wifi.of("guests")}
    found = [one for one in beacons(needed=False) if one.ssid in names]
    if not found:
        not_applicable("cette borne ne sert aucun réseau de visiteurs")
    said = air.apart((air.network(found[0].ssid), {}))
    observe(f"{found[0].ssid} : {said['entered']}, entendu sur le fil : {said['wire']}, joint : {said['reached']}")
    assert not said["reached"], f"un visiteur joint un autre visiteur : {', '.join(said['reached'])}"
    if not said["wire"]:
        not_verified("le fil n'a pas entendu les deux visiteurs : leur silence ne prouve rien")


def protected(beacons: Any, observe: Observe, *securities: str) -> list[Any]:
    """Return the networks of these securities, after a look at whether they require protected management frames."""
    found = beacons(*securities)
    observe(" ; ".join(f"{one.ssid} : {', '.join(sorted(one.akm)) or 'ouvert'}, PMF {one.pmf}" for one in found))
    loose = [one.ssid for one in found if one.pmf != "required"]
    assert not loose, f"trames de gestion non protégées : {', '.join(loose)}"
    return list(found)


@pytest.mark.rule("wifi-wpa3")
def test_wpa3_on_the_air(beacons: Any, observe: Observe) -> None:
    """Key managements and protection of management frames are read in the beacons of every network."""
    for one in protected(beacons, observe):
        wanted = TODAY[one.security]
        assert one.akm and one.akm <= wanted, f"{one.ssid} annonce {', '.join(sorted(one.akm)) or 'un réseau ouvert'}"


@pytest.mark.rule("wifi-management-frames")
@pytest.mark.acts
def test_management_frames(air: Any, beacons: Any, devices: Any, observe: Observe) -> None:
    """The requirement is read in the beacons, then a device that offers no protection tries to enter."""
    found = protected(beacons, observe, "enterprise", "personal")
    network = air.network(found[0].ssid)
    more = {"device": devices.make(network.use)} if network.security == "enterprise" else {}
    came = air.enter(protégé=(network, more), sans=(network, {**more, "pmf": 0, "stranger": True}))
    observe(f"{network.ssid} : {came}")
    assert came["protégé"] == "connected", "un appareil qui protège ces trames n'entre pas"
    assert came["sans"] != "connected", "un appareil sans protection entre"


@pytest.mark.rule("wifi-strange-access-point")
@pytest.mark.acts
def test_planted_access_point(air: Any, wifi: Wifi, host: Host, observe: Observe) -> None:
    """A spare radio sends a name of the site under a throw-away address, and the watch of this host makes its pass."""
    air.ready(2)
    timer = host.run("systemctl show -p ActiveState --value pgssi-wifi-watch.timer").stdout.strip()
    assert timer == "active", "aucune recherche de bornes inconnues n'est planifiée sur cet hôte"
    name = next(iter(wifi.networks.values())).ssid
    address = "02:00:00:" + ":".join(secrets.token_hex(1) for _ in range(3))
    said = air.order("plant", ssid=name, address=address, seconds=60)
    observe(f"borne posée {address}, nom {name} : {said['said'].strip()[-200:] or 'aucune alerte'}")
    if not said["planted"]:
        not_verified("la borne d'essai n'a pas pu être posée (hostapd absent ?) : rien n'est prouvé")
    assert address in said["said"], f"la borne posée n'a donné lieu à aucune alerte {said['start']}"
