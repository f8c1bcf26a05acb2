"""One byte-exact way to write a value, and the refusal of secrets."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import PurePath
from typing import Any

GENESIS = "0" * 64
_SECRET_KEY = re.compile(
    r"(^|[_\- .])(pass(word|wd|phrase)?|pwd|pin|puk|secret|token|private[_\- ]?key|api[_\- ]?key|credential"
    r"|mot[_\- ]de[_\- ]passe|mdp|cl[eé][_\- ]priv[eé]e)s?$",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|AGE-SECRET-KEY-1|\$(?:y|gy|7|2[abxy]|5|6|1)\$[./A-Za-z0-9$=,]{20}"
    r"|\$ANSIBLE_VAULT;|BORG_KEY [0-9a-f]{64}"
)


def canonical(value: Any) -> bytes:
    """Return the only accepted JSON text of a value: sorted keys, no spaces, UTF-8, no NaN, no newline.

    Raises ValueError for what JSON cannot hold.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def sha256(data: bytes) -> str:
    """Return the hexadecimal SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


def now() -> str:
    """Return the time in UTC, ISO 8601, to the second: ``2026-07-01T08:30:00Z``."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def utc(value: object) -> str:
    """Return a moment as UTC ISO 8601; text without an offset and naive datetimes are taken as UTC.

    Raises ValueError for what is no moment.
    """
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def plain(value: Any) -> Any:
    """Return the value with JSON types only: dates become text, paths text, tuples and sets lists.

    Raises TypeError for anything else (bytes, objects).
    """
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, datetime):
        return utc(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=canonical)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} cannot stand in an evidence record")


def secrets_in(value: Any, key: str = "") -> Iterator[str]:
    """Yield the dotted path of every key or text of a plain value that looks like a secret.

    A key such as ``password`` is refused when it holds text; true, false, numbers and nothing are no secret.
    """
    if isinstance(value, Mapping):
        for name, item in value.items():
            path = f"{key}.{name}" if key else str(name)
            if _SECRET_KEY.search(str(name)) and isinstance(item, str | list | dict) and item:
                yield path
            else:
                yield from secrets_in(item, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from secrets_in(item, f"{key}[{index}]")
    elif isinstance(value, str) and _SECRET_VALUE.search(value):
        yield key


def secret_in_bytes(data: bytes) -> bool:
    """Return whether an attachment holds a private key, a password hash or a vault."""
    return _SECRET_VALUE.search(data.decode("utf-8", "replace")) is not None
