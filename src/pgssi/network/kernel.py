"""The rules that a kernel holds, from ``nft -j list ruleset``: what they refuse by default, and what they let pass besides."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from netaddr import IPNetwork

from pgssi.network.parts import Block
from pgssi.network.ruleset import ERRORS, FAMILIES, GIVEN, TAKEN

Element = tuple[str, ...]
Rule = Sequence[Mapping[str, Any]]
OURS = ("inet", "pgssi")
# Statements that let nothing pass by themselves; whatever else a rule does is an opening, unless it is known below.
INERT = frozenset({"match", "counter", "log", "limit", "set", "drop", "reject", "return", "jump", "goto", "vmap", "comment"})
# What may be accepted without being in the matrix: IPv6 neighbours, leases, errors of connections.
LINK = {f"nd-{name}" for name in ("neighbor-solicit", "neighbor-advert", "router-solicit", "router-advert")}
LINK |= {"mld-listener-query", "mld-listener-report", "mld-listener-done", "mld2-listener-report"}
LEASES = ((67, 68), (68, 67), (546, 547), (547, 546))


@dataclass(frozen=True)
class Rules:
    """The rules that a kernel holds. table, maps: those of ``inet pgssi``, by chain or name; bases: every base chain.

    sets: by name, elements as the compiled matrix writes them, with the seconds that they have left (None: no end);
    dormant: the table is there and filters nothing.
    """

    bases: tuple[Mapping[str, Any], ...] = ()
    table: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    sets: Mapping[str, Mapping[Element, float | None]] = field(default_factory=dict)
    maps: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    flowtables: int = 0
    dormant: bool = False

    def hook(self, name: str) -> Mapping[str, Any] | None:
        """Return our base chain of a hook."""
        ours = (c for c in self.bases if (c["family"], c["table"], c["hook"]) == (*OURS, name))
        return next((c for c in ours if c["type"] == "filter" and c["name"] == name), None)

    def closed(self, hook: str) -> str:
        """Return what is wrong with the way a hook refuses what nothing accepts, or an empty text."""
        chain = self.hook(hook)
        if chain is None:
            return "aucune règle de la matrice n'est chargée dans le noyau"
        if self.dormant:
            return "la table de la matrice porte un drapeau (flags) : en sommeil, elle ne filtre rien"
        if chain.get("policy") != "drop":
            return f"la chaîne {hook} accepte par défaut"
        return ""

    def openings(self, hook: str) -> Iterator[Rule]:
        """Yield the rules that a packet of this hook can meet and that let it pass without asking the matrix."""
        output = self.hook("output")
        free = hook in ("input", "output") and output is not None and output.get("policy") == "accept"
        yield from (rule for rule in self.passing(hook) if not _known(hook, rule, free))

    def passing(self, hook: str) -> Iterator[Rule]:
        """Yield the rules that a packet of this hook can meet and that may let it pass, whatever they ask."""
        todo, seen = [hook], {hook}
        while todo:
            for rule in self.table.get(todo.pop(), ()):
                verdicts = [*rule, *self._mapped(rule)]
                found = [target for target in _targets(verdicts) if target not in seen]
                todo += found
                seen.update(found)
                if not all(map(_inert, verdicts)):
                    yield rule

    def endless(self, longest: float) -> Iterator[Element]:
        """Yield the windows that do not end, or not within so many seconds."""
        for version in (4, 6):
            for element, left in self.sets.get(f"windows{version}", {}).items():
                if left is None or left > longest:
                    yield element

    def _mapped(self, rule: Rule) -> Iterator[Mapping[str, Any]]:
        """Yield the verdicts of the verdict maps that a rule looks up, written in it or named."""
        for part in rule:
            if "vmap" in part:
                data = part["vmap"]["data"]
                pairs = data["set"] if isinstance(data, Mapping) else self.maps.get(str(data).removeprefix("@"), ())
                yield from (pair[-1] for pair in pairs)


def _targets(verdicts: Rule) -> Iterator[str]:
    yield from (part[verb]["target"] for part in verdicts for verb in ("jump", "goto") if verb in part)


def _inert(part: Mapping[str, Any]) -> bool:
    """Return whether a statement lets nothing pass; one that adds to what the matrix is looked up in does."""
    if "set" in part:
        return str(part["set"].get("set", "")).startswith("@loud")
    return set(part) <= INERT


def _asks(rule: Rule) -> list[tuple[str, Any]]:
    """Return what a rule asks for, as (what it looks at, in the words of nft, and the value that it wants there)."""
    matches = [part["match"] for part in rule if "match" in part]
    return [(_words(m["left"]) if m["op"] in ("==", "in") else f"{m['op']} {_words(m['left'])}", m["right"]) for m in matches]


def _words(left: Any) -> str:
    kind, what = next(iter(left.items())) if isinstance(left, Mapping) else ("", left)
    if kind == "concat":
        return " . ".join(map(_words, what))
    if kind == "payload" and "protocol" in what:
        return f"{what['protocol']} {what['field']}"
    if kind in ("meta", "ct") and set(what) == {"key"}:
        return f"{kind} {what['key']}"
    return json.dumps(left, sort_keys=True)


def _known(hook: str, rule: Rule, free: bool) -> bool:
    """Return whether an accepting rule asks the matrix, or is what a link or a host needs to work at all.

    free: the host may ask whatever it wants of others, so that answers to it are no opening.
    """
    if not all(_inert(part) or "accept" in part for part in rule) or any("vmap" in part for part in rule):
        return False
    asks = _asks(rule)
    if any(all(wanted in asks for wanted in shape) for shape in _lookups(hook)):
        return True
    wants = dict(asks)
    types = {text(value) for key in ("icmp type", "icmpv6 type") for value in values(wants.get(key, {"set": ()}))}
    if types and ("ct state", "related") in asks:
        return types <= {name for names in ERRORS.values() for name in names.split(", ")}
    if hook == "forward":
        return False
    if types:
        return types <= LINK
    if "udp sport" in wants:
        return (wants["udp sport"], wants.get("udp dport")) in LEASES
    answers = ("ct direction", "reply" if hook == "input" else "original")
    return asks in ([("meta iif", "lo")], [("meta oif", "lo")]) or (free and asks == [answers])


def reaches(rule: Rule, ports: Collection[tuple[str, int, int]]) -> bool:
    """Return whether a rule may let packets to one of these ports pass, each as (protocol, first, last)."""
    for what, right in _asks(rule):
        protocol, _, side = what.partition(" ")
        if side == "dport" and protocol in ("tcp", "udp", "th"):
            wanted = [text(value).partition("-") for value in values(right)]
            if all(first.isdecimal() for first, _, _ in wanted):
                spans = [(int(first), int(last or first)) for first, _, last in wanted]
                near = [port for port in ports if protocol in ("th", port[0])]
                return any(first <= port[2] and port[1] <= last for first, last in spans for port in near)
    return True


def values(right: Any) -> Sequence[Any]:
    """Return what the right side of a match names: the members of a set, or itself."""
    return right["set"] if isinstance(right, Mapping) and "set" in right else [right]


@lru_cache(maxsize=8)
def _lookups(hook: str) -> tuple[tuple[tuple[str, Any], ...], ...]:
    """Return what a rule has to ask for, all of it, to be a look-up of the matrix or of an open window."""
    found: list[tuple[tuple[str, Any], ...]] = []
    for version, ip, icmp in FAMILIES:
        taken, given = TAKEN.format(ip=ip), GIVEN.format(ip=ip)
        original, reply, flows = ("ct direction", "original"), ("ct direction", "reply"), f"@flows{version}"
        for name in (flows, f"@windows{version}"):
            found += [(original, (taken, name)), (reply, (given, name))]
        ping = f"@ping{version}"
        found.append(((f"{icmp} type", "echo-request"), original, (f"{ip} saddr . {ip} daddr", ping)))
        found.append(((f"{icmp} type", "echo-reply"), reply, (f"{ip} daddr . {ip} saddr", ping)))
        if hook != "forward":  # connections older than the first ruleset of a host
            older = ("ct state", "established")
            found += [(older, original, (given, flows)), (older, reply, (taken, flows))]
    return tuple(found)


def text(value: Any) -> str:
    """Return one part of an element as the compiled matrix writes it."""
    if isinstance(value, Mapping):
        if "prefix" in value:
            return f"{value['prefix']['addr']}/{value['prefix']['len']}"
        if "range" in value:
            return "-".join(str(end) for end in value["range"])
    return str(value)


def touches(end: str, block: Block) -> bool:
    """Return whether an end of an element (an address, a prefix, or first-last) and a block have an address in common."""
    first, _, last = end.partition("-")
    low, high = IPNetwork(first), IPNetwork(last or first)
    return bool(low.version == block.version and block.first <= high.last and low.first <= block.last)


def _elements(raw: Mapping[str, Any]) -> dict[Element, float | None]:
    found = {}
    for element in raw.get("elem", ()):
        inner = element.get("elem", element) if isinstance(element, Mapping) else element
        value = inner.get("val", inner) if isinstance(inner, Mapping) else inner
        parts = value["concat"] if isinstance(value, Mapping) and "concat" in value else [value]
        more = inner if isinstance(inner, Mapping) else {}
        left = more.get("expires", 0 if more.get("timeout") else None)  # one that ends at this very moment has none left
        found[tuple(text(part) for part in parts)] = left
    return found


def told(listing: str) -> dict[str, list[str]]:
    """Return what ``nft -s list table`` printed, line by line, by chain, set or counter.

    Elements are sorted, and those that come and go by themselves left out.
    """
    found: dict[str, list[str]] = {}
    name, elements = "", False
    for line in listing.splitlines():
        if line.startswith("\t") and line.endswith("{") and not line.startswith("\t\t"):
            name, elements = line.strip(), False
        elements = elements or line.startswith("\t\telements = {")
        if line == "\t}":
            elements = False
        if not elements:
            found.setdefault(name, []).append(line)
        elif not name.startswith(("set windows", "set loud")):
            element = line.removeprefix("\t\telements = {").removesuffix("}").strip(" \t,")
            found.setdefault(f"{name} elements", []).append(element)
    return {name: sorted(lines) if name.endswith(" elements") else lines for name, lines in found.items()}


@lru_cache(maxsize=64)
def read(said_by_nft: str) -> Rules:
    """Return the rules that ``nft -j list ruleset`` printed."""
    bases: list[Mapping[str, Any]] = []
    table: dict[str, list[Rule]] = {}
    sets, maps, flowtables, dormant = {}, {}, 0, False
    for item in json.loads(said_by_nft).get("nftables", ()):
        kind, said = next(iter(item.items()))
        if kind == "chain" and "hook" in said:
            bases.append(said)
        flowtables += kind == "flowtable"
        if kind == "table" and (said["family"], said["name"]) == OURS:
            dormant = "flags" in said  # nft 1.0.6 writes nonsense there
        if (said.get("family"), said.get("table")) != OURS:
            continue
        if kind == "rule":
            table.setdefault(said["chain"], []).append(said["expr"])
        elif kind == "set":
            sets[said["name"]] = _elements(said)
        elif kind == "map":
            maps[said["name"]] = tuple(said.get("elem", ()))
    return Rules(tuple(bases), {name: tuple(rules) for name, rules in table.items()}, sets, maps, flowtables, dormant)
