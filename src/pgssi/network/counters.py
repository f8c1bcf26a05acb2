"""How many packets a host's own table has dropped, as the kernel says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pgssi.network.probing import Prober
from pgssi.network.ruleset import COUNTERS
from pgssi.network.sample import Probe

TABLE = "inet pgssi"

# Named counters only: the elements of the sets may be many. Exit 1 without our table: another firewall, or none.
COMMAND = f"command -v nft >/dev/null || exit 3; nft -j list counters table {TABLE}"


Drops = Mapping[str, int]  # packets by name of counter
ANYWHERE = ("invalid", "spoofed")  # refused before, or whatever, the hook


def read_drops(prober: Prober, names: list[str]) -> dict[str, Drops]:
    """Return the packets dropped so far on each host that has our table; hosts without it are left out."""

    def work(name: str) -> Drops:
        done = prober.channels[name].run(COMMAND, timeout=60)
        return dropped(json.loads(done.stdout)) if done.rc == 0 else {}

    return {name: drops for name, drops in prober.everywhere(names, work).items() if drops}


def risen(hook: str, before: Drops, after: Drops) -> int:
    """Return the packets that one hook (input, forward, output) has refused in between.

    What another hook refused is not counted in: a host that lets a packet in, and then refuses its own
    answer, has refused nothing of what came.
    """
    names = (f"refused_{hook}", *ANYWHERE)
    return sum(after.get(name, 0) - before.get(name, 0) for name in names)


def in_window(prober: Prober, probe: Probe) -> bool:
    """Return whether a host that would refuse a packet lets it pass for now, by an open maintenance window.

    A window ends by itself: an element that never expires is a hole that somebody has made.
    """
    if probe.protocol == "icmp":
        return False
    key = f"{probe.source.address} . {probe.target.address} . {probe.protocol} . {probe.port}"
    command = f"nft get element {TABLE} windows{probe.source.version} '{{ {key} }}'"
    asked = [name for name in probe.by if name in prober.channels and name not in prober.faults]
    done = prober.everywhere(asked, lambda name: prober.channels[name].run(command, timeout=30))
    return any(result.rc == 0 and ends(result.stdout) for result in done.values())


def ends(said: bytes) -> bool:
    """Return whether the element that ``nft get element`` prints vanishes by itself; what its comment says does not count."""
    return re.search(rb"\bexpires \d", re.sub(rb'"[^"]*"', b"", said)) is not None


def dropped(document: Mapping[str, Any]) -> Drops:
    """Return the packets that the counters of refusals hold; empty when the table has none of them."""
    counters = [item["counter"] for item in document.get("nftables", []) if "counter" in item]
    return {counter["name"]: int(counter["packets"]) for counter in counters if counter.get("name") in COUNTERS}
