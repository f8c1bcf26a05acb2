"""The guests' way out, as the templates of the role need it: networks, what is internal, resolvers, by family (PSSI 4.4.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from netaddr import IPAddress, IPNetwork

if TYPE_CHECKING:
    from pgssi.wifi.model import Guests, Wifi, WifiNetwork

# Whatever the zones of a site are, these are never the Internet (RFC 1918, 6598, 3927, 1112, 4193, 4291).
PRIVATE = {
    4: ("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
        "224.0.0.0/3"),
    6: ("::/127", "fc00::/7", "fe80::/10", "ff00::/8"),
}  # fmt: skip


def bridge(network: WifiNetwork) -> str:
    """Return the name of the bridge of a network on a host of ours."""
    return f"br{network.vlan or network.name[:12]}"


def blocks(zones: Iterable[Mapping[str, Any]]) -> list[IPNetwork]:
    """Return the networks of these zones, without the rest of the world."""
    texts = [zone[key] for zone in zones for key in ("cidr4", "cidr6") if zone.get(key)]
    return [block for block in map(IPNetwork, texts) if block.prefixlen]


def internal(zones: Mapping[str, Any], version: int) -> list[str]:
    """Return what no guest reaches: every zone but the Internet, and all that is private."""
    return sorted({*PRIVATE[version], *(str(block.cidr) for block in blocks(zones.values()) if block.version == version)})


def portal_view(wifi: Wifi, guests: Guests, zones: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the portal of a site as plain values; zones: ``site_zones``."""
    network = wifi.of("guests")[0]
    known = zones or {}
    zone = known.get(network.zone) or {}
    view: dict[str, Any] = {
        "bridge": bridge(network),
        "vlan": network.vlan,
        "uplink": guests.uplink,
        "leases": list(guests.leases),
        "contact": guests.contact,
        "terms": list(guests.terms),
        "session_hours": guests.session_hours,
        "code_days": guests.code_days,
        "addresses": [],
    }
    for version in (4, 6):
        own = next((text for text in guests.addresses if IPAddress(text).version == version), "")
        resolver = next((text for text in guests.resolvers if IPAddress(text).version == version), "")
        block = IPNetwork(zone[f"cidr{version}"]) if zone.get(f"cidr{version}") else None
        view["addresses"] += [f"{own}/{block.prefixlen}"] if own and block else []
        view |= {
            f"own{version}": own,
            f"network{version}": str(block.cidr) if block else "",
            f"resolver{version}": f"[{resolver}]" if version == 6 and resolver else resolver,
            f"internal{version}": internal(known, version),
        }
        if block:
            view |= {"mask4": str(block.netmask)} if version == 4 else {"prefix6": str(block.network)}
    return view
