"""The habilitation matrix: which accounts, groups, sudo rules and keys are declared for a host on a date.

Pure: the role that creates accounts, the access review and the tests all ask this module. Source: PSSI 5.1
and 5.2 of PGSSI-S 1.0. Input is the site model as Ansible resolves it (``site_people``,
``site_functions``, ``site_profiles``, ``site_replacements``, ``site_automation``, ``site_service_accounts``,
``site_break_glass``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import pairwise
from typing import Any, Literal

from pgssi.errors import InvalidInput, Problem

Kind = Literal["business", "technical", "automation", "service", "break_glass"]
State = Literal["active", "locked"]
Reason = Literal["", "left", "not_started", "no_profile", "replacement_ended", "replacement_not_started", "service"]
FILE = "group_vars/all/people.yml"
# Groups that the access_rights role keeps on the hosts for itself (plugins/module_utils/accounts_steps.py).
SUDO_GROUP, BREAK_GLASS_GROUP = "pgssi-sudo", "pgssi-break-glass"


@dataclass(frozen=True, order=True)
class SudoRule:
    """One sudo right. run_as: target user; commands: as in sudoers; password: whether sudo asks for one."""

    run_as: str
    commands: tuple[str, ...]
    password: bool = True


@dataclass(frozen=True)
class Grant:
    """A profile held by a person, and why. starts, ends: first and last day, None when open.

    via: ``function:<id>`` or ``replacement:<id of the person replaced>``.
    """

    profile: str
    via: str
    starts: date | None
    ends: date | None

    def holds(self, on: date) -> bool:
        """Return whether the grant is in force that day, both ends included."""
        return (self.starts is None or self.starts <= on) and (self.ends is None or on <= self.ends)


@dataclass(frozen=True)
class Account:
    """What one account must be on one host on one date.

    person: id in site_people (``holder`` for break-glass; empty for automation and service accounts).
    groups: supplementary groups, exactly these (service accounts: not managed, left empty).
    state: ``active`` = exists and may log in; ``locked`` = cannot log in if it exists (never deleted).
    reason: why it is locked; last_day: last day in force, None when open (an expiry for the host to keep).
    console_only: no login over the network (break-glass).
    """

    login: str
    kind: Kind
    person: str = ""
    name: str = ""
    groups: tuple[str, ...] = ()
    sudo: tuple[SudoRule, ...] = ()
    keys: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    state: State = "active"
    reason: Reason = ""
    last_day: date | None = None
    console_only: bool = False

    def derived_groups(self) -> frozenset[str]:
        """Return the groups that the toolkit itself may add on a host, because of the other rights."""
        sudo = {SUDO_GROUP} if self.sudo else set()
        return frozenset(sudo | ({BREAK_GLASS_GROUP} if self.kind == "break_glass" else set()))


def as_date(value: object) -> date | None:
    """Read a date of the site model (YAML date, datetime or ISO text); None and empty give None.

    Raises ValueError for anything else.
    """
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else date.fromisoformat(str(value))


def fingerprint(key: str) -> str:
    """Return ``SHA256:…`` of a public key line (options may precede the type), as ssh-keygen prints it.

    Raises ValueError when the line holds no key.
    """
    words = key.split()
    for kind, blob in pairwise(words):
        if kind.startswith(("ssh-", "ecdsa-", "sk-")):
            try:
                raw = base64.b64decode(blob, validate=True)
            except binascii.Error as error:
                raise ValueError("not an SSH public key") from error
            if raw[4 : 4 + len(kind)] == kind.encode():
                return "SHA256:" + base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")
    raise ValueError("not an SSH public key")


def _entry(site: Mapping[str, Any], table: str, name: str, key: str) -> Mapping[str, Any]:
    known: Mapping[str, Mapping[str, Any]] = site.get(table) or {}
    if name not in known:
        remedy = f"Choisir parmi {', '.join(sorted(known)) or '(rien)'}, ou la déclarer dans {table}."
        raise InvalidInput([Problem(FILE, key, name, f"n'est pas dans {table}", remedy)])
    return known[name]


def _date(raw: Mapping[str, Any], field: str, key: str) -> date | None:
    try:
        return as_date(raw.get(field))
    except ValueError as error:
        raise InvalidInput([Problem(FILE, f"{key}.{field}", raw[field], "n'est pas une date", "L'écrire AAAA-MM-JJ.")]) from error


def _function_profiles(site: Mapping[str, Any], person: Mapping[str, Any], key: str) -> Iterator[tuple[str, str]]:
    for index, function in enumerate(person.get("functions") or ()):
        for profile in _entry(site, "site_functions", function, f"{key}.functions[{index}]").get("profiles") or ():
            yield function, profile


def presence(person: Mapping[str, Any], key: str) -> tuple[date | None, date | None]:
    """Return the first and last day of an entry of site_people, None when open; key names it in errors."""
    return _date(person, "starts", key), _date(person, "leaves", key)


def person_grants(site: Mapping[str, Any], person_id: str) -> tuple[Grant, ...]:
    """Return every profile a person has, had or will have, by function and by replacement.

    Function grants run from the person's ``starts`` to ``leaves``; a replacement runs between its own dates,
    never beyond the person's. A replacement without ``profiles`` gives all those of the person replaced.
    Raises InvalidInput for an unknown person, function, profile or date.
    """
    people = {person["id"]: (f"site_people[{i}]", person) for i, person in enumerate(site.get("site_people") or ())}
    key, person = people[person_id]
    starts, leaves = presence(person, key)
    grants = [Grant(p, f"function:{f}", starts, leaves) for f, p in _function_profiles(site, person, key)]
    for index, raw in enumerate(site.get("site_replacements") or ()):
        if raw["person"] != person_id:
            continue
        where = f"site_replacements[{index}]"
        if raw["replaces"] not in people:
            remedy = "Écrire l'id d'une personne de site_people."
            raise InvalidInput([Problem(FILE, f"{where}.replaces", raw["replaces"], "n'est l'id de personne", remedy)])
        other_key, other = people[raw["replaces"]]
        profiles = raw.get("profiles") or [p for _, p in _function_profiles(site, other, other_key)]
        first, last = _date(raw, "starts", where), _date(raw, "ends", where)
        first = max((d for d in (first, starts) if d), default=None)
        last = min((d for d in (last, leaves) if d), default=None)
        grants += [Grant(p, f"replacement:{raw['replaces']}", first, last) for p in dict.fromkeys(profiles)]
    for grant in grants:
        _entry(site, "site_profiles", grant.profile, f"{key} ({grant.via})")
    return tuple(grants)


def _reason(grants: Sequence[Grant], person: Mapping[str, Any], on: date, key: str) -> Reason:
    starts, leaves = presence(person, key)
    if leaves and on > leaves:
        return "left"
    if starts and on < starts:
        return "not_started"
    past = [g for g in grants if g.via.startswith("replacement:") and g.ends and g.ends < on]
    if past:
        return "replacement_ended"
    return "replacement_not_started" if grants else "no_profile"


def profile_sudo(profile: Mapping[str, Any]) -> tuple[SudoRule, ...]:
    """Return the sudo rules of one entry of site_profiles: {run_as: root, commands, password: true}."""
    return tuple(
        SudoRule(str(raw.get("run_as", "root")), tuple(raw["commands"]), bool(raw.get("password", True)))
        for raw in profile.get("sudo") or ()
    )


def _person_accounts(
    site: Mapping[str, Any], index: int, person: Mapping[str, Any], where: frozenset[str], on: date
) -> Iterator[Account]:
    key, profiles = f"site_people[{index}]", site.get("site_profiles") or {}
    here = [g for g in person_grants(site, person["id"]) if not where.isdisjoint(profiles[g.profile].get("hosts") or ())]
    for raw in person.get("accounts") or ():
        mine = [g for g in here if profiles[g.profile]["kind"] == raw["kind"]]
        held = [g for g in mine if g.holds(on)]
        names = tuple(dict.fromkeys(g.profile for g in held))
        account = Account(raw["login"], raw["kind"], person["id"], person.get("name", ""))
        if not names:
            yield replace(account, state="locked", reason=_reason(mine, person, on, key))
            continue
        ends = [g.ends for g in held]
        yield replace(
            account,
            groups=tuple(sorted({g for n in names for g in profiles[n].get("groups") or ()})),
            sudo=tuple(sorted({rule for n in names for rule in profile_sudo(profiles[n])})),
            keys=tuple(str(k).strip() for k in raw.get("keys") or ()),
            profiles=names,
            last_day=None if None in ends else max(e for e in ends if e),
        )


def _others(site: Mapping[str, Any]) -> Iterator[Account]:
    automation = site.get("site_automation")
    if automation:
        keys = tuple(str(k).strip() for k in automation.get("keys") or ())
        everything = SudoRule("root", ("ALL",), password=False)
        yield Account(automation["login"], "automation", sudo=(everything,), keys=keys)
    for login in site.get("site_service_accounts") or ():
        yield Account(str(login), "service", state="locked", reason="service")
    glass = site.get("site_break_glass")
    if glass:
        everything = SudoRule("root", ("ALL",))
        holder = str(glass.get("holder", ""))
        yield Account(glass["login"], "break_glass", holder, sudo=(everything,), console_only=True)


def declared_accounts(site: Mapping[str, Any], host: str, groups: Iterable[str], on: date | None = None) -> tuple[Account, ...]:
    """Return every account of the site model as it must be on this host that day (default today), by login.

    host: inventory name; groups: the inventory groups of the host (``all`` is implied).
    An account gets the profiles of its own kind only: technical and business rights never meet (5.2.1.4).
    Every account of every person is returned: one without a right here is ``locked`` with its reason.
    A login on the host that is not in the answer is undeclared.
    Raises InvalidInput for an unknown function, profile or person, a bad date, or a login used twice.
    """
    on = on or date.today()
    where = frozenset({"all", host, *groups})
    found: dict[str, Account] = {}
    people = enumerate(site.get("site_people") or ())
    for account in [*(a for i, p in people for a in _person_accounts(site, i, p, where, on)), *_others(site)]:
        if account.login in found:
            raise InvalidInput(
                [
                    Problem(
                        FILE,
                        "login",
                        account.login,
                        "est déclaré deux fois",
                        "Donner à chaque compte son propre login.",
                    )
                ]
            )
        found[account.login] = account
    return tuple(found[login] for login in sorted(found))


def declared_groups(site: Mapping[str, Any]) -> frozenset[str]:
    """Return every Unix group that some profile gives, on any host."""
    profiles: Mapping[str, Mapping[str, Any]] = site.get("site_profiles") or {}
    return frozenset(group for profile in profiles.values() for group in profile.get("groups") or ())
