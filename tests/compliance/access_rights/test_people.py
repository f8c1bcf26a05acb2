"""Who can log in: only declared people, in their own name, as long as they have a function (PSSI 5.2.1)."""

from __future__ import annotations

import re
from collections import Counter

import pytest

GENERIC = re.compile(
    r"^(adm|admin|administrat(eu|o)r|compte|debian|demo|guest|invite|maintenance|oracle|pi|sysadmin|support"
    r"|temp|test|toor|ubuntu|user|utilisateur)\d*$"
)
CLOSED = ("nologin", "false", "sync")
FORCED = re.compile(r"(^|,)command=|(^|,)restrict(,|\s)")


def humans(people):
    """Return the logins whose number is one of those given to people, throw-away ones of these tests aside."""
    return [
        login
        for login in people.passwd
        if people.uid(login) >= 1000 and people.uid(login) != 65534 and not login.startswith("essai")
    ]


@pytest.mark.rule("accounts-declared-present")
def test_declared_accounts(people, matrix, observe):
    """Each active account of the matrix stands in the account database, not expired, in its holder's name."""
    active = [a for a in matrix.values() if a.state == "active" and a.kind in ("business", "technical")]
    missing = [a.login for a in active if a.login not in people.passwd]
    closed = [a.login for a in active if a.login in people.passwd and not people.opens(a.login)]
    unnamed = [a.login for a in active if a.login in people.passwd and people.passwd[a.login][4].split(",")[0] != a.name]
    observe(f"{len(active)} comptes déclarés : {len(missing)} absents, {len(closed)} fermés, {len(unnamed)} mal nommés")
    assert not missing, f"comptes absents : {', '.join(missing)}"
    assert not closed, f"comptes déclarés mais fermés : {', '.join(closed)}"
    assert not unnamed, f"le nom n'est pas celui du titulaire : {', '.join(unnamed)}"


@pytest.mark.rule("accounts-undeclared-locked")
def test_undeclared_accounts(people, matrix, facts, observe):
    """Every human account that the matrix does not know has no password, key, crontab, session or validity left."""
    strangers = [login for login in humans(people) if login not in matrix]
    live = set(facts("access-sessions", "ls /run/systemd/users 2>/dev/null; true").split())
    opened = {login: people.ways_in(login) for login in strangers}
    for login in strangers:
        if str(people.uid(login)) in live:
            opened[login].append("session ouverte")
    found = [f"{login} ({', '.join(ways)})" for login, ways in opened.items() if ways]
    observe(f"{len(strangers)} comptes non déclarés, {len(found)} encore ouverts")
    assert not found, f"non déclarés et ouverts : {' ; '.join(found)}"
    absent = [login for login in matrix if matrix[login].kind == "automation" and login not in people.passwd]
    assert not absent, f"le compte d'automatisation {absent[0]} n'existe pas : qui administre cet hôte ?"


@pytest.mark.rule("accounts-leavers-refused")
def test_leavers(people, matrix, observe):
    """Accounts of people without function here are closed, and those whose end is known carry it as an expiry."""
    gone = [a for a in matrix.values() if a.state == "locked" and a.kind in ("business", "technical")]
    opened = [f"{a.login} ({a.reason})" for a in gone if a.login in people.passwd and people.ways_in(a.login)]
    dated = [a for a in matrix.values() if a.state == "active" and a.last_day and a.login in people.passwd]
    endless = [a.login for a in dated if people.shadow[a.login][7] != str((a.last_day.toordinal() - 719163) + 1)]
    observe(
        f"{len(gone)} comptes sans fonction ici, {len(opened)} ouverts ; {len(dated)} fins connues, {len(endless)} sans échéance"
    )
    assert not opened, f"sans fonction et ouverts : {', '.join(opened)}"
    assert not endless, f"fin connue sans échéance sur l'hôte : {', '.join(endless)}"


@pytest.mark.rule("accounts-unique-uid")
def test_unique_numbers(people, facts, observe):
    """No number of the account database is given twice and number 0 belongs to root alone."""
    lines = [line.split(":") for line in facts("access-passwd", "cat /etc/passwd").splitlines() if ":" in line]
    counts = Counter(line[2] for line in lines)
    twice = [f"{line[0]} ({line[2]})" for line in lines if counts[line[2]] > 1]
    zero = [line[0] for line in lines if int(line[2]) == 0 and line[0] != "root"]
    observe(f"{len(lines)} comptes, {len(counts)} numéros, uid 0 : root{''.join(f', {login}' for login in zero)}")
    assert not zero, f"uid 0 hors root : {', '.join(zero)}"
    assert not twice, f"numéro partagé : {', '.join(twice)}"


