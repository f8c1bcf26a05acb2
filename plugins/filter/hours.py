"""Filters that tell systemd of weekly ranges of local time; the logic is pgssi.site.hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.pgssi.toolkit.plugins.plugin_utils import package  # noqa: F401

from pgssi.site import hours


def random_minutes(ranges: Sequence[Mapping[str, Any]]) -> int:
    """``site_maintenance_window | pgssi.toolkit.random_minutes``: how late a job may start and still have half the range."""
    return min(hours.length(one) for one in ranges) // 2


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"calendars": hours.calendars, "random_minutes": random_minutes}
