"""Filter that tells a bastion where its recordings go; the logic is pgssi.interfaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.pgssi.toolkit.plugins.plugin_utils import package  # noqa: F401

from pgssi.interfaces import addresses_of


def record_servers(hostvars: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """``hostvars | pgssi.toolkit.record_servers(groups)``: name and address of log servers, in order of preference."""
    names = sorted(groups.get("log_servers") or ())
    return [{"name": name, "address": address} for name in names for address in addresses_of(hostvars[name])]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"record_servers": record_servers}
