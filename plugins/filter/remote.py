"""Filter that tells the remote maintenance role what one host has to know; the logic is pgssi.remote.model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.pgssi.toolkit.plugins.plugin_utils import package  # noqa: F401

from pgssi.interfaces import addresses_of
from pgssi.remote.model import codes, host_view, load


def remote_host(hostvars: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, Any]:
    """``hostvars | pgssi.toolkit.remote_host(inventory_hostname)``: functions, accounts, logins… of this host."""
    mine = hostvars[name]
    return host_view(load(hostvars, mine["groups"]), name, mine["group_names"])


def remote_codes(hostvars: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, str]:
    """``hostvars | pgssi.toolkit.remote_codes(inventory_hostname)``: secrets of one-time codes, by account."""
    mine = hostvars[name]
    return codes(load(hostvars, mine["groups"]), mine["group_names"])


def own_addresses(variables: Mapping[str, Any]) -> list[str]:
    """``hostvars[inventory_hostname] | pgssi.toolkit.own_addresses``: every address of the host, by its site_interfaces."""
    return list(addresses_of(variables))


def not_done(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the hosts of registered results, by name, whose command was tried and did not succeed."""
    return [name for name, one in results.items() if not one.get("skipped") and one.get("rc") != 0]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {
            "not_done": not_done,
            "own_addresses": own_addresses,
            "remote_codes": remote_codes,
            "remote_host": remote_host,
        }
