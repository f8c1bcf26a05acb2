"""On every host: what its own firewall refuses, that it will still be there tomorrow, and that it says what the matrix says."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from testinfra.host import Host

from pgssi.network import NetHost, Network
from pgssi.network.kernel import reaches, told, touches
from pgssi.network.parts import Block, Flow
from pgssi.verify import not_applicable, not_verified

Observe = Callable[[str], None]
Packet = tuple[str, str, str, int]
UNIT = "pgssi-firewall.service"
START = "/usr/local/sbin/pgssi-firewall load"
FILE = "/etc/pgssi/network/ruleset.nft"
LIVE = "nft -s list table inet pgssi"
# What a firewall, and a host that knows no way there, say to who sends.
REFUSED, UNROUTED = (str(OSError(number, os.strerror(number))) for number in (errno.EPERM, errno.ENETUNREACH))
# The whole file, hooks included, in a network of its own, which ends with the command; -r where containers may only so.
STORED = f"""unshare -n true 2>/dev/null && own=-n || own=-rn
unshare $own true || exit 99
unshare $own sh -c 'ip link set lo up 2>/dev/null; nft -f {FILE} && {LIVE}'"""


def neighbours(wire: Any, network: Network, me: NetHost) -> Iterator[tuple[str, str, str]]:
    """Yield (machine, its address, an address of this host) on one segment; a gateway when there is no other."""
    for interface in me.interfaces:
        near = [pair for pair in wire.machines(interface.zone) if pair[0] != me.name]
        gateways = [(g.name, i.addresses) for g in network.gateways for i in g.interfaces if i.zone == interface.zone]
        near += [
            (name, {address.version: str(address) for address in addresses})
            for name, addresses in gateways
            if name != me.name and name in wire.channels
        ]
        for name, addresses in near[:1]:
            for target in interface.addresses:
                if target.version in addresses:
                    yield name, addresses[target.version], str(target)


@pytest.mark.rule("host-firewall-default-drop")
def test_input_refuses_by_default(rules: Any, observe: Observe) -> None:
    """The kernel's own rules refuse what nothing accepts, and accept nothing without asking the matrix."""
    fault = rules.closed("input")
    observe(fault or "les paquets entrants sont refusés par défaut")
    assert not fault, fault
    opening = next(rules.openings("input"), None)
    assert opening is None, f"règle d'acceptation étrangère à la matrice : {opening}"


@pytest.mark.rule("host-firewall-default-drop")
@pytest.mark.acts
def test_a_neighbour_gets_no_answer(host: Host, wire: Any, network: Network, me: NetHost, observe: Observe) -> None:
    """A machine of the same segment sends undeclared TCP, UDP and ICMP packets, IPv4 and IPv6; the host answers none."""
    packets: dict[str, list[Packet]] = {}
    for name, source, target in neighbours(wire, network, me):
        packets.setdefault(name, []).extend(wire.undeclared(source, target))
    if not packets:
        not_verified("aucune machine du même segment ne peut émettre")
    answers = wire.answers(packets, me.name)
    observe(
        f"{sum(map(len, packets.values()))} paquets de {', '.join(packets)} : {answers.came} reçus, {len(answers.given)} réponses"
    )
    assert not answers.given, f"l'hôte répond à un paquet non déclaré : {answers.given[0]}"
    if not answers.came:
        not_verified("aucun des paquets d'essai n'est arrivé à l'hôte")


@pytest.mark.rule("ruleset-survives-reboot")
def test_boot_loads_the_rules(facts: Any, observe: Observe) -> None:
    """The unit that loads the rules is enabled, has run, comes before any network interface, and nothing bends it."""
    said = facts("network-unit", f"systemctl show -p UnitFileState -p ActiveState -p Before {UNIT}")
    state = dict(line.partition("=")[::2] for line in said.splitlines())
    observe(f"{UNIT} : {state.get('UnitFileState') or 'absente'}, {state.get('ActiveState')}")
    assert state.get("UnitFileState") == "enabled", "rien ne chargera les règles au démarrage"
    assert state.get("ActiveState") == "active", "le service des règles n'est pas en marche"
    assert "network-pre.target" in state.get("Before", ""), "les règles arrivent après le réseau"
    # As it is on the disk, where the next boot reads it.
    starts, bent = [], []
    for line in facts("network-unit-files", f"systemctl cat {UNIT}").splitlines():
        name, _, value = (part.strip() for part in line.partition("="))
        if name == "ExecStart":
            starts = [*starts, value] if value else []
        if name.startswith(("Condition", "Assert")) or f"/{UNIT}.d/" in line:
            bent.append(line)
    assert starts == [START], f"le démarrage lance autre chose que le chargement des règles : {starts}"
    assert not bent, f"une condition ou une surcharge change le service des règles : {bent[0]}"


