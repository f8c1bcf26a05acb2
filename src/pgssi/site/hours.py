"""Weekly ranges of local time ({starts, ends, days}): care hours and maintenance windows, as sets of minutes of a week.

A range that ends at or before its start ends on the next day; ``days`` are those on which it starts, every day when absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from pgssi.site.model import Finding, Site, dotted

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 24 * 60
WEEK = 7 * DAY
LEAST = 30  # minutes: below, a host that was busy or off when its window opened has no second chance

Range = Mapping[str, Any]


def minutes(ranges: Iterable[Range]) -> frozenset[int]:
    """Return the minutes of the week, from Monday 00:00 on, that the ranges cover; the end itself is outside."""
    return frozenset(minute % WEEK for one in ranges for start in _starts(one) for minute in range(start, start + length(one)))


def length(one: Range) -> int:
    """Return the length of a range in minutes, 1 to 1440."""
    return (_clock(one["ends"]) - _clock(one["starts"]) - 1) % DAY + 1


def minute_of(moment: datetime) -> int:
    """Return the minute of the week of a local time."""
    return moment.weekday() * DAY + moment.hour * 60 + moment.minute


def in_words(minute: int) -> str:
    """Return ``mon 08:30`` for a minute of the week."""
    return f"{DAYS[minute // DAY]} {minute % DAY // 60:02d}:{minute % 60:02d}"


def calendars(ranges: Iterable[Range]) -> list[str]:
    """Return the starts of the ranges in the words of systemd.time(7): ``Mon,Tue *-*-* 02:00:00``."""
    return [
        f"{','.join(day.capitalize() for day in one.get('days') or DAYS)} *-*-* {one['starts']}:00"
        for one in ranges
    ]  # fmt: skip


def check_hours(site: Site) -> Iterator[Finding]:
    """Yield a maintenance window that touches care hours, or that is too short to be of use."""
    care = {minute: path for path, one in site.entries("site_care_hours") for minute in minutes([one])}
    for path, one in site.entries("site_maintenance_window"):
        if length(one) < LEAST:
            yield Finding("window_short", path, f"{one['starts']}-{one['ends']}", {"least": LEAST})
        met = sorted(minutes([one]) & care.keys())
        if met:
            details = {"when": in_words(met[0]), "care": dotted(care[met[0]])}
            yield Finding("window_in_care_hours", path, f"{one['starts']}-{one['ends']}", details)


def _starts(one: Range) -> Iterator[int]:
    for day in one.get("days") or DAYS:
        yield DAYS.index(day) * DAY + _clock(one["starts"])


def _clock(text: str) -> int:
    hours, minute = text.split(":")
    return int(hours) * 60 + int(minute)
