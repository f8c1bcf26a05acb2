"""What may be erased, and how: decisions only, from what was read and what was asked. In every doubt the answer is no."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

# A medium as pgssi_media_facts reads it. identity: what a device must still say of itself before each step.
Medium = Mapping[str, Any]
Request = Mapping[str, Any]
IDENTITY = ("serial", "wwn", "model", "size")
# Volumes that other hosts may see too.
NETWORK = ("fc", "fcoe", "iscsi", "nvme-")
DESTINATIONS = ("internal", "external")
GUIDANCES = ("pssi", "current", "both")
# What is part of something larger, besides everything that libblkid calls a member.
PARTS = ("bcache", "drbd", "drbdmanage_control_volume", "drbdproxy_datalog", "ceph_bluestore", "DM_integrity", "oracleasm",
         "stratis", "vdo", "jbd", "xfs_external_log")  # fmt: skip
ZERO = {"do": "overwrite", "pattern": "zero"}
VERIFY = {"do": "verify", "pattern": "zero"}
# Three passes (a value, its complement, random) are nwipe's own method of that name.
DOD = {"do": "nwipe", "method": "dodshort", "passes": 3}

REFUSALS = {
    "serial_missing": "aucun numéro de série n'a été saisi",
    "serial_unknown": "aucun support de cet hôte ne porte le numéro de série {serial}",
    "serial_shared": "plusieurs supports portent ce numéro de série ou ce WWN ({names}) : chemins multiples, ou copies",
    "serial_doubtful": "le noyau et udev ne donnent pas le même numéro de série ({serials})",
    "serial_typed": "le numéro saisi « {typed} » n'est pas celui du support demandé",
    "identity": "le support n'est pas celui qui a été déclaré : {differences}",
    "not_a_disk": "{type} n'est pas un support de stockage réel",
    "read_only": "le support est en lecture seule",
    "empty": "le support annonce une taille nulle",
    "hidden": "{hidden} secteurs sont cachés (HPA) : les rendre visibles d'abord (hdparm -N)",
    "beyond": "le contrôleur NVMe porte aussi {beyond} : n'en faire qu'un seul (nvme delete-ns, create-ns), ou le détruire "
    "physiquement (3.1.4.12)",
    "system": "le support porte le système de cet hôte ({where})",
    "mounted": "le support est monté ({where})",
    "swap": "le support sert d'espace d'échange ({where})",
    "in_use": "le support est utilisé par {holders} : l'en détacher d'abord",
    "multipath": "le support est partagé par plusieurs chemins ({holders})",
    "shared_bus": "le support est un volume du réseau ({bus}) : d'autres hôtes peuvent s'en servir, l'effacer sur sa baie",
    "raid_member": "le support fait partie d'un ensemble ({kinds}) : l'en détacher, puis le déclarer par detached",
    "destination": "la destination n'est ni internal ni external",
    "guidance": "la doctrine n'est ni pssi, ni current, ni both",
    "palier": "le palier n'est pas 1, 2 ou 3",
    "content_undeclared": "rien ne dit si le contenu est sauvegardé ou sans valeur (PSSI 3.1.4.6)",
    "content_both": "le contenu est déclaré à la fois sauvegardé et sans valeur",
    "worthless_reason": "le contenu est déclaré sans valeur, sans raison",
    "backup_older": "la sauvegarde de {component} ({backup}) est plus ancienne que la dernière écriture ({written})",
    "backup_unchanged": "dernière écriture inconnue : dire qui répond que rien n'a été écrit depuis la sauvegarde (unchanged)",
    "approval_missing": "aucun accord d'une seconde personne",
    "approval_self": "la personne qui donne son accord est celle qui efface",
    "approval_other": "l'accord porte sur un autre support ({serial})",
    "approval_destination": "l'accord porte sur une autre destination ({destination})",
    "approval_over": "l'accord n'est plus valable depuis {until}",
    "operator": "la demande ne dit pas qui efface",
    "busy": "une autre demande ({job}) efface déjà ce support",
    "no_purge": "ce support n'offre aucune commande d'effacement interne : à ce palier, le détruire physiquement (3.1.4.12)",
}


def text(code: str, **values: object) -> dict[str, str]:
    """Return a refusal: its code and its sentence."""
    return {"code": code, "text": REFUSALS[code].format(**values)}


def identity(medium: Medium) -> dict[str, Any]:
    """Return what a device must still say of itself before each step."""
    return {key: medium.get(key) for key in IDENTITY}


def chosen(request: Request, media: Sequence[Medium]) -> tuple[Medium | None, list[dict[str, str]]]:
    """Return the one medium that is asked for, or why there is none."""
    serial = request.get("serial")
    if not isinstance(serial, str) or not serial.strip():
        return None, [text("serial_missing")]
    if request.get("typed") != serial:
        return None, [text("serial_typed", typed=request.get("typed"))]
    found = [medium for medium in media if serial in medium["serials"]]
    if not found:
        return None, [text("serial_unknown", serial=serial)]
    twins = [m for m in media if m in found or (m["wwn"] and m["wwn"] in {one["wwn"] for one in found})]
    if len(twins) > 1:
        return None, [text("serial_shared", names=", ".join(medium["name"] for medium in twins))]
    medium = found[0]
    if len(set(medium["serials"])) > 1:
        return None, [text("serial_doubtful", serials=", ".join(medium["serials"]))]
    declared = {key: value for key, value in (request.get("expected") or {}).items() if value not in (None, "")}
    different = [f"{key} {medium.get(key)} au lieu de {value}" for key, value in declared.items() if medium.get(key) != value]
    if different:
        return None, [text("identity", differences=", ".join(different))]
    return medium, []


def use(medium: Medium, detached: Sequence[str] = ()) -> list[dict[str, str]]:
    """Return why a medium may not be written to as it is now. detached: kinds of ensembles that it was taken out of."""
    told = []
    if medium["type"] != "disk":
        told.append(text("not_a_disk", type=medium["type"]))
    if not medium["size"]:
        told.append(text("empty"))
    if medium["bus"].startswith(NETWORK):
        told.append(text("shared_bus", bus=medium["bus"]))
    if medium["read_only"]:
        told.append(text("read_only"))
    if medium.get("hidden"):
        told.append(text("hidden", hidden=medium["hidden"]))
    if medium.get("beyond"):
        told.append(text("beyond", beyond=" et ".join(medium["beyond"])))
    if medium["system"]:
        told.append(text("system", where=", ".join(medium["system"])))
    if medium["mounted"]:
        told.append(text("mounted", where=", ".join(medium["mounted"])))
    if medium["swap"]:
        told.append(text("swap", where=", ".join(medium["swap"])))
    shared = [holder["name"] for holder in medium["holders"] if holder["kind"] == "mpath"]
    others = [holder for holder in medium["holders"] if holder["kind"] != "mpath"]
    if shared:
        told.append(text("multipath", holders=", ".join(shared)))
    if others:
        told.append(used(others))
    parts = {one["type"] for one in medium["contents"] if one["type"].endswith("_member") or one["type"] in PARTS}
    kinds = sorted(parts - set(detached))
    if kinds:
        told.append(text("raid_member", kinds=", ".join(kinds)))
    return told


def used(holders: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the refusal of a medium that something uses: {name, kind} each."""
    return text("in_use", holders=", ".join(f"{one['name']} ({one['kind']})" for one in holders))


