"""What the rules in force make a host enforce: one answer for the ruleset, the checks and the expected matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pgssi.network.parts import NetHost, Zone

# Uses of the zones whose traffic a gateway filters because of a rule; "*": all of them.
CONFINES: Mapping[str, frozenset[str]] = {
    "zones-default-drop": frozenset({"*"}),
    "dmz-confined": frozenset({"dmz_inbound", "dmz_outbound"}),
    "guests-confined": frozenset({"guest"}),
    "biomedical-confined": frozenset({"biomedical"}),
    "administration-network-only": frozenset({"administration"}),
}
EDGE, HOST, EGRESS = "internet-edge-default-drop", "host-firewall-default-drop", "egress-allow-list"
SPOOFING, FORWARDING = "spoofing-dropped", "no-forwarding-off-gateways"
TRACED = frozenset({"blocked-flows-traced", "blocked-inside-flows-traced"})


@dataclass(frozen=True)
class Enforcement:
    """What one host refuses of what the matrix does not declare.

    inbound, outbound: what is sent to it, what it sends itself. open_zones: zones that a gateway lets talk to each other
    freely (None: all it forwards is refused by default, or it forwards nothing); open_edge: also with the Internet.
    spoofing: packets whose source does not belong where they come from; traced: refused packets leave a trace.
    forwards_nothing: it is no gateway and must not be one.
    """

    inbound: bool
    outbound: bool
    spoofing: bool
    traced: bool
    open_zones: frozenset[str] = frozenset()
    open_edge: bool = False
    forwards_nothing: bool = False


def enforcement(host: NetHost, zones: Iterable[Zone]) -> Enforcement:
    """Return what a host enforces, from the rules in force on it."""
    confined = frozenset[str]().union(*(uses for rule, uses in CONFINES.items() if rule in host.rules))
    opened = frozenset(z.name for z in zones if not z.everything and "*" not in confined and confined.isdisjoint(z.uses))
    edge = EDGE in host.rules
    if edge:  # an Internet with networks of its own, as in a lab
        opened -= {z.name for z in zones if "internet" in z.uses}
    return Enforcement(
        inbound=HOST in host.rules,
        outbound=EGRESS in host.rules,
        spoofing=(SPOOFING if host.gateway else HOST) in host.rules,
        traced=not TRACED.isdisjoint(host.rules),
        open_zones=opened if host.gateway else frozenset(),
        open_edge=host.gateway and not edge,
        forwards_nothing=not host.gateway and FORWARDING in host.rules,
    )
