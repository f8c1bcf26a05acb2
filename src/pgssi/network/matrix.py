"""The matrix as disjoint elements, and what it answers for one packet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import log2
from typing import TYPE_CHECKING, Literal

from netaddr import IPAddress

from pgssi.network.parts import Block, Endpoint, Flow, Line, Port, Protocol

if TYPE_CHECKING:
    from pgssi.network.model import Network

Reason = Literal["flow", "open", "unfiltered", "no_flow", "expired", "same_host", "other_family"]
_Key = tuple[Block, Block, Protocol]


@dataclass(frozen=True)
class Decision:
    """The answer for one new connection.

    flow: the line that allows it (or the expired one that would have). reason: ``flow`` (declared), ``open`` (a gateway lets
    these zones talk), ``unfiltered`` (nobody on the way filters), ``no_flow``, ``expired``, ``same_host``, ``other_family``.
    by: the hosts that refuse it, in the order it would meet them.
    """

    allowed: bool
    flow: str | None
    reason: Reason
    by: tuple[str, ...] = ()


class Matrix:
    """All elements of some flows. Elements with the same two ends never share a port: the first flow written keeps it."""

    def __init__(self, network: Network, flows: Iterable[Flow]) -> None:
        """Expand the flows of a network."""
        self._network = network
        self._flows = tuple(flows)

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Return the elements, the most specific first: nftables refuses one whose start lies in an earlier, wider one."""
        found: defaultdict[_Key, list[tuple[int, int, str]]] = defaultdict(list)
        for flow in self._flows:
            for key, port in self.expand(flow):
                found[key].append((port.first, port.last, flow.id))
        keys = sorted(found, key=_order)
        return tuple(Line(flow, *key, first, last) for key in keys for first, last, flow in _disjoint(found[key]))

    def expand(self, flow: Flow) -> Iterator[tuple[_Key, Port]]:
        """Yield what one flow opens by itself: ((source, destination, protocol), port)."""
        ports = [port for name in flow.services if name in self._network.services for port in self._network.services[name].ports]
        sources = list(_blocks(self._network.endpoints, flow.sources))
        destinations = list(_blocks(self._network.endpoints, flow.destinations))
        for source in sources:
            for destination in destinations:
                if source.version != destination.version or (source == destination and source.single):
                    continue
                for port in ports:
                    yield (source, destination, port.protocol), port

    @cached_property
    def _by_port(self) -> dict[tuple[Protocol, int], list[Line]]:
        found: defaultdict[tuple[Protocol, int], list[Line]] = defaultdict(list)
        for line in self.lines:
            if line.first == line.last:
                found[line.protocol, line.first].append(line)
        return found

    @cached_property
    def _ranges(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.first != line.last)

    def find(self, source: IPAddress, destination: IPAddress, protocol: Protocol, port: int = 0) -> Line | None:
        """Return the element that allows a new connection, the most specific first; port is not read for icmp."""
        port = 0 if protocol == "icmp" else port
        for line in self._by_port.get((protocol, port), ()):
            if line.source.holds(source) and line.destination.holds(destination):
                return line
        for line in self._ranges:
            inside = line.protocol == protocol and line.first <= port <= line.last
            if inside and line.source.holds(source) and line.destination.holds(destination):
                return line
        return None


def _blocks(endpoints: dict[str, Endpoint], names: Iterable[str]) -> Iterator[Block]:
    yield from dict.fromkeys(block for name in names if name in endpoints for block in endpoints[name].blocks)


def _order(key: _Key) -> tuple[float, int, int, int, str]:
    source, destination, protocol = key
    width = log2((source.last - source.first + 1) * (destination.last - destination.first + 1))
    return width, source.version, source.first, destination.first, protocol


def _disjoint(spans: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Return spans of ports that share none; a port in several belongs to the first one in the list."""
    rank = sorted(range(len(spans)), key=lambda index: spans[index][:2])
    found: list[tuple[int, int, str]] = []
    while rank:  # the spans that touch each other, from the lowest on
        together, end = [rank[0]], spans[rank[0]][1]
        while len(together) < len(rank) and spans[rank[len(together)]][0] <= end:
            end = max(end, spans[rank[len(together)]][1])
            together.append(rank[len(together)])
        del rank[: len(together)]
        found += _shared([spans[index] for index in sorted(together)]) if len(together) > 1 else [spans[together[0]]]
    return found


def _shared(spans: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    kept: list[tuple[int, int, str]] = []
    for first, last, flow in spans:
        free = [(first, last)]
        for low, high, _ in kept:
            free = [part for one in free for part in _minus(one, low, high)]
        kept += [(one, two, flow) for one, two in free]
    return sorted(kept)


def _minus(span: tuple[int, int], low: int, high: int) -> Iterator[tuple[int, int]]:
    first, last = span
    if high < first or last < low:
        yield span
        return
    if first < low:
        yield first, low - 1
    if high < last:
        yield high + 1, last
