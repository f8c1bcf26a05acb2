"""What a lab is made of, read from an inventory: zones, hosts, equipment, addresses."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netaddr import IPAddress, IPNetwork

from pgssi.errors import InvalidInput, Problem
from pgssi.inventory import Inventory, InventoryHost
from pgssi.lab.machine import Machine, machine

# What only the creation of a container can set: the accounting of connections, which the traces of flows need.
SYSCTLS = ("net.netfilter.nf_conntrack_acct=1", "net.netfilter.nf_conntrack_timestamp=1")
FORWARDING = ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
# A zone that is all the rest of the world has a cable of this length around its first machine.
CABLE = {4: 24, 6: 64}
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Zone:
    """One network of the site; the first address of each prefix is the control node."""

    name: str
    v4: IPNetwork
    v6: IPNetwork

    def control(self, version: int) -> str:
        """Return the address of the control node in this zone."""
        return str((self.v4 if version == 4 else self.v6)[1])


@dataclass(frozen=True)
class Place:
    """Where a host is plugged in: a zone, its addresses there, the name of the interface ("" when nothing asks for one)."""

    zone: Zone
    v4: str
    v6: str
    interface: str = ""


@dataclass(frozen=True)
class LabHost:
    """One container, or virtual machine. routes: the gateway's addresses, v4 and v6; none for the gateway itself.

    managed: roles treat it. machine: the hardware of a virtual machine, which is reached on a port of its own.
    """

    name: str
    image: str
    groups: tuple[str, ...]
    places: tuple[Place, ...]
    address: str
    routes: tuple[str, ...]
    managed: bool = True
    machine: Machine | None = None

    @property
    def port(self) -> int:
        """Where its sshd answers."""
        return self.machine.port if self.machine else 22

    @property
    def pinned(self) -> str:
        """The name of its address in known_hosts."""
        return f"[{self.address}]:{self.port}" if self.machine else self.address

    @property
    def zones(self) -> tuple[Zone, ...]:
        """The zones that the host is in."""
        return tuple(place.zone for place in self.places)

    @property
    def is_gateway(self) -> bool:
        """Whether it stands between zones."""
        return not self.routes and len(self.places) > 1


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
        """Return the address of every container by name, as /etc/hosts wants it; a virtual machine has its cable to itself."""
        return {host.name: host.address for host in self.hosts.values() if not host.machine}

    def user_network(self, host: LabHost) -> str:
        """Return QEMU's options for the cable of a virtual machine: its zone, with the control node and nobody else on it."""
        place = host.places[0]
        return (
            f"net={place.zone.v4},host={place.zone.control(4)},dhcpstart={place.v4},ipv6-net={place.zone.v6},"
            f"hostfwd=tcp:{host.address}:{host.port}-{place.v4}:22"
        )

    def run_options(self, host: LabHost) -> list[str]:
        """Return the podman run options of a host: name, networks, host names, image excluded."""
        options = ["--name", self.container(host.name), "--hostname", host.name, "--systemd=always"]
        options += ["--cap-add", "NET_ADMIN,NET_RAW", "--dns", "none", "--label", f"pgssi.lab={self.prefix}"]
        for place in host.places:
            interface = f",interface_name={place.interface}" if place.interface else ""
            # The same after each restart: neighbours would go on asking the former one for half a minute.
            mac = ":".join(f"{byte:02x}" for byte in (0x0A, 0x58, *IPAddress(place.v4).packed))
            options += ["--network", f"{self.network(place.zone.name)}:ip={place.v4},ip6={place.v6},mac={mac}{interface}"]
        for sysctl in (*SYSCTLS, *(FORWARDING if host.is_gateway else ())):
            options += ["--sysctl", sysctl]
        for name, address in self.names().items():
            if name != host.name:
                options += ["--add-host", f"{name}:{address}"]
        return options

    def digest(self, host: LabHost, image_id: str) -> str:
        """Return what changes when the container of a host must be made again."""
        return hashlib.sha256("\n".join([image_id, *self.run_options(host), *host.routes]).encode()).hexdigest()[:16]


def lab_model(inventory: Inventory) -> LabModel:
    """Read a lab from the site model and from ``lab_image``, ``lab_equipment`` and the optional ``lab_prefix``.

    A container is a host with a ``lab_image``, at its ``site_interfaces``, or an entry of ``lab_equipment``
    (name to image), at the zone and addresses of its ``site_equipment``. A host with ``lab_kind: vm`` is a virtual
    machine, on a port of the loopback address: see pgssi.lab.machine for its hardware.
    Raises InvalidInput: no host has a ``lab_image``, an unknown zone or equipment, an address outside its zone.
    """
    members = [host for host in inventory.hosts.values() if "lab_image" in host.variables]
    source = inventory.sources[0]
    if not members:
        raise _invalid(source, "lab_image", "", "aucun hôte de laboratoire",
                       "Donner lab_image et site_interfaces : voir inventories/demo/hosts.yml.")  # fmt: skip
    site = members[0].variables
    wanted = {host.name: _interfaces(host, source) for host in members} | _equipment(site, source)
    zones = _zones(site["site_zones"], wanted)
    places = {name: _places(name, raw, zones, source) for name, raw in wanted.items()}
    gateway = next((places[host.name] for host in members if len(places[host.name]) > 1), ())
    hosts = {host.name: _host(host, places[host.name], gateway, source) for host in members}
    for name, image in (site.get("lab_equipment") or {}).items():
        first = places[name][0]
        hosts[name] = LabHost(name, _image(image), (), places[name], first.v4, _routes(places[name], gateway), managed=False)
    return LabModel(str(site.get("lab_prefix", "lab")), zones, hosts)


