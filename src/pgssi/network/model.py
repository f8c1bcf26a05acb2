"""The network of a site, from the variables of its inventory: plain values in, names and networks out, no facts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

from netaddr import IPAddress, IPNetwork, IPSet

from pgssi.catalogue import Catalogue, load_catalogue
from pgssi.errors import InvalidInput, Problem
from pgssi.inforce import HostContext
from pgssi.network.enforcement import Enforcement, closed_by, enforcement
from pgssi.network.matrix import Decision, Matrix
from pgssi.network.parts import Block, Endpoint, Equipment, Fault, Flow, Line, NetHost, Protocol, Service, Zone
from pgssi.network.reading import UNUSABLE, Reader, expired

OPERATORS_PORT = 22
OVER_SSH = ("ssh", "paramiko", "paramiko_ssh", "smart", "ansible.builtin.ssh", "ansible.builtin.paramiko_ssh")


@dataclass(frozen=True)
class Network:
    """Everything the site model says of the network. faults: what could not be read; described: whether there is a matrix."""

    zones: Mapping[str, Zone]
    hosts: Mapping[str, NetHost]
    equipment: Mapping[str, Equipment]
    services: Mapping[str, Service]
    flows: tuple[Flow, ...]
    groups: Mapping[str, tuple[str, ...]]
    today: date
    palier: int = 0
    described: bool = False
    faults: tuple[Fault, ...] = field(default=(), compare=False)

    @property
    def gateways(self) -> tuple[NetHost, ...]:
        """Return the hosts that forward between zones."""
        return tuple(host for host in self.hosts.values() if host.gateway)

    @property
    def controls(self) -> tuple[Equipment, ...]:
        """Return the machines of the operators."""
        return tuple(item for item in self.equipment.values() if item.control)

    @cached_property
    def endpoints(self) -> dict[str, Endpoint]:
        """Return everything that a flow may name: zones, hosts, equipment, groups (``all``: every host).

        A zone and a group of the same name are told apart by ``zone:NAME`` and ``group:NAME``.
        """
        found: dict[str, Endpoint] = {}
        for name, members in self.groups.items():
            blocks = dict.fromkeys(Block.of(a) for member in members for a in self.hosts[member].addresses)
            found[name] = found[f"group:{name}"] = Endpoint(name, "group", tuple(blocks), members)
        for name, item in self.equipment.items():
            found[name] = Endpoint(name, "equipment", tuple(dict.fromkeys(Block.of(a) for a in item.addresses)))
        for name, host in self.hosts.items():
            found[name] = Endpoint(name, "host", tuple(dict.fromkeys(Block.of(a) for a in host.addresses)))
        singles = [block for endpoint in found.values() for block in endpoint.blocks]
        for name in self.zones:
            found[name] = Endpoint(name, "zone", tuple(_split(self.blocks(name), singles)))
            found[f"zone:{name}"] = found[name]
        return found

    def blocks(self, zone: str) -> tuple[Block, ...]:
        """Return the addresses of a zone; those of the Internet are what no other zone and no special use takes."""
        networks = self.zones[zone].networks
        if not self.zones[zone].everything:
            return tuple(Block.of(network) for network in networks)
        named = [n for other in self.zones.values() for n in other.networks if n.prefixlen]
        return tuple(
            Block(network.version, int(part.first), int(part.last))
            for network in networks
            for part in _outside(network, [other for other in (*named, *UNUSABLE) if other.version == network.version])
        )

    def zone_of(self, address: IPAddress | str) -> Zone | None:
        """Return the zone of an address: the one whose network holds it, else the Internet when it is declared."""
        ip = IPAddress(address)
        held = [
            (network.prefixlen, zone)
            for zone in self.zones.values()
            for network in zone.networks
            if network.version == ip.version and ip in network
        ]
        return max(held, key=lambda pair: pair[0])[1] if held else None

    def zones_of(self, end: Endpoint) -> list[Zone]:
        """Return the zones that an end of a flow is in, by name. A gateway is in all of its zones, and stands for none."""
        if end.kind == "zone":
            return [self.zones[end.name]]
        if end.kind == "equipment":
            names = {self.equipment[end.name].zone}
        else:
            members = (self.hosts[name] for name in (end.members if end.kind == "group" else (end.name,)))
            names = {zone for host in members if not host.gateway for zone in host.zones}
        return [self.zones[name] for name in sorted(names) if name in self.zones]

    def host_of(self, address: IPAddress | str) -> NetHost | None:
        """Return the inventory host that has this address."""
        return self._owners.get(IPAddress(address))

    @cached_property
    def _owners(self) -> dict[IPAddress, NetHost]:
        return {address: host for host in self.hosts.values() for address in host.addresses}

    def in_force(self, flow: Flow) -> bool:
        """Return whether a flow is open today. Palier 1 only warns of an expired one; the operators' own never closes here."""
        return not expired(flow, self.today) or self.palier < 2 or self._operators(flow)

    def _operators(self, flow: Flow) -> bool:
        return any(control.name in flow.sources for control in self.controls)

    @cached_property
    def matrix(self) -> Matrix:
        """Return the matrix of the flows in force."""
        return Matrix(self, (flow for flow in self.flows if self.in_force(flow)))

    @cached_property
    def closed(self) -> Matrix:
        """Return the matrix of the flows that have expired."""
        return Matrix(self, (flow for flow in self.flows if not self.in_force(flow)))

    @property
    def lines(self) -> tuple[Line, ...]:
        """Return every element of the flows in force, disjoint where both ends are the same, the most specific first."""
        return self.matrix.lines

    def enforced(self, host: str) -> Enforcement:
        """Return what the rules in force make this host refuse."""
        return enforcement(self.hosts[host], self.zones.values())

    def unreachable(self, host: str) -> tuple[tuple[IPAddress, IPAddress], ...]:
        """Return the pairs (operators' address, host address) over which the operators could not log in to a host."""
        known = self.hosts[host]
        if known.login is None:
            return ()
        name, port = known.login
        targets = [address for address in known.addresses if str(address) == name] or known.addresses
        pairs = [(ip, target) for item in self.controls for ip in item.addresses for target in targets]
        near = [(ip, target) for ip, target in pairs if ip.version == target.version and ip != target]
        return tuple((ip, target) for ip, target in near if not self.matrix.find(ip, target, "tcp", port))

    def decide(
        self,
        source: IPAddress | str,
        destination: IPAddress | str,
        protocol: Protocol,
        port: int = 0,
        at: str | None = None,
    ) -> Decision:
        """Say whether a new connection may pass: everywhere on its way, or at one host only (``at``).

        The way is: the sender if it is an inventory host, the gateways when the two zones differ, the receiver if it is
        an inventory host. Each refuses only what the rules in force on it make it refuse.
        """
        one, two = IPAddress(source), IPAddress(destination)
        if one.version != two.version:
            return Decision(False, None, "other_family")
        sender, receiver = self.host_of(one), self.host_of(two)
        if sender is not None and sender is receiver:
            return Decision(True, None, "same_host")
        line = self.matrix.find(one, two, protocol, port)
        if line:
            return Decision(True, line.flow, "flow")
        way = [step for step in self._way(one, two) if at in (None, step[0])]
        refusing = tuple(name for name, answer in way if answer == "no_flow")
        if not refusing:
            return Decision(True, None, "open" if any(answer == "open" for _, answer in way) else "unfiltered")
        late = self.closed.find(one, two, protocol, port)
        return Decision(False, late.flow if late else None, "expired" if late else "no_flow", refusing)

    def _way(self, source: IPAddress, destination: IPAddress) -> Iterator[tuple[str, str]]:
        """Yield (host, what it does to an undeclared packet: ``no_flow``, ``open`` or nothing) in the order of the way."""
        sender, receiver = self.host_of(source), self.host_of(destination)
        if sender is not None:
            yield sender.name, "no_flow" if self.enforced(sender.name).outbound else ""
        one, two = self.zone_of(source), self.zone_of(destination)
        ends = {host.name for host in (sender, receiver) if host is not None}
        if one is None or one is not two:
            for gateway in self.gateways:
                if gateway.name not in ends and not any(self.hosts[name].gateway for name in ends):
                    yield gateway.name, "open" if self._opened(gateway.name, one, two) else "no_flow"
        if receiver is not None:
            yield receiver.name, "no_flow" if self.enforced(receiver.name).inbound else ""

    def _opened(self, gateway: str, one: Zone | None, two: Zone | None) -> bool:
        here = self.enforced(gateway)
        return all(z.name in here.open_zones if z and not z.everything else here.open_edge for z in (one, two))


