"""Whether the catalogue's files keep their contract: their JSON Schemas, and what no schema can say."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError

from pgssi.errors import Problem
from pgssi.paths import CATALOGUE


def problems(root: Path = CATALOGUE) -> list[Problem]:
    """Return every fault of ``pssi.yml`` and ``rules/*.yml`` under ``root``; empty when they are sound."""
    official = root / "pssi.yml"
    found: list[Problem] = []
    articles = _read(official, found)
    found += _against_schema(official, articles, "requirements")
    known = [str(raw.get("id")) for raw in _items(articles, "requirements")]
    found += _twice(official, "requirements", known)
    rules: list[str] = []
    for path in sorted((root / "rules").glob("*.yml")):
        document = _read(path, found)
        found += _against_schema(path, document, "rules")
        found += _guide_is_file_name(path, document)
        found += _unknown_requirements(path, document, known)
        ids = [str(raw.get("id")) for raw in _items(document, "rules")]
        found += _twice(path, "rules", ids, rules)
        rules += ids
    return found


def _read(path: Path, found: list[Problem]) -> Any:
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        found.append(Problem(str(path), "", None, f"cannot be read: {error}", "Correct the YAML of this file."))
        return None


def _items(document: Any, key: str) -> list[Mapping[str, Any]]:
    items = document.get(key) if isinstance(document, Mapping) else None
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, Sequence) else []


def _against_schema(path: Path, document: Any, name: str) -> Iterator[Problem]:
    if document is None:
        return
    schema = json.loads((CATALOGUE / "schema" / f"{name}.schema.json").read_text("utf-8"))
    for error in Draft202012Validator(schema).iter_errors(document):
        message, remedy = _words(error)
        yield Problem(str(path), _where(error.absolute_path, document), _shown(error), message, remedy)


def _where(keys: Iterable[str | int], document: Any) -> str:
    """Return ``rules[3] (backup-daily).palier`` for the path of a fault."""
    where, here = "", document
    for key in keys:
        here = here[key]
        if isinstance(key, int):
            label = f" ({here['id']})" if isinstance(here, Mapping) and "id" in here else ""
            where += f"[{key}]{label}"
        else:
            where += f".{key}" if where else key
    return where


def _shown(error: ValidationError) -> object:
    return error.instance if isinstance(error.instance, (str, int, float, bool, type(None))) else "…"


def _words(error: ValidationError) -> tuple[str, str]:
    """Return what is wrong and what to do about it."""
    value: Any = error.instance
    wanted: Any = error.validator_value
    schema: Any = error.schema
    match error.validator:
        case "required":
            missing = [key for key in wanted if key not in value]
            return f"key {', '.join(missing)} is missing", "Add it."
        case "additionalProperties":
            allowed = list(schema["properties"])
            unknown = [str(key) for key in value if key not in allowed]
            quoted = " Put quotes around a text that holds a comma." if " " in unknown[0] else ""
            return f"unknown key {', '.join(unknown)}", _nearest(unknown[0], allowed) + quoted
        case "enum":
            return "is not an accepted value", _nearest(str(value), [str(item) for item in wanted])
        case "minLength" | "minItems":
            return ("is empty" if not value else "is too short"), f"Write at least {wanted}."
        case "maxLength":
            return f"is too long ({len(value)} characters)", f"Shorten it to {wanted}."
        case "minimum" | "maximum":
            return "is out of range", f"Choose from {schema['minimum']} to {schema['maximum']}."
        case "pattern":
            return "has the wrong form", f"Expected form: {wanted}."
        case _:
            return error.message, "See the schema in catalogue/schema."


def _nearest(value: str, allowed: Sequence[str]) -> str:
    close = difflib.get_close_matches(value, allowed, 3)
    return f"Did you mean {' or '.join(close)}?" if close else f"Accepted: {', '.join(allowed)}."


def _guide_is_file_name(path: Path, document: Any) -> Iterator[Problem]:
    guide = document.get("guide") if isinstance(document, Mapping) else None
    if guide is not None and guide != path.stem:
        yield Problem(str(path), "guide", guide, "differs from the file's name", f"Write guide: {path.stem}.")


def _unknown_requirements(path: Path, document: Any, known: Sequence[str]) -> Iterator[Problem]:
    for index, rule in enumerate(_items(document, "rules")):
        for requirement in rule.get("requirements") or ():
            if str(requirement) not in known:
                key = f"rules[{index}] ({rule.get('id')}).requirements"
                remedy = _nearest(str(requirement), known) if len(known) else "Restore pssi.yml."
                yield Problem(str(path), key, requirement, "is no article of pssi.yml", remedy[:200])


def _twice(path: Path, key: str, ids: Sequence[str], others: Sequence[str] = ()) -> Iterator[Problem]:
    for index, identifier in enumerate(ids):
        if identifier in ids[:index] or identifier in others:
            yield Problem(str(path), f"{key}[{index}].id", identifier, "stands twice", "Keep one of the two.")
