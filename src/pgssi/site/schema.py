"""Types, required and unknown keys of the site model, by catalogue/schema/site.schema.json."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators

from pgssi.paths import CATALOGUE
from pgssi.site.model import Finding, Path, nearest

_SIZES = {
    "minimum": "out_of_range",
    "maximum": "out_of_range",
    "minItems": "too_few",
    "minProperties": "too_few",
    "maxItems": "too_many",
    "uniqueItems": "twice_in_list",
}
_TYPES = {
    "fr": {
        "object": "une table de clés",
        "array": "une liste",
        "string": "un texte",
        "integer": "un nombre entier",
        "boolean": "true ou false",
    },
    "en": {
        "object": "a table of keys",
        "array": "a list",
        "string": "a text",
        "integer": "a whole number",
        "boolean": "true or false",
    },
}


@lru_cache(maxsize=1)
def _validator() -> Any:
    document = json.loads((CATALOGUE / "schema" / "site.schema.json").read_text("utf-8"))
    extend: Any = validators.extend  # not typed by its authors
    return extend(Draft202012Validator, {"pattern": _pattern})(document, format_checker=FormatChecker(["date"]))


def _pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[ValidationError]:
    """Match as ECMA does: ``$`` is the end of the text, not of its last line."""
    if isinstance(value, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), value):
        yield ValidationError(f"{value!r} does not match")


def schema_findings(values: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what breaks the schema, once per place."""
    seen: set[tuple[str, Path]] = set()
    for error in _validator().iter_errors(values):
        for finding in _findings(error):
            if (finding.code, finding.path) not in seen:
                seen.add((finding.code, finding.path))
                yield finding


def variables() -> set[str]:
    """Return every site_* variable there is."""
    return set(_validator().schema["properties"])


def _findings(error: ValidationError) -> Iterator[Finding]:
    path: Path = tuple(error.absolute_path)
    schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
    rule = str(error.validator)
    value: Any = error.instance
    demand: Any = error.validator_value
    if rule == "additionalProperties":
        patterns = schema.get("patternProperties", {})
        known = set(schema.get("properties", ())) | {name for pattern in patterns for name in re.findall(r"[a-z]+", pattern)}
        for key in value:
            if key not in known:
                details = {"nearest": nearest(key, known), "known": ", ".join(sorted(known))}
                yield Finding("unknown_key" if path else "unknown_variable", (*path, key), value[key], details)
    elif rule == "required":
        for key in demand:
            if key not in value:
                yield Finding("missing_key" if path else "missing_variable", (*path, key))
    elif "propertyNames" in error.absolute_schema_path:
        yield Finding("bad_name", (*path, str(value)), value, _say(schema))
    elif "x-say" in schema:
        yield Finding("bad_format", path, value, _say(schema))
    elif rule == "type":
        names = {f"expected_{lang}": table[str(demand)] for lang, table in _TYPES.items()}
        yield Finding("wrong_type", path, value, names)
    elif rule == "enum":
        known = {str(item) for item in demand}
        yield Finding("not_in_list", path, value, {"known": ", ".join(sorted(known)), "nearest": nearest(value, known)})
    elif rule in _SIZES:
        limits = {"limit": demand, "low": schema.get("minimum", 0), "high": schema.get("maximum", "…")}
        yield Finding(_SIZES[rule], path, value, limits)
    else:
        yield Finding(
            "bad_length",
            path,
            value,
            {"low": schema.get("minLength", 0), "high": schema.get("maxLength", "…")},
        )


def _say(schema: Mapping[str, Any]) -> dict[str, str]:
    said = schema.get("x-say", {"fr": "une autre forme", "en": "another form"})
    return {f"expected_{lang}": text for lang, text in said.items()}
