"""On gateways: what passes from zone to zone, what a stopped firewall lets through, and how a removed flow ends."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from testinfra.host import Host

from pgssi.inforce import HostContext
from pgssi.network import NetHost, Network
from pgssi.network.kernel import text, values
from pgssi.verify import not_verified
from pgssi.verify.turns import through_gateways

Packet = tuple[str, str, str, int]
Observe = Callable[[str], None]
Zones = Callable[..., list[str]]


def opened(rules: Any, concerns: Callable[[Any], bool]) -> list[Any]:
    """Return the accepting rules of the forward chain that do not ask the matrix and concern some zones."""
    return [rule for rule in rules.openings("forward") if concerns(rule)]


def ends(rule: Sequence[Mapping[str, Any]], side: str) -> list[str]:
    """Return the addresses that a rule wants on one side (saddr, daddr), or nothing when it wants none that it names."""
    found: list[str] = []
    for part in rule:
        match = part.get("match", {})
        payload = match.get("left", {}).get("payload", {}) if isinstance(match.get("left"), Mapping) else {}
        if payload.get("field") == side and match.get("op") == "==":
            found += [text(value) for value in values(match["right"])]
    return [] if any(one.startswith("@") for one in found) else found


@pytest.fixture
def leads(inside: Callable[[str, Sequence[str]], bool]) -> Callable[[Any, Sequence[str], Sequence[str]], bool]:
    """``leads(rule, from, to)``: whether an accepting rule may concern packets from some zones to others."""

    def concerns(rule: Any, sources: Sequence[str], targets: Sequence[str]) -> bool:
        sides = (("saddr", sources), ("daddr", targets))
        return all(not ends(rule, side) or any(inside(end, names) for end in ends(rule, side)) for side, names in sides)

    return concerns


@pytest.mark.rule("internet-edge-default-drop")
def test_nothing_is_open_towards_the_internet(rules: Any, zones: Zones, leads: Any, strays: Any, observe: Observe) -> None:
    """The kernel's forwarding refuses by default, and nothing lets the Internet and the site talk outside the matrix."""
    fault = rules.closed("forward")
    observe(fault or "le relais refuse par défaut")
    assert not fault, fault
    edge, own = zones("internet"), zones()
    wrong = opened(rules, lambda rule: leads(rule, edge, own) or leads(rule, own, edge))
    assert not wrong, f"règle d'acceptation étrangère à la matrice, entre Internet et le site : {wrong[0]}"
    more = strays(edge, own) or strays(own, edge)
    assert not more, f"ouverture hors matrice entre Internet et le site : {more}"


@pytest.mark.rule("internet-edge-default-drop")
@pytest.mark.acts
def test_undeclared_packets_do_not_cross_the_edge(wire: Any, context: HostContext, zones: Zones, observe: Observe) -> None:
    """Undeclared TCP, UDP and ICMP packets, from the Internet and towards it, reach the gateway and are not sent on."""
    packets = wire.between(zones("internet"), zones())
    for name, some in wire.between(zones(), zones("internet")).items():
        packets.setdefault(name, []).extend(some)
    wire.refused(context.name, packets, observe)


@pytest.mark.rule("zones-default-drop")
def test_zones_are_apart(rules: Any, zones: Zones, leads: Any, strays: Any, facts: Any, me: NetHost, observe: Observe) -> None:
    """The kernel's forwarding refuses by default, no rule opens one zone to another, and each tag is the declared one."""
    fault = rules.closed("forward")
    assert not fault, fault
    assert rules.flowtables == 0, "une table de flux rapides (flowtable) fait passer des paquets hors du filtrage"
    wrong = opened(rules, lambda rule: leads(rule, zones(), zones()))
    assert not wrong, f"règle d'acceptation étrangère à la matrice : {wrong[0]}"
    more = strays(zones(), zones())
    assert not more, f"ouverture hors matrice d'une zone à une autre : {more}"
    links = facts("network-links", "ip -d -o link show")
    for interface in me.interfaces:
        if interface.device and interface.vlan:
            name = f"{interface.device}.{interface.vlan}"
            line = next((line for line in links.splitlines() if f": {name}@" in line), "")
            observe(f"zone {interface.zone} : {name} {'présente' if line else 'absente'}")
            assert f"vlan protocol 802.1Q id {interface.vlan} " in line, (
                f"zone {interface.zone} : {name} n'est pas son VLAN déclaré"
            )