@pytest.mark.rule("ruleset-survives-reboot")
@pytest.mark.acts
def test_what_boot_loads_is_what_is_in_force(host: Host, observe: Observe) -> None:
    """The file of the boot, loaded whole in a network namespace of its own, gives the rules in force."""
    done = host.run(STORED, timeout=60)
    if done.rc == 99:
        not_verified(f"aucun espace de noms réseau ne s'ouvre ici : {done.stderr.strip()[-200:]}")
    assert done.rc == 0, f"ce que charge le démarrage n'est pas valide : {done.stderr.strip()[:200]}"
    stored, live = told(done.stdout), told(host.run(LIVE, timeout=60).stdout)
    wrong = sorted(name for name in {*stored, *live} if stored.get(name) != live.get(name))
    observe(f"{len(stored)} chaînes, ensembles et compteurs au démarrage, {len(live)} en vigueur, {len(wrong)} différents")
    assert not wrong, f"les règles en vigueur ne sont pas celles que chargera le démarrage : {', '.join(wrong[:4])}"


@pytest.mark.rule("rules-match-matrix")
def test_every_acceptance_is_a_line(
    rules: Any, network: Network, me: NetHost, compiled: Any, more: Any, observe: Observe
) -> None:
    """The elements that the kernel holds are the lines of the matrix, none more and none less; no other rule accepts."""
    for name, elements in compiled.items():
        observe(f"{name} : {len(rules.sets.get(name, ()))} éléments, {len(elements)} lignes")
    assert not more, f"ouverture que la matrice ne déclare pas, ou fenêtre qui ne se ferme pas : {' . '.join(more[0])}"
    less = sorted(e for name, elements in compiled.items() for e in elements if e not in rules.sets.get(name, ()))
    assert not less, f"flux déclaré absent du noyau : {' . '.join(less[0])}"
    here = network.enforced(me.name)
    closes = {"input": here.inbound, "forward": me.gateway or here.forwards_nothing, "output": here.outbound}
    for hook, closed in closes.items():
        fault = rules.closed(hook) if closed else ""
        assert not fault, fault
        opening = next(rules.openings(hook), None)
        assert opening is None, f"règle d'acceptation étrangère à la matrice ({hook}) : {opening}"


def blocks(network: Network, name: str) -> tuple[Block, ...]:
    """Return the addresses of an end of a flow."""
    return network.endpoints[name].blocks


def held(end: str, me: NetHost) -> bool:
    """Return whether an end of an element (an address, a prefix, a range) holds an address of this host."""
    return any(touches(end, Block.of(address)) for address in me.addresses)


def administered(network: Network, flows: Iterable[Flow]) -> set[tuple[str, int, int]]:
    """Return the ports of some flows, as (protocol, first, last)."""
    ports = {port for flow in flows for name in flow.services for port in network.services[name].ports}
    return {(port.protocol, port.first, port.last) for port in ports if port.protocol != "icmp"}


@pytest.mark.rule("administration-network-only")
def test_administration_is_for_administrators(
    rules: Any, network: Network, me: NetHost, compiled: Any, more: Any, observe: Observe
) -> None:
    """Each element of the kernel that opens an administration port of this host starts from a declared administrator.

    Or, in a window that ends, from a bastion.
    """
    flows = [flow for flow in network.flows if flow.category == "administration" and network.in_force(flow)]
    here = [flow for flow in flows if any(held(block.text, me) for name in flow.destinations for block in blocks(network, name))]
    ports, own = administered(network, flows), administered(network, here)
    admins = {block.text for flow in flows for name in flow.sources for block in blocks(network, name)}
    observe(f"ports d'administration : {', '.join(sorted(f'{p[0]}/{p[1]}' for p in ports)) or 'aucun'}")
    fault = rules.closed("input")
    assert not fault, fault
    assert ports, "aucun flux de catégorie administration n'est déclaré"
    opening = next((rule for rule in rules.openings("input") if reaches(rule, ports)), None)
    assert opening is None, f"règle d'acceptation étrangère à la matrice : {opening}"
    bastions = {str(a) for name in network.groups.get("bastions", ()) for a in network.hosts[name].addresses}
    for name in ("flows4", "flows6", "windows4", "windows6"):
        for element in rules.sets.get(name, ()):
            source, target, protocol, port = element
            timed = name.startswith("windows") and element not in more
            if source in admins or (timed and source in bastions):
                continue
            # What is declared may use the administration port of others; what is not may use none at all.
            tried = own if element in compiled.get(name, ()) else ports
            first, _, last = port.partition("-")
            hit = any(protocol == p[0] and int(first) <= p[2] and p[1] <= int(last or first) for p in tried)
            assert not (hit and held(target, me)), f"{source} atteint le port d'administration {protocol}/{port}"


