"""Checks of what the rules in force forbid to declare: a matrix may not open what a palier closes."""

from __future__ import annotations

from collections.abc import Iterator

from pgssi.catalogue import Catalogue, Rule
from pgssi.network.exchanges import leaving, parties
from pgssi.network.model import Network
from pgssi.network.parts import Endpoint, Flow
from pgssi.site.flows import at
from pgssi.site.model import Finding

DMZ = frozenset({"dmz_inbound", "dmz_outbound"})
# Where visitors may go: out, to each other's network, and to what the site offers to the Internet or goes out by.
GUESTS_GO = DMZ | {"internet", "guest"}
PUBLIC = DMZ | {"internet", "guest", "remote_maintenance"}
REHEARSAL = frozenset({"acceptance", "development", "training"})
WIDE = 1024  # ports; more than one service needs from a DMZ inwards


def check_confinement(network: Network, catalogue: Catalogue) -> Iterator[Finding]:
    """Yield the flows that a rule in force here forbids, with the requirement it comes from."""
    if not network.described:
        return
    held = {closed for host in network.hosts.values() for closed in host.closes}
    rules = {rule.closes: rule for rule in reversed(list(catalogue.rules.values()))}
    for flow in network.flows:
        for closed, code, details in _forbidden(network, flow):
            if closed in held:
                yield Finding(code, at(flow), flow.id, {**details, **_said(rules[closed])})
    if "clear" in held:
        yield from _in_clear(network, rules["clear"])
    yield from _rehearsal(network)


def _said(rule: Rule) -> dict[str, object]:
    return {"rule": rule.id, "requirements": ", ".join(rule.requirements)}


def _in_clear(network: Network, rule: Rule) -> Iterator[Finding]:
    """Yield the services without stated encryption by which a sensitive flow leaves the controlled networks.

    A waiver counts when every host that the flow names has it.
    """
    for flow in network.flows:
        pair = leaving(network, flow)
        concerned = parties(network, flow) or network.hosts.values()
        if not pair or not any("clear" in host.closes for host in concerned):
            continue
        details = {"level": flow.confidentiality, "source": pair[0].name, "target": pair[1].name, **_said(rule)}
        for name in flow.services:
            if name in network.services and not network.services[name].encrypted:
                yield Finding("exchange_in_clear", at(flow, "service"), name, details)


def _forbidden(network: Network, flow: Flow) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Yield (what a rule closes, code of the finding, details) for what the ends of one flow break."""
    sources, destinations = _ends(network, flow.sources), _ends(network, flow.destinations)
    reach = [{"source": one.name, "target": two.name} for one in sources for two in destinations]
    pairs = [(_uses(network, one), _uses(network, two), one) for one in sources for two in destinations]
    wide = any(
        port.last - port.first >= WIDE for name in flow.services if (found := network.services.get(name)) for port in found.ports
    )
    for (froms, tos, one), details in zip(pairs, reach, strict=True):
        if any("guest" in uses for uses in froms) and any(not uses & GUESTS_GO for uses in tos):
            yield "guests", "guest_inside", dict(details)
        if _biomedical_outside(froms, tos) or _biomedical_outside(tos, froms):
            yield "biomedical", "biomedical_internet", dict(details)
        if wide and any(uses & DMZ for uses in froms) and any(not uses & PUBLIC for uses in tos):
            yield "dmz", "dmz_wide", dict(details)
        public = one.kind == "zone" and any("internet" in uses for uses in froms)
        if public and any(not uses & PUBLIC for uses in tos):
            yield "dmz", "internet_inside", dict(details)
    if flow.category == "administration" and any("administration" in zone.uses for zone in network.zones.values()):
        for one in sources:
            if any(not uses & {"administration", "remote_maintenance"} for uses in _uses(network, one)):
                yield "administration", "administration_elsewhere", {"source": one.name}


def _biomedical_outside(froms: list[frozenset[str]], tos: list[frozenset[str]]) -> bool:
    return any("biomedical" in uses for uses in froms) and any("internet" in uses for uses in tos)


def _ends(network: Network, names: tuple[str, ...]) -> list[Endpoint]:
    return [network.endpoints[name] for name in names if name in network.endpoints]


def _uses(network: Network, end: Endpoint) -> list[frozenset[str]]:
    """Return the uses of each zone that an end of a flow is in."""
    return [zone.uses for zone in network.zones_of(end)]


def _rehearsal(network: Network) -> Iterator[Finding]:
    """Yield, as warnings, flows that lead from a rehearsal environment to production (PSSI 4.2.2.10, 6.5.2.4)."""
    for flow in network.flows:
        for one in _ends(network, flow.sources):
            for two in _ends(network, flow.destinations):
                crosses = any(not uses & (REHEARSAL | {"internet"}) for uses in _uses(network, two))
                if crosses and any(uses & REHEARSAL for uses in _uses(network, one)):
                    details = {"source": one.name, "target": two.name}
                    yield Finding("rehearsal_to_production", at(flow), flow.id, details, warning=True)
