"""What the rule destruction-certificate says of registers and journals that are right, or wrong in one way."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from pgssi.destruction.register import answers, gone

TODAY, PAST = date(2026, 11, 22), "2026-11-21"
LEFT = {"serial": "A1", "state": "erased", "destination": "external"}


def sheet(serial: str = "A1", **changes: Any) -> dict[str, Any]:
    """Return the record of an erasure that the operator has signed, and the second person too."""
    details = {
        "medium": {"serial": serial},
        "destination": "external",
        "approval": {"by": "claire"},
        **changes.pop("details", {}),
    }
    return {"kind": "data_destruction", "result": "success", "approved": ["jean", "claire"], "details": details, **changes}


SHREDDED = {"kind": "physical_destruction", "result": "success", "approved": ["jean"], "details": {"serial": "A1"}}


@pytest.mark.parametrize(
    ("entry", "records"),
    [
        (LEFT, [sheet()]),
        (LEFT, [sheet("B2"), sheet()]),
        ({**LEFT, "state": "reassigned", "destination": "internal"}, [sheet(details={"destination": "internal"})]),
        ({**LEFT, "state": "destroyed"}, [SHREDDED]),
        ({**LEFT, "state": "leaving", "transfer": PAST}, [sheet()]),
    ],
)
def test_a_medium_with_its_signed_sheet_is_answered_for(entry: dict[str, Any], records: list[Any]) -> None:
    """Erased, reassigned inside, destroyed, past its date: each with a sheet that is good for it."""
    assert gone([entry], TODAY) == [entry]
    assert any(answers(record, entry) for record in records)


@pytest.mark.parametrize(
    ("entry", "records"),
    [
        (LEFT, []),
        (LEFT, [sheet("B2")]),
        (LEFT, [sheet(approved=[])]),
        (LEFT, [sheet(approved=["claire"])]),
        (LEFT, [sheet(result="failure")]),
        (LEFT, [sheet(details={"destination": "internal"})]),
        (LEFT, [{**sheet(), "kind": "destruction_approval"}]),
        ({**LEFT, "state": "reassigned"}, []),
        ({**LEFT, "state": "destroyed"}, [{**SHREDDED, "approved": []}]),
        ({**LEFT, "state": "leaving", "transfer": PAST}, []),
    ],
)
def test_a_medium_that_nobody_answers_for_is_told(entry: dict[str, Any], records: list[Any]) -> None:
    """No sheet, another medium's, unsigned, signed by who agreed alone, a failure, for inside only, an agreement."""
    assert gone([entry], TODAY) == [entry]
    assert not any(answers(record, entry) for record in records)


def test_what_has_not_left_needs_no_sheet() -> None:
    """A medium in service, and one that leaves today."""
    assert gone([{**LEFT, "state": "in_service"}, {**LEFT, "state": "leaving", "transfer": "2026-11-22"}], TODAY) == []
