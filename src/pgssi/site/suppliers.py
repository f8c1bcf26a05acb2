"""Checks of suppliers: equipment that exists, addresses that narrow, keys that open, names that nobody else bears."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from netaddr import AddrFormatError, IPNetwork

from pgssi.habilitations import fingerprint
from pgssi.remote.model import account_name
from pgssi.site.keys import account_keys, usable_key
from pgssi.site.model import Finding, Path, Site, dotted, nearest
from pgssi.site.people import RESERVED, logins

WIDEST = {4: 24, 6: 48}  # shortest prefix of a supplier's network: beyond, it says nothing any more


def check_suppliers(site: Site) -> Iterator[Finding]:
    """Yield what is wrong with site_suppliers and site_remote."""
    suppliers = list(site.entries("site_suppliers"))
    if suppliers and not any("bastions" in host.groups for host in site.hosts.values()):
        yield Finding("no_bastion", ("site_suppliers",), "")
    if suppliers and not any("log_servers" in host.groups for host in site.hosts.values()):
        yield Finding("no_log_server", ("site_suppliers",), "")
    for name in ("site_remote_authority", "site_log_authority"):
        if suppliers and name not in site.values:
            yield Finding("missing_variable", (name,))
    yield from _approvers(site)
    yield from _port(site)
    people: dict[str, Path] = {}
    keys = {mark: path for path, _, key in account_keys(site) if (mark := _mark(key))}
    accounts: dict[str, Path] = {}
    for path, supplier in suppliers:
        if supplier["contract_until"] < site.today.isoformat():
            yield Finding("contract_over", (*path, "contract_until"), supplier["contract_until"], warning=True)
        yield from _addresses(path, supplier)
        yield from _people(site, path, supplier, people, keys)
        yield from _equipment(site, path, supplier)
        for equipment in supplier["equipment"]:
            for index, person in enumerate(supplier["people"]):
                name, where = account_name(equipment["name"], person["id"]), (*path, "people", index, "id")
                if accounts.get(name, where) != where and people[person["id"]] == where[:-1]:
                    yield Finding("login_twice", where, name, {"other": dotted(accounts[name])})
                accounts.setdefault(name, where)


def _approvers(site: Site) -> Iterator[Finding]:
    known = [*site.names("site_contacts"), *site.names("site_people", "id")]
    for index, name in enumerate((site.sound("site_remote") or {}).get("approvers", ())):
        if name not in known:
            details = {
                "where": "site_contacts, site_people",
                "nearest": nearest(name, known),
                "known": ", ".join(known[:30]) or "-",
            }
            yield Finding("unknown_reference", ("site_remote", "approvers", index), name, details)


def _port(site: Site) -> Iterator[Finding]:
    """Yield a port of the suppliers' service that the operators' SSH of a bastion has already."""
    port = (site.sound("site_remote") or {}).get("port")
    for host in site.hosts.values():
        if "bastions" in host.groups and port == host.variables.get("ansible_port", 22):
            yield Finding("port_of_operators", ("site_remote", "port"), port, {"host": host.name})


def _mark(key: str) -> str:
    """Return the fingerprint of a key that somebody else checks; empty when it is none."""
    try:
        return fingerprint(key)
    except ValueError:
        return ""


def _addresses(path: Path, supplier: Mapping[str, Any]) -> Iterator[Finding]:
    for index, text in enumerate(supplier["addresses"]):
        where = (*path, "addresses", index)
        try:
            network = IPNetwork(text)
        except (AddrFormatError, ValueError):
            yield Finding("not_a_network", where, text, {"version": "4 ou 6", "example": "203.0.113.10/32"})
            continue
        if network.ip != network.cidr.ip:
            yield Finding("host_bits", where, text, {"network": str(network.cidr)})
        if network.prefixlen < WIDEST[network.version]:
            yield Finding("supplier_network_wide", where, text, {"prefix": WIDEST[network.version]})


def _people(
    site: Site, path: Path, supplier: Mapping[str, Any], people: dict[str, Path], keys: dict[str, Path]
) -> Iterator[Finding]:
    ours = site.names("site_people", "id")
    for index, person in enumerate(supplier["people"]):
        where = (*path, "people", index)
        if person["id"] in people or person["id"] in ours:
            other = dotted(people.get(person["id"], ("site_people",)))
            yield Finding("person_twice", (*where, "id"), person["id"], {"other": other})
        people.setdefault(person["id"], where)
        for number, key in enumerate(person["keys"]):
            mark = yield from usable_key((*where, "keys", number), key)
            if mark and mark in keys:
                owner = {"owner": person["id"], "other": dotted(keys[mark])}
                yield Finding("key_twice", (*where, "keys", number), mark, owner)
            keys.setdefault(mark, where)
        if not person["keys"]:
            yield Finding("supplier_without_key", (*where, "keys"), person["id"], warning=True)
        if site.values.get("site_palier") == 3 and not person.get("totp_secret"):
            yield Finding("totp_missing", (*where, "totp_secret"), person["id"], warning=True)


def _equipment(site: Site, path: Path, supplier: Mapping[str, Any]) -> Iterator[Finding]:
    known = [*site.hosts, *site.names("site_equipment")]
    taken = {login for _, login in logins(site)} | RESERVED
    names = [equipment["name"] for equipment in supplier["equipment"]]
    for index, equipment in enumerate(supplier["equipment"]):
        where, name = (*path, "equipment", index), equipment["name"]
        if name not in known:
            details = {
                "where": "hosts.yml, site_equipment",
                "nearest": nearest(name, known),
                "known": ", ".join(known[:30]) or "-",
            }
            yield Finding("unknown_reference", (*where, "name"), name, details)
            continue
        if names.index(name) != index:
            yield Finding("twice_in_list", (*where, "name"), name)
        if equipment.get("protocol", "ssh") == "ssh":
            if not equipment.get("account"):
                yield Finding("missing_key", (*where, "account"), "")
            elif name in site.hosts and equipment["account"] in taken:
                yield Finding("reserved_login", (*where, "account"), equipment["account"])
            if name not in site.hosts and not equipment.get("host_keys"):
                yield Finding("host_keys_missing", (*where, "host_keys"), name, warning=True)
        for number, key in enumerate(equipment.get("host_keys", ())):
            yield from usable_key((*where, "host_keys", number), key)
