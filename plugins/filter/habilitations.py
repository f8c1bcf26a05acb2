"""Filter that tells the access-rights role what the habilitation matrix declares; the logic is pgssi.habilitations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from ansible_collections.pgssi.toolkit.plugins.plugin_utils import package  # noqa: F401

from pgssi.habilitations import Account, declared_accounts, declared_groups, person_grants


def _plain(account: Account) -> dict[str, Any]:
    return {
        "login": account.login,
        "kind": account.kind,
        "name": account.name,
        "state": account.state,
        "groups": list(account.groups),
        "keys": list(account.keys),
        "sudo": bool(account.sudo),
        "last_day": account.last_day.isoformat() if account.last_day else "",
        "console_only": account.console_only,
    }


def _ends(site: Mapping[str, Any], today: date) -> list[date]:
    grants = [grant for person in site.get("site_people") or () for grant in person_grants(site, person["id"])]
    return sorted({grant.ends for grant in grants if grant.ends and grant.ends >= today})


def habilitations(variables: Mapping[str, Any], today: str = "") -> dict[str, Any]:
    """``hostvars[inventory_hostname] | pgssi.toolkit.habilitations``: what must be true of accounts on this host.

    Returns ``accounts`` (every declared login), ``groups`` (those that profiles give anywhere), ``sudo``
    (one entry per rule, with ``last_day`` when the right ends before the account) and ``dated`` (groups that end so).
    today: ISO date, for tests. Raises pgssi.errors.InvalidInput for a site model that cannot be used.
    """
    day = date.fromisoformat(today) if today else date.today()
    host, groups = variables["inventory_hostname"], variables["group_names"]
    now = {account.login: account for account in declared_accounts(variables, host, groups, day)}
    sudo_ends: dict[tuple[str, object], str] = {}
    group_ends: dict[tuple[str, str], str] = {}
    for end in _ends(variables, day):
        after = {a.login: a for a in declared_accounts(variables, host, groups, end + timedelta(days=1))}
        for login, account in now.items():
            later = after[login]
            for rule in set(account.sudo) - set(later.sudo):
                sudo_ends.setdefault((login, rule), end.isoformat())
            for group in set(account.groups) - set(later.groups):
                group_ends.setdefault((login, group), end.isoformat())
    return {
        "accounts": [_plain(account) for account in now.values()],
        "groups": sorted(declared_groups(variables)),
        "sudo": [
            {
                "login": login,
                "run_as": rule.run_as,
                "commands": list(rule.commands),
                "password": rule.password,
                "last_day": sudo_ends.get((login, rule), ""),
            }
            for login, account in now.items()
            for rule in account.sudo
        ],
        "dated": [{"login": login, "group": group, "last_day": end} for (login, group), end in sorted(group_ends.items())],
    }


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"habilitations": habilitations}
