"""Suppliers, their people and the equipment they maintain, as the site model declares them (PSSI 6.1.2).

Pure: role, playbook and tests all ask this module. Input is the resolved variables of every host
(``site_suppliers``, ``site_remote``, ``site_equipment``, ``site_interfaces``, ``site_zones``) and the inventory groups.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from netaddr import IPAddress, IPNetwork

from pgssi.habilitations import as_date
from pgssi.interfaces import addresses_by_zone, addresses_of

Vars = Mapping[str, Any]
PORT, LONGEST_HOURS, NOTICE_DAYS = 2222, 8, 30
LOGIN_LENGTH = 32  # of a Linux login
_PLAIN = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True)
class Equipment:
    """What one supplier maintains. addresses: of the equipment; managed: it is a host of the inventory."""

    name: str
    port: int
    login: str
    protocol: str
    host_keys: tuple[str, ...]
    addresses: tuple[str, ...]
    managed: bool


@dataclass(frozen=True)
class Person:
    """One person of a supplier. keys: public; totp_secret: base32, empty when none."""

    id: str
    name: str
    keys: tuple[str, ...]
    totp_secret: str = ""


@dataclass(frozen=True)
class Supplier:
    """A supplier. addresses: networks that its people come from."""

    name: str
    title: str
    contract_until: date
    addresses: tuple[str, ...]
    people: tuple[Person, ...]
    equipment: tuple[Equipment, ...]


@dataclass(frozen=True)
class Access:
    """One pair of equipment and person. account: the person's, on the bastion; relay: the equipment's, there."""

    supplier: Supplier
    person: Person
    equipment: Equipment
    account: str
    relay: str


@dataclass(frozen=True)
class Place:
    """A host of the inventory on the network: its zones and addresses."""

    name: str
    zones: tuple[str, ...]
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Remote:
    """Remote maintenance of one site. site: the variables common to all hosts."""

    site: Vars
    suppliers: tuple[Supplier, ...]
    bastions: tuple[Place, ...]
    gateways: tuple[Place, ...]

    def accesses(self) -> Iterator[Access]:
        """Yield every declared pair of equipment and person."""
        for supplier in self.suppliers:
            for equipment in supplier.equipment:
                for person in supplier.people:
                    relay = relay_name(equipment.name)
                    yield Access(supplier, person, equipment, account_name(equipment.name, person.id), relay)

    @property
    def settings(self) -> Vars:
        """``site_remote`` with its defaults."""
        given = self.site.get("site_remote") or {}
        return {"port": PORT, "longest_hours": LONGEST_HOURS, "notice_days": NOTICE_DAYS, **given}

    def zone(self, address: str) -> str:
        """Return the zone of an address or network; the narrowest wins, empty when there is none."""
        wanted, found, size = IPNetwork(address), "", -1
        for name, zone in (self.site.get("site_zones") or {}).items():
            for key in ("cidr4", "cidr6"):
                network = IPNetwork(zone[key]) if zone.get(key) else None
                if network and network.version == wanted.version and wanted in network and network.prefixlen > size:
                    found, size = name, network.prefixlen
        return found


def _digest(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:6]


def _slug(name: str) -> str:
    """Return a name that logins can hold and that no other name gives."""
    return name if _PLAIN.fullmatch(name) else f"{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}-{_digest(name)}"


def relay_name(equipment: str) -> str:
    """Return the account of the bastion that holds the key of this equipment, and nothing else."""
    name = f"rm-{_slug(equipment)}"
    return name if len(name) <= LOGIN_LENGTH else f"rm-{_slug(equipment)[:21]}-{_digest(equipment)}"


def account_name(equipment: str, person: str) -> str:
    """Return the account of the bastion of this person for this equipment; at most 32 characters, stable."""
    name = f"rm-{_slug(equipment)}_{_slug(person)}"
    if len(name) <= LOGIN_LENGTH:
        return name
    return f"rm-{_slug(equipment)[:10]}_{_slug(person)[:10]}-{_digest(equipment, person)}"


def load(variables: Mapping[str, Vars], groups: Mapping[str, Sequence[str]]) -> Remote:
    """Read it. variables: by host name; groups: members by name. Expects a model that ``pgssi check`` accepts."""
    bastions = [name for name in groups.get("bastions") or () if name in variables]
    first = bastions[0] if bastions else next(iter(variables))
    site = variables[first]
    suppliers = tuple(_supplier(name, raw, site, variables) for name, raw in (site.get("site_suppliers") or {}).items())
    gateways = [name for name in groups.get("gateways") or () if name in variables]
    return Remote(
        site,
        suppliers,
        tuple(place(name, variables[name]) for name in bastions),
        tuple(place(name, variables[name]) for name in gateways),
    )


def place(name: str, variables: Vars) -> Place:
    """Return the zones and addresses of a host, from its ``site_interfaces``."""
    return Place(name, tuple(addresses_by_zone(variables)), addresses_of(variables))


def _supplier(name: str, raw: Vars, site: Vars, variables: Mapping[str, Vars]) -> Supplier:
    people = tuple(
        Person(
            str(one["id"]),
            str(one["name"]),
            tuple(" ".join(str(key).split()) for key in one.get("keys") or ()),
            str(one.get("totp_secret") or "").replace(" ", "").upper(),
        )
        for one in raw.get("people") or ()
    )
    equipment = tuple(_equipment(one, site, variables) for one in raw.get("equipment") or ())
    networks = tuple(str(IPNetwork(address)) for address in raw.get("addresses") or ())
    until = as_date(raw["contract_until"])
    return Supplier(name, str(raw.get("title") or name), until or date.min, networks, people, equipment)


def _equipment(raw: Vars, site: Vars, variables: Mapping[str, Vars]) -> Equipment:
    name = str(raw["name"])
    managed = name in variables
    if managed:
        addresses = place(name, variables[name]).addresses
    else:
        addresses = tuple((site.get("site_equipment") or {}).get(name, {}).get("addresses") or ())
    return Equipment(
        name,
        int(raw.get("port", 22)),
        str(raw.get("account") or ""),
        str(raw.get("protocol", "ssh")),
        tuple(str(key) for key in raw.get("host_keys") or ()),
        tuple(str(IPAddress(address)) for address in addresses),
        managed,
    )


def host_view(remote: Remote, name: str, groups: Sequence[str]) -> dict[str, Any]:
    """Return what one host has to know: its functions, accounts, relays and own maintenance accounts.

    functions: ``bastion``, ``gateway``, ``equipment`` (a managed host that a supplier maintains).
    """
    bastion = "bastions" in groups and bool(remote.suppliers)
    mine = [access for access in remote.accesses() if access.equipment.name == name]
    logins = sorted({access.equipment.login for access in mine if access.equipment.protocol == "ssh"})
    return {
        "functions": [
            function
            for function, present in (
                ("bastion", bastion),
                ("gateway", "gateways" in groups and bool(remote.suppliers)),
                ("equipment", bool(mine)),
            )
            if present
        ],
        "accounts": [
            {
                "account": access.account,
                "relay": access.relay,
                "person": access.person.id,
                "name": access.person.name,
                "supplier": access.supplier.name,
                "equipment": access.equipment.name,
            }
            for access in sorted(remote.accesses(), key=lambda access: access.account)
            if bastion
        ],
        "logins": logins,
        "principal": relay_name(name),
        "bastion_addresses": [address for one in remote.bastions for address in one.addresses],
    }


def codes(remote: Remote, groups: Sequence[str]) -> dict[str, str]:
    """Return the secrets of one-time codes by account, for a bastion; nothing for other hosts. Secret."""
    secret = ((access.account, access.person.totp_secret) for access in remote.accesses())
    return {account: value for account, value in secret if value} if "bastions" in groups else {}