def permission(request: Request, medium: Medium, now: datetime) -> list[dict[str, str]]:
    """Return what is missing in the request itself: what becomes of the medium, its content, the second person."""
    told = []
    for key, known in (("destination", DESTINATIONS), ("guidance", GUIDANCES), ("palier", (1, 2, 3))):
        if request.get(key) not in known:
            told.append(text(key))
    operator = str(request.get("operator") or "")
    if not operator:
        told.append(text("operator"))
    told += _content(request.get("content") or {}, medium)
    approval = request.get("approval") or {}
    if not approval.get("by"):
        return [*told, text("approval_missing")]
    if str(approval["by"]).casefold() == operator.casefold():
        told.append(text("approval_self"))
    if approval.get("serial") != medium["serial"]:
        told.append(text("approval_other", serial=approval.get("serial")))
    if approval.get("destination") != request.get("destination"):
        told.append(text("approval_destination", destination=approval.get("destination")))
    until = _moment(approval.get("until"))
    if until is None or until < now:
        told.append(text("approval_over", until=approval.get("until")))
    return told


def _content(content: Mapping[str, Any], medium: Medium) -> list[dict[str, str]]:
    worthless, backups = content.get("worthless"), content.get("backups") or []
    if worthless is not None and backups:
        return [text("content_both")]
    if worthless is not None:
        return [] if re.search(r"\w{3}", str(worthless)) else [text("worthless_reason")]
    if not backups:
        return [text("content_undeclared")]
    told, written = [], _moment(medium.get("last_write"))
    for backup in backups:
        taken = _moment(backup.get("backup_date"))
        if taken is None or (written and taken < written):
            told.append(text("backup_older", component=backup.get("component"), backup=backup.get("backup_date"),
                             written=medium.get("last_write") or "date inconnue"))  # fmt: skip
    if written is None and not re.search(r"\w{3}", str(content.get("unchanged") or "")):
        told.append(text("backup_unchanged"))
    return told


