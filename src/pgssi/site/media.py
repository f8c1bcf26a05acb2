"""Checks of the register of media: one entry for each, on a host that exists, with a content that is worth one thing."""

from __future__ import annotations

from collections.abc import Iterator

from pgssi.site.model import Finding, Path, Site, dotted
from pgssi.site.people import unknown

PRESENT = ("in_service", "leaving")  # the host of the others may have left the inventory


def check_media(site: Site) -> Iterator[Finding]:
    """Yield what is wrong with site_media."""
    seen: dict[tuple[str, str], Path] = {}
    components = site.names("site_backup_plan", "component")
    for path, entry in site.entries("site_media"):
        mark = (entry.get("host", ""), entry["serial"])
        if mark in seen:
            yield Finding("medium_twice", (*path, "serial"), entry["serial"], {"other": dotted(seen[mark])})
        seen.setdefault(mark, path)
        if "host" in entry and entry["state"] in PRESENT:
            yield from unknown((*path, "host"), entry["host"], "inventory", list(site.hosts))
        for index, name in enumerate(entry.get("components", ())):
            yield from unknown((*path, "components", index), name, "site_backup_plan", components)
        if "worthless" in entry and "components" in entry:
            yield Finding("worth_two_things", (*path, "worthless"), entry["worthless"])
