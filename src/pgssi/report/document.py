"""Reading results.json: everything the report relies on is checked here, once, with a clear error."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from pgssi.errors import InvalidInput, Problem
from pgssi.paths import CATALOGUE

SCHEMA = CATALOGUE / "schema" / "results.schema.json"
FORMAT = "pgssi-results/1"
REMEDY = "Write it again with pgssi verify of this toolkit version"


def load_results(path: Path) -> dict[str, Any]:
    """Read and check one results.json; raise InvalidInput naming file, key, value and remedy."""
    document = read_document(path)
    check_results(document, str(path))
    checked: dict[str, Any] = document
    return checked


def read_document(path: Path) -> Any:
    """Read one JSON file, unchecked; raise InvalidInput when there is none."""
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        problem = Problem(
            str(path), "", "", f"cannot be read: {error.strerror}", "Give a results.json, or the folder that pgssi verify wrote."
        )
    except ValueError as error:
        problem = Problem(str(path), "", "", f"is not JSON: {error}", REMEDY + ".")
    raise InvalidInput([problem])


def check_results(document: object, name: str = "results.json") -> None:
    """Raise InvalidInput with every fault of a results document; ``name`` is how the user knows it."""
    if not isinstance(document, Mapping) or document.get("schema") != FORMAT:
        found = document.get("schema") if isinstance(document, Mapping) else type(document).__name__
        raise InvalidInput([Problem(name, "schema", found, f"is not {FORMAT}", REMEDY + ".")])
    problems = [*_against_schema(document, name)] or [*_references(document, name)]
    if problems:
        raise InvalidInput(problems[:20])


def _against_schema(document: Mapping[str, Any], name: str) -> Iterator[Problem]:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    validator = Draft202012Validator(_inline(schema, schema["$defs"]))
    for error in validator.iter_errors(document):
        value = str(error.instance)
        yield Problem(name, error.json_path, value[:80], error.message[:200], REMEDY + ".")


def _inline(part: Any, definitions: Mapping[str, Any]) -> Any:
    """Replace references by what they refer to: on a big fleet, looking them up takes most of the time."""
    if isinstance(part, list):
        return [_inline(item, definitions) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _inline(definitions[part["$ref"].rpartition("/")[2]], definitions)
    return {key: _inline(value, definitions) for key, value in part.items() if key != "$defs"}


def _references(document: Mapping[str, Any], name: str) -> Iterator[Problem]:
    hosts: set[str] = set()
    for position, host in enumerate(document["hosts"]):
        if host["name"] in hosts:
            yield Problem(name, f"$.hosts[{position}].name", host["name"], "stands twice", REMEDY + ".")
        hosts.add(host["name"])
    for position, verdict in enumerate(document["verdicts"]):
        if verdict["host"] not in hosts:
            yield Problem(name, f"$.verdicts[{position}].host", verdict["host"], "is not listed in hosts", REMEDY + ".")