def missing(request: Request, medium: Medium, now: datetime) -> list[dict[str, str]]:
    """Return why a medium may not be written to as it is now, and as it was asked for."""
    return use(medium, tuple(request.get("detached") or ())) + permission(request, medium, now)


def refusals(request: Request, media: Sequence[Medium], busy: Mapping[str, str], now: datetime) -> list[dict[str, str]]:
    """Return every reason not to do what is asked; none means that it may be done.

    busy: the open job of each medium, by serial number.
    """
    medium, told = chosen(request, media)
    if medium is None:
        return told
    told = missing(request, medium, now)
    if medium["serial"] in busy:
        told.append(text("busy", job=busy[medium["serial"]]))
    if not told and not plan(request, medium):
        told.append(text("no_purge"))
    return told


def flash(medium: Medium) -> bool:
    """Return whether a medium is flash memory; what does not say is treated as a disk, with more passes."""
    return medium["rotational"] is False or medium["bus"] in ("nvme", "mmc")


def plan(request: Request, medium: Medium) -> list[dict[str, Any]]:
    """Return the steps in order; the last writes zeros and the whole is read back, so that the proof is the same for all.

    internal: one full pass (PSSI 3.1.4.10). external: three passes on a disk, one on flash memory (3.1.4.11), and with
    today's guidance the device's own command where it has one (NIST SP 800-88r2, purge); [] when palier 3 wants one and
    there is none.
    """
    steps: list[dict[str, Any]] = []
    luks = [one["offset"] for one in medium["contents"] if one["type"] == "crypto_LUKS"]
    if luks:
        steps.append({"do": "luks", "offsets": luks})
    if request["destination"] == "external":
        if request["guidance"] in ("current", "both"):
            command = next(iter(medium.get("firmware") or ()), None)
            if command:
                steps += [{"do": "digest"}, {"do": "firmware", "command": command}, {"do": "changed"}]
            elif request["palier"] == 3:
                return []
            elif flash(medium) and medium.get("discard"):
                steps.append({"do": "discard"})
        if request["guidance"] in ("pssi", "both") and not flash(medium):
            steps.append(dict(DOD))
    return [*steps, dict(ZERO), dict(VERIFY)]


def _moment(value: object) -> datetime | None:
    """Return a moment of ISO 8601 that says its zone, None for anything else."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
