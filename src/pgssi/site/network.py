"""Checks of the zones and addresses: networks that do not overlap, VLANs and addresses of their own, both families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from netaddr import IPAddress, IPNetwork

from pgssi.catalogue import Catalogue
from pgssi.inforce import HostContext
from pgssi.network.enforcement import closed_by
from pgssi.network.model import Network, build
from pgssi.site.model import Finding, Path, Site, nearest
from pgssi.site.schema import schema_findings

VARIABLES = ("site_zones", "site_equipment", "site_services", "site_flows")


def network_of(site: Site, catalogue: Catalogue) -> Network:
    """Return the network of a site model, without the entries that break the schema."""
    sound = {name: _sound(site, name) for name in VARIABLES}
    sound["site_palier"] = site.values["site_palier"] if site.sound("site_palier") is not None else 0
    waivers = [entry for _, entry in site.entries("site_waivers")]
    guidance = site.sound("site_guidance") or "pssi"
    hosts = []
    for host in site.hosts.values():
        context = HostContext.from_vars(
            host.name,
            sorted(host.groups),
            {"site_palier": sound["site_palier"], "site_guidance": guidance, "site_waivers": waivers},
            site.today,
        )
        own = host.variables if not any(schema_findings(_alone(host.variables))) else {**host.variables, "site_interfaces": {}}
        hosts.append((host.name, host.groups, own, closed_by(catalogue, context)))
    return build(sound, hosts, site.today)


def _alone(variables: Mapping[str, Any]) -> dict[str, Any]:
    own = {"site_interfaces": variables["site_interfaces"]} if "site_interfaces" in variables else {}
    return {"site_name": "-", "site_palier": 0, **own}


def _sound(site: Site, variable: str) -> object:
    """Return a table without its broken entries, or a list in which they are None (the others keep their place)."""
    whole = site.values.get(variable)
    kept = {path[1]: entry for path, entry in site.entries(variable)}
    return (
        kept if isinstance(whole, dict) else [kept.get(index) for index in range(len(whole))] if isinstance(whole, list) else None
    )


def check_network(site: Site, network: Network) -> Iterator[Finding]:
    """Yield what is wrong with site_zones, site_interfaces, site_equipment and the addresses of the hosts."""
    for fault in network.faults:
        if fault.path[0] != "site_flows":
            yield Finding(fault.code, fault.path, fault.value, dict(fault.details), host=fault.host)
    yield from _zones(site, network)
    yield from _places(network)
    yield from _twice(network)
    yield from _logins(site)
    yield from _encryption(network)


def _encryption(network: Network) -> Iterator[Finding]:
    """Yield the services whose stated encryption cannot go over one of their ports: SSH is over TCP, an echo has none."""
    for service in network.services.values():
        wrong = {port.protocol for port in service.ports} - ({"tcp"} if service.encrypted == "ssh" else {"tcp", "udp"})
        if service.encrypted and wrong:
            details = {"protocol": ", ".join(sorted(wrong))}
            yield Finding("encryption_impossible", ("site_services", service.name, "encrypted"), service.encrypted, details)


def _zones(site: Site, network: Network) -> Iterator[Finding]:
    vlans: dict[object, str] = {}
    for path, zone in site.entries("site_zones"):
        vlan = zone.get("vlan")
        if vlan in vlans:
            yield Finding("vlan_twice", (*path, "vlan"), vlan, {"other": vlans[vlan]})
        elif vlan is not None:
            vlans[vlan] = str(path[1])
    found = [(("site_zones", name, f"cidr{net.version}"), net) for name, zone in network.zones.items() for net in zone.networks]
    yield from _overlaps(found)
    yield from _single_family(network)
    whole = [path for path, net in found if net.prefixlen == 0]
    for first, second in combinations(whole, 2):
        if first[2] == second[2]:
            yield Finding("internet_twice", second, "", {"other": first[1]})


def _single_family(network: Network) -> Iterator[Finding]:
    """Yield the zones that have one family where others have both: nobody would filter the other one there."""
    inside = {name: {net.version for net in zone.networks} for name, zone in network.zones.items() if zone.networks}
    both = [name for name, versions in inside.items() if len(versions) == 2]
    for name, versions in inside.items():
        if both and len(versions) == 1:
            missing = 6 if 4 in versions else 4
            yield Finding("zone_single_family", ("site_zones", name), name, {"missing": missing, "other": both[0]})


def _overlaps(found: Sequence[tuple[Path, IPNetwork]]) -> Iterator[Finding]:
    """Compare neighbours in the order of addresses only: two networks overlap when one holds the other."""
    ordered = sorted(
        (item for item in found if item[1].prefixlen), key=lambda item: (item[1].version, item[1].first, -item[1].last)
    )
    written = {path: index for index, (path, _) in enumerate(found)}
    above: list[tuple[Path, IPNetwork]] = []
    clashes: list[list[tuple[Path, IPNetwork]]] = []
    for path, net in ordered:
        while above and (above[-1][1].version != net.version or above[-1][1].last < net.first):
            above.pop()
        clashes += [sorted((item, (path, net)), key=lambda one: written[one[0]]) for item in above]
        above.append((path, net))
    for (first, one), (second, two) in clashes:
        yield Finding("overlap", second, str(two), {"other": f"{first[1]} ({one})"})


def _places(network: Network) -> Iterator[Finding]:
    """Yield the addresses of hosts and equipment that are not in their zone, and zones that do not exist."""
    for host in network.hosts.values():
        for interface in host.interfaces:
            path: Path = ("site_interfaces", interface.zone)
            yield from _in_zone(network, path, interface.zone, interface.addresses, host.name)
            yield from _families(network, path, interface.zone, interface.addresses, host.name)
    for item in network.equipment.values():
        path = ("site_equipment", item.name)
        zones = [item.zone] if not item.control else [item.zone, *network.zones]
        if item.zone in network.zones and item.control:
            for index, address in enumerate(item.addresses):
                if network.zone_of(address) is None:
                    yield Finding("outside_zones", (*path, "addresses", index), str(address), {"zones": ", ".join(zones)})
        else:
            yield from _in_zone(network, path, item.zone, item.addresses, "")
        yield from _families(network, path, item.zone, item.addresses, "")


def _in_zone(network: Network, path: Path, zone: str, addresses: tuple[IPAddress, ...], host: str) -> Iterator[Finding]:
    if zone not in network.zones:
        details = {"where": "site_zones", "nearest": nearest(zone, set(network.zones)), "known": ", ".join(network.zones)}
        yield Finding("unknown_reference", path, zone, details, host=host)
        return
    for address in addresses:
        found = network.zone_of(address)
        if found is None or found.name != zone:
            nets = ", ".join(str(net) for net in network.zones[zone].networks)
            details = {"zone": zone, "networks": nets, "found": found.name if found else "-"}
            yield Finding("outside_zone", path, str(address), details, host=host)
        elif _reserved(address, network.zones[zone].networks):
            yield Finding("reserved_address", path, str(address), {"zone": zone}, host=host)


def _reserved(address: IPAddress, networks: tuple[IPNetwork, ...]) -> bool:
    """Return whether it is the network's own first address, or the broadcast address of an IPv4 network."""
    for net in networks:
        if net.version == address.version and net.prefixlen and net.size > 2:
            return bool(address == net[0] or (net.version == 4 and address == net[-1]))
    return False


def _families(network: Network, path: Path, zone: str, addresses: tuple[IPAddress, ...], host: str) -> Iterator[Finding]:
    """Yield what has one family only where its zone has two: the other would be neither filtered nor tested."""
    if zone not in network.zones or not addresses:
        return
    wanted = {net.version for net in network.zones[zone].networks}
    for version in sorted(wanted - {address.version for address in addresses}):
        yield Finding("family_missing", path, ", ".join(map(str, addresses)), {"version": version, "zone": zone}, host=host)


def _twice(network: Network) -> Iterator[Finding]:
    owners: dict[IPAddress, str] = {}
    owned = [(("site_interfaces", i.zone), h.name, a) for h in network.hosts.values() for i in h.interfaces for a in i.addresses]
    items = [(("site_equipment", e.name), "", a) for e in network.equipment.values() for a in e.addresses]
    for path, host, address in [*owned, *items]:
        if address in owners:
            yield Finding("address_twice", path, str(address), {"other": owners[address]}, host=host)
        owners.setdefault(address, host or str(path[1]))


def _logins(site: Site) -> Iterator[Finding]:
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
