"""Checks of package sources, update rings and plans for releases that end."""

from __future__ import annotations

from collections.abc import Iterator

from pgssi.site.model import Finding, Path, Site, dotted, nearest


def check_updates(site: Site) -> Iterator[Finding]:
    """Yield what is wrong with site_package_sources, site_update_rings, site_update_ring and site_support_plans."""
    seen: dict[str, Path] = {}
    for path, source in site.entries("site_package_sources"):
        if source["name"] in seen:
            yield Finding("source_twice", (*path, "name"), source["name"], {"other": dotted(seen[source["name"]])})
        seen.setdefault(source["name"], path)
    rings = site.sound("site_update_rings") or {}
    if rings and min(rings.values()) > 0:
        yield Finding("no_first_ring", ("site_update_rings",), ", ".join(rings))
    ring = site.sound("site_update_ring")
    if ring and ring not in rings:
        details = {"nearest": nearest(ring, list(rings)), "known": ", ".join(sorted(rings)) or "-"}
        yield Finding("ring_unknown", ("site_update_ring",), ring, details)
    for path, plan in site.entries("site_support_plans"):
        if plan["replaced_by"] < site.today.isoformat():
            yield Finding("support_plan_over", (*path, "replaced_by"), plan["replaced_by"], warning=True)