@pytest.mark.rule("zones-default-drop")
@pytest.mark.acts
def test_undeclared_packets_do_not_change_zone(wire: Any, context: HostContext, zones: Zones, observe: Observe) -> None:
    """Undeclared packets from a machine of each zone to each other zone reach the gateway and are not sent on."""
    wire.refused(context.name, wire.between(zones(), zones()), observe)


@pytest.mark.rule("dmz-confined")
def test_no_rule_opens_a_dmz(rules: Any, zones: Zones, leads: Any, strays: Any, observe: Observe) -> None:
    """No rule and no element of the kernel lets a DMZ reach an internal zone outside the matrix."""
    dmz = zones("dmz_inbound", "dmz_outbound")
    observe(f"DMZ : {', '.join(dmz) or 'aucune'}")
    fault = rules.closed("forward")
    assert not fault, fault
    internal = [name for name in zones() if name not in dmz]
    wrong = opened(rules, lambda rule: leads(rule, dmz, internal))
    assert not wrong, f"règle d'acceptation étrangère à la matrice, depuis une DMZ : {wrong[0]}"
    more = strays(dmz, internal)
    assert not more, f"ouverture hors matrice depuis une DMZ : {more}"


@pytest.mark.rule("dmz-confined")
@pytest.mark.acts
def test_a_dmz_reaches_nothing_inside(wire: Any, context: HostContext, zones: Zones, observe: Observe) -> None:
    """From a machine of each DMZ, undeclared packets to the internal zones reach the gateway and are not sent on."""
    dmz = zones("dmz_inbound", "dmz_outbound")
    if not dmz:
        not_verified("aucune zone n'est une DMZ (use)")
    wire.refused(context.name, wire.between(dmz, [name for name in zones() if name not in dmz]), observe)


@pytest.mark.rule("guests-confined")
def test_no_rule_opens_the_inside_to_guests(
    rules: Any, network: Network, zones: Zones, leads: Any, inside: Any, observe: Observe
) -> None:
    """No rule and no element of the kernel lets a guest zone reach an internal zone, declared or not."""
    guests = zones("guest")
    internal = [name for name in zones() if name not in guests]
    fault = rules.closed("forward")
    assert not fault, fault
    observe(f"zones d'invités : {', '.join(guests) or 'aucune'}")
    # A gateway and a lab's control node have an address there without being guests.
    owners = [*network.hosts.values(), *(item for item in network.equipment.values() if item.zone not in guests)]
    known = {str(address) for owner in owners for address in owner.addresses}
    for name, elements in rules.sets.items():
        if name.startswith(("flows", "ping", "windows")):
            wrong = [e for e in elements if e[0] not in known and inside(e[0], guests) and inside(e[1], internal)]
            assert not wrong, f"les invités atteignent {wrong[0][1]} : {' . '.join(wrong[0])}"
    opening = opened(rules, lambda rule: leads(rule, guests, internal))
    assert not opening, f"règle d'acceptation étrangère à la matrice, depuis les invités : {opening[0]}"


@pytest.mark.rule("biomedical-confined")
def test_biomedical_rules_are_those_of_the_matrix(
    rules: Any, network: Network, zones: Zones, leads: Any, strays: Any, observe: Observe
) -> None:
    """Each element of the kernel that touches a biomedical zone is a line of the matrix, and no rule opens more."""
    biomedical, everywhere = zones("biomedical"), list(network.zones)
    fault = rules.closed("forward")
    assert not fault, fault
    more = strays(biomedical, None) or strays(None, biomedical)
    assert not more, f"ouverture hors matrice vers ou depuis une zone biomédicale : {more}"
    opening = opened(rules, lambda rule: leads(rule, biomedical, everywhere) or leads(rule, everywhere, biomedical))
    observe(f"zones biomédicales : {', '.join(biomedical) or 'aucune'}")
    assert not opening, f"règle d'acceptation étrangère à la matrice, zone biomédicale : {opening[0]}"


