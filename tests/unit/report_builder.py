"""Fabricated catalogues and results documents, so that scoring and report are tested without any host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pgssi.catalogue import Catalogue, Requirement, Rule

GENERATED = "2026-11-22T08:30:00Z"
# rule: (palier, groups, requirement, title fr, title en)
ACCESS = {
    "password-length-min": (
        1,
        "all",
        "4.5.1.4",
        "Mots de passe d'au moins 10 caractères",
        "Passwords of 10 or more",
    ),
    "lockout-three-failures": (
        1,
        "all",
        "4.5.1.4",
        "Verrouillage après 3 échecs",
        "Lockout after 3 failures",
    ),
    "undeclared-accounts-locked": (
        1,
        "all",
        "5.1.3.1",
        "Comptes non déclarés verrouillés",
        "Undeclared locked",
    ),
    "default-accounts-disabled": (
        1,
        "all",
        "4.5.2.1",
        "Comptes par défaut sans connexion",
        "Default accounts off",
    ),
    "sudo-io-log": (2, "servers", "5.2.1.1", "Sessions sudo enregistrées", "Sudo sessions recorded"),
    "idle-session-closed": (2, "all", "4.5.3.11", "Sessions inactives fermées", "Idle sessions closed"),
    "admin-account-separate": (
        2,
        "servers",
        "5.2.1.2",
        "Comptes d'administration séparés",
        "Separate admin accounts",
    ),
    "break-glass-sealed": (
        3,
        "servers",
        "1.2.2.2",
        "Compte bris de glace scellé",
        "Sealed break-glass account",
    ),
}
BACKUP = {
    "backup-daily": (
        1,
        "backup_clients",
        "7.4.1.1",
        "Sauvegarde quotidienne réussie",
        "Daily backup succeeded",
    ),
    "backup-encrypted-at-rest": (
        1,
        "backup_clients",
        "7.4.3.1",
        "Sauvegardes chiffrées au repos",
        "Encrypted at rest",
    ),
    "backup-encrypted-in-transit": (
        1,
        "backup_clients",
        "7.4.4.6",
        "Sauvegardes chiffrées en transit",
        "In transit",
    ),
    "backup-journal-fields": (1, "backup_clients", "7.4.2.6", "Journal à six rubriques", "Six-field journal"),
    "backup-own-zone": (2, "backup_servers", "7.4.3.2", "Zone de sauvegarde propre", "Own backup zone"),
    "backup-offsite-weekly": (
        2,
        "backup_servers",
        "7.4.4.1",
        "Copie hebdomadaire hors site",
        "Weekly off-site copy",
    ),
    "restore-drill-passed": (
        2,
        "backup_clients",
        "7.4.5.3",
        "Essai de restauration réussi",
        "Restore drill passed",
    ),
    "backup-immutable-copy": (
        3,
        "backup_servers",
        "7.4.4.2",
        "Copie immuable vérifiée",
        "Immutable copy checked",
    ),
}
HOSTS = {
    "gw1": ("debian13", ["gateways", "servers", "backup_clients"]),
    "bastion1": ("debian13", ["bastions", "servers", "backup_clients"]),
    "dpi1": ("debian12", ["database_servers", "servers", "backup_clients"]),
    "log1": ("debian12", ["log_servers", "servers", "backup_clients"]),
    "bkp1": ("debian13", ["backup_servers", "servers"]),
    "ws1": ("debian13", ["workstations", "backup_clients"]),
}


def make_rule(identifier: str, guide: str = "backup", palier: int = 1, **more: Any) -> Rule:
    """Build a rule; every field has a default."""
    title = more.pop("title", {"fr": f"Titre de {identifier}", "en": f"Title of {identifier}"})
    defaults: dict[str, Any] = {
        "statement": {"fr": "Le fait est observé sur l'hôte.", "en": "The fact is observed on the host."},
        "why": {"fr": "Sans quoi une panne devient un désastre.", "en": "Or a failure becomes a disaster."},
        "requirements": ("7.4.1.1",),
        "groups": ("all",),
        "refs": {"bp028": ("R31",), "hygiene": ("10",)},
    }
    return Rule(id=identifier, guide=guide, title=title, palier=palier, **{**defaults, **more})


def make_requirement(identifier: str, class_: str = "automated", **more: Any) -> Requirement:
    """Build a requirement; every field has a default."""
    title = {"fr": f"Exigence {identifier}", "en": f"Requirement {identifier}"}
    return Requirement(
        id=identifier,
        title=title,
        class_=class_,
        theme=more.pop("theme", "backup"),
        palier=more.pop("palier", 1),
        **more,
    )


def make_catalogue(rules: Iterable[Rule] = (), requirements: Iterable[Requirement] = ()) -> Catalogue:
    """Build a catalogue; without arguments, the small one of two guides above."""
    kept = tuple(rules) or tuple(
        make_rule(
            name,
            guide,
            palier,
            groups=(group,),
            requirements=(requirement,),
            title={"fr": french, "en": english},
        )
        for guide, table in (("access_rights", ACCESS), ("backup", BACKUP))
        for name, (palier, group, requirement, french, english) in table.items()
    )
    covered = tuple(requirements) or (
        *(make_requirement(i) for i in sorted({i for rule in kept for i in rule.requirements})),
        make_requirement("2.1.1.1", "organisational", theme="governance"),
        make_requirement("7.4.5.9", "assisted", evidence=("restore_drill",)),
    )
    return Catalogue({r.id: r for r in covered}, {r.id: r for r in kept}, "sha256:" + "c0ffee" * 10 + "c0ff")


def make_verdict(host: str, rule: Rule, verdict: str = "conforme", **more: Any) -> dict[str, Any]:
    """Build one entry of ``verdicts`` as the verifier writes it."""
    plain = "non_conforme" if verdict == "derogation" else verdict
    observed = [] if verdict == "non_verifie" else [f"valeur effective relevée pour {rule.id}"]
    return {
        "host": host,
        "rule": rule.id,
        "guide": rule.guide,
        "palier": rule.palier,
        "requirements": list(rule.requirements),
        "verdict": verdict,
        "raw": plain,
        "message": "" if verdict == "conforme" else f"message de {rule.id}",
        "observed": observed,
        "tests": [
            {
                "id": f"test_{rule.guide}.py::test_{rule.id}",
                "outcome": more.get("raw", plain),
                "seconds": 0.004,
            }
        ],
        "waiver": None,
        **more,
    }


def make_waiver(rule: str, expires: str = "2027-01-31", scope: Iterable[str] = ("all",)) -> dict[str, Any]:
    """Build the waiver of a verdict."""
    return {
        "rule": rule,
        "scope": list(scope),
        "reason": "Automate de biologie non compatible avant la version 8",
        "owner": "Nadia Lefèvre",
        "expires": expires,
    }


def make_host(name: str, groups: Iterable[str] = (), palier: int = 2, **more: Any) -> dict[str, Any]:
    """Build one entry of ``hosts``."""
    return {
        "name": name,
        "groups": list(groups),
        "os": "debian12",
        "palier": palier,
        "status": "ok",
        "message": "",
        "seconds": 1.25,
        **more,
    }


def make_results(
    catalogue: Catalogue,
    hosts: Iterable[Mapping[str, Any]] | None = None,
    decide: Callable[[str, Rule], str | Mapping[str, Any] | None] = lambda _host, _rule: "conforme",
    **more: Any,
) -> dict[str, Any]:
    """Build a results document.

    decide: called for each host and carried rule; answers the verdict, fields of the verdict entry, or None
    for no entry at all.
    """
    listed = list(hosts) if hosts is not None else [make_host(n, g, os=o) for n, (o, g) in HOSTS.items()]
    verdicts = []
    for host in listed:
        for rule in catalogue.rules.values():
            if {"all", *host["groups"]}.isdisjoint(rule.groups):
                continue
            decision = decide(host["name"], rule)
            if isinstance(decision, str):
                verdicts.append(make_verdict(host["name"], rule, decision))
            elif decision is not None:
                verdicts.append(make_verdict(**{"host": host["name"], "rule": rule, **decision}))
    return {
        "schema": "pgssi-results/1",
        "generated": GENERATED,
        "toolkit": {"version": "0.1.0"},
        "catalogue": {
            "digest": catalogue.digest,
            "rules": len(catalogue.rules),
            "requirements": len(catalogue.requirements),
        },
        "site": {
            "name": "Centre hospitalier de démonstration",
            "palier": 2,
            "guidance": "pssi",
            "trajectory": [
                {"palier": 1, "by": "2026-06-30"},
                {"palier": 2, "by": "2027-06-30"},
                {"palier": 3, "by": "2028-12-31"},
            ],
            "contacts": {
                "rssi": {"name": "Nadia Lefèvre", "mail": "rssi@ch-demo.example"},
                "incident_referent": {"name": "Paul Girard", "mail": "incident@ch-demo.example"},
            },
        },
        "selection": {"palier": None, "limit": None, "guides": [], "rules": [], "acting": True},
        "hosts": listed,
        "verdicts": verdicts,
        "attestations": [],
        "evidence": [],
        **more,
    }
