"""What the rule destruction-certificate says of registers and journals that are right, or wrong in one way."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from pgssi.destruction.register import answers, gone

TODAY, PAST = date(2026, 11, 22), "2026-11-21"
LEFT = {"serial": "A1", "state": "erased", "destination": "external", "former_owner": "Radiologie", "new_owner": "Recyclage"}
OWNERS = {"former_owner": "Radiologie", "new_owner": "Recyclage"}


def sheet(serial: str = "A1", **changes: Any) -> dict[str, Any]:
    """Return the record of an erasure that the operator has signed, and the second person too."""
    details = {
        **OWNERS,
        "medium": {"serial": serial, "size": 4096},
        "destination": "external",
        "verification": {"read": 4096, "residue": 0, "ok": True},
        "approval": {"by": "claire", "record": "agreed"},
        **changes.pop("details", {}),
    }
    return {"kind": "data_destruction", "result": "success", "approved": ["jean", "claire"], "details": details,
            "recorded": "2026-11-20T11:00:00Z", **changes}  # fmt: skip


def agreed(**changes: Any) -> dict[str, Any]:
    """Return the record by which the second person agrees to what ``sheet`` is of."""
    details = {"serial": "A1", "destination": "external", **changes.pop("details", {})}
    return {"id": "agreed", "kind": "destruction_approval", "result": "success", "approved": ["claire"], "details": details,
            "recorded": "2026-11-20T10:00:00Z", **changes}  # fmt: skip


SHREDDED: dict[str, Any] = {
    "kind": "physical_destruction",
    "result": "success",
    "approved": ["jean"],
    "details": {"serial": "A1", **OWNERS},
}


@pytest.mark.parametrize(
    ("entry", "records"),
    [
        (LEFT, [agreed(), sheet()]),
        (LEFT, [agreed(), sheet("B2"), sheet()]),
        (
            {**LEFT, "state": "reassigned", "destination": "internal"},
            [agreed(details={"destination": "internal"}), sheet(details={"destination": "internal"})],
        ),
        ({**LEFT, "state": "destroyed"}, [SHREDDED]),
        ({**LEFT, "state": "leaving", "transfer": PAST}, [agreed(), sheet()]),
        ({"serial": "A1", "state": "erased", "destination": "external"}, [agreed(), sheet()]),
    ],
)
def test_a_medium_with_its_signed_sheet_is_answered_for(entry: dict[str, Any], records: list[Any]) -> None:
    """Erased, reassigned inside, destroyed, past its date: each with a sheet that is good for it."""
    assert gone([entry], TODAY) == [entry]
    assert any(answers(record, entry, records) for record in records)


@pytest.mark.parametrize(
    ("entry", "records"),
    [
        (LEFT, []),
        (LEFT, [agreed()]),
        (LEFT, [agreed(), sheet("B2")]),
        (LEFT, [agreed(), sheet(approved=[])]),
        (LEFT, [agreed(), sheet(approved=["claire"])]),
        (LEFT, [agreed(), sheet(result="failure")]),
        (LEFT, [agreed(), agreed(details={"destination": "internal"}), sheet(details={"destination": "internal"})]),
        (LEFT, [agreed(), {**sheet(), "kind": "destruction_approval", "id": "other"}]),
        # An agreement that is only named, signed by another, for another medium or another way out, or given afterwards.
        (LEFT, [sheet()]),
        (LEFT, [agreed(approved=["paul"]), sheet()]),
        (LEFT, [agreed(approved=[]), sheet()]),
        (LEFT, [agreed(details={"serial": "B2"}), sheet()]),
        (LEFT, [agreed(details={"destination": "internal"}), sheet()]),
        (LEFT, [agreed(recorded="2026-11-20T12:00:00Z"), sheet()]),
        # Not read back to its end; the sheet of a former departure, when it belonged to others.
        (LEFT, [agreed(), sheet(details={"verification": {"read": 2048, "residue": 0, "ok": True}})]),
        (LEFT, [agreed(), sheet(details={"former_owner": "Cardiologie", "new_owner": "Radiologie"})]),
        ({**LEFT, "state": "destroyed"}, [{**SHREDDED, "details": {**SHREDDED["details"], "former_owner": "Cardiologie"}}]),
        ({**LEFT, "state": "reassigned"}, []),
        ({**LEFT, "state": "destroyed"}, [{**SHREDDED, "approved": []}]),
        ({**LEFT, "state": "leaving", "transfer": PAST}, []),
    ],
)
def test_a_medium_that_nobody_answers_for_is_told(entry: dict[str, Any], records: list[Any]) -> None:
    """No sheet, another medium's, unsigned, signed by who agreed alone, a failure, for inside only, without its agreement, not
    read back, of a former departure.
    """
    assert gone([entry], TODAY) == [entry]
    assert not any(answers(record, entry, records) for record in records)


def test_what_has_not_left_needs_no_sheet() -> None:
    """A medium in service, and one that leaves today."""
    assert gone([{**LEFT, "state": "in_service"}, {**LEFT, "state": "leaving", "transfer": "2026-11-22"}], TODAY) == []
