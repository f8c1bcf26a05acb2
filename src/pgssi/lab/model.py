"""What a lab is made of, read from an inventory: zones, hosts, addresses."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pgssi.errors import InvalidInput, Problem
from pgssi.inventory import Inventory, InventoryHost


@dataclass(frozen=True)
class Zone:
    """One network of the site; the first address of each prefix is the control node."""

    name: str
    v4: ipaddress.IPv4Network
    v6: ipaddress.IPv6Network

    def address4(self, offset: int) -> str:
        """Return the IPv4 address at this offset from the start of the zone."""
        return str(self.v4.network_address + offset)

    def address6(self, offset: int) -> str:
        """Return the IPv6 address at this offset from the start of the zone."""
        return str(self.v6.network_address + offset)


@dataclass(frozen=True)
class LabHost:
    """One container. offset: its place in every zone it is in; gateway: None for the gateway itself."""

    name: str
    image: str
    groups: tuple[str, ...]
    zones: tuple[Zone, ...]
    address: str
    offset: int
    gateway: int | None


@dataclass(frozen=True)
class LabModel:
    """A whole lab. prefix: what the names of its containers and networks start with."""

    prefix: str
    zones: Mapping[str, Zone]
    hosts: Mapping[str, LabHost]

    def container(self, host: str) -> str:
        """Return the container name of a host."""
        return f"{self.prefix}-{host}"

    def network(self, zone: str) -> str:
        """Return the podman network name of a zone."""
        return f"{self.prefix}-{zone}"

    def names(self) -> dict[str, str]:
        """Return the address of every host by name, as /etc/hosts wants it."""
        return {host.name: host.address for host in self.hosts.values()}

    def run_options(self, host: LabHost) -> list[str]:
        """Return the podman run options of a host: name, networks, host names, image excluded."""
        options = ["--name", self.container(host.name), "--hostname", host.name, "--systemd=always"]
        options += ["--cap-add", "NET_ADMIN,NET_RAW", "--dns", "none", "--label", f"pgssi.lab={self.prefix}"]
        for zone in host.zones:
            place = f"ip={zone.address4(host.offset)},ip6={zone.address6(host.offset)}"
            interface = f",interface_name={zone.name[:14]}0" if len(host.zones) > 1 else ""
            options += ["--network", f"{self.network(zone.name)}:{place}{interface}"]
        if host.gateway is None:
            options += ["--sysctl", "net.ipv4.ip_forward=1", "--sysctl", "net.ipv6.conf.all.forwarding=1"]
        for name, address in self.names().items():
            if name != host.name:
                options += ["--add-host", f"{name}:{address}"]
        return options

    def digest(self, host: LabHost, image_id: str) -> str:
        """Return what changes when the container of a host must be made again."""
        return hashlib.sha256("\n".join([image_id, *self.run_options(host)]).encode()).hexdigest()[:16]


def lab_model(inventory: Inventory) -> LabModel:
    """Read ``lab_image``, ``lab_zones``, ``ansible_host``, ``site_zones`` and the optional ``lab_prefix``.

    Raises InvalidInput: no host has a ``lab_image``, an unknown zone, an address outside its first zone.
    """
    members = [host for host in inventory.hosts.values() if "lab_image" in host.variables]
    source = inventory.sources[0]
    if not members:
        raise _invalid(source, "lab_image", "", "aucun hôte de laboratoire",
                       "Donner lab_image et lab_zones : voir inventories/demo/hosts.yml.")  # fmt: skip
    zones = _zones(members[0].variables["site_zones"])
    places = {host.name: _place(host, zones, source) for host in members}
    gateway = next((place[1] for place in places.values() if len(place[0]) > 1), None)
    hosts = {
        host.name: LabHost(
            name=host.name,
            image=f"localhost/pgssi-lab:{host.variables['lab_image']}",
            groups=host.groups,
            zones=places[host.name][0],
            address=str(host.variables["ansible_host"]),
            offset=places[host.name][1],
            gateway=None if len(places[host.name][0]) > 1 else gateway,
        )
        for host in members
    }
    return LabModel(str(members[0].variables.get("lab_prefix", "lab")), zones, hosts)


def _zones(raw: Mapping[str, Mapping[str, Any]]) -> dict[str, Zone]:
    return {
        name: Zone(name, ipaddress.IPv4Network(zone["cidr4"]), ipaddress.IPv6Network(zone["cidr6"])) for name, zone in raw.items()
    }


def _place(host: InventoryHost, zones: Mapping[str, Zone], source: str) -> tuple[tuple[Zone, ...], int]:
    names: Sequence[str] = host.variables.get("lab_zones") or ()
    unknown = [name for name in names if name not in zones]
    if unknown or not names:
        raise _invalid(source, f"{host.name}.lab_zones", names, "zone inconnue ou absente",
                       f"Choisir parmi : {', '.join(zones)}.")  # fmt: skip
    address = ipaddress.IPv4Address(host.variables["ansible_host"])
    first = zones[names[0]]
    if address not in first.v4:
        raise _invalid(source, f"{host.name}.ansible_host", str(address), f"hors de la zone {first.name}",
                       f"Choisir une adresse de {first.v4}.")  # fmt: skip
    return tuple(zones[name] for name in names), int(address) - int(first.v4.network_address)


def _invalid(file: str, key: str, value: object, message: str, remedy: str) -> InvalidInput:
    return InvalidInput([Problem(file, key, value, message, remedy)])
