"""The whole check of a site model: all findings at once, each naming file, key, value and remedy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import Any

from pgssi.catalogue import Catalogue, load_catalogue
from pgssi.errors import Problem
from pgssi.site.backup import check_backup
from pgssi.site.confinement import check_confinement
from pgssi.site.flows import check_flows
from pgssi.site.hours import check_hours
from pgssi.site.malware import check_malware
from pgssi.site.media import check_media
from pgssi.site.model import Finding, Host, Site, dotted, json_like
from pgssi.site.network import check_network, network_of
from pgssi.site.origins import Origins
from pgssi.site.people import check_people
from pgssi.site.promises import check_promises
from pgssi.site.schema import schema_findings
from pgssi.site.suppliers import check_suppliers
from pgssi.site.texts import check_texts
from pgssi.site.updates import check_updates
from pgssi.site.wifi import check_wifi
from pgssi.site.words import say

GROUPS = frozenset(
    [
        "servers",
        "gateways",
        "bastions",
        "backup_servers",
        "backup_clients",
        "backup_offsite",
        "backup_scratch",
        "log_servers",
        "database_servers",
        "web_frontends",
        "proxies",
        "radius_servers",
        "wifi_access_points",
        "wifi_sensors",
        "guest_portals",
        "wifi_clients",
        "workstations",
        "erasure_stations",
    ]
)
_PER_HOST = ("site_backup_passphrase", "site_interfaces")  # a host's own: they do not make another model
_SECRET = ("passphrase", "password", "secret", "private")
_CHECKS = (
    check_people,
    check_backup,
    check_suppliers,
    check_wifi,
    check_media,
    check_hours,
    check_updates,
    check_malware,
    check_texts,
)


@dataclass(frozen=True)
class Review:
    """What the check found. problems stop everything; warnings do not. hosts: how many were read."""

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    hosts: int


def review(
    hosts: Iterable[Host],
    roots: Iterable[str],
    lang: str = "fr",
    today: date | None = None,
    catalogue: Catalogue | None = None,
) -> Review:
    """Check the site model of an inventory. roots: its files, to say where each value stands.

    Never raises on bad values: whatever is wrong is a problem of the review.
    """
    known = {host.name: host for host in hosts}
    origins = Origins(roots)
    problems: dict[tuple[object, ...], Problem] = {}
    warnings: dict[tuple[object, ...], Problem] = {}
    found = [
        (origins.place(finding.path, host), finding)
        for host, finding in _all(known, today or date.today(), catalogue or load_catalogue())
    ]
    for place, finding in [*origins.twice, *found]:
        message, remedy = say(finding, lang)
        where = dotted(finding.path) + (f" ({finding.host})" if finding.host else "")
        problem = Problem(place, where, _shown(finding), message, remedy)
        (warnings if finding.warning else problems).setdefault((place, where, message), problem)
    return Review(tuple(problems.values()), tuple(warnings.values()), len(known))


def _all(hosts: Mapping[str, Host], today: date, catalogue: Catalogue) -> Iterator[tuple[str, Finding]]:
    """Yield (first host of it, finding) for each distinct model, then what is a host's own."""
    for first, values in _models(hosts):
        findings = list(schema_findings(values))
        yield from ((first, finding) for finding in findings)
        site = Site(values, hosts, today, frozenset(finding.path for finding in findings))
        network = network_of(site, catalogue)
        for over in (check_network, check_flows):
            yield from ((first, finding) for finding in over(site, network))
        yield from ((first, finding) for finding in check_confinement(network, catalogue))
        for check in _CHECKS:
            yield from ((first, finding) for finding in check(site))
        yield from ((first, finding) for finding in check_promises(site, catalogue))
    for host in hosts.values():
        for name in _PER_HOST:
            if name in host.variables:
                own = {"site_name": "-", "site_palier": 0, name: json_like(host.variables[name])}
                yield from ((host.name, finding) for finding in schema_findings(own))
    yield from (("", finding) for finding in _groups(hosts))
    yield from (("", finding) for finding in _passphrases(hosts))


def _models(hosts: Mapping[str, Host]) -> Iterator[tuple[str, dict[str, Any]]]:
    seen: list[dict[str, Any]] = []
    for host in hosts.values():
        values = {
            name: json_like(value) for name, value in host.variables.items() if name.startswith("site_") and name not in _PER_HOST
        }
        if values not in seen:
            seen.append(values)
            yield host.name, values


def _groups(hosts: Mapping[str, Host]) -> Iterator[Finding]:
    for group in sorted({group for host in hosts.values() for group in host.groups} - GROUPS):
        close = get_close_matches(group.replace("-", "_"), GROUPS, n=1, cutoff=0.9)
        if close:
            yield Finding("group_name", (group,), group, {"nearest": close[0]}, warning=True)


def _passphrases(hosts: Mapping[str, Host]) -> Iterator[Finding]:
    owners: dict[str, str] = {}
    clients = [host for host in hosts.values() if "backup_clients" in host.groups]
    for host in clients:
        secret = host.variables.get("site_backup_passphrase")
        if secret is None:
            if host.variables.get("site_backup_plan"):
                yield Finding("secret_missing", ("site_backup_passphrase",), "", host=host.name)
            continue
        if str(secret) in owners:
            details = {"other": owners[str(secret)]}
            yield Finding("secret_shared", ("site_backup_passphrase",), "", details, host=host.name)
        owners.setdefault(str(secret), host.name)


def _shown(finding: Finding) -> object:
    """Return the value to show: never a secret, never a page."""
    if any(word in str(part) for part in finding.path for word in _SECRET):
        return "(…)"
    value = finding.value
    text = value if isinstance(value, str) else repr(value)
    return text[:77] + "…" if len(text) > 80 else value
