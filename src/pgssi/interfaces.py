"""The interfaces of one host, from its ``site_interfaces``: {zone: [addresses]} or {zone: {addresses, interface, vlan}}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def addresses_by_zone(variables: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the addresses of a host in each of its zones, in the order of its variables."""
    given = (variables.get("site_interfaces") or {}).items()
    listed = {str(zone): item["addresses"] if isinstance(item, Mapping) else item for zone, item in given}
    return {zone: tuple(str(address) for address in addresses) for zone, addresses in listed.items()}


def addresses_of(variables: Mapping[str, Any]) -> tuple[str, ...]:
    """Return every address of a host, in the order of its variables."""
    return tuple(address for addresses in addresses_by_zone(variables).values() for address in addresses)
