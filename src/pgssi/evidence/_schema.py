"""The JSON Schema of a journal line, and the first fault of a value against it."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from pgssi.paths import CATALOGUE

SCHEMA = "pgssi-evidence/1"


@lru_cache(maxsize=2)
def _validator(entry: str) -> Draft202012Validator:
    document = json.loads((CATALOGUE / "schema" / "evidence.schema.json").read_text("utf-8"))
    return Draft202012Validator({"$ref": f"#/$defs/{entry}", "$defs": document["$defs"]})


def fault(value: Any) -> tuple[str, str] | None:
    """Return (dotted path, message) of what is most wrong in a journal line, or None when it is valid."""
    entry = value.get("entry") if isinstance(value, dict) else None
    if entry not in ("record", "signature"):
        return "entry", "is neither 'record' nor 'signature'"
    error = best_match(_validator(entry).iter_errors(value))
    if error is None:
        return None
    return error.json_path.removeprefix("$.") or "record", error.message[:300]
