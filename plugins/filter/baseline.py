"""Filter that gives the hardening role the lists of the host baseline; they are in pgssi.baseline."""

from __future__ import annotations

from typing import Any

from ansible_collections.pgssi.toolkit.plugins.plugin_utils import package  # noqa: F401

from pgssi import baseline


def named(name: str) -> list[str]:
    """``'needless_modules' | pgssi.toolkit.baseline``: one of the lists."""
    return baseline.lists()[name]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"baseline": named}
