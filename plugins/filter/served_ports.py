"""Filter that tells a host what the site model says that it serves; the logic is pgssi.network.served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.pgssi.toolkit.plugins.plugin_utils.network_variables import network_variables

from pgssi.inventory import plain
from pgssi.network.served import described, doors

ELSEWHERE = ("site_remote", "site_wifi")


def served_ports(hostvars: Mapping[str, Mapping[str, Any]], host: str) -> list[list[Any]]:
    """``hostvars | pgssi.toolkit.served_ports(inventory_hostname)``: [protocol, first port, last port, [addresses]] of each door.

    Empty when the site declares no flow: nobody says what hosts serve.
    """
    known, site = network_variables(hostvars, host), hostvars[host]
    if not known[host].get("site_flows"):
        return []
    network = described(known)
    more = {name: plain(site[name]) for name in ELSEWHERE if name in site}
    found = doors(network, network.hosts[host], more)
    return [[one.port.protocol, one.port.first, one.port.last, sorted(map(str, one.addresses))] for one in found]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"served_ports": served_ports}
