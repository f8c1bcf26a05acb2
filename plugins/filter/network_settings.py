"""Filter that tells the segmentation role what its programs watch for on one host; the logic is pgssi.network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.pgssi.toolkit.plugins.plugin_utils.network_variables import network_variables

from pgssi.network import NetHost, Network, Zone, load

DMZ = frozenset({"dmz_inbound", "dmz_outbound"})


def network_settings(hostvars: Mapping[str, Mapping[str, Any]], host: str, closed_uses: Iterable[str] = ()) -> dict[str, Any]:
    """``hostvars | pgssi.toolkit.network_settings(inventory_hostname, closed_uses)``: plain values for one host.

    zones: networks by name; mine: zones that the host is declared in; devices: owner of each declared address; closed:
    zones whose devices are all declared; dmz, inside: networks of the DMZs and of the other zones of the site; vlans:
    tagged interfaces that the host says are its own.
    """
    network = load(network_variables(hostvars, host), judged=(str(host),))
    here = network.hosts[host]
    closed = frozenset(closed_uses)
    return {
        "gateway": here.gateway,
        "zones": {name: [str(net.cidr) for net in zone.networks] for name, zone in network.zones.items()},
        "mine": list(here.zones),
        "closed": [name for name, zone in network.zones.items() if closed & zone.uses],
        "dmz": _networks(zone for zone in network.zones.values() if zone.uses & DMZ),
        "inside": _networks(zone for zone in network.zones.values() if not zone.uses & (DMZ | {"internet"})),
        "devices": _devices(network),
        "vlans": _vlans(network, here),
    }


def _networks(zones: Iterable[Zone]) -> list[str]:
    return [str(network.cidr) for zone in zones for network in zone.networks]


def _devices(network: Network) -> dict[str, str]:
    """Return the owner of each declared address."""
    owners = {str(address): host.name for host in network.hosts.values() for address in host.addresses}
    owners |= {str(address): item.name for item in network.equipment.values() for address in item.addresses}
    return dict(sorted(owners.items()))


def _vlans(network: Network, host: NetHost) -> list[dict[str, Any]]:
    """Return the interfaces to make: only where the host names both its card and its tag."""
    return [
        {
            "device": interface.device,
            "vlan": interface.vlan,
            "addresses": [
                f"{address}/{net.prefixlen}"
                for address in interface.addresses
                for net in network.zones[interface.zone].networks
                if address in net
            ],
        }
        for interface in host.interfaces
        if interface.device and interface.vlan
    ]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"network_settings": network_settings}
