"""What must be true before a medium may be erased: it is declared, its content is safe or worthless, somebody else agreed.

Pure: the site model, the records of the evidence journal as dictionaries, and whose signatures were found valid.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from pgssi.errors import PgssiError

APPROVAL = "destruction_approval"
SHEET = "data_destruction"
VALID = timedelta(days=7)  # an agreement is for a disk that somebody has just looked at
RECENT = timedelta(days=31)  # of the restore drill that proves a backup
# What the second person agrees to: one of these changed afterwards is another destruction.
AGREED = ("host", "destination", "former_owner", "new_owner", "components", "worthless", "unchanged", "detached")
Facts = Mapping[str, Any]


class Refused(PgssiError):
    """Nothing was destroyed; the message says what is missing and what to do."""


def declared(site: Facts, host: str | None, serial: str) -> dict[str, Any]:
    """Return the entry of ``site_media`` for a medium of a host, or of any host or none. Raises Refused."""
    mine = [dict(entry) for entry in site.get("site_media") or () if host is None or entry.get("host") == host]
    found = [entry for entry in mine if entry["serial"] == serial]
    if len(found) != 1:
        known = ", ".join(str(entry["serial"]) for entry in mine) or "aucun"
        where = f" de {host}" if host else ""
        raise Refused(f"Refusé : {serial} n'est pas un support déclaré{where}. Le déclarer dans site_media (déclarés : {known}).")
    state = found[0]["state"]
    if state != "leaving":
        raise Refused(f"Refusé : {serial} est à l'état {state}. Seul un support à l'état leaving s'efface : corriger site_media.")
    return found[0]


def proven(named: str | None, login: str, owner: str | None) -> str:
    """Return who erases. A name that is only typed would let one person be both. Raises Refused.

    named: who is said to erase; login: who is logged in on the control node; owner: whose the key is that was given.
    """
    who = named or owner or login
    if owner and who.casefold() != owner.casefold():
        raise Refused(f"Refusé : {who} efface, avec la clé de {owner}. Donner sa propre clé par -e site_evidence_sign_key=…")
    if who.casefold() not in {login.casefold(), (owner or "").casefold()}:
        raise Refused(
            f"Refusé : rien ne prouve que {who} efface : {login} est la session ouverte. Ouvrir la sienne, ou donner sa propre "
            "clé par -e site_evidence_sign_key=…"
        )
    return who


def oneself(operator: str, people: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Return every login and role of the person who bears this one, in lower case. people: (login or role, person's name)."""
    known = [(login.casefold(), name) for login, name in people]
    names = {name for login, name in known if login == operator.casefold() and name}
    return frozenset({operator.casefold()} | {login for login, name in known if name in names})


def approval(entry: Facts, records: Iterable[Facts], approved: Mapping[str, Collection[str]], operator: Collection[str],
             now: datetime) -> dict[str, Any]:  # fmt: skip
    """Return the agreement of a second person for this medium: {by, record, serial, destination, until}.

    operator: who erases, under each of their names (``oneself``). approved: persons whose valid signature a record bears, by
    record. An agreement serves once, for seven days, for what was declared when it was given. Raises Refused.
    """
    every = list(records)
    used = {record["details"].get("approval", {}).get("record") for record in every if record["kind"] == SHEET}
    why = "aucun accord au journal"
    for record in reversed([one for one in every if one["kind"] == APPROVAL and one["details"]["serial"] == entry["serial"]]):
        until = datetime.fromisoformat(record["recorded"]) + VALID  # not "when", which whoever writes it chooses
        people = [by for by in approved.get(record["id"], ()) if by.casefold() not in operator]
        other = [key for key in AGREED if (record["details"].get(key) or None) != (entry.get(key) or None)]
        if record["id"] in used:
            why = f"{record['id']} a déjà servi"
        elif not approved.get(record["id"]):
            why = f"{record['id']} ne porte la signature valable de personne"
        elif not people:
            why = f"{record['id']} est signé par la personne qui efface"
        elif other:
            why = f"{record['id']} porte sur autre chose : {', '.join(other)} de site_media a changé depuis"
        elif until < now:
            why = f"{record['id']} n'est plus valable depuis le {until:%d/%m/%Y}"
        else:
            return {"by": people[0], "record": record["id"], "serial": entry["serial"], "destination": entry["destination"],
                    "until": until.isoformat()}  # fmt: skip
    raise Refused(
        f"Refusé : {entry['serial']} : {why}. Une seconde personne donne son accord avec sa clé : "
        f"playbooks/decommission.yml -e decommission=approve -e decommission_serial={entry['serial']} -e site_evidence_sign_key=…"
    )


def content(entry: Facts, plan: Iterable[Facts], records: Iterable[Facts], now: datetime) -> dict[str, Any]:
    """Return what the medium's content is worth: {worthless}, or {backups, unchanged} from verified restores. Raises Refused.

    plan: ``site_backup_plan``; a backup counts when a restore drill of the last month has succeeded on it.
    """
    serial, components = entry["serial"], entry.get("components") or []
    if entry.get("worthless") and components:
        raise Refused(f"Refusé : {serial} est déclaré à la fois sauvegardé et sans valeur. Garder worthless ou components.")
    if entry.get("worthless"):
        return {"worthless": entry["worthless"]}
    if not components:
        raise Refused(
            f"Refusé : rien ne dit ce que vaut le contenu de {serial} (PSSI 3.1.4.6). Donner dans site_media components "
            "(composants sauvegardés de site_backup_plan), ou worthless (pourquoi il est sans valeur, et qui le dit)."
        )
    known = {item["component"]: item for item in plan}
    drills = [record for record in records if record["kind"] == "restore_drill" and record["result"] == "success"]
    backups = []
    for component in components:
        if component not in known:
            raise Refused(f"Refusé : {serial} : {component} n'est pas un composant de site_backup_plan.")
        proofs = [record for record in drills if record["details"]["component"] == component]
        if not proofs or datetime.fromisoformat(proofs[-1]["when"]["end"]) < now - RECENT:
            raise Refused(
                f"Refusé : {serial} : aucune restauration réussie de {component} depuis {RECENT.days} jours. Lancer "
                "playbooks/restore_drill.yml : seule une restauration prouve une sauvegarde."
            )
        last = proofs[-1]
        backups.append({"component": component, "backup_date": _dated(last["details"]["backup_date"]), "record": last["id"]})
    return {"backups": backups, "unchanged": entry.get("unchanged", "")}


def _dated(text: str) -> str:
    """Return a backup's date as a moment; a day without an hour counts from its first second."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.astimezone()).isoformat()


def request(entry: Facts, site: Facts, typed: str, operator: str, agreed: Facts, worth: Facts) -> dict[str, Any]:
    """Return what the host is asked; it decides again by itself."""
    return {
        "serial": entry["serial"],
        "typed": typed,
        "expected": {"wwn": entry.get("wwn", "")},
        "destination": entry["destination"],
        "palier": max(1, int(site.get("site_palier") or 1)),
        "guidance": site.get("site_guidance", "pssi"),
        "operator": operator,
        "approval": dict(agreed),
        "content": dict(worth),
        "detached": list(entry.get("detached") or ()),
    }
