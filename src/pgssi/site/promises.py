"""Checks of what the site promises or excuses itself from: trajectory, waivers, attestations."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from pgssi.catalogue import Catalogue
from pgssi.site.model import Finding, Site, nearest
from pgssi.site.people import unknown_place


def check_promises(site: Site, catalogue: Catalogue) -> Iterator[Finding]:
    """Yield what is wrong with site_trajectory, site_waivers, site_attestations and site_evidence_signers."""
    yield from _trajectory(site)
    yield from _waivers(site, catalogue)
    yield from _attestations(site, catalogue)
    for path, signer in site.entries("site_evidence_signers"):
        if signer.get("ends", "9999-12-31") < signer.get("starts", ""):
            yield Finding("ends_before", (*path, "ends"), signer["ends"], {"starts": signer["starts"]})


def _trajectory(site: Site) -> Iterator[Finding]:
    steps = list(site.entries("site_trajectory"))
    for (_, before), (path, after) in pairwise(steps):
        if after["palier"] <= before["palier"] or after["by"] <= before["by"]:
            details = {"before": f"palier {before['palier']} ({before['by']})"}
            yield Finding("trajectory_order", path, f"palier {after['palier']} ({after['by']})", details)
    palier = int(site.values["site_palier"]) if site.sound("site_palier") is not None else 3
    for path, step in steps:
        if step["by"] < site.today.isoformat() and step["palier"] > palier:
            late: dict[str, object] = {"palier": step["palier"], "target": palier}
            yield Finding("trajectory_late", (*path, "by"), step["by"], late, warning=True)


def _waivers(site: Site, catalogue: Catalogue) -> Iterator[Finding]:
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for path, waiver in site.entries("site_waivers"):
        rule, scope = waiver["rule"], tuple(sorted(waiver["scope"]))
        if rule not in catalogue.rules:
            close = nearest(rule, set(catalogue.rules))
            yield Finding("unknown_rule", (*path, "rule"), rule, {"nearest": close})
        for index, place in enumerate(waiver["scope"]):
            yield from unknown_place(site, (*path, "scope", index), place)
        if waiver["expires"] < site.today.isoformat():
            yield Finding("waiver_expired", (*path, "expires"), waiver["expires"])
        if waiver.get("approved", "") > waiver["expires"]:
            yield Finding("ends_before", (*path, "expires"), waiver["expires"], {"starts": waiver["approved"]})
        if (rule, scope) in seen:
            yield Finding("waiver_twice", path, rule)
        seen.add((rule, scope))
        if rule in catalogue.rules:
            where = {"all", *catalogue.rules[rule].groups}
            hosts = {host for place in scope for host in site.members(place)}
            concerned = {host for place in catalogue.rules[rule].groups for host in site.members(place)}
            if hosts and not hosts & concerned:
                details = {"groups": ", ".join(sorted(where - {"all"}))}
                yield Finding("waiver_without_effect", (*path, "scope"), list(scope), details, warning=True)


def _attestations(site: Site, catalogue: Catalogue) -> Iterator[Finding]:
    today = site.today.isoformat()
    current: set[str] = set()
    for path, entry in site.entries("site_attestations"):
        requirement = entry["requirement"]
        if requirement not in catalogue.requirements:
            close = nearest(requirement, set(catalogue.requirements))
            yield Finding("unknown_requirement", (*path, "requirement"), requirement, {"nearest": close})
        elif catalogue.requirements[requirement].class_ == "automated":
            yield Finding("attests_automated", (*path, "requirement"), requirement, warning=True)
        if entry["date"] > today:
            yield Finding("date_in_future", (*path, "date"), entry["date"])
        if entry["expires"] < entry["date"]:
            yield Finding("ends_before", (*path, "expires"), entry["expires"], {"starts": entry["date"]})
        elif entry["expires"] < today:
            yield Finding("attestation_expired", (*path, "expires"), entry["expires"], warning=True)
        elif requirement in current:
            yield Finding("attested_twice", (*path, "requirement"), requirement)
        else:
            current.add(requirement)
