"""Reading a journal: its lines as they are, and what stands against the chain."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgssi.evidence._canonical import GENESIS, canonical, sha256
from pgssi.evidence._schema import fault
from pgssi.evidence._storage import HEAD, JOURNAL
from pgssi.evidence._texts import english, french, text

HEAD_SCHEMA = "pgssi-evidence-head/1"


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a journal. place: ``journal.jsonl:12``, ``head.json`` or ``files/<sha256>``."""

    code: str
    place: str
    values: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.place} : {text(self.code, **self.values)}"

    def sentence(self, language: str) -> str:
        """Return the sentence in ``fr`` or ``en``, without its place."""
        return (english if language == "en" else french)(self.code, **self.values)


@dataclass(frozen=True)
class Line:
    """One whole line: number from 1, bytes without newline, their SHA-256, value (None if unreadable)."""

    number: int
    raw: bytes
    digest: str
    value: dict[str, Any] | None
    problem: str = ""

    @property
    def place(self) -> str:
        """Where it stands, as findings name it."""
        return f"{JOURNAL}:{self.number}"


def unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a JSON object that names a key twice."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value


def _line(number: int, raw: bytes) -> Line:
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=unique)
        problem = "" if isinstance(value, dict) else "not an object"
    except (ValueError, RecursionError) as error:
        value, problem = None, str(error)
    return Line(number, raw, sha256(raw), value if isinstance(value, dict) else None, problem)


def read_lines(directory: Path) -> tuple[list[Line], bytes]:
    """Return the whole lines of the journal and the bytes after the last newline; none when it is absent."""
    path = directory / JOURNAL
    data = path.read_bytes() if path.exists() else b""
    *whole, tail = data.split(b"\n")
    return [_line(number, raw) for number, raw in enumerate(whole, 1)], tail


def read_head(directory: Path) -> tuple[dict[str, Any] | None, str]:
    """Return the head {schema, count, last, signed} and ``""``, or None and what is wrong (``missing``)."""
    path = directory / HEAD
    if not path.exists():
        return None, "missing"
    data = path.read_bytes()
    try:
        head = json.loads(data.decode("utf-8"), object_pairs_hook=unique)
        exact = canonical(head) + b"\n" == data
    except (ValueError, RecursionError) as error:
        return None, str(error)
    if not exact:
        return None, "not canonical"
    problem = head_fault(head)
    return (None, problem) if problem else (head, "")


def head_fault(head: Any) -> str:
    """Return what is wrong with the shape of a head, or an empty text."""
    if not isinstance(head, dict) or set(head) != {"schema", "count", "last", "signed"}:
        return "wrong fields"
    if head["schema"] != HEAD_SCHEMA or type(head["count"]) is not int or not isinstance(head["last"], str):
        return "wrong values"
    seal = head["signed"]
    if seal is None:
        return ""
    names = {"count": int, "last": str, "by": str, "key": str, "signed": str, "signature": str}
    if not isinstance(seal, dict) or set(seal) != set(names):
        return "wrong fields of its signature"
    return "" if all(type(seal[name]) is kind for name, kind in names.items()) else "wrong values of its signature"


def chain_findings(lines: Sequence[Line], tail: bytes) -> Iterator[Finding]:
    """Yield what is wrong inside the journal file: each line by itself, then each against the one before."""
    expected, previous = 1, None
    for line in lines:
        if line.value is None:
            yield Finding("not_json", line.place, {"detail": line.problem})
        else:
            yield from _own_findings(line)
            found = line.value.get("seq")
            if found != expected:
                yield Finding("sequence", line.place, {"found": found, "expected": expected})
            remembered = line.value.get("previous")
            if previous is None and remembered != GENESIS:
                yield Finding("first", line.place)
            elif previous is not None and remembered != previous.digest:
                yield Finding("chain", previous.place)
            expected = found if type(found) is int else expected
        expected += 1
        previous = line
    if tail:
        yield Finding("half_line", f"{JOURNAL}:{len(lines) + 1}", {"size": len(tail)})


def _own_findings(line: Line) -> Iterator[Finding]:
    try:
        exact = canonical(line.value) == line.raw
    except (ValueError, UnicodeError):
        exact = False
    if not exact:
        yield Finding("not_canonical", line.place)
    wrong = fault(line.value)
    if wrong:
        yield Finding("schema", line.place, {"path": wrong[0], "detail": wrong[1]})


def head_findings(directory: Path, lines: Sequence[Line]) -> Iterator[Finding]:
    """Yield what is wrong between the head and the journal, its signature apart."""
    head, problem = read_head(directory)
    if head is None:
        yield (Finding("head_missing", HEAD) if problem == "missing" else Finding("head_bad", HEAD, {"detail": problem}))
        return
    counts = {"count": head["count"], "lines": len(lines)}
    if head["count"] > len(lines):
        yield Finding("head_more", HEAD, counts)
    elif head["count"] < len(lines):
        yield Finding("head_less", HEAD, counts)
    elif lines and head["last"] != lines[-1].digest:
        yield Finding("head_last", lines[-1].place)
