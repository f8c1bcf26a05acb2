"""The access review of PSSI 5.1.3: the four lists, their differences, and the sample to look at one by one.

Pure: input is the site model of each host and what ``pgssi.toolkit.access_inventory`` read there; output is
the ``details`` of an ``access_review`` evidence record (catalogue/schema/evidence.schema.json).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from pgssi.access_gaps import host_differences, matrix_differences, shared_keys, sudo_text
from pgssi.habilitations import (
    Account,
    SudoRule,
    declared_accounts,
    person_grants,
    presence,
    profile_sudo,
)

FIRST_SEED = "0" * 64
SAMPLE_SHARE = 0.25  # of business rights at each review, at least one; our choice, 5.1.3.2 leaves it open


@dataclass(frozen=True)
class Observed:
    """One host of a review. site: its resolved variables; accounts: what access_inventory returned."""

    name: str
    groups: tuple[str, ...]
    site: Mapping[str, Any]
    accounts: Sequence[Mapping[str, Any]] = field(default_factory=tuple)


def review(
    hosts: Sequence[Observed],
    missing: Iterable[str],
    on: date,
    previous: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Cross the four lists and return the details of the record.

    missing: hosts of the site that were not observed. previous: earlier access_review records, oldest first,
    as ``Record.as_dict()`` gives them (id, sha256, details). Needs at least one host. Raises InvalidInput for
    a site model that does not hold together.
    """
    site = hosts[0].site
    declared = {host.name: declared_accounts(host.site, host.name, host.groups, on) for host in hosts}
    differences = list(matrix_differences(site, on))
    for host in hosts:
        differences += host_differences(host.site, host.name, declared[host.name], host.accounts, on)
    differences += shared_keys({host.name: (declared[host.name], host.accounts) for host in hosts})
    absent = sorted(set(missing) - set(declared))
    rights = [row for host in hosts for row in _rights(host, declared[host.name])]
    technical = sum(row["kind"] not in ("business", "none") for row in rights)
    return {
        "on": on.isoformat(),
        "functions": list(_functions(site)),
        "user_profiles": list(_user_profiles(site, on)),
        "user_functions": list(_user_functions(site, on)),
        "rights": [{key: value for key, value in row.items() if key != "kind"} for row in rights],
        "differences": [difference.as_dict() for difference in differences],
        "sample": {
            "hosts": {"observed": sorted(declared), "missing": absent, "of": len(declared) + len(absent)},
            "technical": {"reviewed": technical, "of": technical},
            "business": business_sample(_business(declared), previous),
        },
    }


def _functions(site: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    profiles = site.get("site_profiles") or {}
    for name, function in (site.get("site_functions") or {}).items():
        for profile_name in function.get("profiles") or ():
            profile = profiles[profile_name]
            yield {
                "function": name,
                "title": function.get("title", name),
                "profile": profile_name,
                "application": profile.get("application", ""),
                "kind": profile["kind"],
                "hosts": list(profile.get("hosts") or ()),
                "groups": list(profile.get("groups") or ()),
                "sudo": [sudo_text(rule) for rule in profile_sudo(profile)],
            }


def _user_profiles(site: Mapping[str, Any], on: date) -> Iterator[dict[str, Any]]:
    for person in site.get("site_people") or ():
        for grant in person_grants(site, person["id"]):
            yield {
                "person": person["id"],
                "name": person.get("name", person["id"]),
                "accounts": [account["login"] for account in person.get("accounts") or ()],
                "profile": grant.profile,
                "via": grant.via,
                "starts": grant.starts.isoformat() if grant.starts else None,
                "ends": grant.ends.isoformat() if grant.ends else None,
                "in_force": grant.holds(on),
            }


def _user_functions(site: Mapping[str, Any], on: date) -> Iterator[dict[str, Any]]:
    for index, person in enumerate(site.get("site_people") or ()):
        starts, leaves = presence(person, f"site_people[{index}]")
        yield {
            "person": person["id"],
            "name": person.get("name", person["id"]),
            "functions": list(person.get("functions") or ()),
            "starts": starts.isoformat() if starts else None,
            "leaves": leaves.isoformat() if leaves else None,
            "present": (starts is None or starts <= on) and (leaves is None or on <= leaves),
        }


def _rights(host: Observed, declared: Sequence[Account]) -> Iterator[dict[str, Any]]:
    """Yield the fourth list: every account that can get in, or that holds anything worth a look."""
    known = {account.login: account for account in declared}
    for live in host.accounts:
        account = known.get(live["login"])
        able = bool(live["login_by"]) and live["interactive"]
        if not (able or live["sudo"] or live["keys"] or (account and account.kind != "service")):
            continue
        kind = account.kind if account else "none"
        yield {
            "host": host.name,
            "account": live["login"],
            "holder": (account.name or account.person or account.kind) if account else "",
            "kind": kind if kind != "none" or not able else "undeclared",
            "login": list(live["login_by"]) if live["interactive"] else [],
            "groups": list(live["groups"]),
            "sudo": [sudo_text(rule) for rule in live_sudo(live)],
            "keys": [f"{key['fingerprint']} {key['comment']}".strip() for key in live["keys"]],
            "last_login": live.get("last_login"),
        }


def live_sudo(live: Mapping[str, Any]) -> list[SudoRule]:
    """Return the sudo rules of an account as read on its host."""
    return [SudoRule(rule["run_as"], tuple(rule["commands"]), bool(rule["password"])) for rule in live["sudo"]]


def _business(declared: Mapping[str, Sequence[Account]]) -> list[dict[str, Any]]:
    return [
        {"host": host, "account": account.login, "name": account.name, "groups": list(account.groups)}
        for host, accounts in sorted(declared.items())
        for account in accounts
        if account.kind == "business" and account.state == "active"
    ]


def business_sample(rights: Sequence[Mapping[str, Any]], previous: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Draw the business rights to confirm: never the previous sample's while there are others (5.1.3.2).

    Those reviewed least often come first; equals are drawn by a seed taken from the previous record, so that
    the choice can be checked and was known to nobody before that record existed.
    Returns {reviewed: [right…], of, seed, previous: id or None, note}.
    """
    last = previous[-1] if previous else None
    seed = str(last["sha256"]) if last else FIRST_SEED
    times: dict[tuple[str, str], int] = {}
    for record in previous:
        for right in record["details"]["sample"]["business"]["reviewed"]:
            place = (right["host"], right["account"])
            times[place] = times.get(place, 0) + 1
    recent = {(right["host"], right["account"]) for right in last["details"]["sample"]["business"]["reviewed"]} if last else set()
    draw = random.Random(seed)
    shuffled = sorted(rights, key=lambda right: (right["host"], right["account"]))
    draw.shuffle(shuffled)
    shuffled.sort(
        key=lambda right: (
            (right["host"], right["account"]) in recent,
            times.get((right["host"], right["account"]), 0),
        )
    )
    size = min(len(shuffled), max(1, math.ceil(SAMPLE_SHARE * len(shuffled))))
    chosen = shuffled[:size]
    repeated = [right for right in chosen if (right["host"], right["account"]) in recent]
    return {
        "reviewed": sorted(chosen, key=lambda right: (right["host"], right["account"])),
        "of": len(shuffled),
        "seed": seed,
        "previous": last["id"] if last else None,
        "note": f"{len(repeated)} droit(s) déjà dans l'échantillon précédent : il n'y en a pas d'autre" if repeated else "",
    }
