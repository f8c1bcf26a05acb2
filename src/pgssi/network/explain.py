"""Why one packet passes or not: the line of the matrix, the hosts that decide, their live counters, and a real probe."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from netaddr import AddrFormatError, IPAddress

from pgssi.errors import InvalidInput, Problem
from pgssi.network.matrix import Decision
from pgssi.network.model import Network
from pgssi.network.parts import Protocol
from pgssi.network.probing import Prober
from pgssi.network.prove import Outcome, prove_probes
from pgssi.network.sample import Place, Probe, Sample, places

TABLE = "inet pgssi"
MOST = 8  # pairs of addresses explained at once


@dataclass(frozen=True)
class Answer:
    """What holds for one pair of addresses and one port.

    live: by host that the packet meets, what its own table answers; filters: those that must refuse what is not
    declared; outcome: of the real probe, when one could be sent.
    """

    source: Place
    target: Place
    protocol: Protocol
    port: int
    decision: Decision
    live: Mapping[str, str] = field(default_factory=dict)
    filters: frozenset[str] = frozenset()
    outcome: Outcome | None = None


def ports_of(network: Network, text: str) -> list[tuple[Protocol, int]]:
    """Return the ports that a word names: a service, ``tcp/22``, ``22`` (TCP), ``icmp``."""
    if text in network.services:
        return [(port.protocol, port.first) for port in network.services[text].ports]
    name, _, number = text.partition("/") if "/" in text else ("tcp", "", text)
    if text == "icmp":
        return [("icmp", 0)]
    if name in ("tcp", "udp") and number.isdecimal() and 0 < int(number) < 65536:
        return [("tcp" if name == "tcp" else "udp", int(number))]
    known = ", ".join(network.services) or "aucun"
    raise _wrong("PORT", text, "n'est ni un port ni un service", f"Donner tcp/22, udp/53, icmp ou un service : {known}.")


def ends_of(network: Network, text: str, side: str) -> list[Place]:
    """Return the places that a word names: an address, a host, equipment, a group, or a zone (those who live in it)."""
    try:
        address = str(IPAddress(text))
    except (AddrFormatError, ValueError):
        address = ""
    everybody = places(network, {*network.hosts, *network.equipment})
    if address:
        zone = network.zone_of(address)
        known = [place for place in everybody if place.address == address]
        return known or [Place(text, zone.name if zone else "", address)]
    if text in network.zones:
        found = [place for place in everybody if place.zone == text]
        apart = {*(gateway.name for gateway in network.gateways), *(control.name for control in network.controls)}
        return [place for place in found if place.owner not in apart] or found
    names = {text, *network.groups.get(text, ())}
    found = [place for place in everybody if place.owner in names]
    if not found:
        known_names = ", ".join((*network.zones, *network.hosts, *network.equipment))
        remedy = f"Donner une adresse, ou un nom parmi : {known_names}."
        raise _wrong(side, text, "n'a pas d'adresse dans le modèle de site", remedy)
    return found


def explain(network: Network, prober: Prober | None, source: str, target: str, port: str) -> Iterator[Answer]:
    """Yield an answer for each pair of addresses and each port; prober: None to ask the model only."""
    pairs = [
        (one, two, protocol, number)
        for one in ends_of(network, source, "SRC")
        for two in ends_of(network, target, "DST")
        if one.version == two.version and one.address != two.address
        for protocol, number in ports_of(network, port)
    ][:MOST]
    if not pairs:
        raise _wrong(
            "SRC DST", f"{source} {target}", "n'ont pas d'adresses de la même famille", "Donner deux bouts en IPv4 ou en IPv6."
        )
    decisions = [network.decide(one.address, two.address, protocol, number) for one, two, protocol, number in pairs]
    outcomes = _try(network, prober, pairs, decisions) if prober else {}
    for number, ((one, two, protocol, wanted), decision) in enumerate(zip(pairs, decisions, strict=True)):
        way = _way(network, one, two)
        filters = frozenset(host for host in way if _filters(network, host, one, two))
        asked = {host: _live(prober, host, one, two, protocol, wanted) if prober and host in filters else "" for host in way}
        yield Answer(one, two, protocol, wanted, decision, asked, filters, outcomes.get(number))


def _way(network: Network, source: Place, target: Place) -> list[str]:
    """Return the inventory hosts that a packet meets, in order."""
    ends = [place.owner for place in (source, target) if place.owner in network.hosts]
    apart = source.zone != target.zone and not any(network.hosts[name].gateway for name in ends)
    between = [gateway.name for gateway in network.gateways] if apart else []
    first = ends[:1] if source.owner in network.hosts else []
    return list(dict.fromkeys([*first, *between, *ends[len(first) :]]))


def _filters(network: Network, host: str, source: Place, target: Place) -> bool:
    """Return whether a host must refuse what the matrix does not declare of this packet's way."""
    answer = network.decide(source.address, target.address, "tcp", 0, at=host)
    return not answer.allowed


def _try(
    network: Network, prober: Prober, pairs: Sequence[tuple[Place, Place, Protocol, int]], decisions: Sequence[Decision]
) -> dict[int, Outcome]:
    probes = [
        Probe(
            number,
            one.owner,
            one,
            two,
            protocol,
            port,
            "declared" if decision.allowed else "elsewhere",
            decision.flow,
            decision.by,
        )
        for number, ((one, two, protocol, port), decision) in enumerate(zip(pairs, decisions, strict=True))
        if one.owner in prober.channels
    ]
    ports = {probe.target.owner: tuple({(probe.protocol, probe.port): None for probe in probes}) for probe in probes}
    targets = tuple(dict.fromkeys(probe.target for probe in probes))
    sample = Sample(0, 0, tuple(probes), ports, tuple(dict.fromkeys(probe.source for probe in probes)), targets)
    return {outcome.probe.number: outcome for outcome in prove_probes(network, prober, sample).outcomes}


def _live(prober: Prober, host: str, source: Place, target: Place, protocol: Protocol, port: int) -> str:
    """Return what the sets of a host's own table hold for a packet."""
    if host not in prober.channels:
        return "hôte sans accès"
    if host in prober.faults:
        return prober.faults[host]
    ends = f"{source.address} . {target.address}"
    names = ("ping",) if protocol == "icmp" else ("flows", "windows")
    key = ends if protocol == "icmp" else f"{ends} . {protocol} . {port}"
    said = []
    for name in names:
        done = prober.channels[host].run(f"nft get element {TABLE} {name}{source.version} '{{ {key} }}'", timeout=30)
        text = done.stdout.decode("utf-8", "replace")
        if done.rc == 0 and "elements" in text:  # nft has no JSON for this command
            said.append(_element(text, name))
    if said:
        return " ; ".join(said)
    there = prober.channels[host].run(f"nft -t list table {TABLE}", timeout=30).rc == 0
    return "aucun élément, donc jeté" if there else f"pas de table {TABLE}"


def _element(text: str, name: str) -> str:
    def part(pattern: str, words: str) -> str:
        found = re.search(pattern, text)
        return words.format(found[1]) if found else ""

    line = part(r'comment "([^"]*)"', "{}") or "sans nom"
    count = part(r"counter packets (\d+)", ", {} paquets")
    left = part(r"expires (\S+)", ", encore {}")
    return f"{'fenêtre' if name == 'windows' else 'élément'} « {line} »{count}{left}"


def _wrong(key: str, value: str, message: str, remedy: str) -> InvalidInput:
    return InvalidInput([Problem("pgssi flows explain", key, value, message, remedy)])
