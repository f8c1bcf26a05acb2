"""The intervention report (PSSI 6.1.1.5): what a supplier did during one window, from what the log server holds.

Pure: input is the answer of ``pgssi-records windows`` on the log server and the records of the evidence journal, as dictionaries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pgssi.evidence._canonical import secrets_in
from pgssi.remote.recording import Session, digest, is_verification, sessions

KIND = "remote_session"
MOST = 2000  # commands, and files, of one session in a report; the recording has them all
LATE = timedelta(hours=24)  # a session has its report by then
HIDDEN = "[secret retiré du rapport : voir l'enregistrement]"
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Reported:
    """What the journal already tells: windows by id, and digests of recordings."""

    windows: frozenset[str]
    digests: frozenset[str]


def reported(records: Iterable[Facts]) -> Reported:
    """Return what earlier reports cover."""
    mine = [record["details"] for record in records if record["kind"] == KIND]
    digests = {session["sha256"] for details in mine for session in details["sessions"]}
    return Reported(frozenset(details["window"]["id"] for details in mine), frozenset(digests))


def late(answer: Facts, records: Iterable[Facts], now: datetime) -> list[Session]:
    """Return the sessions that ended more than 24 h ago and that no report cites with the digest they have now."""
    known = reported(records).digests
    return [
        session
        for session in sessions(answer)
        if session.end and now - session.ended > LATE and session.sha256 not in known and not is_verification(session)
    ]


def due(answer: Facts, records: Iterable[Facts], now: datetime) -> tuple[list[str], list[str]]:
    """Return the windows that are over and not yet reported in full, and the recordings of no window at all."""
    known = reported(records)
    windows = []
    for window in answer["windows"]:
        over = window["closed"] or (window["until"] and datetime.fromisoformat(window["until"]) < now)
        running = any(not session["end"] for session in window["sessions"])
        told = window["window"] in known.windows and all(digest(one["files"]) in known.digests for one in window["sessions"])
        if over and not running and not told:
            windows.append(str(window["window"]))
    strays = [
        session.recording
        for session in map(Session.of, answer["strays"])
        if session.end and not is_verification(session) and session.sha256 not in known.digests
    ]
    return windows, strays


def _clean(value: Any) -> Any:
    """Return the value without what looks like a secret: an evidence journal never carries one."""
    if isinstance(value, Mapping):
        return {key: _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return HIDDEN if isinstance(value, str) and any(secrets_in(value, "text")) else value


def _session(raw: Facts) -> dict[str, Any]:
    commands, transfers = list(raw.get("commands") or ()), list(raw.get("transfers") or ())
    operations = list(raw.get("operations") or ())
    start, end = (datetime.fromisoformat(raw[key]) for key in ("start", "end"))
    return {
        "recording": raw["recording"],
        "sha256": digest(raw["files"]),
        "seal": raw["seal"],
        "bastion": raw["bastion"],
        "account": raw["account"],
        "source": raw["source"],
        "mode": raw["mode"],
        "start": _utc(start),
        "end": _utc(end),
        "seconds": round((end - start).total_seconds()),
        "complete": bool(raw["complete"]) and not raw.get("missing") and not raw.get("damaged"),
        "ended_by": _ended_by(raw),
        "exit": raw.get("exit"),
        "commands": _clean(commands[:MOST]),
        "transfers": _clean(transfers[:MOST]),
        "operations": _clean(operations[:MOST]),
        "left_out": sum(max(0, len(found) - MOST) for found in (commands, transfers, operations)),
        "bytes": {name: file["size"] for name, file in raw["files"].items() if name not in ("log", "log.json", "timing")},
    }


def _ended_by(raw: Facts) -> str:
    if raw.get("missing"):
        return "missing"
    if not raw["complete"]:
        return "cut"
    return "signal" if raw.get("signal") else "exit"


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _who(window: Facts, site: Facts) -> dict[str, str]:
    people = {
        str(person["id"]): (str(person["name"]), str(supplier.get("title") or name))
        for name, supplier in (site.get("site_suppliers") or {}).items()
        for person in supplier.get("people") or ()
    }
    approvers = {str(key): str(contact.get("name", key)) for key, contact in (site.get("site_contacts") or {}).items()}
    approvers |= {str(person["id"]): str(person.get("name", person["id"])) for person in site.get("site_people") or ()}
    name, supplier = people.get(window["person"], (window["person"], ""))
    asked = str(window["approver"])
    return {"supplier": f"{name} ({supplier})" if supplier else name, "approver": approvers.get(asked, asked)}


def window_fields(window: Facts, site: Facts) -> dict[str, Any]:
    """Return the fields of the evidence record of one finished window, the operator apart.

    window: one of ``windows`` in the answer, its sessions described; site: variables (suppliers, contacts, equipment).
    """
    found = [_session(raw) for raw in window["sessions"]]
    equipment = (site.get("site_equipment") or {}).get(window["target"]) or {}
    title = str(equipment.get("title") or window["target"])
    end = window["closed"] or window["until"]
    last = max([end, *(session["end"] for session in found)])
    return {
        "kind": KIND,
        "what": f"Intervention à distance sur {title} : {window['purpose']}",
        "where": [window["target"], *dict.fromkeys(window["bastions"])],
        "who": _who(window, site),
        "when": {"start": window["opened"], "end": last},
        "result": "success" if all(session["complete"] for session in found) else "partial",
        "details": {
            "window": {
                "id": window["window"],
                "equipment": window["target"],
                "title": title,
                "person": window["person"],
                "account": window["account"],
                "purpose": window["purpose"],
                "opened": window["opened"],
                "until": window["until"],
                "closed": window["closed"],
                "reason": window["reason"],
            },
            "sessions": found,
            "refused": _clean(list(window["refused"])[:MOST]),
        },
    }


def stray_fields(raw: Facts) -> dict[str, Any]:
    """Return the fields of the evidence record of a session that belongs to no window: somebody has to explain it."""
    found = _session(raw)
    return {
        "kind": KIND,
        "what": f"Session enregistrée hors de toute fenêtre d'intervention, par le compte {raw['account'] or 'inconnu'}",
        "where": [raw["bastion"]],
        "who": {"supplier": str(raw["account"]), "approver": None},
        "when": {"start": found["start"], "end": found["end"]},
        "result": "failure",
        "details": {
            "window": {
                "id": str(raw["window"]) or raw["recording"],
                "equipment": str(raw.get("relay", "")).removeprefix("rm-"),
                "title": "",
                "person": "",
                "account": raw["account"],
                "purpose": "",
                "opened": "",
                "until": "",
                "closed": "",
                "reason": "",
            },
            "sessions": [found],
            "refused": [],
        },
    }


def fields(described: Facts, wanted: Sequence[str], strays: Sequence[str], site: Facts) -> Iterator[dict[str, Any]]:
    """Yield the fields of each record to write. described: the answer with these windows and strays described."""
    for window in described["windows"]:
        if window["window"] in wanted:
            yield window_fields(window, site)
    for raw in described["strays"]:
        if raw["recording"] in strays:
            yield stray_fields(raw)
