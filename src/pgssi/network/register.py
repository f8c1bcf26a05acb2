"""The declared network as plain data, for results.json: zones, what lives in them, services and flows (PSSI 4.2.2.1-2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pgssi.network.model import Network
from pgssi.network.parts import Flow, Port, Zone


def as_data(network: Network) -> dict[str, Any]:
    """Return the network part of a results document (catalogue/schema/results.schema.json)."""
    return {
        "zones": [_zone(zone) for zone in network.zones.values()],
        "endpoints": [*_hosts(network), *_equipment(network)],
        "services": {name: [port_text(port) for port in service.ports] for name, service in network.services.items()},
        "flows": [_flow(network, flow) for flow in network.flows],
    }


def port_text(port: Port) -> str:
    """Return ``tcp/22``, ``udp/1-2`` or ``icmp``."""
    if port.protocol == "icmp":
        return "icmp"
    return f"{port.protocol}/{port.first}" + (f"-{port.last}" if port.last != port.first else "")


def _zone(zone: Zone) -> dict[str, Any]:
    def network(version: int) -> str:
        return next((str(one) for one in zone.networks if one.version == version), "")

    return {
        "name": zone.name,
        "title": zone.title,
        "cidr4": network(4),
        "cidr6": network(6),
        "vlan": zone.vlan,
        "trust": zone.trust,
        "owner": zone.owner,
        "use": sorted(zone.uses),
    }


def _hosts(network: Network) -> Iterable[dict[str, Any]]:
    for host in network.hosts.values():
        yield {
            "name": host.name,
            "kind": "gateway" if host.gateway else "host",
            "title": "",
            "zones": list(dict.fromkeys(host.zones)),
            "addresses": [str(address) for address in host.addresses],
            "owner": "",
        }


def _equipment(network: Network) -> Iterable[dict[str, Any]]:
    for item in network.equipment.values():
        yield {
            "name": item.name,
            "kind": "equipment",
            "title": item.title,
            "zones": [item.zone] if item.zone else [],
            "addresses": [str(address) for address in item.addresses],
            "owner": item.owner,
        }


def _flow(network: Network, flow: Flow) -> dict[str, Any]:
    return {
        "id": flow.id,
        "from": list(flow.sources),
        "to": list(flow.destinations),
        "from_zones": _zones(network, flow.sources),
        "to_zones": _zones(network, flow.destinations),
        "services": list(flow.services),
        "purpose": flow.purpose,
        "technical_owner": flow.technical_owner,
        "business_owner": flow.business_owner,
        "availability": flow.availability,
        "confidentiality": flow.confidentiality,
        "category": flow.category,
        "expires": flow.expires.isoformat(),
        "rate": flow.rate,
    }


def _zones(network: Network, names: Iterable[str]) -> list[str]:
    """Return the zones that names of a flow stand for; a gateway counts for its first one."""
    found: dict[str, None] = {}
    for name in names:
        if name in network.zones:
            found[name] = None
        elif name in network.equipment:
            found[network.equipment[name].zone] = None
        for member in (name, *network.groups.get(name, ())):
            if member in network.hosts:
                host = network.hosts[member]
                found.update(dict.fromkeys(host.zones[:1] if host.gateway else host.zones))
    return [zone for zone in network.zones if zone in found]
