"""Each difference between the habilitation matrix and what is in force, or within the matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from pgssi.habilitations import (
    Account,
    Grant,
    SudoRule,
    declared_groups,
    fingerprint,
    person_grants,
    profile_sudo,
)

_LOCKED_CODES = {
    "left": "person_gone",
    "not_started": "not_started",
    "replacement_ended": "replacement_expired",
    "service": "service_login",
}
# Groups that amount to reading or changing everything on Debian; kept apart for accounts nobody holds.
PRIVILEGED_GROUPS = frozenset({"root", "sudo", "wheel", "adm", "shadow", "disk", "docker", "lxd", "staff", "kmem"})


@dataclass(frozen=True)
class Difference:
    """One difference. host is empty for one inside the matrix; seen: what was found, in French."""

    code: str
    host: str
    account: str
    seen: str

    def as_dict(self) -> dict[str, str]:
        """Return it as the record holds it."""
        return asdict(self)


def sudo_text(rule: SudoRule) -> str:
    """Return a sudo rule as a person reads it: ``(postgres) sans mot de passe /usr/bin/psql``."""
    return f"({rule.run_as}) {'' if rule.password else 'sans mot de passe '}{', '.join(rule.commands)}"


def _same_sudo(rule: SudoRule) -> SudoRule:
    """Reduce a rule to what it allows: everything as root is everything as anybody."""
    everything = "ALL" in rule.commands
    run_as = "root" if everything and rule.run_as == "ALL" else rule.run_as
    return SudoRule(run_as, ("ALL",) if everything else tuple(sorted(rule.commands)), rule.password)


def _split(rules: Sequence[SudoRule]) -> set[SudoRule]:
    """One command per rule: two rules of one command each are one rule of two."""
    return {SudoRule(same.run_as, (command,), same.password) for same in map(_same_sudo, rules) for command in same.commands}


def host_differences(
    site: Mapping[str, Any],
    host: str,
    declared: Sequence[Account],
    live: Sequence[Mapping[str, Any]],
    on: date,
) -> Iterator[Difference]:
    """Yield every difference of one host between its declared accounts and those access_inventory read."""
    known = {account.login: account for account in declared}
    present = {item["login"]: item for item in live}
    managed = declared_groups(site) | PRIVILEGED_GROUPS
    for account in declared:
        if account.state == "active" and not _able(present.get(account.login)):
            how = "verrouillé ou sans moyen de se connecter" if account.login in present else "absent"
            yield Difference("missing_account", host, account.login, how)
    for login, item in sorted(present.items()):
        one = known.get(login)
        yield from _entry(host, item, one)
        yield from _groups(site, host, item, one, managed, on)
        yield from _sudo(site, host, item, one, on)
        yield from _keys(host, item, one)
    by_uid: dict[int, list[str]] = {}
    for item in live:
        by_uid.setdefault(item["uid"], []).append(item["login"])
    for uid, logins in sorted(by_uid.items()):
        if len(logins) > 1:
            yield Difference("duplicate_uid", host, ", ".join(sorted(logins)), f"uid {uid}")


def _able(item: Mapping[str, Any] | None) -> bool:
    return bool(item and item["login_by"] and item["interactive"])


def _entry(host: str, item: Mapping[str, Any], account: Account | None) -> Iterator[Difference]:
    if not _able(item) or (account and account.state == "active"):
        return
    seen = f"se connecte par {', '.join(_WAYS.get(way, way) for way in item['login_by'])}"
    if item.get("last_login"):
        seen += f", dernière connexion {item['last_login'].replace('T', ' ').replace('Z', ' UTC')}"
    if item["login"] == "root":
        code = "default_login"
    elif account is None:
        code = "undeclared_account"
    else:
        code = _LOCKED_CODES.get(account.reason, "no_right_here")
    yield Difference(code, host, item["login"], seen)


_WAYS = {"password": "mot de passe", "empty password": "mot de passe vide", "key": "clé SSH"}


def _groups(
    site: Mapping[str, Any],
    host: str,
    item: Mapping[str, Any],
    account: Account | None,
    managed: frozenset[str],
    on: date,
) -> Iterator[Difference]:
    login, held = item["login"], set(item["groups"])
    if account is None or account.kind == "service":
        # Packages give their own accounts the groups they need; only a person-like account is exact.
        extra = held & managed if _able(item) else set()
    else:
        extra = held - set(account.groups) - account.derived_groups()
        if _able(item):
            for group in sorted(set(account.groups) - held):
                yield Difference("missing_group", host, login, group)
    for group in sorted(extra):
        over = _ended(site, account, on, group=group)
        if over:
            yield Difference("replacement_expired", host, login, f"groupe {group}, {over}")
        else:
            yield Difference("extra_group", host, login, group)


def _sudo(site: Mapping[str, Any], host: str, item: Mapping[str, Any], account: Account | None, on: date) -> Iterator[Difference]:
    login = item["login"]
    held = _split([SudoRule(r["run_as"], tuple(r["commands"]), bool(r["password"])) for r in item["sudo"]])
    wanted = _split(account.sudo) if account else set()
    for rule in sorted(held - wanted):
        over = _ended(site, account, on, sudo=rule)
        code = "replacement_expired" if over else "extra_sudo"
        yield Difference(code, host, login, sudo_text(rule) + (f", {over}" if over else ""))
    if _able(item):
        for rule in sorted(wanted - held):
            yield Difference("missing_sudo", host, login, sudo_text(rule))


def _keys(host: str, item: Mapping[str, Any], account: Account | None) -> Iterator[Difference]:
    wanted = {fingerprint(key) for key in account.keys} if account else set()
    held = {key["fingerprint"]: key for key in item["keys"]}
    for print_, key in sorted(held.items()):
        if print_ not in wanted:
            yield Difference("extra_key", host, item["login"], f"{print_} {key['comment']} ({key['file']})")
    for print_ in sorted(wanted - set(held)):
        yield Difference("missing_key", host, item["login"], print_)


def _ended(
    site: Mapping[str, Any],
    account: Account | None,
    on: date,
    group: str | None = None,
    sudo: SudoRule | None = None,
) -> str:
    """Return which replacement of the account's holder gave this right and is over, or an empty text."""
    if account is None or account.kind not in ("business", "technical"):
        return ""
    profiles = site.get("site_profiles") or {}
    for grant in person_grants(site, account.person):
        profile = profiles[grant.profile]
        gives = group in (profile.get("groups") or ()) if group else sudo in _split(profile_sudo(profile))
        if gives and _is_over(grant, on):
            other = grant.via.partition(":")[2]
            return f"remplacement de {other} terminé le {grant.ends}"
    return ""