@pytest.mark.rule("accounts-generic-locked")
def test_generic_names(people, matrix, observe):
    """No account whose name names nobody can authenticate."""
    automation = {a.login for a in matrix.values() if a.kind == "automation"}
    generic = [login for login in people.passwd if GENERIC.match(login) and login not in automation]
    opened = [login for login in generic if people.opens(login)]
    observe(f"{len(generic)} noms génériques, {len(opened)} ouverts")
    assert not opened, f"compte générique ouvert : {', '.join(opened)}"


@pytest.mark.rule("accounts-service-no-login")
def test_service_accounts(people, matrix, observe):
    """No service account has a usable password, or a shell with a key that is not tied to a command."""
    services = [
        login for login in people.passwd
        if 0 < people.uid(login) < 1000 or (login in matrix and matrix[login].kind == "service")
    ]  # fmt: skip
    found = []
    for login in services:
        shell = people.passwd[login][6].rpartition("/")[2]
        if people.usable(login):
            found.append(f"{login} (mot de passe)")
        elif shell not in CLOSED and any(not FORCED.search(key) for key in people.keys.get(login, ())):
            found.append(f"{login} (clé sans commande imposée)")
    observe(f"{len(services)} comptes de service, {len(found)} ouverts")
    assert not found, f"compte de service ouvert : {', '.join(found)}"


@pytest.mark.rule("accounts-two-per-person")
def test_two_accounts_per_person(people, site, observe):
    """Counted by the name they bear, no person holds more than two accounts that open."""
    names = {person.get("name") for person in site.get("site_people") or ()}
    held = Counter(people.passwd[login][4].split(",")[0] for login in humans(people) if people.opens(login))
    many = [f"{name} ({count})" for name, count in held.items() if name in names and count > 2]
    observe(f"{sum(held[name] for name in names)} comptes ouverts pour {len(names)} personnes")
    assert not many, f"plus de deux comptes ouverts : {', '.join(many)}"


@pytest.mark.rule("accounts-roles-separated")
def test_roles_separated(people, site, sudo_grants, observe):
    """Live groups and sudo rights show no account that holds both a technical and a business right."""
    groups = {"technical": set(), "business": set()}
    for profile in (site.get("site_profiles") or {}).values():
        groups[profile["kind"]].update(profile.get("groups") or ())
    with_sudo = {grant.who for grant in sudo_grants}
    both = []
    for login in humans(people):
        mine = people.member_of(login)
        sudo = login in with_sudo or any(f"%{group}" in with_sudo for group in mine)
        if mine & groups["business"] and (sudo or mine & groups["technical"]):
            both.append(login)
    observe(f"{len(humans(people))} comptes de personnes, {len(both)} cumulent technique et métier")
    assert not both, f"cumul de droits techniques et métier : {', '.join(both)}"


@pytest.mark.rule("accounts-secrets-not-shared")
def test_no_shared_secret(people, observe):
    """Key material and password hashes are compared between all accounts."""
    owners: dict[str, set[str]] = {}
    for login, keys in people.keys.items():
        for key in keys:
            found = re.search(r"\b(?:ssh-|ecdsa-|sk-)\S+\s+(\S+)", key)
            if found:
                owners.setdefault(found.group(1), set()).add(login)
    hashes: dict[str, set[str]] = {}
    for login, fields in people.shadow.items():
        secret = fields[1].lstrip("!")
        if secret not in ("", "*"):
            hashes.setdefault(secret, set()).add(login)
    shared = [sorted(who) for who in (*owners.values(), *hashes.values()) if len(who) > 1]
    observe(f"{len(owners)} clés et {len(hashes)} condensats, {len(shared)} en commun")
    assert not shared, f"secret commun à : {' ; '.join(' et '.join(who) for who in shared)}"


@pytest.mark.rule("root-password-locked")
def test_root_password(people, observe):
    """The shadow field of root holds no usable password."""
    usable = people.usable("root")
    observe(f"mot de passe root {'utilisable' if usable else 'inutilisable'}")
    assert not usable, "root a un mot de passe utilisable"
    glass = [login for login, groups in people.groups.items() if login == "pgssi-break-glass" and groups[3]]
    assert glass, "root est verrouillé sans compte de secours pour la console"
