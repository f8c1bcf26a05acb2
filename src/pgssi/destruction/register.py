"""The register of media against the evidence journal: which media have left, and whether their sheets answer for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from pgssi.destruction.consent import SHEET
from pgssi.destruction.physical import KIND as PHYSICAL

GONE = ("reassigned", "erased", "destroyed")


def gone(register: Iterable[Mapping[str, Any]], today: date) -> list[Mapping[str, Any]]:
    """Return the entries of ``site_media`` that have left, or should have."""
    return [
        entry
        for entry in register
        if entry["state"] in GONE or (entry["state"] == "leaving" and str(entry["transfer"]) < today.isoformat())
    ]


def answers(record: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    """Return whether a record is the sheet of this medium, good for where it went.

    Of an erasure, another than who agreed must have signed (``approved``): two persons, two keys.
    """
    if record["kind"] not in (SHEET, PHYSICAL) or record["result"] != "success":
        return False
    told = record["details"]
    far_enough = told.get("destination") != "internal" or entry.get("destination") != "external"
    signed = set(record["approved"]) - {told.get("approval", {}).get("by")}
    return bool(told.get("medium", told)["serial"] == entry["serial"] and far_enough and signed)
