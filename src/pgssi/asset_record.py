"""The inventory record of PSSI 4.1: hardware, system and software of the hosts, and what differs from the record before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from pgssi.releases import announcement, ends

FILE = "inventaire.json"
FIELDS = ("release", "kernel", "model", "serial", "processor", "processors", "memory_mb")
LISTS = ("disks", "interfaces", "packages", "elsewhere")

Seen = Mapping[str, Any]


def whole(seen: Mapping[str, Seen]) -> bytes:
    """Return the attachment of a record: everything that was read, by host, always in the same order."""
    return (json.dumps(seen, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode("utf-8")


def details(seen: Mapping[str, Seen], before: Mapping[str, Seen] | None, expected: list[str], today: date) -> dict[str, Any]:
    """Return what the record itself says: each host in short, the differences, the hosts that were not read.

    before: what the record before read, None when this is the first one. A host that is not read now is missing; it is a
    difference only once it has left the inventory too.
    """
    return {
        "on": today.isoformat(),
        "hosts": {name: _short(one) for name, one in sorted(seen.items())},
        "missing": sorted(set(expected) - set(seen)),
        "compared": before is not None,
        "differences": [] if before is None else list(_differences(before, seen, set(expected))),
        "announcements": sorted({text for one in seen.values() if (text := announcement(one["release"], today))}),
    }


def _short(one: Seen) -> dict[str, Any]:
    end = ends().get(one["release"])
    counts = {name: len(one[name]) for name in LISTS}
    return {**{name: one[name] for name in FIELDS}, **counts, "supported_until": end.isoformat() if end else ""}


def _differences(before: Mapping[str, Seen], now: Mapping[str, Seen], expected: set[str]) -> Iterator[dict[str, str]]:
    for host in sorted({*before, *now}):
        if host not in before:
            yield _difference("host_new", host, "", "", now[host]["release"])
        elif host not in now:
            if host not in expected:
                yield _difference("host_gone", host, "", before[host]["release"], "")
        else:
            yield from _changes(host, before[host], now[host])


def _changes(host: str, old: Seen, new: Seen) -> Iterator[dict[str, str]]:
    for field in FIELDS:
        if old.get(field) != new[field]:
            yield _difference("changed", host, field, str(old.get(field, "")), str(new[field]))
    for field in LISTS:
        was, has = old.get(field, {}), new[field]
        for name in sorted({*was, *has}):
            if was.get(name) != has.get(name):
                code = "added" if name not in was else "removed" if name not in has else "changed"
                yield _difference(code, host, f"{field}.{name}", str(was.get(name, "")), str(has.get(name, "")))


def _difference(code: str, host: str, item: str, old: str, new: str) -> dict[str, str]:
    return {"code": code, "host": host, "item": item, "old": old, "new": new}
