"""From the plain values of the inventory to the parts of the network model; what cannot be used becomes a Fault."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from netaddr import AddrFormatError, IPAddress, IPNetwork

from pgssi.habilitations import as_date
from pgssi.network.parts import Equipment, Fault, Flow, Interface, Path, Port, Service, Zone

_PREFIX = re.compile(r".*/[0-9]{1,3}\Z", re.DOTALL)
_PORT = re.compile(r"(?:(icmp)|(tcp|udp)/([0-9]{1,5})(?:-([0-9]{1,5}))?)\Z")
# The variables that the network is read from: those of the site, then those of each host.
READ: Mapping[str, tuple[str, ...]] = {
    "site": ("site_palier", "site_guidance", "site_waivers", "site_zones", "site_equipment", "site_services", "site_flows"),
    "host": ("group_names", "site_interfaces", "ansible_host", "ansible_port", "ansible_connection"),
}
_EXAMPLE = {4: "10.1.2.0/24", 6: "fd00:0:0:2::/64"}
# What no machine of a site may have as its address.
UNUSABLE = [IPNetwork(text) for text in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3",
                                          "::/127", "::ffff:0:0/96", "fe80::/10", "ff00::/8")]  # fmt: skip


class Reader:
    """Reads the parts one after the other and keeps what was wrong in ``faults``."""

    def __init__(self) -> None:
        """Start without faults."""
        self.faults: list[Fault] = []

    def fault(self, code: str, path: Path, value: object, host: str = "", **details: object) -> None:
        """Keep one fault."""
        self.faults.append(Fault(code, path, value, tuple(details.items()), host))

    def zones(self, raw: object) -> dict[str, Zone]:
        """Read site_zones: {name: {cidr4, cidr6, trust, owner, title, vlan, use}}."""
        found = {}
        for name, entry in _table(raw):
            uses = frozenset(str(use) for use in _list(entry.get("use")))
            networks = [
                network
                for key, version in (("cidr4", 4), ("cidr6", 6))
                if key in entry and (network := self._network(entry[key], version, ("site_zones", name, key), uses))
            ]
            found[name] = Zone(
                name=name,
                networks=tuple(networks),
                uses=uses,
                title=str(entry.get("title") or name),
                vlan=entry["vlan"] if isinstance(entry.get("vlan"), int) else None,
                trust=str(entry.get("trust", "")),
                owner=str(entry.get("owner", "")),
                everything=any(network.prefixlen == 0 for network in networks),
            )
        return found

    def _network(self, text: object, version: int, path: Path, uses: frozenset[str]) -> IPNetwork | None:
        try:
            network = IPNetwork(text) if isinstance(text, str) and _PREFIX.match(text) else None
        except (AddrFormatError, ValueError):
            network = None
        if network is None or network.version != version:
            self.fault("not_a_network", path, text, version=version, example=_EXAMPLE[version])
            return None
        if network.ip != network.network:
            self.fault("host_bits", path, text, network=str(network.cidr))
            return None
        if network.prefixlen == 0 and "internet" not in uses:
            self.fault("whole_internet", path, text)
            return None
        if network.prefixlen and any(network in special or special in network for special in UNUSABLE):
            self.fault("not_usable", path, text)
            return None
        return network

    def interfaces(self, raw: object, host: str) -> tuple[Interface, ...]:
        """Read site_interfaces of one host: {zone: [addresses]} or {zone: {addresses, interface, vlan}}."""
        found = []
        for zone, entry in _pairs(raw):
            path: Path = ("site_interfaces", zone)
            table = entry if isinstance(entry, Mapping) else {"addresses": entry}
            addresses = tuple(self._addresses(table.get("addresses"), path, host))
            vlan = table.get("vlan")
            device = str(table.get("interface") or "")
            found.append(Interface(zone, addresses, device, vlan if isinstance(vlan, int) else None))
        return tuple(found)

    def equipment(self, raw: object) -> dict[str, Equipment]:
        """Read site_equipment: {name: {zone, addresses, title, owner, use}}."""
        return {
            name: Equipment(
                name=name,
                zone=str(entry.get("zone", "")),
                addresses=tuple(self._addresses(entry.get("addresses"), ("site_equipment", name), "")),
                title=str(entry.get("title") or name),
                owner=str(entry.get("owner", "")),
                control=entry.get("use") == "control",
            )
            for name, entry in _table(raw)
        }

    def _addresses(self, raw: object, path: Path, host: str) -> Iterator[IPAddress]:
        for index, text in enumerate(_list(raw)):
            try:
                address = IPAddress(text) if isinstance(text, str) else None
            except (AddrFormatError, ValueError):
                address = None
            if address is None:
                self.fault("not_an_address", (*path, index), text, host)
            elif any(address in special for special in UNUSABLE):
                self.fault("not_usable", (*path, index), text, host)
            else:
                yield address

    def services(self, raw: object) -> dict[str, Service]:
        """Read site_services: {name: {ports: [tcp/22, udp/1-2, icmp], listener, encrypted}}."""
        return {
            name: Service(name, tuple(self._ports(entry.get("ports"), ("site_services", name, "ports"))),
                          entry.get("listener", True) is not False, str(entry.get("encrypted", "")))
            for name, entry in _table(raw)
        }  # fmt: skip

    def _ports(self, raw: object, path: Path) -> Iterator[Port]:
        for index, text in enumerate(_list(raw)):
            found = _PORT.match(text) if isinstance(text, str) else None
            if found and found[1]:
                yield Port("icmp")
                continue
            first = int(found[3]) if found else 0
            last = int(found[4] or first) if found else 0
            if found and 1 <= first <= last <= 65535:
                yield Port("tcp" if found[2] == "tcp" else "udp", first, last)
            else:
                self.fault("bad_port", (*path, index), text)

    def flows(self, raw: object) -> tuple[Flow, ...]:
        """Read site_flows, without those that have no usable date."""
        return tuple(flow for index, entry in enumerate(_list(raw)) if (flow := self._flow(index, entry)))

    def _flow(self, index: int, entry: Any) -> Flow | None:
        if not isinstance(entry, Mapping):
            return None
        try:
            expires = as_date(entry.get("expires"))
        except ValueError:
            expires = None
        if expires is None:
            self.fault("bad_date", ("site_flows", index, "expires"), entry.get("expires"))
            return None
        services = entry.get("services", [entry["service"]] if "service" in entry else [])
        return Flow(
            id=str(entry.get("id", "")),
            index=index,
            sources=_names(entry.get("from")),
            destinations=_names(entry.get("to")),
            services=_names(services),
            expires=expires,
            purpose=str(entry.get("purpose", "")),
            technical_owner=str(entry.get("technical_owner", "")),
            business_owner=str(entry.get("business_owner", "")),
            availability=_level(entry.get("availability")),
            confidentiality=_level(entry.get("confidentiality")),
            category=str(entry.get("category", "")),
            rate=str(entry.get("rate", "")),
        )


def expired(flow: Flow, today: date) -> bool:
    """Return whether the last day of a flow is over."""
    return flow.expires < today


def _pairs(raw: object) -> Iterator[tuple[str, Any]]:
    if isinstance(raw, Mapping):
        yield from ((str(name), entry) for name, entry in raw.items())


def _table(raw: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from ((name, entry) for name, entry in _pairs(raw) if isinstance(entry, Mapping))


def _list(raw: object) -> Sequence[Any]:
    return raw if isinstance(raw, list | tuple) else ()


def _names(raw: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(name) for name in _list(raw)))


def _level(raw: object) -> int:
    return raw if isinstance(raw, int) else 0
