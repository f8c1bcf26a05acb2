"""How many packets a host's own table has dropped, as the kernel says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pgssi.network.probing import Prober
from pgssi.network.ruleset import COUNTERS

TABLE = "inet pgssi"

# Named counters only: the elements of the sets may be many. Exit 1 without our table: another firewall, or none.
COMMAND = f"command -v nft >/dev/null || exit 3; nft -j list counters table {TABLE}"


def read_drops(prober: Prober, names: list[str]) -> dict[str, int]:
    """Return the packets dropped so far on each host that has our table; hosts without it are left out."""

    def work(name: str) -> int | None:
        done = prober.channels[name].run(COMMAND, timeout=60)
        return dropped(json.loads(done.stdout)) if done.rc == 0 else None

    return {name: count for name, count in prober.everywhere(names, work).items() if count is not None}


def dropped(document: Mapping[str, Any]) -> int | None:
    """Return the packets that the counters of refusals hold; None when the table has none of them."""
    counters = [item["counter"] for item in document.get("nftables", []) if "counter" in item]
    ours = [int(counter["packets"]) for counter in counters if counter.get("name") in COUNTERS]
    return sum(ours) if ours else None
