"""Value types of the network model: zones, hosts, equipment, services, flows. Addresses come from netaddr."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Literal

from netaddr import IPAddress, IPNetwork, iprange_to_cidrs

Kind = Literal["zone", "host", "equipment", "group"]
Protocol = Literal["tcp", "udp", "icmp"]
Path = tuple[str | int, ...]
OTHERS = frozenset({"internet", "guest"})  # uses of zones that are not the site's own
GATEWAYS = "gateways"  # inventory group of the hosts that forward between zones


@dataclass(frozen=True, slots=True, order=True)
class Block:
    """A run of addresses of one family (version 4 or 6), as integers, both ends included."""

    version: int
    first: int
    last: int

    @classmethod
    def of(cls, network: IPNetwork | IPAddress) -> Block:
        """Return the block of a network, or of a single address."""
        if isinstance(network, IPAddress):
            return cls(network.version, int(network), int(network))
        return cls(network.version, int(network.first), int(network.last))

    @property
    def text(self) -> str:
        """Return it as nftables writes it: an address, a prefix, or first-last."""
        return _text(self.version, self.first, self.last)

    @property
    def single(self) -> bool:
        """Return whether it is one address."""
        return self.first == self.last

    def holds(self, address: IPAddress) -> bool:
        """Return whether the address is inside."""
        return bool(address.version == self.version) and self.first <= int(address) <= self.last

    def covers(self, other: Block) -> bool:
        """Return whether the whole of another block is inside."""
        return self.version == other.version and self.first <= other.first and other.last <= self.last


@lru_cache(maxsize=65536)
def _text(version: int, first: int, last: int) -> str:
    low, high = IPAddress(first, version), IPAddress(last, version)
    if first == last:
        return str(low)
    prefixes = iprange_to_cidrs(low, high)
    return str(prefixes[0]) if len(prefixes) == 1 else f"{low}-{high}"


@dataclass(frozen=True)
class Zone:
    """One network of the site. everything: the Internet, which is whatever is in no other zone."""

    name: str
    networks: tuple[IPNetwork, ...]
    uses: frozenset[str] = frozenset()
    title: str = ""
    vlan: int | None = None
    trust: str = ""
    owner: str = ""
    everything: bool = False

    @property
    def controlled(self) -> bool:
        """Return whether the site decides who is on this network (PSSI 4.2): not the Internet, nor visitors or partners."""
        return self.trust != "none" and self.uses.isdisjoint(OTHERS) and not self.everything


@dataclass(frozen=True)
class Interface:
    """Where a host is plugged in. device: its name on the host when the inventory says it; vlan: tag it carries there."""

    zone: str
    addresses: tuple[IPAddress, ...]
    device: str = ""
    vlan: int | None = None


@dataclass(frozen=True)
class NetHost:
    """One inventory host.

    closes: what the rules in force on it close (pgssi.network.enforcement); login: (address or name, port) that the
    operators use, if over SSH.
    """

    name: str
    groups: frozenset[str]
    interfaces: tuple[Interface, ...] = ()
    closes: frozenset[str] = frozenset()
    palier: int = 0
    login: tuple[str, int] | None = None

    @property
    def addresses(self) -> tuple[IPAddress, ...]:
        """Return all its addresses, in the order of the inventory."""
        return tuple(address for interface in self.interfaces for address in interface.addresses)

    @property
    def zones(self) -> tuple[str, ...]:
        """Return the zones it is plugged into."""
        return tuple(interface.zone for interface in self.interfaces)

    @property
    def gateway(self) -> bool:
        """Return whether it forwards between zones."""
        return GATEWAYS in self.groups


@dataclass(frozen=True)
class Equipment:
    """Something that no role manages. control: the operators' own machine, which every host must let in."""

    name: str
    zone: str
    addresses: tuple[IPAddress, ...]
    title: str = ""
    owner: str = ""
    control: bool = False


@dataclass(frozen=True, order=True)
class Port:
    """One port or range; for icmp (echo request) both are 0."""

    protocol: Protocol
    first: int = 0
    last: int = 0


@dataclass(frozen=True)
class Service:
    """A name for ports. listener: whether something must listen there; encrypted: ``tls``, ``ssh`` or nothing that is stated."""

    name: str
    ports: tuple[Port, ...]
    listener: bool = True
    encrypted: str = ""


@dataclass(frozen=True)
class Endpoint:
    """What a flow may name. blocks: its addresses, disjoint; members: the hosts of a group."""

    name: str
    kind: Kind
    blocks: tuple[Block, ...]
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class Flow:
    """One line of the matrix. sources, destinations, services: names; index: its place in site_flows."""

    id: str
    index: int
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    services: tuple[str, ...]
    expires: date
    purpose: str = ""
    technical_owner: str = ""
    business_owner: str = ""
    availability: int = 0
    confidentiality: int = 0
    category: str = ""
    rate: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One expanded element of the matrix: flow id, source, destination, protocol, first and last port (icmp: 0)."""

    flow: str
    source: Block
    destination: Block
    protocol: Protocol
    first: int
    last: int


@dataclass(frozen=True)
class Fault:
    """Something that the model cannot use. code: entry of pgssi.site.words; host: for a host variable."""

    code: str
    path: Path
    value: object
    details: tuple[tuple[str, object], ...] = ()
    host: str = ""
