"""The register of media against the evidence journal: which media have left, and whether their sheets answer for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from pgssi.destruction.consent import APPROVAL, SHEET
from pgssi.destruction.physical import KIND as PHYSICAL

GONE = ("reassigned", "erased", "destroyed")


def gone(register: Iterable[Mapping[str, Any]], today: date) -> list[Mapping[str, Any]]:
    """Return the entries of ``site_media`` that have left, or should have."""
    return [
        entry
        for entry in register
        if entry["state"] in GONE or (entry["state"] == "leaving" and str(entry["transfer"]) < today.isoformat())
    ]


def answers(record: Mapping[str, Any], entry: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a record is the sheet of this medium, good for where it went, of this departure and of no former one.

    Of an erasure, another than who agreed must have signed (``approved``): two persons, two keys; the agreement must be
    among the records, signed by who is said to have agreed, and older than the erasure; the whole medium was read back.
    """
    if record["kind"] not in (SHEET, PHYSICAL) or record["result"] != "success":
        return False
    told = record["details"]
    known = ("former_owner", "new_owner")
    same = told.get("medium", told)["serial"] == entry["serial"] and all(
        told.get(key) == entry[key] for key in known if key in entry
    )
    far_enough = told.get("destination") != "internal" or entry.get("destination") != "external"
    if record["kind"] == PHYSICAL:
        return bool(same and far_enough and record["approved"])
    given = told["approval"]
    agreed = any(
        one["kind"] == APPROVAL
        and one["id"] == given.get("record")
        and one["details"]["serial"] == entry["serial"]
        and one["details"]["destination"] == told["destination"]
        and given["by"] in one["approved"]
        and one["recorded"] <= record["recorded"]
        for one in records
    )
    whole = told["verification"]["read"] == told["medium"]["size"]
    return bool(same and far_enough and agreed and whole and set(record["approved"]) - {given["by"]})
