"""Checks of the habilitation matrix: references, dates, logins, keys, and who could lock himself out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pgssi.site.keys import check_keys
from pgssi.site.model import Finding, Path, Site, dotted, nearest

# Base accounts and groups of Debian (base-passwd, openssh-server, systemd): never a person's.
RESERVED = frozenset(
    [
        "root",
        "daemon",
        "bin",
        "sys",
        "sync",
        "games",
        "man",
        "lp",
        "mail",
        "news",
        "uucp",
        "proxy",
        "www-data",
        "backup",
        "list",
        "irc",
        "nobody",
        "_apt",
        "sshd",
        "messagebus",
        "systemd-network",
        "systemd-resolve",
        "systemd-timesync",
        "uuidd",
        "tcpdump",
    ]
)
# Groups whose members read everything or are root in effect, outside of any sudo rule.
ROOT_GROUPS = frozenset(["root", "shadow", "disk", "kmem", "docker", "lxd", "libvirt", "incus", "podman", "sudo", "wheel"])


def check_people(site: Site) -> Iterator[Finding]:
    """Yield what is wrong with people, functions, profiles, applications and special accounts."""
    yield from _profiles(site)
    yield from _references(site, "site_functions", "profiles", "site_profiles")
    yield from _references(site, "site_people", "functions", "site_functions")
    yield from _people(site)
    yield from _replacements(site)
    yield from _logins(site)
    yield from _special(site)
    yield from check_keys(site)


def unknown(path: Path, name: str, where: str, known: list[str]) -> Iterator[Finding]:
    """Yield a finding when a reference leads nowhere."""
    if name not in known:
        details = {
            "where": where,
            "nearest": nearest(name, known),
            "known": ", ".join(sorted(known)[:30]) or "-",
        }
        yield Finding("unknown_reference", path, name, details)


def unknown_place(site: Site, path: Path, name: str) -> Iterator[Finding]:
    """Yield a finding when a host or group does not exist, or a warning when a group is empty."""
    places = site.places()
    if name not in places:
        details = {"nearest": nearest(name, places), "known": ", ".join(places[:30])}
        yield Finding("unknown_place", path, name, details)


def _references(site: Site, variable: str, key: str, target: str) -> Iterator[Finding]:
    for path, entry in site.entries(variable):
        for index, name in enumerate(entry[key]):
            yield from unknown((*path, key, index), name, target, site.names(target))


def _profiles(site: Site) -> Iterator[Finding]:
    for path, profile in site.entries("site_profiles"):
        applications = site.names("site_applications")
        yield from unknown((*path, "application"), profile["application"], "site_applications", applications)
        for index, place in enumerate(profile["hosts"]):
            yield from unknown_place(site, (*path, "hosts", index), place)
        for index, group in enumerate(profile.get("groups", ())):
            if group in ROOT_GROUPS:
                yield Finding("root_group", (*path, "groups", index), group)
        if profile["kind"] == "business" and profile.get("sudo"):
            yield Finding("business_sudo", (*path, "sudo"), "", {"profile": path[1]})


def _kinds(site: Site, person: Mapping[str, Any]) -> Iterator[tuple[int, str, str]]:
    functions, profiles = dict(_named(site, "site_functions")), dict(_named(site, "site_profiles"))
    for index, function in enumerate(person["functions"]):
        for profile in functions.get(function, {}).get("profiles", ()):
            if profile in profiles:
                yield index, profile, profiles[profile]["kind"]


def _named(site: Site, variable: str) -> Iterator[tuple[str, Any]]:
    for path, entry in site.entries(variable):
        yield str(path[1]), entry


def _people(site: Site) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    covering = {entry["person"] for _, entry in site.entries("site_replacements")}
    for path, person in site.entries("site_people"):
        if person["id"] in seen:
            yield Finding("person_twice", (*path, "id"), person["id"], {"other": f"site_people[{seen[person['id']]}]"})
        seen.setdefault(person["id"], int(path[1]))
        if person.get("leaves", "9999-12-31") < person["starts"]:
            yield Finding("ends_before", (*path, "leaves"), person["leaves"], {"starts": person["starts"]})
        kinds = [account["kind"] for account in person["accounts"]]
        for kind in {kind for kind in kinds if kinds.count(kind) > 1}:
            yield Finding("kind_twice", (*path, "accounts"), kind, {"person": person["id"]})
        wanted = list(_kinds(site, person))
        for index, profile, kind in wanted:
            if kind not in kinds:
                details = {"profile": profile, "kind": kind, "person": person["id"]}
                yield Finding("no_account_of_kind", (*path, "functions", index), person["functions"][index], details)
        given = {kind for _, _, kind in wanted}
        for index, account in enumerate(person["accounts"]):
            if account["kind"] not in given and person["id"] not in covering:
                details = {"person": person["id"], "kind": account["kind"]}
                yield Finding(
                    "account_without_right",
                    (*path, "accounts", index),
                    account["login"],
                    details,
                    warning=True,
                )


def _replacements(site: Site) -> Iterator[Finding]:
    people = {person["id"]: person for _, person in site.entries("site_people")}
    known = site.names("site_people", "id")
    for path, entry in site.entries("site_replacements"):
        for key in ("person", "replaces"):
            yield from unknown((*path, key), entry[key], "site_people", known)
        if entry["person"] == entry["replaces"]:
            yield Finding("replaces_self", (*path, "replaces"), entry["replaces"])
        if entry["ends"] < entry["starts"]:
            yield Finding("ends_before", (*path, "ends"), entry["ends"], {"starts": entry["starts"]})
        elif entry["ends"] < site.today.isoformat():
            yield Finding("replacement_ended", (*path, "ends"), entry["ends"], warning=True)
        for index, profile in enumerate(entry.get("profiles", ())):
            where = (*path, "profiles", index)
            yield from unknown(where, profile, "site_profiles", site.names("site_profiles"))
            if entry["replaces"] in people and profile in site.names("site_profiles"):
                held = {name for _, name, _ in _kinds(site, people[entry["replaces"]])}
                if profile not in held:
                    details = {"person": entry["replaces"], "known": ", ".join(sorted(held)) or "-"}
                    yield Finding("profile_not_held", where, profile, details)
        yield from _carried(site, path, entry, people)


def _carried(site: Site, path: Path, entry: Mapping[str, Any], people: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    if entry["person"] not in people or entry["replaces"] not in people:
        return
    kinds = {account["kind"] for account in people[entry["person"]]["accounts"]}
    for _, profile, kind in _kinds(site, people[entry["replaces"]]):
        if profile in entry.get("profiles", [profile]) and kind not in kinds:
            details = {"profile": profile, "kind": kind, "person": entry["person"]}
            yield Finding("no_account_of_kind", (*path, "person"), entry["person"], details)


def _logins(site: Site) -> Iterator[Finding]:
    seen: dict[str, Path] = {}
    for path, login in logins(site):
        if login in RESERVED and path[0] != "site_service_accounts":
            yield Finding("reserved_login", path, login)
        if login in seen:
            yield Finding("login_twice", path, login, {"other": dotted(seen[login])})
        seen.setdefault(login, path)


def logins(site: Site) -> Iterator[tuple[Path, str]]:
    """Yield every login that the site declares, and where."""
    for path, person in site.entries("site_people"):
        for index, account in enumerate(person["accounts"]):
            yield (*path, "accounts", index, "login"), account["login"]
    for variable in ("site_automation", "site_break_glass"):
        if site.sound(variable):
            yield (variable, "login"), site.values[variable]["login"]
    for path, login in site.entries("site_service_accounts"):
        yield path, login


def _special(site: Site) -> Iterator[Finding]:
    glass, automation = site.sound("site_break_glass"), site.sound("site_automation")
    if glass:
        contacts = site.names("site_contacts")
        yield from unknown(("site_break_glass", "holder"), glass["holder"], "site_contacts", contacts)
    if automation is None:
        return
    for host in site.hosts.values():
        user = host.variables.get("ansible_user")
        if user in (None, "root", automation["login"]) or host.variables.get("ansible_connection", "ssh") != "ssh":
            continue
        details = {"login": automation["login"]}
        yield Finding("not_automation", ("ansible_user",), user, details, host=host.name)
