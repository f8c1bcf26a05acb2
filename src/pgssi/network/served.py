"""What the site model says that a host serves: the ends of its flows, and the doors that other parts of the model stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from netaddr import IPAddress

from pgssi.network.model import Network, build
from pgssi.network.parts import Block, NetHost, Port
from pgssi.remote import model as remote
from pgssi.wifi import model as wifi

# What the parts of the model open besides the flows: by group, the variable, its key and the port when it says none.
_REMOTE = ("bastions", "site_remote", (), "port", Port("tcp", remote.PORT, remote.PORT))
_RADIUS = (
    ("radius_servers", "site_wifi", ("radius",), "port", Port("udp", wifi.PORT, wifi.PORT)),
    ("radius_servers", "site_wifi", ("radius",), "accounting_port", Port("udp", wifi.ACCOUNTING_PORT, wifi.ACCOUNTING_PORT)),
)
# Names, addresses and the page of the guests' way out (site_wifi.guests).
_GUESTS = (Port("tcp", 53, 53), Port("udp", 53, 53), Port("udp", 67, 67), Port("udp", 547, 547), Port("tcp", 80, 80))


@dataclass(frozen=True)
class Door:
    """Ports on which others may call a host. addresses: those of the host; why: the flow, or the variable of the site."""

    port: Port
    addresses: tuple[IPAddress, ...]
    why: str


def described(hostvars: Mapping[str, Mapping[str, Any]], today: date | None = None) -> Network:
    """Return the network that the variables of every host describe, whatever else ``pgssi check`` would say of it.

    Nothing is enforced from it, so a host that the operators reach by a way without a flow is no reason to refuse it.
    """
    hosts = [(str(name), frozenset(map(str, one["group_names"])), one, frozenset[str]()) for name, one in hostvars.items()]
    return build(next(iter(hostvars.values()), {}), hosts, today or date.today())


def doors(network: Network, host: NetHost, site: Mapping[str, Any]) -> Iterator[Door]:
    """Yield every door of a host: of the flows in force that end there, then of suppliers' windows, RADIUS and guests."""
    for flow in network.flows:
        if not network.in_force(flow):
            continue
        sources = [block for name in flow.sources for block in _blocks(network, name)]
        ends = [block for name in flow.destinations for block in _blocks(network, name)]
        mine = tuple(address for address in host.addresses if _called(address, sources, ends))
        for name in flow.services if mine else ():
            yield from (Door(port, mine, flow.id) for port in _ports(network, name))
    for group, variable, path, key, usual in (_REMOTE, *_RADIUS):
        told = site.get(variable) or {}
        for step in path:
            told = told.get(step) or {}
        if group in host.groups:
            number = int(told.get(key) or usual.first)
            yield Door(Port(usual.protocol, number, number), host.addresses, variable)
    if "guest_portals" in host.groups and (site.get("site_wifi") or {}).get("guests"):
        addresses = tuple(IPAddress(str(one)) for one in site["site_wifi"]["guests"].get("addresses") or ())
        yield from (Door(port, (*host.addresses, *addresses), "site_wifi.guests") for port in _GUESTS)


def _blocks(network: Network, name: str) -> tuple[Block, ...]:
    return network.endpoints[name].blocks if name in network.endpoints else ()


def _ports(network: Network, service: str) -> Iterator[Port]:
    known = network.services.get(service)
    yield from (port for port in (known.ports if known else ()) if port.protocol != "icmp")


def _called(address: IPAddress, sources: list[Block], ends: list[Block]) -> bool:
    """Return whether somebody else may call this address."""
    mine = Block.of(address)
    others = any(block.version == mine.version and block != mine for block in sources)
    return others and any(block.holds(address) for block in ends)
