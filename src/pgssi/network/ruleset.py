"""The nftables ruleset of one host: the text that ``nft -f`` loads in one transaction, from the model alone.

Nothing is accepted for being established: every packet of a connection is looked up in the sets of the matrix by what the
connection was when it began (``ct direction``), so that a flow that leaves the matrix, or a window that ends, cuts what runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pgssi.errors import InvalidInput, Problem
from pgssi.network.enforcement import Enforcement
from pgssi.network.model import Network
from pgssi.network.parts import Block, Line, NetHost

LOG_GROUP = 5
FAMILIES = ((4, "ip", "icmp"), (6, "ip6", "icmpv6"))
# What the guests' way out has judged itself bears this mark (roles/wifi, guests.nft): their addresses, names and page.
GUESTS, GUESTS_MARK = "guest_portals", "meta mark & 0x08000000 == 0x08000000 accept"
COUNTERS = ("refused_input", "refused_forward", "refused_output", "refused_noise", "invalid", "spoofed")
# ICMP errors that belong to a connection: without them connections hang on large packets (RFC 1191, RFC 4890).
ERRORS = {
    4: "destination-unreachable, time-exceeded, parameter-problem",
    6: "destination-unreachable, packet-too-big, time-exceeded, parameter-problem",
}
TAKEN, GIVEN = "{ip} saddr . {ip} daddr . meta l4proto . th dport", "{ip} daddr . {ip} saddr . meta l4proto . th sport"


def compile_host(network: Network, host: str, closes: Iterable[str] | None = None) -> str:
    """Return the ruleset of a host of the network. closes: what the rules in force on it close, when not as in the network.

    Loading it replaces all rules and flows of the table ``inet pgssi`` at once; the open windows stay.
    Raises InvalidInput when the operators could not log in to the host afterwards.
    """
    known = network.hosts[host]
    if closes is not None:
        known = replace(known, closes=frozenset(closes))
        network = replace(network, hosts={**network.hosts, host: known})
    _keep_operators(network, known)
    lines = network.lines if known.gateway else tuple(line for line in network.lines if _concerns(line, known))
    return "\n".join([*_head(known), *_chains(network, known), *_elements(lines), ""])


def _keep_operators(network: Network, host: NetHost) -> None:
    if host.login is not None and (not network.controls or network.unreachable(host.name)):
        pairs = ", ".join(f"{one} → {two}" for one, two in network.unreachable(host.name)) or "site_equipment"
        raise InvalidInput(
            [
                Problem(
                    "site_flows",
                    host.name,
                    pairs,
                    "le poste de contrôle ne pourrait plus se connecter à cet hôte",
                    "Déclarer un équipement use: control et son flux SSH vers l'hôte.",
                )
            ]
        )


def _concerns(line: Line, host: NetHost) -> bool:
    return any(line.source.holds(address) or line.destination.holds(address) for address in host.addresses)


def _head(host: NetHost) -> Iterator[str]:
    """Yield the declarations that are there already at the next load, then what empties all but windows and counters.

    The sets of the matrix are made again: the kernel takes minutes to flush a large one, element by element.
    """
    yield f"# {host.name}: written by pgssi from the matrix of the site (site_flows); do not edit, it is replaced."
    matrix = [declared for version, _, _ in FAMILIES for declared in _sets(version)]
    yield "table inet pgssi {"
    yield from (f"    set {name} {{ {kind} }}" for name, kind in matrix)
    for version, _, _ in FAMILIES:
        yield f"    set windows{version} {{ type {_key(version)}; flags interval, timeout; counter; }}"
        yield f"    set loud{version} {{ type ipv{version}_addr; size 8192; flags dynamic, timeout; timeout 1m; }}"
    yield from (f"    counter {name} {{ }}" for name in COUNTERS)
    yield "}"
    yield "flush table inet pgssi"
    for name, kind in matrix:
        yield f"delete set inet pgssi {name}"
        yield f"add set inet pgssi {name} {{ {kind} }}"


def _key(version: int) -> str:
    return f"ipv{version}_addr . ipv{version}_addr . inet_proto . inet_service"


def _sets(version: int) -> Iterator[tuple[str, str]]:
    yield f"flows{version}", f"type {_key(version)}; flags interval; counter;"
    yield f"ping{version}", f"type ipv{version}_addr . ipv{version}_addr; flags interval; counter;"


def _chains(network: Network, host: NetHost) -> Iterator[str]:
    here = network.enforced(host.name)
    yield "table inet pgssi {"
    yield from _chain("link", _link(host))
    for version, ip, icmp in FAMILIES:
        yield from _chain(f"matrix{version}", _matrix(version, ip, icmp))
        yield from _chain(f"older{version}", _older(version, ip))
    for hook in ("input", "forward", "output"):
        yield from _chain(f"refused_{hook}", _refused(hook, here.traced))
    yield from _base("spoofing", "prerouting", "raw", "accept", _spoofing(here))
    yield from _base("input", "input", "filter", "drop" if here.inbound else "accept", _input(host, here))
    closed = host.gateway or here.forwards_nothing
    yield from _base("forward", "forward", "filter", "drop" if closed else "accept", _forward(network, host, here))
    yield from _base("output", "output", "filter", "drop" if here.outbound else "accept", _output(host, here))
    yield "}"


def _chain(name: str, rules: Iterable[str]) -> Iterator[str]:
    yield f"    chain {name} {{"
    yield from (f"        {rule}" for rule in rules)
    yield "    }"


def _base(name: str, hook: str, priority: str, policy: str, rules: Iterable[str]) -> Iterator[str]:
    yield from _chain(name, (f"type filter hook {hook} priority {priority}; policy {policy};", *rules))


def _link(host: NetHost) -> Iterator[str]:
    """Yield what a link needs to work at all, which never crosses a router (RFC 4890, 4.4.1; RFC 8415)."""
    routers = "nd-router-solicit" if host.gateway else "nd-router-advert"
    yield f"icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert, {routers} }} ip6 hoplimit 255 accept"
    listeners = "mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report"
    yield f"icmpv6 type {{ {listeners} }} ip6 saddr {{ ::, fe80::/10 }} accept"
    yield "ip protocol udp udp sport 67 udp dport 68 accept"
    yield "ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept"


def _matrix(version: int, ip: str, icmp: str) -> Iterator[str]:
    """Yield what lets a connection of the matrix, or of an open window, pass: its own direction, then the answers."""
    taken, given = TAKEN.format(ip=ip), GIVEN.format(ip=ip)
    for name in ("flows", "windows"):
        yield f"ct direction original {taken} @{name}{version} accept"
        yield f"ct direction reply {given} @{name}{version} accept"
    yield f"{icmp} type echo-request ct direction original {ip} saddr . {ip} daddr @ping{version} accept"
    yield f"{icmp} type echo-reply ct direction reply {ip} daddr . {ip} saddr @ping{version} accept"
    yield f"ct state related {icmp} type {{ {ERRORS[version]} }} accept"


def _older(version: int, ip: str) -> Iterator[str]:
    """Yield the same for connections older than the first ruleset of a host, whose direction may be known the wrong way round."""
    taken, given = TAKEN.format(ip=ip), GIVEN.format(ip=ip)
    yield f"ct state established ct direction original {given} @flows{version} accept"
    yield f"ct state established ct direction reply {taken} @flows{version} accept"


def _both(chain: str) -> Iterator[str]:
    yield f"meta nfproto ipv4 jump {chain}4"
    yield f"meta nfproto ipv6 jump {chain}6"


def _spoofing(here: Enforcement) -> Iterator[str]:
    """Yield what drops a source that this interface does not lead to, before anything remembers the packet."""
    if not here.spoofing:
        return
    yield "iif lo accept"
    yield "ip6 saddr fe80::/10 accept"
    yield "ip6 saddr :: meta l4proto icmpv6 accept"
    yield "ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept"
    log = _log("spoofed") if here.traced else ()
    yield from (f"fib saddr . iif oif missing {rule}" for rule in log)
    yield "fib saddr . iif oif missing counter name spoofed drop"


def _input(host: NetHost, here: Enforcement) -> Iterator[str]:
    if not here.inbound:
        return
    yield "iif lo accept"
    if GUESTS in host.groups:
        yield GUESTS_MARK
    yield "jump link"
    yield "ct state invalid counter name invalid drop"
    yield from _both("matrix")
    yield from _both("older")
    if not here.outbound:  # the answers to what this host may freely ask
        yield "ct direction reply accept"
    yield "jump refused_input"


def _forward(network: Network, host: NetHost, here: Enforcement) -> Iterator[str]:
    if not host.gateway:
        if here.forwards_nothing:
            yield "jump refused_forward"
        return
    yield "ct state invalid counter name invalid drop"
    yield from _both("matrix")
    yield from _opened(network, here)
    yield "jump refused_forward"


def _opened(network: Network, here: Enforcement) -> Iterator[str]:
    """Yield what lets zones talk freely that no rule in force closes."""
    closed = [name for name, zone in network.zones.items() if not zone.everything and name not in here.open_zones]
    for version, ip, _ in FAMILIES:
        inside = _named(network, here.open_zones, version)
        outside = _named(network, closed, version)
        if here.open_edge and outside:
            yield f"{ip} saddr != {outside} {ip} daddr != {outside} accept"
        elif here.open_edge:
            yield f"meta nfproto ipv{version} accept"
        elif inside:
            yield f"{ip} saddr {inside} {ip} daddr {inside} accept"


def _named(network: Network, zones: Iterable[str], version: int) -> str:
    blocks: list[Block] = sorted(block for name in zones for block in network.blocks(name) if block.version == version)
    return f"{{ {', '.join(block.text for block in blocks)} }}" if blocks else ""


def _output(host: NetHost, here: Enforcement) -> Iterator[str]:
    """Yield what a host may send: all it asks itself, or only the matrix; in both cases no answer that the matrix refuses."""
    if not (here.inbound or here.outbound):
        return
    yield "oif lo accept"
    if GUESTS in host.groups:
        yield GUESTS_MARK
    if not here.outbound:
        yield "ct direction original accept"
        yield from _both("matrix")
        yield from _both("older")
        yield "ct direction reply jump refused_output"
        return
    yield "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } ip6 hoplimit 255 accept"
    yield "icmpv6 type { mld-listener-report, mld-listener-done, mld2-listener-report } ip6 daddr ff02::/16 accept"
    yield "ip protocol udp udp sport 68 udp dport 67 accept"
    yield "ip6 daddr { ff02::1:2, fe80::/10 } udp sport 546 udp dport 547 accept"
    yield "ct state invalid counter name invalid drop"
    yield from _both("matrix")
    yield from _both("older")
    yield "jump refused_output"


def _refused(hook: str, traced: bool) -> Iterator[str]:
    yield "fib daddr type { broadcast, multicast } counter name refused_noise drop"
    yield f"counter name refused_{hook}"
    if traced:
        yield from _log(hook)
    yield "drop"


def _log(what: str) -> Iterator[str]:
    """Yield what leaves a trace, for each source so many a second: one that is loud does not hide the others."""
    for version, ip, _ in FAMILIES:
        some = f"update @loud{version} {{ {ip} saddr limit rate 10/second burst 40 packets }}"
        yield f'{some} log prefix "pgssi-{what} " group {LOG_GROUP} snaplen 128'


def _elements(lines: Iterable[Line]) -> Iterator[str]:
    """Yield the flows; no two elements of a set share their start, and a narrow one comes before a wider one over it.

    One statement for each set: nft 1.0.6 merges several and loses the order, which the kernel then refuses.
    """
    found: dict[str, list[str]] = {}
    for line in lines:
        ends = f"{line.source.text} . {line.destination.text}"
        if line.protocol == "icmp":
            name, key = f"ping{line.source.version}", ends
        else:
            port = str(line.first) if line.first == line.last else f"{line.first}-{line.last}"
            name, key = f"flows{line.source.version}", f"{ends} . {line.protocol} . {port}"
        found.setdefault(name, []).append(f'    {key} comment "{line.flow}",')
    for name in sorted(found):
        yield f"add element inet pgssi {name} {{"
        yield from found[name]
        yield "}"
