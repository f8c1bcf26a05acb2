"""Checks of the backup plan: what it names exists, its times agree, and nothing is left without a copy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pgssi.site.model import Finding, Path, Site, dotted
from pgssi.site.people import unknown

HOURS = {"hourly": 1, "daily": 24, "weekly": 168}
MONTHS = {"hourly": 1 / 730, "daily": 1 / 30.4, "weekly": 7 / 30.4, "monthly": 1.0, "yearly": 12.0}
LONG = 24  # months beyond which PSSI 7.4.2.4 wants a justification
COVERED = ("backup_clients", "servers", "workstations")
ROLES = {
    "server": "backup_servers",
    "offsite": "backup_offsite",
    "escrow": "",
    "scratch": "backup_scratch",
}


def check_backup(site: Site) -> Iterator[Finding]:
    """Yield what is wrong with site_backup, site_backup_plan and the secrets of the repositories."""
    yield from _hosts(site)
    yield from _plan(site)
    yield from _uncovered(site)


def _hosts(site: Site) -> Iterator[Finding]:
    backup = site.sound("site_backup")
    if backup is None:
        if site.names("site_backup_plan", "component") and "site_backup" not in site.values:
            yield Finding("no_backup_hosts", ("site_backup",))
        return
    for key, group in ROLES.items():
        if key not in backup:
            continue
        yield from unknown(("site_backup", key), backup[key], "inventory", list(site.hosts))
        if group and backup[key] in site.hosts and group not in site.hosts[backup[key]].groups:
            details = {"group": group, "members": ", ".join(site.members(group)) or "-"}
            yield Finding("not_in_group", ("site_backup", key), backup[key], details)
    for key in ("offsite", "escrow", "scratch"):
        if key in backup and backup[key] == backup["server"]:
            yield Finding("same_as_server", ("site_backup", key), backup[key], {"key": key})
    for palier, key in ((2, "offsite"), (3, "escrow")):
        if _palier(site) >= palier and key not in backup:
            yield Finding("needed_from_palier", ("site_backup", key), "", {"palier": palier, "key": key})


def _palier(site: Site) -> int:
    return int(site.values["site_palier"]) if site.sound("site_palier") is not None else 0


def _plan(site: Site) -> Iterator[Finding]:
    known = site.names("site_backup_plan", "component")
    seen: dict[str, Path] = {}
    needs: dict[str, list[str]] = {}
    dmard: dict[str, int] = {}
    for path, entry in site.entries("site_backup_plan"):
        name = entry["component"]
        if name in seen:
            yield Finding("component_twice", (*path, "component"), name, {"other": dotted(seen[name])})
        seen.setdefault(name, path)
        needs[name], dmard[name] = entry.get("depends_on", []), entry["dmard_hours"]
        yield from _place(site, path, entry)
        yield from _times(path, entry)
        for index, other in enumerate(needs[name]):
            yield from unknown((*path, "depends_on", index), other, "site_backup_plan", known)
    for name, path in seen.items():
        loop = _loop(name, needs)
        if loop:
            yield Finding("dependency_loop", (*path, "depends_on"), needs[name], {"loop": " → ".join(loop)})
        slower = [other for other in needs[name] if dmard.get(other, 0) > dmard[name]]
        for other in slower:
            details = {"other": other, "hours": dmard[other]}
            yield Finding("dmard_of_dependency", (*path, "dmard_hours"), dmard[name], details, warning=True)


def _place(site: Site, path: Path, entry: Mapping[str, Any]) -> Iterator[Finding]:
    host = entry["host"]
    yield from unknown((*path, "host"), host, "inventory", list(site.hosts))
    if host not in site.hosts:
        return
    groups = site.hosts[host].groups
    if "backup_clients" not in groups:
        details = {"group": "backup_clients", "members": ", ".join(site.members("backup_clients")) or "-"}
        yield Finding("not_in_group", (*path, "host"), host, details)
    if entry["type"] == "postgresql" and "database_servers" not in groups:
        details = {"group": "database_servers", "members": ", ".join(site.members("database_servers")) or "-"}
        yield Finding("not_in_group", (*path, "host"), host, details, warning=True)
    for index, item in enumerate(entry.get("paths", ())):
        if ".." in item.split("/"):
            yield Finding("path_climbs", (*path, "paths", index), item)


def _times(path: Path, entry: Mapping[str, Any]) -> Iterator[Finding]:
    interval = HOURS[entry["frequency"]]
    if entry["pdma_hours"] < interval:
        details = {"frequency": entry["frequency"], "hours": interval}
        yield Finding("pdma_below_frequency", (*path, "pdma_hours"), entry["pdma_hours"], details)
    kept = max(count * MONTHS[unit] for unit, count in entry["retention"].items())
    limit = entry["retention_max_months"]
    if kept > limit:
        details = {"months": f"{kept:.1f}".rstrip("0").rstrip("."), "limit": limit}
        yield Finding("retention_too_long", (*path, "retention"), entry["retention"], details)
    if not any(entry["retention"].values()):
        yield Finding("retention_nothing", (*path, "retention"), entry["retention"])
    if limit > LONG and "note" not in entry:
        yield Finding("retention_needs_note", (*path, "retention_max_months"), limit, {"limit": LONG})


def _loop(start: str, needs: Mapping[str, list[str]]) -> list[str]:
    """Return the components from ``start`` back to itself, or nothing."""
    stack, seen = [(start, [start])], set()
    while stack:
        name, trail = stack.pop()
        for other in needs.get(name, ()):
            if other == start:
                return [*trail, other]
            if other not in seen:
                seen.add(other)
                stack.append((other, [*trail, other]))
    return []


def _uncovered(site: Site) -> Iterator[Finding]:
    planned, out = set(site.names("site_backup_plan", "host")), set()
    for path, entry in site.entries("site_backup_excluded"):
        known = {"all", *site.hosts, *(group for host in site.hosts.values() for group in host.groups)}
        for index, name in enumerate(entry["scope"]):
            yield from unknown((*path, "scope", index), name, "inventory", sorted(known))
        if entry.keys().isdisjoint({"path", "database"}):
            out |= {name for name, host in site.hosts.items() if not {"all", name, *host.groups}.isdisjoint(entry["scope"])}
    for host in dict.fromkeys(name for group in COVERED for name in site.members(group)):
        if host not in planned | out:
            yield Finding("nothing_planned", ("site_backup_plan",), host, {"members": host}, warning=True)
