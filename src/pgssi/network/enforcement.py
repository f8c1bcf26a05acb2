"""What the rules in force make a host enforce: one answer for the ruleset, the checks and the expected matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pgssi.catalogue import Catalogue
from pgssi.network.parts import NetHost, Zone

# Uses of the zones whose traffic a gateway filters because of a rule, by what the rule says under ``firewall``; "*": all.
CONFINES: Mapping[str, frozenset[str]] = {
    "zones": frozenset({"*"}),
    "dmz": frozenset({"dmz_inbound", "dmz_outbound"}),
    "guest": frozenset({"guest"}),
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


def firewall(catalogue: Catalogue, rules: Iterable[str]) -> frozenset[str]:
    """Return what these rules of the catalogue make a ruleset refuse."""
    return frozenset(word for rule in rules for word in catalogue.rules[rule].firewall)


def enforcement(host: NetHost, zones: Iterable[Zone]) -> Enforcement:
    """Return what a host enforces, from the rules in force on it."""
    confined = frozenset[str]().union(*(uses for word, uses in CONFINES.items() if word in host.firewall))
    opened = frozenset(z.name for z in zones if not z.everything and "*" not in confined and confined.isdisjoint(z.uses))
    edge = "edge" in host.firewall
    if edge:  # an Internet with networks of its own, as in a lab
        opened -= {z.name for z in zones if "internet" in z.uses}
    return Enforcement(
        inbound="inbound" in host.firewall,
        outbound="outbound" in host.firewall,
        spoofing=("spoofing" if host.gateway else "inbound") in host.firewall,
        traced="traced" in host.firewall,
        open_zones=opened if host.gateway else frozenset(),
        open_edge=host.gateway and not edge,
        forwards_nothing=not host.gateway and "forwarding" in host.firewall,
    )
