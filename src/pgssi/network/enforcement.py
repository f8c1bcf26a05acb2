"""What the rules in force make a host enforce: one answer for the ruleset, the checks and the expected matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pgssi.catalogue import Catalogue
from pgssi.inforce import HostContext
from pgssi.network.parts import NetHost, Zone

# Rules of the catalogue say what they close (``closes``): hosts, edge, egress, spoofing, forwarding, silence (what is refused
# leaves a trace), clear (sensitive flows that leave the site's own networks unencrypted, pgssi.network.exchanges), and the
# zones below. Uses of the zones whose traffic a gateway filters then; "*": all of them.
CONFINES: Mapping[str, frozenset[str]] = {
    "zones": frozenset({"*"}),
    "dmz": frozenset({"dmz_inbound", "dmz_outbound"}),
    "guests": frozenset({"guest"}),
    "biomedical": frozenset({"biomedical"}),
    "administration": frozenset({"administration"}),
}


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


def closed_by(catalogue: Catalogue, context: HostContext) -> frozenset[str]:
    """Return what the rules in force on a host close there."""
    return frozenset(rule.closes for rule in catalogue.rules.values() if rule.closes and context.in_force(rule))


def enforcement(host: NetHost, zones: Iterable[Zone]) -> Enforcement:
    """Return what a host enforces, from the rules in force on it."""
    confined = frozenset[str]().union(*(uses for closed, uses in CONFINES.items() if closed in host.closes))
    opened = frozenset(z.name for z in zones if not z.everything and "*" not in confined and confined.isdisjoint(z.uses))
    edge = "edge" in host.closes
    if edge:  # an Internet with networks of its own, as in a lab
        opened -= {z.name for z in zones if "internet" in z.uses}
    return Enforcement(
        inbound="hosts" in host.closes,
        outbound="egress" in host.closes,
        spoofing=("spoofing" if host.gateway else "hosts") in host.closes,
        traced="silence" in host.closes,
        open_zones=opened if host.gateway else frozenset(),
        open_edge=host.gateway and not edge,
        forwards_nothing=not host.gateway and "forwarding" in host.closes,
    )
