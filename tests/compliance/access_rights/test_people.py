"""Who can log in: only declared people, in their own name, as long as they have a function (PSSI 5.2.1)."""

from __future__ import annotations

import re
from collections import Counter

import pytest

GENERIC = re.compile(
    r"^(adm|admin|administrat(eu|o)r|compte|debian|demo|guest|invite|maintenance|oracle|pi|sysadmin|support"
    r"|temp|test|toor|ubuntu|user|utilisateur)\d*$"
)
# Options come before the type of the key; what stands in quotes is the value of one of them.
FORCED = re.compile(r"""^(?:[^"\s]|"(?:[^"\\]|\\.)*")*\bcommand=\"""", re.IGNORECASE)


@pytest.fixture
def humans(people, visitors):
    """The logins whose number is one of those given to people, throw-away ones of these tests aside."""
    return [
        login for login in people.passwd if people.uid(login) >= 1000 and people.uid(login) != 65534 and login not in visitors
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
def test_undeclared_accounts(people, matrix, facts, observe, humans):
    """Every human account that the matrix does not know has no password, key, job, session or validity left."""
    strangers = [login for login in humans if login not in matrix]
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
    endless = [a.login for a in dated if people.day(a.login, 7) != (a.last_day.toordinal() - 719163) + 1]
    observe(
        f"{len(gone)} comptes sans fonction ici, {len(opened)} ouverts ; {len(dated)} fins connues, {len(endless)} sans échéance"
    )
    assert not opened, f"sans fonction et ouverts : {', '.join(opened)}"
    assert not endless, f"fin connue sans échéance sur l'hôte : {', '.join(endless)}"


@pytest.mark.rule("accounts-unique-uid")
def test_unique_numbers(people, facts, observe):
    """No number of the account database is given twice and number 0 belongs to root alone."""
    # The file itself, where a second line of the same login stands, and every other source that the host asks.
    text = facts("access-passwd", "cat /etc/passwd; getent passwd | grep -aFxvf /etc/passwd; true")
    lines = [line.split(":") for line in text.splitlines() if line.count(":") > 5]
    odd = [line[0] for line in lines if not re.fullmatch(r"[0-9]+", line[2]) and not line[0].startswith(("+", "-"))]
    numbers = [(line[0], int(line[2])) for line in lines if re.fullmatch(r"[0-9]+", line[2])]
    counts = Counter(number for _, number in numbers)
    twice = [f"{login} ({number})" for login, number in numbers if counts[number] > 1]
    zero = [login for login, number in numbers if number == 0 and login != "root"]
    again = [login for login, count in Counter(line[0] for line in lines).items() if count > 1]
    observe(f"{len(lines)} comptes, {len(counts)} numéros, uid 0 : root{''.join(f', {login}' for login in zero)}")
    assert not zero, f"uid 0 hors root : {', '.join(zero)}"
    assert not twice, f"numéro partagé : {', '.join(twice)}"
    assert not again and not odd, f"ligne en double ou sans numéro : {', '.join(again + odd)}"


@pytest.mark.rule("accounts-generic-locked")
def test_generic_names(people, matrix, observe):
    """No account whose name names nobody, case and digits aside, can authenticate."""
    automation = {a.login for a in matrix.values() if a.kind == "automation"}
    generic = [login for login in people.passwd if GENERIC.match(login.lower()) and login not in automation]
    opened = [login for login in generic if people.opens(login)]
    observe(f"{len(generic)} noms génériques, {len(opened)} ouverts")
    assert not opened, f"compte générique ouvert : {', '.join(opened)}"


@pytest.mark.rule("accounts-service-no-login")
def test_service_accounts(people, matrix, observe):
    """No service account has a usable password, or a key that is not tied to a command."""
    services = [
        login for login in people.passwd
        if 0 < people.uid(login) < 1000 or (login in matrix and matrix[login].kind == "service")
    ]  # fmt: skip
    found = []
    for login in services:
        if people.usable(login):
            found.append(f"{login} (mot de passe)")
        elif any(not FORCED.match(key) for key in people.keys.get(login, ())):
            found.append(f"{login} (clé sans commande imposée)")
    observe(f"{len(services)} comptes de service, {len(found)} ouverts")
    assert not found, f"compte de service ouvert : {', '.join(found)}"


@pytest.mark.rule("accounts-two-per-person")
def test_two_accounts_per_person(people, site, observe, humans):
    """Counted by the name they bear, no person holds more than two accounts that open."""
    names = {person.get("name") for person in site.get("site_people") or ()}
    held = Counter(people.passwd[login][4].split(",")[0] for login in humans if people.opens(login))
    many = [f"{name} ({count})" for name, count in held.items() if name in names and count > 2]
    observe(f"{sum(held[name] for name in names)} comptes ouverts pour {len(names)} personnes")
    assert not many, f"plus de deux comptes ouverts : {', '.join(many)}"


@pytest.mark.rule("accounts-roles-separated")
def test_roles_separated(people, site, sudo_grants, observe, humans):
    """Live groups and sudo rights show no account that holds both a technical and a business right."""
    groups = {"technical": set(), "business": set()}
    for profile in (site.get("site_profiles") or {}).values():
        groups[profile["kind"]].update(profile.get("groups") or ())
    with_sudo = {grant.who for grant in sudo_grants}
    both = []
    for login in humans:
        mine = people.member_of(login)
        sudo = login in with_sudo or any(f"%{group}" in with_sudo for group in mine)
        mine |= people.primary(login)
        if mine & groups["business"] and (sudo or mine & groups["technical"]):
            both.append(login)
    observe(f"{len(humans)} comptes de personnes, {len(both)} cumulent technique et métier")
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
    for login in people.passwd:
        secret = people.hash(login).lstrip("!")
        if secret not in ("", "*"):
            hashes.setdefault(secret, set()).add(login)
    shared = [sorted(who) for who in (*owners.values(), *hashes.values()) if len(who) > 1]
    observe(f"{len(owners)} clés et {len(hashes)} condensats, {len(shared)} en commun")
    assert not shared, f"secret commun à : {' ; '.join(' et '.join(who) for who in shared)}"


@pytest.mark.rule("root-password-renewed")
def test_root_password_age(people, observe):
    """The shadow line of root holds no usable password, or one changed 90 days ago at most that never expires."""
    if not people.usable("root"):
        observe("mot de passe root inutilisable")
        return
    last, longest = people.day("root", 2), people.day("root", 4)
    age = people.today - last if last is not None else None
    observe(f"mot de passe root changé il y a {'un temps inconnu' if age is None else f'{age} jours'}")
    assert age is not None and 0 <= age <= 90, "le mot de passe root n'a pas été renouvelé depuis 90 jours"
    # cron refuses the jobs of an account whose password has expired, and root cannot be asked for a new one.
    assert longest is None or not 0 <= longest < 9999, "le mot de passe root expirera, et cron refusera ses tâches"


@pytest.mark.rule("root-password-locked")
def test_root_password(people, matrix, observe):
    """The shadow field of root holds no usable password."""
    usable = people.usable("root")
    observe(f"mot de passe root {'utilisable' if usable else 'inutilisable'}")
    assert not usable, "root a un mot de passe utilisable"
    declared = {login for login, account in matrix.items() if account.kind == "break_glass"}
    glass = [login for login in declared if login in people.passwd and people.opens(login)]
    glass += [fields[3] for name, fields in people.groups.items() if name == "pgssi-break-glass" and fields[3]]
    assert glass, "root est verrouillé sans compte de secours pour la console"
