"""Checks of the matrix: names, owners, dates, what opens too much or nothing, and who could lock the operators out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date

from pgssi.network.model import Network
from pgssi.network.parts import Endpoint, Flow, Path
from pgssi.network.reading import expired
from pgssi.site.model import Finding, Site, nearest

ALL_PORTS = 60000  # a range this wide names no service
PLACEHOLDERS = frozenset({"-", "?", "x", "xx", "xxx", "n/a", "na", "nc", "todo", "tbd", "inconnu", "unknown", "aucun", "none"})
SHOWN = 4  # pairs of addresses in one message


def check_flows(site: Site, network: Network) -> Iterator[Finding]:
    """Yield what is wrong with site_services and site_flows, and the hosts that the matrix would cut off."""
    for fault in network.faults:
        if fault.path[0] == "site_flows":
            yield Finding(fault.code, fault.path, fault.value, dict(fault.details))
    yield from _clashes(network)
    if not network.described:
        if network.palier and len(network.zones) > 1:
            yield Finding("no_matrix", ("site_flows",), warning=True)
        return
    yield from _ids(network)
    for flow in network.flows:
        yield from _references(network, flow)
        yield from _promise(network, flow)
        yield from _width(network, flow)
    yield from _effects(network)
    yield from _services(network)
    yield from _operators(site, network)


def at(flow: Flow, *rest: str | int) -> Path:
    """Return the path of a flow in the site model."""
    return ("site_flows", flow.index, *rest)


def _clashes(network: Network) -> Iterator[Finding]:
    """Yield the names that stand for two things; a group may share a zone's name as long as no flow names it bare."""
    kinds = {"site_zones": network.zones, "inventory": network.hosts, "site_equipment": network.equipment}
    owner: dict[str, str] = {}
    for where, names in kinds.items():
        for name in names:
            if name in owner:
                path: Path = (where, name) if where != "inventory" else ("site_zones", name)
                yield Finding("name_twice", path, name, {"one": owner[name], "two": where})
            owner.setdefault(name, where)
    for flow in network.flows:
        for key, names_of in (("from", flow.sources), ("to", flow.destinations)):
            for index, name in enumerate(names_of):
                if name in owner and name in network.groups:
                    known = "zone" if name in network.zones else owner[name]
                    yield Finding("ambiguous_name", at(flow, key, index), name, {"one": known})


def _ids(network: Network) -> Iterator[Finding]:
    seen: dict[str, Flow] = {}
    for flow in network.flows:
        if flow.id in seen:
            yield Finding("flow_id_twice", at(flow, "id"), flow.id, {"other": f"site_flows[{seen[flow.id].index}]"})
        seen.setdefault(flow.id, flow)


def _references(network: Network, flow: Flow) -> Iterator[Finding]:
    known = {name for name in network.endpoints if ":" not in name}
    for key, names in (("from", flow.sources), ("to", flow.destinations)):
        for index, name in enumerate(names):
            if name not in network.endpoints:
                details = {"nearest": nearest(name, known), "known": _few(known)}
                yield Finding("unknown_endpoint", at(flow, key, index), name, details)
    for name in flow.services:
        if name not in network.services:
            details = {"where": "site_services", "nearest": nearest(name, set(network.services)), "known": _few(network.services)}
            yield Finding("unknown_reference", at(flow, "service"), name, details)


def _few(names: object) -> str:
    shown = sorted(str(name) for name in names) if isinstance(names, set | dict) else []
    return ", ".join(shown[:30]) + (" …" if len(shown) > 30 else "")


def _promise(network: Network, flow: Flow) -> Iterator[Finding]:
    """Yield what is wrong with who answers for a flow, and until when (PSSI 4.2.2.2, 4.3.2.6)."""
    for key, owner in (("technical_owner", flow.technical_owner), ("business_owner", flow.business_owner)):
        if owner.strip().lower() in PLACEHOLDERS:
            yield Finding("flow_without_owner", at(flow, key), owner)
    latest = _year_after(network.today)
    if flow.expires > latest:
        yield Finding("expires_too_late", at(flow, "expires"), flow.expires.isoformat(), {"latest": latest.isoformat()})
    if expired(flow, network.today):
        details = {"owner": flow.business_owner, "purpose": flow.purpose, "latest": latest.isoformat()}
        warning = network.palier < 2
        yield Finding("flow_expired", at(flow, "expires"), f"{flow.id} ({flow.expires})", details, warning)


def _year_after(day: date) -> date:
    return date(day.year + 1, 3, 1) if (day.month, day.day) == (2, 29) else day.replace(year=day.year + 1)