@pytest.mark.rule("biomedical-confined")
@pytest.mark.acts
def test_biomedical_devices_are_out_of_reach(wire: Any, context: HostContext, zones: Zones, observe: Observe) -> None:
    """Undeclared packets to a biomedical zone, and from it, reach the gateway and are not sent on."""
    biomedical = zones("biomedical")
    others = [name for name in (*zones(), *zones("internet")) if name not in biomedical]
    packets = wire.between(others, biomedical)
    for name, some in wire.between(biomedical, others).items():
        packets.setdefault(name, []).extend(some)
    wire.refused(context.name, packets, observe)


def crossing(wire: Any, network: Network, gateway: NetHost) -> list[tuple[str, Packet]]:
    """Return (sender, packet) for the first declared TCP flows that cross a gateway, one of each version."""
    found: dict[int, tuple[str, Packet]] = {}
    for line in network.lines:
        if line.protocol != "tcp" or not line.destination.single or line.source.version in found:
            continue
        for zone in network.zones:
            for name, addresses in wire.machines(zone):
                source, target = addresses.get(line.source.version, ""), line.destination.text
                receiver = network.host_of(target)
                away = (
                    receiver is not None and receiver is not gateway and zone not in receiver.zones and wire.usable(receiver.name)
                )
                if away and source and wire.declared(source, target, "tcp", line.first):
                    found.setdefault(line.source.version, (name, ("tcp", source, target, line.first)))
    return list(found.values())


# Seconds between the order to send and the packet, while which the firewall stops; seconds after which it starts by itself.
DELAY, PATIENCE = 4.0, 20


@pytest.mark.rule("firewall-fails-closed")
@pytest.mark.acts
def test_a_stopped_firewall_forwards_nothing(host: Host, wire: Any, network: Network, me: NetHost, observe: Observe) -> None:
    """With the service of the rules stopped while it is sent, a declared packet reaches the gateway and is not sent on."""
    declared = crossing(wire, network, me)
    if not declared:
        not_verified("aucun flux déclaré ne traverse cette passerelle depuis une machine qui peut émettre")
    packets: dict[str, list[Packet]] = {}
    for name, packet in declared:
        packets.setdefault(name, []).append(packet)
    _, before = wire.passed(me.name, packets)
    unit = "pgssi-firewall.service"
    assert before, "un flux déclaré ne passe déjà pas quand le pare-feu est en marche"
    assert host.run(f"systemctl is-active {unit}").rc == 0, "aucun service ne tient les règles de cette passerelle"
    guard = f"pgssi-essai-{wire.number}"  # starts the rules again should we be cut off meanwhile
    states: list[int] = []

    def stopped() -> None:
        timer = f"--unit={guard} --on-active={PATIENCE} --timer-property=AccuracySec=1s"
        armed = host.run(f"systemd-run --quiet --collect {timer} systemctl start {unit}")
        if armed.rc:
            not_verified(f"rien ne relancerait le pare-feu si cet essai était coupé : {armed.stderr.strip()[-200:]}")
        try:
            began = time.monotonic()
            for name, some in packets.items():  # through the gateway nobody can be reached once it is stopped
                wire.order(name, "later", packets=some, seconds=DELAY)
            asked = time.monotonic()
            states.append(host.run(f"systemctl stop {unit}").rc)
            if time.monotonic() - began > DELAY - 0.5:
                not_verified("le service des règles a mis trop longtemps à s'arrêter")
            time.sleep(asked + DELAY + 1 - time.monotonic())
            states.append(host.run(f"systemctl is-active {unit}").rc)
        finally:
            states.append(host.run(f"systemctl start {unit}; back=$?; systemctl stop {guard}.timer; exit $back").rc)

    with through_gateways(closing=True):
        saw = wire.seen(me.name, packets, stopped)
    came, left = saw.came, saw.left
    observe(f"service arrêté : {len(came)} paquets déclarés reçus, {len(left)} relayés")
    assert states[-1] == 0, "le service des règles ne redémarre pas"
    if states[0] != 0 or states[1] == 0:
        not_verified("le service des règles ne s'est pas arrêté, ou a été relancé pendant l'essai")
    assert not left, "la passerelle relaie encore quand le service des règles est arrêté"
    if not came:
        not_verified("aucun paquet n'est arrivé à la passerelle pendant l'arrêt")


