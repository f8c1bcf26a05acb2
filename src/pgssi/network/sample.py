"""Which packets prove a matrix: every declared flow, and a stated, seeded sample of all the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from netaddr import IPAddress

from pgssi.network.model import Network
from pgssi.network.parts import Protocol

Kind = Literal["declared", "elsewhere", "random", "forged"]
PER_ZONE = 4  # sources of one zone from which the undeclared is tried; the declared is tried from all that it names
SPAN = 3  # ports tried of a declared range: both ends and this many in all


@dataclass(frozen=True)
class Place:
    """One address of something of the site. owner: host or equipment; zone: as the model says."""

    owner: str
    zone: str
    address: str

    @property
    def version(self) -> int:
        """Return 4 or 6."""
        return 6 if ":" in self.address else 4


@dataclass(frozen=True)
class Probe:
    """One packet to try, and what must become of it.

    sender: who sends it; source: the place that it comes from (for a forged one, that it claims to come
    from). kind: ``declared`` (a flow), ``elsewhere`` (a declared port from where it is not), ``random``,
    ``forged``. by: the hosts that must refuse it, in the order it meets them; the first is the one that
    decides. port: 0 for an echo request.
    """

    number: int
    sender: str
    source: Place
    target: Place
    protocol: Protocol
    port: int
    kind: Kind
    flow: str | None = None
    by: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool:
        """Return whether it must pass."""
        return self.kind == "declared"

    @property
    def service(self) -> str:
        """Return ``tcp/22`` or ``icmp``."""
        return f"{self.protocol}/{self.port}" if self.port else self.protocol


@dataclass(frozen=True)
class Sample:
    """What is tried. unfiltered: what nobody on the way is asked to refuse, and which proves nothing.

    mute: zones from which nothing can be tried; through: zones tried only from a gateway's own address.
    """

    seed: int
    random_ports: int
    probes: tuple[Probe, ...]
    ports: Mapping[str, tuple[tuple[Protocol, int], ...]] = field(default_factory=dict)
    sources: tuple[Place, ...] = ()
    targets: tuple[Place, ...] = ()
    unfiltered: int = 0
    mute: tuple[str, ...] = ()
    through: tuple[str, ...] = ()


def places(network: Network, names: Collection[str]) -> list[Place]:
    """Return every address of these hosts and equipment, in the order of the model."""
    found = [
        Place(host.name, interface.zone, str(address))
        for host in network.hosts.values()
        if host.name in names
        for interface in host.interfaces
        for address in interface.addresses
    ]
    for item in network.equipment.values():
        if item.name in names:
            zones = ((network.zone_of(address), address) for address in item.addresses)
            found += [Place(item.name, zone.name if zone else item.zone, str(address)) for zone, address in zones]
    return found


def make_sample(network: Network, senders: Collection[str], targets: Collection[str], seed: int, random_ports: int) -> Sample:
    """Choose the probes from these hosts (and equipment that can send) to those; the same seed gives the same sample."""
    sources, aims = places(network, senders), places(network, targets)
    declared = _declared_ports(network, seed)
    ports = {name: (*declared, *_random_ports(name, declared, seed, random_ports)) for name in {aim.owner for aim in aims}}
    some = _some_per_zone(sources, seed)
    probes: list[Probe] = []
    unfiltered = 0
    for source in sources:
        for target in aims:
            if source.version != target.version or source.owner == target.owner:
                continue
            one, two = IPAddress(source.address), IPAddress(target.address)
            otherwise = network.decide(one, two, "tcp", 0)
            closed = not otherwise.allowed or _elsewhere_closed(network, source, target)
            for protocol, port in ports[target.owner]:
                line = network.matrix.find(one, two, protocol, port)
                kind: Kind = "declared" if line else "elsewhere" if (protocol, port) in declared else "random"
                if not line and not closed:
                    unfiltered += 1
                elif line or source.owner in some:
                    number = len(probes)
                    by = () if line else otherwise.by
                    flow = line.flow if line else None
                    probes.append(Probe(number, source.owner, source, target, protocol, port, kind, flow, by))
    probes += _forged(network, sources, aims, seed, len(probes))
    gateways = {host.name for host in network.gateways}
    behind = {source.zone for source in sources if source.owner not in gateways}
    seen = {source.zone for source in sources}
    return Sample(
        seed=seed,
        random_ports=random_ports,
        probes=tuple(probes),
        ports=ports,
        sources=tuple(sources),
        targets=tuple(aims),
        unfiltered=unfiltered,
        mute=tuple(zone for zone in network.zones if zone not in seen),
        through=tuple(zone for zone in network.zones if zone in seen and zone not in behind),
    )


def _elsewhere_closed(network: Network, source: Place, target: Place) -> bool:
    """Return whether a firewall that is not in the inventory must keep two zones apart."""
    return not network.gateways and network.palier >= 2 and source.zone != target.zone


def _declared_ports(network: Network, seed: int) -> tuple[tuple[Protocol, int], ...]:
    """Return every port that some service names; of a range its ends and one between; the echo request always."""
    chosen: dict[tuple[Protocol, int], None] = {}
    dice = Random(f"{seed} ranges")
    for service in network.services.values():
        for port in service.ports:
            inside = {port.first, port.last}
            while port.last - port.first >= SPAN - 1 and len(inside) < SPAN:
                inside.add(dice.randint(port.first, port.last))
            chosen.update(dict.fromkeys((port.protocol, number) for number in sorted(inside)))
    chosen["icmp", 0] = None
    return tuple(sorted(chosen))


def _random_ports(name: str, declared: Sequence[tuple[Protocol, int]], seed: int, count: int) -> Iterator[tuple[Protocol, int]]:
    dice = Random(f"{seed} {name}")
    protocols: tuple[Protocol, Protocol] = ("tcp", "udp")
    for protocol in protocols:
        free = [port for port in dice.sample(range(1, 65536), count + len(declared)) if (protocol, port) not in declared]
        yield from ((protocol, port) for port in free[:count])


def _some_per_zone(sources: Sequence[Place], seed: int) -> frozenset[str]:
    """Return the senders from which the undeclared is tried: a few of each zone."""
    by_zone: dict[str, list[str]] = {}
    for source in sources:
        names = by_zone.setdefault(source.zone, [])
        if source.owner not in names:
            names.append(source.owner)
    chosen: set[str] = set()
    for zone, names in by_zone.items():
        chosen.update(names if len(names) <= PER_ZONE else Random(f"{seed} {zone}").sample(names, PER_ZONE))
    return frozenset(chosen)


def _forged(network: Network, sources: Sequence[Place], targets: Sequence[Place], seed: int, first: int) -> Iterator[Probe]:
    """Yield, from each zone to each host elsewhere, a packet that pretends to come from where it would be allowed.

    Only across a gateway that refuses forged sources, and only with the address of somebody of a third zone
    who may send that very packet: any other would be dropped for another reason.
    """
    gateways = [gateway.name for gateway in network.gateways if network.enforced(gateway.name).spoofing]
    if not gateways:
        return
    names = {gateway.name for gateway in network.gateways}
    senders = {(source.zone, source.version): source for source in sources if source.owner not in names}
    openings = {target: list(_openings(network, sources, target)) for target in targets}
    number = first
    for (zone, version), sender in sorted(senders.items()):
        for target in targets:
            if target.version != version or target.zone == zone or target.owner in gateways or target.owner == sender.owner:
                continue
            allowed = [entry for entry in openings[target] if entry[0].zone not in (zone, target.zone)]
            if allowed:
                claimed, protocol, port = Random(f"{seed} {sender.address} {target.address}").choice(allowed)
                yield Probe(number, sender.owner, claimed, target, protocol, port, "forged", None, tuple(gateways))
                number += 1


def _openings(network: Network, sources: Sequence[Place], target: Place) -> Iterator[tuple[Place, Protocol, int]]:
    to = IPAddress(target.address)
    lines = [line for line in network.lines if line.protocol != "icmp" and line.destination.holds(to)]
    for source in sources:
        if source.version == target.version and source.owner != target.owner:
            address = IPAddress(source.address)
            yield from ((source, line.protocol, line.first) for line in lines if line.source.holds(address))
