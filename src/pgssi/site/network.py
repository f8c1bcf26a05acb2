"""Checks of the zones: networks that exist, do not overlap, and VLANs of their own."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_interface
from itertools import combinations

from pgssi.site.model import Finding, Path, Site

Network = IPv4Network | IPv6Network


def check_network(site: Site) -> Iterator[Finding]:
    """Yield what is wrong with site_zones and the addresses of the hosts."""
    networks: list[tuple[Path, Network]] = []
    vlans: dict[int, str] = {}
    for path, zone in site.entries("site_zones"):
        name = str(path[1])
        for key, version in (("cidr4", 4), ("cidr6", 6)):
            if key in zone:
                network = _network(zone[key], version)
                if isinstance(network, Finding):
                    yield Finding(network.code, (*path, key), zone[key], network.details)
                else:
                    networks.append(((*path, key), network))
        vlan = zone.get("vlan")
        if vlan in vlans:
            yield Finding("vlan_twice", (*path, "vlan"), vlan, {"other": vlans[vlan]})
        elif vlan is not None:
            vlans[vlan] = name
    for (first, one), (second, two) in combinations(networks, 2):
        if one.version == two.version and one.overlaps(two):
            other = f"{first[1]} ({one})"
            yield Finding("overlap", second, str(two), {"other": other})
    yield from _addresses(site)


def _network(text: str, version: int) -> Network | Finding:
    details = {"version": version, "example": "10.1.2.0/24" if version == 4 else "fd00:0:0:2::/64"}
    try:
        interface = ip_interface(text)
    except ValueError:
        return Finding("not_a_network", (), text, details)
    if "/" not in text or interface.version != version:
        return Finding("not_a_network", (), text, details)
    if interface.ip != interface.network.network_address:
        return Finding("host_bits", (), text, {"network": str(interface.network)})
    return interface.network


def _addresses(site: Site) -> Iterator[Finding]:
    seen: dict[tuple[str, str], str] = {}
    for host in site.hosts.values():
        address = str(host.variables.get("ansible_host") or "")
        port = str(host.variables.get("ansible_port") or 22)
        if not address:
            continue
        if (address, port) in seen:
            details = {"other": seen[address, port]}
            yield Finding("address_twice", ("ansible_host",), address, details, host=host.name)
        seen.setdefault((address, port), host.name)
