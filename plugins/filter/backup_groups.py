"""Filter that tells the backup role which components one run archives; the logic is pgssi.backup_groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ansible_collections.pgssi.toolkit.plugins.plugin_utils import package  # noqa: F401

from pgssi import backup_groups


def groups(components: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """``components | pgssi.toolkit.backup_groups``: [{leader, members, frequency}] of one host's components."""
    return [asdict(group) for group in backup_groups.backup_groups(components)]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"backup_groups": groups}
