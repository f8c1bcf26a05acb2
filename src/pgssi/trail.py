"""Who sends records, who keeps them, and who gives the time: read from the groups of the inventory alone.

A log server does not keep its own records: they go to its peers or, when it is alone, to the first backup server. That
host then holds its seals too, so that nobody rewrites a log server from that log server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from pgssi.interfaces import addresses_by_zone, addresses_of

SENDERS = ("servers", "workstations", "log_servers")
SIX_MONTHS = 184  # days; the longest six months of a calendar
Groups = Mapping[str, Sequence[str]]
Hosts = Mapping[str, Mapping[str, Any]]


def senders(groups: Groups) -> list[str]:
    """Return the hosts whose records leave them."""
    return sorted({name for group in SENDERS for name in groups.get(group) or ()})


def receivers(name: str, groups: Groups) -> list[str]:
    """Return the hosts that receive the records of a host: each gets all of them."""
    servers = [server for server in sorted(groups.get("log_servers") or ()) if server != name]
    spare = [server for server in sorted(groups.get("backup_servers") or ()) if server != name]
    return servers or spare[:1] if groups.get("log_servers") else []


def sent_to(name: str, groups: Groups) -> list[str]:
    """Return the hosts whose records a host keeps."""
    return [sender for sender in senders(groups) if name in receivers(sender, groups)]


def nearest(name: str, target: str, hosts: Hosts) -> str:
    """Return the address by which a host reaches another one: of a zone that they share, or its first."""
    theirs, mine = addresses_by_zone(hosts[target]), addresses_by_zone(hosts[name])
    shared = [address for zone in theirs if zone in mine for address in theirs[zone]]
    every = shared or [address for addresses in theirs.values() for address in addresses]
    return every[0] if every else str(hosts[target].get("ansible_host", target))


def view(name: str, hosts: Hosts, groups: Groups, time_servers: Iterable[str]) -> dict[str, Any]:
    """Return what a host is in the audit trail.

    sends: [{name, address}] of its receivers; keeps: {address: name} of its senders; time: addresses to ask; serves: whether it
    gives the time; asked_by: addresses that may ask it.
    """
    clocks = [server for server in time_servers if server in hosts]
    mine = {address: one for one in sent_to(name, groups) for address in addresses_of(hosts[one])}
    return {
        "sends": [{"name": one, "address": nearest(name, one, hosts)} for one in receivers(name, groups)]
        if name in senders(groups)
        else [],
        "keeps": mine,
        "keeps_of": sent_to(name, groups),
        "time": [] if name in clocks else [nearest(name, one, hosts) for one in clocks],
        "serves": name in clocks,
        "asked_by": sorted({str(ip_address(address)) for one in hosts for address in addresses_of(hosts[one])}),
    }


def retention(guidance: str, classes: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return the days that each class of records is kept; longer than six months only under the current guidance."""
    return {name: int(one["days"]) if guidance == "current" else SIX_MONTHS for name, one in classes.items()}
