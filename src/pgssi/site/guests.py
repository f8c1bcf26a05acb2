"""Checks of the guests' way out: one host, addresses in the guests' zone, resolvers that are not internal (PSSI 4.4.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from netaddr import AddrFormatError, IPAddress

from pgssi.site.model import Finding, Path, Site
from pgssi.wifi.portal import blocks

TOP: Path = ("site_wifi", "guests")


def check_guests(site: Site, raw: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with site_wifi.guests and the host of group guest_portals."""
    hosts = [host for host in site.hosts.values() if "guest_portals" in host.groups]
    guests = raw.get("guests")
    if not guests:
        yield from (Finding("missing_key", TOP, "") for _ in hosts[:1])
        return
    network = next((one for one in raw["networks"].values() if one["use"] == "guests"), None)
    if network is None:
        yield Finding("wifi_no_guests", TOP, "")
        return
    if len(hosts) != 1:
        yield Finding("wifi_portals", TOP, ", ".join(host.name for host in hosts), {"count": len(hosts)})
    for host in hosts:
        if "gateways" not in host.groups:
            yield Finding("wifi_portal_not_gateway", TOP, host.name)
    zones = {path[1]: zone for path, zone in site.entries("site_zones")}
    yield from _addresses(guests, zones.get(network["zone"]) or {}, zones)


def _read(text: object) -> IPAddress | None:
    try:
        return IPAddress(str(text))
    except (AddrFormatError, ValueError):
        return None


def _addresses(guests: Mapping[str, Any], zone: Mapping[str, Any], zones: Mapping[Any, Mapping[str, Any]]) -> Iterator[Finding]:
    inside = blocks([zone])
    for key in ("addresses", "leases", "resolvers"):
        for index, text in enumerate(guests.get(key) or ()):
            path, address = (*TOP, key, index), _read(text)
            if address is None or (key == "leases" and address.version != 4):
                yield Finding("wifi_guest_address", path, text)
            elif key != "resolvers" and not any(address in block for block in inside):
                yield Finding("wifi_guest_outside", path, text, {"zone": ", ".join(map(str, inside)) or "-"})
            elif key == "resolvers" and any(address in block for block in blocks(zones.values())):
                yield Finding("wifi_guest_resolver", path, text, warning=True)
    versions = sorted(address.version for text in guests["addresses"] if (address := _read(text)))
    if versions not in ([4], [4, 6]):
        yield Finding("wifi_guest_families", (*TOP, "addresses"), ", ".join(map(str, guests["addresses"])))
    if 6 in versions and any(block.version == 6 and block.prefixlen != 64 for block in inside):
        yield Finding("wifi_guest_prefix", (*TOP, "addresses"), ", ".join(map(str, inside)))
    leases = [address for text in guests.get("leases") or () if (address := _read(text))]
    if len(leases) > 1 and leases[0] > leases[1]:
        yield Finding("wifi_guest_leases", (*TOP, "leases"), ", ".join(map(str, leases)))