def _is_over(grant: Grant, on: date) -> bool:
    return grant.via.startswith("replacement:") and grant.ends is not None and grant.ends < on


def shared_keys(
    hosts: Mapping[str, tuple[Sequence[Account], Sequence[Mapping[str, Any]]]],
) -> Iterator[Difference]:
    """Yield the keys that open accounts of more than one holder, on any of the hosts (PSSI 5.2.1.5)."""
    holders: dict[str, set[str]] = {}
    places: dict[str, set[str]] = {}
    for host, (declared, live) in hosts.items():
        owner = {account.login: account.person or account.login for account in declared}
        for item in live:
            for key in item["keys"]:
                login = item["login"]
                holders.setdefault(key["fingerprint"], set()).add(owner.get(login, login))
                places.setdefault(key["fingerprint"], set()).add(f"{login}@{host}")
    for print_, people in sorted(holders.items()):
        if len(people) > 1:
            yield Difference("shared_key", "", ", ".join(sorted(places[print_])), print_)


def matrix_differences(site: Mapping[str, Any], on: date) -> Iterator[Difference]:
    """Yield what does not hold within the matrix itself (PSSI 5.1.1.4, 5.2.1.4)."""
    profiles = site.get("site_profiles") or {}
    used: set[str] = set()
    for name, function in (site.get("site_functions") or {}).items():
        given = list(function.get("profiles") or ())
        used.update(given)
        if {profiles[p]["kind"] for p in given if p in profiles} >= {"business", "technical"}:
            yield Difference("mixed_rights", "", "", f"fonction {name} : {', '.join(given)}")
    for name in sorted(set(profiles) - used):
        yield Difference("profile_unused", "", "", f"profil {name}")
    for person in site.get("site_people") or ():
        accounts = person.get("accounts") or ()
        if len(accounts) > 2:
            logins = ", ".join(account["login"] for account in accounts)
            yield Difference("too_many_accounts", "", person["id"], logins)
        kinds = {account["kind"] for account in accounts}
        for grant in person_grants(site, person["id"]):
            kind = profiles[grant.profile]["kind"]
            if grant.holds(on) and kind not in kinds:
                yield Difference("no_account_for_profile", "", person["id"], f"profil {grant.profile} ({kind})")