def _width(network: Network, flow: Flow) -> Iterator[Finding]:
    """Yield flows that open too much to be a line of a white list (PSSI 4.3.1.2, 4.3.2.5)."""
    for name in flow.services:
        ports = network.services[name].ports if name in network.services else ()
        if any(port.last - port.first >= ALL_PORTS for port in ports):
            yield Finding("all_ports", at(flow, "service"), name)
    ends = [
        [network.endpoints[name] for name in names if name in network.endpoints] for names in (flow.sources, flow.destinations)
    ]
    sources, destinations = ends
    anyone = [end.name for end in sources if _internet(network, end)]
    if anyone and any(_internet(network, end) for end in destinations):
        yield Finding("any_any", at(flow), flow.id)
    wide = [end.name for end in destinations if end.kind == "zone" and not _internet(network, end)]
    wide += [end.name for end in destinations if end.name in ("all", "group:all")]
    if anyone and wide:
        yield Finding("published_zone", at(flow, "to"), ", ".join(wide), {"source": anyone[0]})


def _internet(network: Network, end: Endpoint) -> bool:
    return end.kind == "zone" and network.zones[end.name.removeprefix("zone:")].everything


def _effects(network: Network) -> Iterator[Finding]:
    """Yield flows that open nothing, or nothing that another does not open already."""
    opened = {flow.index: frozenset(network.matrix.expand(flow)) for flow in network.flows}
    first: dict[object, int] = {}
    by_index = {flow.index: flow for flow in network.flows}
    for flow in network.flows:
        lines = opened[flow.index]
        if not lines:
            if _all_known(network, flow):
                yield Finding("flow_opens_nothing", at(flow), flow.id)
            continue
        others = {first.get(line) for line in lines}
        other = others.pop() if len(others) == 1 else None
        if other is not None:
            same = opened[other] == lines
            details = {"other": by_index[other].id}
            yield Finding("flow_twice" if same else "flow_covered", at(flow), flow.id, details, warning=not same)
        for line in lines:
            first.setdefault(line, flow.index)


def _all_known(network: Network, flow: Flow) -> bool:
    ends = [*flow.sources, *flow.destinations]
    return all(name in network.endpoints for name in ends) and all(name in network.services for name in flow.services)


def _services(network: Network) -> Iterator[Finding]:
    """Yield services without a listener that the model knows: no flow leads to them, or nobody is known where it leads.

    What really listens is asked of the live hosts by the tests of the guide.
    """
    used = Counter(name for flow in network.flows for name in flow.services)
    for name, service in network.services.items():
        if service.listener and not used[name]:
            yield Finding("service_unused", ("site_services", name), name, warning=True)
    machines = [address for host in network.hosts.values() if not host.gateway for address in host.addresses]
    machines += [address for item in network.equipment.values() for address in item.addresses]
    listening = {name for name, service in network.services.items() if service.listener}
    for flow in network.flows:
        if listening.isdisjoint(flow.services):
            continue
        for index, name in enumerate(flow.destinations):
            end = network.endpoints.get(name)
            empty = end and (
                not end.blocks if end.kind != "zone" else not any(block.holds(ip) for block in end.blocks for ip in machines)
            )
            if end and empty and not _internet(network, end):
                details = {"services": ", ".join(flow.services)}
                yield Finding("nobody_listens", at(flow, "to", index), name, details, warning=True)


def _operators(site: Site, network: Network) -> Iterator[Finding]:
    """Yield the hosts that the operators could not log in to once the matrix is applied."""
    over_ssh = [host for host in network.hosts.values() if host.login]
    if over_ssh and not network.controls:
        yield Finding("no_control", ("site_equipment",), "", {"count": len(over_ssh)})
    for host in over_ssh:
        if not host.interfaces:
            if not site.hosts[host.name].variables.get("site_interfaces"):
                yield Finding("no_interfaces", ("site_interfaces",), "", {"zones": _few(dict(network.zones))}, host=host.name)
            continue
        address = host.login[0] if host.login else ""
        if address.startswith("127.") or address == "::1":
            continue  # a tunnel: its other end is not ours to judge
        if _is_address(address) and address not in map(str, host.addresses):
            details = {"known": ", ".join(map(str, host.addresses))}
            yield Finding("login_elsewhere", ("ansible_host",), address, details, host=host.name)
        elif pairs := network.unreachable(host.name):
            shown = ", ".join(f"{one} → {two}" for one, two in pairs[:SHOWN]) + (" …" if len(pairs) > SHOWN else "")
            port = host.login[1] if host.login else 0
            yield Finding("locked_out", ("site_flows",), shown, {"port": port}, host=host.name)


def _is_address(text: str) -> bool:
    return bool(text) and set(text) <= set("0123456789abcdefABCDEF.:") and (":" in text or text.count(".") == 3)