def _outside(network: IPNetwork, others: Sequence[IPNetwork]) -> Iterator[Any]:
    yield from (IPSet([network]) - IPSet(others)).iter_ipranges()


def _split(blocks: Sequence[Block], singles: Sequence[Block]) -> Iterator[Block]:
    """Yield the same addresses with those of ``singles`` apart where one is the first or last of a block.

    Two elements of a set may lie one inside the other, but not share their first or last address.
    """
    apart = {(single.version, single.first) for single in singles}
    for block in blocks:
        first, last = block.first, block.last
        while first < last and (block.version, first) in apart:
            yield Block(block.version, first, first)
            first += 1
        tail = []
        while first < last and (block.version, last) in apart:
            tail.append(Block(block.version, last, last))
            last -= 1
        yield Block(block.version, first, last)
        yield from reversed(tail)


def build(site: Mapping[str, Any], hosts: Sequence[tuple[str, frozenset[str], Mapping[str, Any], frozenset[str]]],
          today: date) -> Network:  # fmt: skip
    """Return the network of site variables and hosts (name, groups, variables, what is closed); what is bad is in ``faults``."""
    reader = Reader()
    zones = reader.zones(site.get("site_zones"))
    equipment = reader.equipment(site.get("site_equipment"))
    services = reader.services(site.get("site_services"))
    flows = reader.flows(site.get("site_flows"))
    palier = _palier(site)
    known: dict[str, NetHost] = {}
    groups: dict[str, list[str]] = {"all": []}
    for name, member_of, variables, closes in hosts:
        interfaces = reader.interfaces(variables.get("site_interfaces"), name)
        known[name] = NetHost(name, member_of, interfaces, closes, palier, _login(name, variables))
        for group in ("all", *sorted(member_of - {"all"})):
            groups.setdefault(group, []).append(name)
    members = {name: tuple(names) for name, names in groups.items()}
    described = bool(site.get("site_flows"))
    faults = tuple(reader.faults)
    return Network(zones, known, equipment, services, flows, members, today, palier, described, faults)


