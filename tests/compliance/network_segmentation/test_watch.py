"""What the watch notices: an undeclared connection of a host, a stranger on a segment, and who had an address."""

from __future__ import annotations

import json
import random
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from netaddr import IPAddress, IPNetwork
from testinfra.host import Host

from pgssi.network import NetHost, Network
from pgssi.verify import not_applicable, not_verified

Observe = Callable[[str], None]
TIMER, SERVICE = "pgssi-network-watch.timer", "pgssi-network-watch.service"


def planned(facts: Any, longest: int) -> str:
    """Return what is wrong with the planning of the watch, or an empty text. longest: seconds between two passes."""
    # While a pass is under way its timer has no next one; an empty date would be that of midnight.
    script = f"""systemctl is-active {TIMER} || exit 0; next=; tries=40
    while [ -z "$next" ] && [ $tries -gt 0 ]; do
        next=$(systemctl show -p NextElapseUSecRealtime --value {TIMER}); tries=$((tries - 1))
        [ -n "$next" ] || sleep 0.5
    done
    [ -n "$next" ] && date -d "$next" +%s && date +%s"""
    said = facts("network-watch", script, 60).split()
    if said[:1] != ["active"] or len(said) != 3:
        return "la surveillance des raccordements n'est pas planifiée"
    if not -15 <= int(said[1]) - int(said[2]) <= longest + 30:
        return f"la prochaine surveillance n'est pas dans les {longest} secondes"
    return ""


def alerts(host: Host, since: str) -> str:
    """Run the watch now, twice as a pass may have been under way already, and return the alerts raised."""
    for _ in range(2):
        done = host.run(f"systemctl start {SERVICE}", timeout=60)
        assert done.rc == 0, f"la surveillance échoue : {done.stderr.strip()[:200]}"
    time.sleep(0.5)
    return str(host.run(f"journalctl --quiet -t pgssi-alert --since '@{since}' -o cat").stdout)


@pytest.mark.rule("dual-homed-reported")
def test_connections_are_watched(facts: Any, observe: Observe) -> None:
    """The watch of the host's own addresses is planned within five minutes."""
    fault = planned(facts, 300)
    observe(fault or "surveillance planifiée")
    assert not fault, fault


@pytest.fixture
def undeclared(host: Host, network: Network, me: NetHost) -> Iterator[str]:
    """A throw-away IPv6 address of a zone that this host is not in, on its loopback interface; gone afterwards."""
    if set(network.zones) <= set(me.zones):
        not_applicable("cet hôte est déclaré dans toutes les zones : aucune adresse n'y est de trop")
    nets = [net for zone in network.zones.values() if zone.name not in me.zones for net in zone.networks]
    six = [net for net in nets if net.version == 6 and 8 < net.prefixlen <= 64]
    address = str(IPAddress(six[0].first + secrets.randbits(62) + 2, 6)) if six else "2001:db8:0:1::" + secrets.token_hex(2)
    host.run(f"ip -6 address add {address}/128 dev lo nodad")
    yield address
    host.run(f"ip -6 address del {address}/128 dev lo")


@pytest.mark.rule("dual-homed-reported")
@pytest.mark.acts
def test_an_undeclared_connection_raises_an_alert(host: Host, undeclared: str, observe: Observe) -> None:
    """The host gets, for a moment, an address of a zone that is not its own; the watch raises an alert that names it."""
    said = alerts(host, host.check_output("date +%s").strip())
    observe(said.strip() or "aucune alerte")
    assert undeclared in said, "une adresse dans une zone non déclarée ne déclenche aucune alerte"


@pytest.fixture
def stranger(host: Host, wire: Any, network: Network, me: NetHost, site: Any) -> Iterator[tuple[str, str]]:
    """A throw-away (address, MAC) that asks for the gateway from a segment where all devices are declared."""
    closed = site.get("network_segmentation_closed_uses") or (
        "administration",
        "servers",
        "backup",
        "dmz_inbound",
        "dmz_outbound",
    )
    for interface in me.interfaces:
        zone = network.zones[interface.zone]
        four = [address for address in interface.addresses if address.version == 4]
        near = [(name, known[4]) for name, known in wire.machines(zone.name) if name in network.hosts and 4 in known]
        if not (zone.uses & set(closed) and four and near):
            continue
        net = next(net for net in zone.networks if four[0] in net)
        taken = {str(a) for owner in (*network.hosts.values(), *network.equipment.values()) for a in owner.addresses}
        address = next(a for a in _draws(net) if a not in taken)
        mac = "02:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(5))
        link = wire.order(near[0][0], "card", address=near[0][1])["name"]
        wire.order(near[0][0], "announce", interface=link, mac=mac, address=address, asked=str(four[0]))
        yield address, mac
        host.run(f"ip neigh flush to {address}")
        return
    not_verified("aucune machine d'une zone fermée ne peut émettre")


def _draws(net: IPNetwork) -> Iterator[str]:
    while True:
        yield str(IPAddress(net.first + random.randrange(2, net.size - 1), net.version))


@pytest.mark.rule("unknown-device-alert")
def test_neighbours_are_watched(facts: Any, observe: Observe) -> None:
    """The watch of the gateway's neighbours is planned within a minute."""
    fault = planned(facts, 60)
    observe(fault or "surveillance planifiée")
    assert not fault, fault


@pytest.mark.rule("unknown-device-alert")
@pytest.mark.acts
def test_a_stranger_raises_an_alert(host: Host, stranger: tuple[str, str], observe: Observe) -> None:
    """An address that nobody declared speaks on a closed segment; the watch raises an alert that names it and its MAC."""
    since = host.check_output("date +%s").strip()
    heard = host.run(f"ip neigh show {stranger[0]}").stdout
    said = alerts(host, str(int(since) - 5))
    observe(said.strip() or f"aucune alerte ; voisin : {heard.strip() or 'non entendu'}")
    assert stranger[0] in said and stranger[1] in said, "un équipement inconnu ne déclenche aucune alerte"


@pytest.mark.rule("device-history-kept")
@pytest.mark.acts
def test_an_address_leads_to_a_device(host: Host, stranger: tuple[str, str], observe: Observe) -> None:
    """Asked who had an address that was just seen, the gateway gives the MAC address and the interface it came by."""
    host.run(f"systemctl start {SERVICE}", timeout=60)
    done = host.run(f"/usr/local/sbin/pgssi-network-watch who {stranger[0]}")
    assert done.rc == 0, "la passerelle ne garde aucun historique des adresses"
    known = [json.loads(line) for line in done.stdout.splitlines()]
    observe(done.stdout.strip()[:300] or "aucun équipement connu à cette adresse")
    assert any(one["mac"] == stranger[1] and one["interface"] for one in known), "l'équipement n'est pas retrouvé par son adresse"


@pytest.mark.rule("device-history-kept")
def test_the_history_grows(facts: Any, observe: Observe) -> None:
    """The watch that feeds the history is planned within a minute."""
    fault = planned(facts, 60)
    observe(fault or "historique alimenté")
    assert not fault, fault
