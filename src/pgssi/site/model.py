"""Value types of the site check. Values are JSON-like: dates are ISO texts, whatever YAML made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any

Path = tuple[str | int, ...]  # ("site_people", 2, "leaves")


@dataclass(frozen=True)
class Finding:
    """One thing said about the site model.

    code: entry of pgssi.site.words; path: variable and keys; details: what the message is filled with.
    warning: does not stop anything. host: the host it concerns, empty when it concerns the site.
    """

    code: str
    path: Path
    value: object = ""
    details: Mapping[str, object] = field(default_factory=dict)
    warning: bool = False
    host: str = ""


@dataclass(frozen=True)
class Host:
    """One inventory host. groups: all its groups without ``all``; variables: its site_* and ansible_*."""

    name: str
    groups: frozenset[str]
    variables: Mapping[str, Any]


@dataclass(frozen=True)
class Site:
    """One version of the site model, and the hosts it may name.

    broken: paths that do not keep the schema; the checks of references leave them alone.
    """

    values: Mapping[str, Any]
    hosts: Mapping[str, Host]
    today: date
    broken: frozenset[Path] = frozenset()

    def entries(self, variable: str) -> Iterator[tuple[Path, Any]]:
        """Yield (path, entry) of a list or table, without those that break the schema."""
        whole = self.values.get(variable)
        pairs = whole.items() if isinstance(whole, dict) else enumerate(whole if isinstance(whole, list) else ())
        for key, entry in pairs:
            if not any(path[:2] == (variable, key) or path == (variable,) for path in self.broken):
                yield (variable, key), entry

    def sound(self, variable: str) -> Any:
        """Return a variable that keeps the schema entirely, else None."""
        return None if any(path[0] == variable for path in self.broken) else self.values.get(variable)

    def names(self, variable: str, key: str = "") -> list[str]:
        """Return the keys of a table, or the values of one key in a list, broken entries included."""
        whole = self.values.get(variable)
        if isinstance(whole, dict):
            return [name for name in whole if isinstance(name, str)]
        entries = whole if isinstance(whole, list) else ()
        found = [entry.get(key) for entry in entries if isinstance(entry, dict)]
        return [name for name in found if isinstance(name, str)]

    def places(self) -> list[str]:
        """Return what a scope may name: hosts, groups and ``all``."""
        groups = {group for host in self.hosts.values() for group in host.groups}
        return sorted({"all", *self.hosts, *groups})

    def members(self, place: str) -> list[str]:
        """Return the hosts of a host name, a group or ``all``."""
        return [h.name for h in self.hosts.values() if place in ("all", h.name) or place in h.groups]


def json_like(value: Any) -> Any:
    """Return the value with dates as ISO texts and every key as a text."""
    if isinstance(value, Mapping):
        return {str(key): json_like(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_like(item) for item in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value


def nearest(name: object, known: Iterator[str] | list[str] | set[str]) -> str:
    """Return the known name that looks most like this one, or an empty text."""
    found = get_close_matches(str(name)[:80], sorted(known), n=1, cutoff=0.6)
    return found[0] if found else ""


def dotted(path: Path) -> str:
    """Return ``site_people[2].leaves`` for ("site_people", 2, "leaves")."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
    return "".join(parts).lstrip(".")
