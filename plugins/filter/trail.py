"""Filters that tell a role what its host is in the audit trail; the logic is pgssi.trail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.pgssi.toolkit.plugins.plugin_utils import package  # noqa: F401

from pgssi import trail


def trail_view(
    hostvars: Mapping[str, Mapping[str, Any]], name: str, groups: Mapping[str, Sequence[str]], time_servers: Iterable[str]
) -> dict[str, Any]:
    """``hostvars | pgssi.toolkit.trail_view(inventory_hostname, groups, time_servers)``: what this host is in the audit trail."""
    return trail.view(name, hostvars, groups, time_servers)


def trail_retention(classes: Mapping[str, Mapping[str, Any]], guidance: str) -> dict[str, int]:
    """``audit_trail_retention | pgssi.toolkit.trail_retention(site_guidance)``: days by class."""
    return trail.retention(guidance, classes)


def without(entry: Mapping[str, Any], key: str) -> dict[str, Any]:
    """``units | map("pgssi.toolkit.without", "wanted")``: an entry without what only chose it."""
    return {name: value for name, value in entry.items() if name != key}


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"trail_view": trail_view, "trail_retention": trail_retention, "without": without}