@pytest.mark.rule("administration-network-only")
@pytest.mark.acts
def test_a_neighbour_cannot_reach_administration(wire: Any, network: Network, me: NetHost, observe: Observe) -> None:
    """A machine of the same segment that administers nothing tries the administration ports; the host answers nothing."""
    flows = [flow for flow in network.flows if flow.category == "administration" and network.in_force(flow)]
    ports = {p for flow in flows for name in flow.services for p in network.services[name].ports if p.protocol == "tcp"}
    packets: dict[str, list[Packet]] = {}
    for name, source, target in neighbours(wire, network, me):
        wanted = [("tcp", source, target, p.first) for p in sorted(ports) if not wire.declared(source, target, "tcp", p.first)]
        packets.setdefault(name, []).extend(wanted)
    if not any(packets.values()):
        not_verified("aucune machine du même segment, étrangère à l'administration, ne peut émettre")
    answers = wire.answers(packets, me.name)
    observe(
        f"{sum(map(len, packets.values()))} essais de {', '.join(packets)} : {answers.came} reçus, {len(answers.given)} réponses"
    )
    assert not answers.given, f"un voisin atteint l'administration : {answers.given[0]}"
    if not answers.came:
        not_verified("aucun des essais n'est arrivé à l'hôte")


@pytest.mark.rule("no-forwarding-off-gateways")
def test_the_kernel_forwards_nothing(rules: Any, me: NetHost, facts: Any, observe: Observe) -> None:
    """On a host that is no gateway, the kernel's forwarding chain refuses everything, whatever its switches say."""
    if me.gateway:
        not_applicable("cet hôte est une passerelle : son relais est l'objet d'autres règles")
    switches = facts("ip-forward", "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding").split()
    observe(f"relais dans le noyau : IPv4 {switches[:1]}, IPv6 {switches[1:]}")
    fault = rules.closed("forward")
    assert not fault, f"{fault} : l'hôte relaierait si son noyau l'y autorise"
    relaying = next(rules.passing("forward"), None)
    assert relaying is None, f"une règle relaie des paquets : {relaying}"


@pytest.mark.rule("no-forwarding-off-gateways")
@pytest.mark.acts
def test_a_packet_for_somebody_else_goes_nowhere(wire: Any, network: Network, me: NetHost, observe: Observe) -> None:
    """A neighbour hands the host packets addressed to other machines, at the level of the link: none is sent on."""
    if me.gateway:
        not_applicable("cet hôte est une passerelle : son relais est l'objet d'autres règles")
    found = next(iter(neighbours(wire, network, me)), None)
    if found is None:
        not_verified("aucune machine du même segment ne peut émettre")
    name, source, target = found
    packets = [("udp", source, "192.0.2.77", 40443), ("tcp", source, "198.51.100.77", 40443)]
    came, left = wire.handed(name, me.name, target, packets)
    observe(f"{len(packets)} paquets confiés par {name} : {len(came)} reçus, {len(left)} relayés")
    assert not left, f"l'hôte relaie un paquet destiné à {left[0][2]}"
    if not came:
        not_verified("aucun paquet confié n'est arrivé à l'hôte")


@pytest.mark.rule("egress-allow-list")
def test_output_refuses_by_default(rules: Any, observe: Observe) -> None:
    """The kernel's own rules refuse to send what nothing accepts, and accept nothing without asking the matrix."""
    fault = rules.closed("output")
    observe(fault or "les paquets sortants sont refusés par défaut")
    assert not fault, fault
    opening = next(rules.openings("output"), None)
    assert opening is None, f"règle d'acceptation étrangère à la matrice : {opening}"


@pytest.mark.rule("egress-allow-list")
@pytest.mark.acts
def test_undeclared_packets_do_not_leave(wire: Any, network: Network, me: NetHost, observe: Observe) -> None:
    """The host itself tries undeclared TCP, UDP and ICMP packets, IPv4 and IPv6; none of them leaves its interfaces.

    They are for a machine on the Internet, and for the neighbours: a host without a way to the Internet is tried too.
    """
    away = {4: "198.51.100.7", 6: "2001:db8::7"}
    ways = [(str(item), away[version]) for version, item in {item.version: item for item in reversed(me.addresses)}.items()]
    ways += [(target, source) for _, source, target in neighbours(wire, network, me)]
    packets: list[Packet] = [packet for source, target in ways for packet in wire.undeclared(source, target)]
    said: dict[str, list[str]] = {}
    left = wire.seen(me.name, {me.name: packets}, lambda: said.update(wire.send({me.name: packets})), opened=False).left
    observe(f"{len(packets)} paquets tentés, {len(left)} sortis")
    assert not left, f"un paquet non déclaré sort de l'hôte : {left[0][0]} vers {left[0][2]}"
    tried = list(zip(packets, said[me.name], strict=True))
    lost = [error for _, error in tried if error not in ("", REFUSED, UNROUTED)]
    versions = {6 if ":" in packet[1] else 4 for packet, error in tried if error != UNROUTED}
    if lost or not packets:
        not_verified(f"{len(lost)} essais n'ont pas pu être émis : {lost[0] if lost else 'aucune adresse'}")
    if {item.version for item in me.addresses} - versions:
        not_verified("aucun essai n'a pu être émis faute de route ni de voisin : rien n'est prouvé")
