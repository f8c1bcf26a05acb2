"""Filter that tells a host its nftables ruleset; the logic is pgssi.network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.pgssi.toolkit.plugins.plugin_utils.network_variables import network_variables

from pgssi.network.model import load
from pgssi.network.ruleset import compile_host


def ruleset(hostvars: Mapping[str, Mapping[str, Any]], host: str) -> str:
    """``hostvars | pgssi.toolkit.ruleset(inventory_hostname)``: what ``nft -f`` loads on this host.

    It takes the variables of every host, for the addresses of the others: no facts, so any ``--limit`` gives the same text.
    Raises pgssi.errors.InvalidInput for a matrix that cannot be used, or that would lock the operators out.
    """
    return compile_host(load(network_variables(hostvars, host), judged=(str(host),)), str(host))


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"ruleset": ruleset}