def _host(host: InventoryHost, places: tuple[Place, ...], gateway: Sequence[Place], source: str) -> LabHost:
    address = str(host.variables["ansible_host"])
    kind = host.variables.get("lab_kind", "container")
    if kind == "vm":
        if address != LOOPBACK or len(places) != 1:
            raise _invalid(source, f"{host.name}.ansible_host", address, "une machine virtuelle est dans une seule zone",
                           f"Donner une zone à site_interfaces et ansible_host: {LOOPBACK}.")  # fmt: skip
        hardware = machine(host.name, host.variables, source)
        return LabHost(host.name, str(host.variables["lab_image"]), host.groups, places, address, (), machine=hardware)
    if kind != "container":
        raise _invalid(source, f"{host.name}.lab_kind", kind, "n'est pas connu", "Choisir container ou vm.")
    if address not in {text for place in places for text in (place.v4, place.v6)}:
        raise _invalid(source, f"{host.name}.ansible_host", address, "n'est pas une adresse de site_interfaces",
                       f"Choisir parmi : {', '.join(place.v4 for place in places)}.")  # fmt: skip
    return LabHost(host.name, _image(host.variables["lab_image"]), host.groups, places, address, _routes(places, gateway))


def _image(release: str) -> str:
    return f"localhost/pgssi-lab:{release}"


def _routes(places: Sequence[Place], gateway: Sequence[Place]) -> tuple[str, ...]:
    """Return the addresses of the gateway in the first zone of a host; none for a host of several zones."""
    if len(places) > 1:
        return ()
    return next(((place.v4, place.v6) for place in gateway if place.zone == places[0].zone), ())


def _interfaces(host: InventoryHost, source: str) -> dict[str, dict[str, Any]]:
    """Return ``site_interfaces`` by zone, each as ``{addresses, interface}``."""
    raw = host.variables.get("site_interfaces") or {}
    if not raw:
        raise _invalid(source, f"{host.name}.site_interfaces", "", "absent", "Donner ses adresses, zone par zone.")
    named = {zone: value if isinstance(value, Mapping) else {"addresses": value} for zone, value in raw.items()}
    return {zone: {"interface": f"{zone[:14]}0" if len(named) > 1 else "", **value} for zone, value in named.items()}


def _equipment(site: Mapping[str, Any], source: str) -> dict[str, dict[str, dict[str, Any]]]:
    known = site.get("site_equipment") or {}
    places = {}
    for name in site.get("lab_equipment") or {}:
        if name not in known:
            raise _invalid(source, f"lab_equipment.{name}", name, "équipement inconnu", "Le décrire dans site_equipment.")
        places[name] = {str(known[name]["zone"]): {"addresses": known[name]["addresses"], "interface": ""}}
    return places


def _zones(raw: Mapping[str, Mapping[str, Any]], wanted: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Zone]:
    """Return the zones; of one that is the rest of the world, only the cable that the lab plugs machines into."""
    zones = {}
    for name, zone in raw.items():
        nets = {4: IPNetwork(zone["cidr4"]), 6: IPNetwork(zone["cidr6"])}
        for version, net in nets.items():
            first = next((a for places in wanted.values() if name in places for a in places[name]["addresses"]
                          if IPAddress(a).version == version), None)  # fmt: skip
            if net.prefixlen == 0 and first:
                nets[version] = IPNetwork(f"{first}/{CABLE[version]}").cidr
        zones[name] = Zone(name, nets[4], nets[6])
    return zones


def _places(name: str, raw: Mapping[str, Mapping[str, Any]], zones: Mapping[str, Zone], source: str) -> tuple[Place, ...]:
    places = []
    for zone_name, value in raw.items():
        key = f"{name}.site_interfaces.{zone_name}"
        zone = zones.get(zone_name)
        if not zone:
            raise _invalid(source, key, zone_name, "zone inconnue", f"Choisir parmi : {', '.join(zones)}.")
        by_version: dict[int, str] = {}
        for text in value["addresses"]:
            address = IPAddress(text)
            if address not in (zone.v4 if address.version == 4 else zone.v6):
                raise _invalid(source, key, text, f"hors de la zone {zone_name}",
                               f"Choisir une adresse de {zone.v4} ou de {zone.v6}.")  # fmt: skip
            by_version.setdefault(address.version, str(address))
        if set(by_version) != {4, 6}:
            raise _invalid(source, key, value["addresses"], "une adresse IPv4 et une adresse IPv6 sont nécessaires",
                           "Le laboratoire est en double pile : donner les deux.")  # fmt: skip
        places.append(Place(zone, by_version[4], by_version[6], value["interface"]))
    return tuple(places)


def _invalid(file: str, key: str, value: object, message: str, remedy: str) -> InvalidInput:
    return InvalidInput([Problem(file, key, value, message, remedy)])