def _palier(site: Mapping[str, Any]) -> int:
    text = str(site.get("site_palier", 0))
    return int(text) if text in ("0", "1", "2", "3") else 0


def _login(name: str, variables: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return how Ansible reaches a host over SSH, or None when it does otherwise."""
    if str(variables.get("ansible_connection") or "ssh") not in OVER_SSH:
        return None
    port = str(variables.get("ansible_port") or OPERATORS_PORT)
    return str(variables.get("ansible_host") or name), int(port) if port.isdecimal() and len(port) < 6 else OPERATORS_PORT


def load(
    hostvars: Mapping[str, Mapping[str, Any]],
    catalogue: Catalogue | None = None,
    today: date | None = None,
    judged: Collection[str] | None = None,
) -> Network:
    """Read the network from the variables of every host of the inventory, as Ansible's ``hostvars`` gives them.

    judged: the hosts whose rules in force are wanted (default: all); the others are only known by their addresses.

    Of a pgssi.inventory.Inventory: ``load({name: host.variables for name, host in inventory.hosts.items()})``.
    Raises InvalidInput for a model that ``pgssi check`` would refuse too.
    """
    today = today or date.today()
    catalogue = catalogue or load_catalogue()
    hosts = []
    site: Mapping[str, Any] | None = None
    for name in hostvars:
        variables = hostvars[name]
        groups = tuple(str(group) for group in variables["group_names"])
        closes = frozenset[str]()
        if judged is None or name in judged:
            closes = closed_by(catalogue, HostContext.from_vars(name, groups, variables, today))
        hosts.append((str(name), frozenset(groups), variables, closes))
        site = variables if site is None else site
    network = build(site or {}, hosts, today)
    _refuse(network)
    return network


def _refuse(network: Network) -> None:
    faults = [(fault.path, fault.value) for fault in network.faults]
    for flow in network.flows:
        for key, names, known in (
            ("from", flow.sources, network.endpoints.keys()),
            ("to", flow.destinations, network.endpoints.keys()),
            ("service", flow.services, network.services.keys()),
        ):
            faults += [(("site_flows", flow.index, key), name) for name in names if name not in known]
    for name in network.hosts:
        faults += [(("site_flows",), f"{one} → {name} ({two})") for one, two in network.unreachable(name)]
    if faults:
        remedy = "Lancer pgssi check, qui dit quoi corriger."
        refused = "le modèle du réseau ne peut pas être appliqué"
        raise InvalidInput([Problem("site", ".".join(map(str, path)), value, refused, remedy) for path, value in faults])
