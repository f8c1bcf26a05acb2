"""Sensitive exchanges outside the networks that the site controls: which flows, and which hosts serve them (PSSI 5.3.1.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from netaddr import IPAddress

from pgssi.network.model import Network
from pgssi.network.parts import Block, Flow, NetHost, Service

SENSITIVE = 3  # confidentiality of a flow from which it is protected


@dataclass(frozen=True)
class End:
    """One end of a flow, groups taken apart. host: an inventory host; outside: it stands in a network of others."""

    name: str
    blocks: tuple[Block, ...]
    outside: bool
    host: NetHost | None = None
    zone: str = ""


@dataclass(frozen=True)
class Served:
    """A service that a host offers to a sensitive exchange. certain: the flow names the host, not only its zone."""

    flow: str
    service: Service
    addresses: tuple[IPAddress, ...]
    certain: bool


def ends(network: Network, names: Iterable[str]) -> list[End]:
    """Return the ends that names of a flow stand for."""
    found: dict[tuple[str, str], End] = {}
    for endpoint in (network.endpoints[name] for name in names if name in network.endpoints):
        for one in [network.endpoints[name] for name in endpoint.members] if endpoint.kind == "group" else [endpoint]:
            outside = any(not zone.controlled for zone in network.zones_of(one))
            host = network.hosts[one.name] if one.kind == "host" else None
            zone = one.name if one.kind == "zone" else ""
            found[one.kind, one.name] = End(one.name, one.blocks, outside, host, zone)
    return list(found.values())


def leaving(network: Network, flow: Flow) -> tuple[End, End] | None:
    """Return the first two ends between which a sensitive flow leaves the controlled networks, if it does."""
    if flow.confidentiality < SENSITIVE:
        return None
    sources, targets = ends(network, flow.sources), ends(network, flow.destinations)
    one = next((end for end in sources if end.outside), None)
    two = next((end for end in targets if end.outside), None)
    if not sources or not targets or not (one or two):
        return None
    return one or sources[0], two or targets[0]


def parties(network: Network, flow: Flow) -> list[NetHost]:
    """Return the inventory hosts that a flow names."""
    return [end.host for end in (*ends(network, flow.sources), *ends(network, flow.destinations)) if end.host]


def served(network: Network, host: NetHost) -> Iterator[Served]:
    """Yield what a host offers to the sensitive exchanges in force that leave the controlled networks."""
    for flow, sources, targets in _sensitive(network):
        for end in targets:
            others = [source for source in sources if source.host is not host]
            if not _holds(end, host) or not others or not (end.outside or any(source.outside for source in others)):
                continue
            versions = {block.version for source in others for block in source.blocks}
            addresses = tuple(a for a in host.addresses if a.version in versions and any(b.holds(a) for b in end.blocks))
            for name in flow.services if addresses else ():
                yield Served(flow.id, network.services[name], addresses, certain=end.host is host)


def elsewhere(network: Network, host: NetHost) -> Iterator[tuple[str, str]]:
    """Yield (flow, end) for the sensitive exchanges of a host with a server outside that no role manages."""
    for flow, sources, targets in _sensitive(network):
        mine = [source for source in sources if _holds(source, host)]
        for end in targets if mine else ():
            unmanaged = end.host is None and (end.outside or not end.zone or _equipped(network, end.zone))
            if unmanaged and (end.outside or any(source.outside for source in mine)):
                yield flow.id, end.name


def _sensitive(network: Network) -> Iterator[tuple[Flow, list[End], list[End]]]:
    for flow in network.flows:
        if network.in_force(flow) and leaving(network, flow):
            yield flow, ends(network, flow.sources), ends(network, flow.destinations)


def _holds(end: End, host: NetHost) -> bool:
    return end.host is host or (bool(end.zone) and end.zone in host.zones and not host.gateway)


def _equipped(network: Network, zone: str) -> bool:
    return any(item.zone == zone and not item.control for item in network.equipment.values())
