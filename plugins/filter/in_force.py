"""Filters that tell a role what is in force on its host; the logic is pgssi.inforce."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.pgssi.toolkit.plugins.plugin_utils import package  # noqa: F401

from pgssi.catalogue import load_catalogue
from pgssi.inforce import HostContext, rules_in_force, settings_in_force


def _context(variables: Mapping[str, Any]) -> HostContext:
    return HostContext.from_vars(variables["inventory_hostname"], variables["group_names"], variables)


def in_force(settings: Iterable[Mapping[str, Any]], variables: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """``my_settings | pgssi.toolkit.in_force(hostvars[inventory_hostname])``: the settings that hold for this host."""
    return settings_in_force(settings, load_catalogue(), _context(variables))


def rules(variables: Mapping[str, Any]) -> list[str]:
    """``hostvars[inventory_hostname] | pgssi.toolkit.rules``: the ids of the rules in force on this host."""
    return list(rules_in_force(load_catalogue(), _context(variables)))


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {"in_force": in_force, "rules": rules}
