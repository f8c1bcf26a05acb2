"""How many packets a host's own table has dropped, as the kernel says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pgssi.network.probing import Prober

TABLE = "inet pgssi"
# -t: without the elements of the sets, which may be many. Exit 1 with no table: another firewall, or none.
COMMAND = f"command -v nft >/dev/null || exit 3; nft -j -t list table {TABLE}"


def read_drops(prober: Prober, names: list[str]) -> dict[str, int]:
    """Return the packets dropped so far on each host that has our table; hosts without it are left out."""

    def work(name: str) -> int | None:
        done = prober.channels[name].run(COMMAND, timeout=60)
        return dropped(json.loads(done.stdout)) if done.rc == 0 else None

    return {name: count for name, count in prober.everywhere(names, work).items() if count is not None}


def dropped(document: Mapping[str, Any]) -> int:
    """Return the packets that the dropping rules of a table have counted; a rule may use a named counter.

    A chain that a rule jumps or goes to may itself drop: only rules that hold the verdict count, so that no
    packet counts twice.
    """
    items = document.get("nftables", [])
    named = {item["counter"]["name"]: int(item["counter"]["packets"]) for item in items if "counter" in item}
    total, once = 0, set()
    for expressions in (item["rule"].get("expr", []) for item in items if "rule" in item):
        if not any("drop" in expression for expression in expressions if isinstance(expression, Mapping)):
            continue
        for counter in _counters(expressions):
            if isinstance(counter, Mapping):
                total += int(counter.get("packets", 0))
            elif counter not in once:
                once.add(counter)
                total += named.get(str(counter), 0)
    return total


def _counters(expressions: list[Any]) -> Iterator[Any]:
    yield from (e["counter"] for e in expressions if isinstance(e, Mapping) and e.get("counter") is not None)