@pytest.mark.rule("spoofing-dropped")
@pytest.mark.acts
def test_forged_sources_are_dropped(wire: Any, network: Network, me: NetHost, observe: Observe) -> None:
    """A machine sends a declared packet under the address of a machine of another zone: it is not sent on."""
    packets: dict[str, list[Packet]] = {}
    for owner, (protocol, source, target, port) in crossing(wire, network, me):
        away = [network.zone_of(source), network.zone_of(target)]
        for zone in network.zones.values():
            forger = next((name for name, _ in wire.machines(zone.name) if name != owner), None) if zone not in away else None
            if forger:
                packets.setdefault(forger, []).append((protocol, source, target, port))
                break
    if not packets:
        not_verified("aucune machine d'une troisième zone ne peut émettre")
    came, left = wire.passed(me.name, packets)
    observe(f"{len(came)} paquets à l'adresse usurpée reçus de {', '.join(packets)}, {len(left)} relayés")
    assert not left, f"la passerelle relaie un paquet dont l'adresse source {left[0][1]} est usurpée"
    if not came:
        not_verified("aucun paquet usurpé n'est arrivé à la passerelle")


@pytest.mark.rule("removed-flow-is-cut")
@pytest.mark.acts
def test_an_open_connection_dies_with_its_flow(wire: Any, pair: Any, me: NetHost, observe: Observe) -> None:
    """A connection stops with its throw-away flow, not one answer later; it goes on when the flow is given back."""
    packet: Packet = ("tcp", pair.source, pair.target, random.randrange(20000, 30000))
    machines, notes = (pair.sender, pair.receiver, me.name), f"/run/pgssi-essai-{packet[3]}"
    for name in machines:
        wire.order(name, "windows", packets=[packet], seconds=60)

    def heard(than: int, patience: float) -> int:
        return int(wire.order(pair.sender, "heard", notes=notes, than=than, patience=patience, timeout=patience + 30))

    try:
        wire.order(pair.receiver, "serve", address=pair.target, port=packet[3], size=1, seconds=60)
        held = {"source": pair.source, "address": pair.target, "port": packet[3], "seconds": 55, "notes": notes}
        told = wire.order(pair.sender, "hold", **held)
        assert told == "ready", f"la connexion d'essai ne traverse pas la passerelle : {told}"
        first = heard(2, 10)
        wire.order(me.name, "close", packets=[packet])
        # What was on its way while the flow was taken away may still have come.
        before = heard(10**6, 1)
        after = heard(before, 4)
        wire.order(me.name, "windows", packets=[packet], seconds=40)
        again = heard(after, 25)
    finally:
        for name in machines:
            wire.order(name, "close", packets=[packet])
        wire.channels[pair.sender].run(f"rm -f {notes}")
    observe(f"réponses : {first} avant le retrait, {after - before} ensuite, {again - after} une fois le flux rendu")
    assert first, "la connexion d'essai ne traverse pas la passerelle"
    assert after == before, "la connexion établie continue alors que son flux est retiré"
    if again == after:
        not_verified("la connexion d'essai ne reprend pas quand son flux est rendu : sa coupure ne prouve rien")
