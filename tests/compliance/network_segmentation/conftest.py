"""Shared by the tests of segmentation: the model, the kernel's rules, and packets sent and seen on real hosts."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from netaddr import IPAddress

from pgssi.inforce import HostContext
from pgssi.inventory import Variables
from pgssi.network import NetHost, Network
from pgssi.network.kernel import Element, Rules, read, touches
from pgssi.network.live import network_of, prober_of
from pgssi.remote.model import LONGEST_HOURS
from pgssi.transport import Channel, TransportError
from pgssi.verify import not_verified
from pgssi.verify.hosts import Hosts
from pgssi.verify.plan import Plan
from pgssi.verify.turns import turn

SCRIPT = Path(__file__).with_name("on_host.py").read_text("utf-8")
LIST = "nft -j list ruleset 2>/dev/null || echo '{\"nftables\": []}'"
Packet = tuple[str, str, str, int]
OUR_PORTS = range(20000, 30000)


def one_at_a_time(opened: bool) -> AbstractContextManager[None]:
    """Let nobody open a host while what it refuses by itself is tried: the hosts are tested side by side.

    opened: hosts are opened for a moment, which several may do at once.
    """
    return turn(__file__, alone=not opened)


@pytest.fixture(scope="session")
def network(pgssi_plan: Plan) -> Network:
    """The network of the site model, judged at palier 2 at least."""
    found = network_of(pgssi_plan.inventory, pgssi_plan.catalogue, 2)
    assert found.described, "aucun flux n'est déclaré (site_flows) : rien ne dit ce qui doit passer"
    return found


@pytest.fixture
def me(network: Network, context: HostContext) -> NetHost:
    """This host in the network; its addresses have to be declared."""
    mine = network.hosts[context.name]
    assert mine.interfaces, "site_interfaces ne dit pas les adresses de cet hôte"
    return mine


@pytest.fixture
def rules(facts: Any) -> Rules:
    """The rules that the kernel of this host holds now."""
    return read(facts("nft-ruleset", LIST))


@pytest.fixture
def longest(site: Variables) -> float:
    """The seconds that a window may last at most on this site."""
    return float((site.get("site_remote") or {}).get("longest_hours", LONGEST_HOURS)) * 3600 + 60


@pytest.fixture
def compiled(network: Network, context: HostContext) -> dict[str, set[Element]]:
    """The lines of the matrix that this host has to hold, by set: those of its addresses; all of them for a gateway."""
    mine = network.hosts[context.name]
    found: dict[str, set[Element]] = {f"{name}{version}": set() for name in ("flows", "ping") for version in (4, 6)}
    for line in network.lines:
        if mine.gateway or any(end.holds(address) for end in (line.source, line.destination) for address in mine.addresses):
            ends = (line.source.text, line.destination.text)
            port = str(line.first) if line.first == line.last else f"{line.first}-{line.last}"
            name, more = ("ping", ()) if line.protocol == "icmp" else ("flows", (line.protocol, port))
            found[f"{name}{line.source.version}"].add((*ends, *more))
    return found


@pytest.fixture
def more(rules: Rules, compiled: Mapping[str, set[Element]], longest: float) -> list[Element]:
    """What the sets of the kernel open and the matrix does not declare; a window that ends is none of it."""
    return [*sorted(e for name, lines in compiled.items() for e in rules.sets.get(name, {}) if e not in lines),
            *rules.endless(longest)]  # fmt: skip


@dataclass(frozen=True)
class Answers:
    """What became of packets sent to a host. came: how many it received; given: its answers, in words."""

    came: int
    given: tuple[str, ...]


@dataclass(frozen=True)
class Sight:
    """What a host saw of packets that were sent: those that came to it, those that left it, and its own answers to them."""

    came: list[Packet]
    left: list[Packet]
    answered: list[Packet]


def sight(seen: Mapping[str, Any], packets: Mapping[str, Sequence[Packet]]) -> Sight:
    """Return what belongs to these packets, whatever source a translation of addresses has given them.

    What a watcher lost may have been the very packet: then only one that it did see proves something.
    """
    sent = {(protocol, target, port) for some in packets.values() for protocol, _, target, port in some}
    came, left = ([(p[0], p[1], p[2], p[3]) for p in seen[side]] for side in ("came", "left"))
    came = [p for p in came if (p[0], p[2], p[3]) in sent]
    answered = [p for p in left if p[0].startswith("re:") and (p[0][3:].rpartition(" ")[2], p[1], p[3]) in sent]
    left = [p for p in left if (p[0], p[2], p[3]) in sent]
    if seen["lost"] and not (left or answered):
        not_verified(f"l'hôte témoin n'a pas vu {seen['lost']} paquets, faute de place : rien n'est prouvé")
    return Sight(came, left, answered)


@dataclass
class Wire:
    """Sends packets from machines of the site and sees them pass others; leaves nothing behind."""

    network: Network
    channels: Mapping[str, Channel]
    pythons: Mapping[str, str]
    answering: dict[str, bool] = field(default_factory=dict)
    number: int = field(default_factory=lambda: random.SystemRandom().randrange(10**9))
    sport: int = 0  # of our packets: below what Linux takes by itself, no service of the site, and another one in each process

    def __post_init__(self) -> None:
        """Draw our port."""
        taken = [port for service in self.network.services.values() for port in service.ports]
        free = [n for n in OUR_PORTS if not any(port.first <= n <= port.last for port in taken)]
        self.sport = random.SystemRandom().choice(free or OUR_PORTS)

    def order(self, machine: str, do: str, timeout: float = 30.0, **settings: Any) -> Any:
        """Have one action of on_host.py done on a machine; return its answer."""
        asked = json.dumps({"do": do, "sport": self.sport, **settings})
        script = f"{SCRIPT}\nmain(json.loads({json.dumps(asked)}))\n"
        command = f"{self.pythons.get(machine, 'python3')} -B -E -s -"
        done = self.channels[machine].run(command, stdin=script.encode(), timeout=timeout)
        if done.rc:
            not_verified(f"{machine} : essai impossible ({done.stderr.decode('utf-8', 'replace').strip()[-200:]})")
        return json.loads(done.stdout)

    def near(self, zone: str) -> set[str]:
        """Return the machines that are declared in a zone."""
        hosts = {name for name, host in self.network.hosts.items() if zone in host.zones}
        return hosts | {name for name, item in self.network.equipment.items() if item.zone == zone}

    def usable(self, machine: str) -> bool:
        """Return whether a machine answers; one that is away is no witness."""
        if machine not in self.answering:
            try:
                self.channels[machine].connect()
                self.answering[machine] = True
            except TransportError:
                self.answering[machine] = False
        return self.answering[machine]

    def machines(self, zone: str) -> Iterator[tuple[str, Mapping[int, str]]]:
        """Yield the machines of a zone that can send, gateways left out, with their addresses by version."""
        for name in self.channels:
            if name not in self.near(zone) or not self.usable(name):
                continue
            known = self.network.hosts.get(name)
            equipment = self.network.equipment.get(name)
            if known and not known.gateway:
                addresses = [a for i in known.interfaces if i.zone == zone for a in i.addresses]
            else:
                addresses = list(equipment.addresses) if equipment and equipment.zone == zone else []
            if addresses:
                yield name, {address.version: str(address) for address in reversed(addresses)}

    def seen(
        self, watcher: str, packets: Mapping[str, Sequence[Packet]], act: Callable[[], object], opened: bool = True
    ) -> Sight:
        """Do something while a host watches; return what came to it, and left it, of these packets (by sender).

        opened: the senders let them out for a moment, so that only the watching host stands in their way.
        """
        path = f"/run/pgssi-essai-{self.number}"
        with one_at_a_time(opened):
            for machine, some in packets.items() if opened else ():
                self.order(machine, "windows", packets=some, seconds=30)
            self.order(watcher, "see", path=path, seconds=30)
            try:
                act()
            finally:
                seen = self.order(watcher, "collect", path=path)
                for machine, some in packets.items() if opened else ():
                    self.order(machine, "close", packets=some)
        return sight(seen, packets)

    def send(self, packets: Mapping[str, Sequence[Packet]]) -> dict[str, list[str]]:
        """Send packets, by sender; return what each said of each packet: nothing, or an error."""
        return {machine: self.order(machine, "send", packets=some) for machine, some in packets.items()}

    def passed(self, watcher: str, packets: Mapping[str, Sequence[Packet]]) -> tuple[list[Packet], list[Packet]]:
        """Send packets (by sender) and return those that came to a host, and those that it sent on."""
        saw = self.seen(watcher, packets, lambda: self.send(packets))
        return saw.came, saw.left

    def answers(self, packets: Mapping[str, Sequence[Packet]], receiver: str) -> Answers:
        """Send packets to a host; return how many came to it, and what it answered."""
        saw = self.seen(receiver, packets, lambda: self.send(packets))
        given = tuple(f"{p[0].removeprefix('re:')} depuis {p[1]} port {p[3]}" for p in saw.answered)
        return Answers(len(saw.came), given)

    def handed(self, giver: str, receiver: str, address: str, packets: Sequence[Packet]) -> tuple[list[Packet], list[Packet]]:
        """Give packets for others to a host of the same link; return those that came to it, and those that it sent on."""
        mac, link = self.order(receiver, "card", address=address)["mac"], self.order(giver, "card", address=packets[0][1])["name"]
        give = {"interface": link, "mac": mac, "packets": packets}
        saw = self.seen(receiver, {giver: packets}, lambda: self.order(giver, "hand", **give), opened=False)
        return saw.came, saw.left

    def between(self, sources: Sequence[str], targets: Sequence[str]) -> dict[str, list[Packet]]:
        """Return undeclared packets from machines of some zones to addresses of others, by sender."""
        found: dict[str, list[Packet]] = {}
        for one, two in permutations(self.network.zones, 2):
            if one not in sources or two not in targets:
                continue
            for name, addresses in list(self.machines(one))[:2]:
                for version, address in addresses.items():
                    target = self._target(two, version)
                    if target:
                        found.setdefault(name, []).extend(self.undeclared(address, target))
        return found

    def undeclared(self, source: str, target: str) -> Iterator[Packet]:
        """Yield a TCP and a UDP packet, and an echo request, as far as the matrix does not declare them."""
        for protocol in ("tcp", "udp"):
            port = next(p for p in (22, 445, 3389, 8080, 40443) if not self.declared(source, target, protocol, p))
            yield protocol, source, target, port
        if not self.declared(source, target, "icmp", 0):
            yield "icmp", source, target, 0

    def declared(self, source: str, target: str, protocol: Any, port: int) -> bool:
        """Return whether a line of the matrix allows it."""
        return self.network.matrix.find(IPAddress(source), IPAddress(target), protocol, port) is not None

    def _target(self, zone: str, version: int) -> str:
        machine = next((addresses[version] for _, addresses in self.machines(zone) if version in addresses), "")
        if machine:
            return machine
        owned = [a for item in self.network.equipment.values() if item.zone == zone and not item.control for a in item.addresses]
        return next((str(address) for address in owned if address.version == version), "")

    def refused(self, gateway: str, packets: Mapping[str, Sequence[Packet]], observe: Callable[[str], None]) -> None:
        """Send undeclared packets through a gateway; fail for those that it sends on, or if none ever came to it."""
        if not packets:
            not_verified("aucune machine de ces zones ne peut émettre : rien n'a été essayé")
        came, left = self.passed(gateway, packets)
        sent = sum(len(some) for some in packets.values())
        observe(f"{sent} paquets non déclarés de {', '.join(packets)} : {len(set(came))} reçus, {len(set(left))} relayés")
        assert not left, f"relayé malgré la matrice : {_show(left[0])}"
        if not came:
            not_verified("aucun de ces paquets n'est arrivé à la passerelle : le chemin ne passe pas par elle")


def _show(packet: Packet) -> str:
    return f"{packet[0]} de {packet[1]} vers {packet[2]}" + (f" port {packet[3]}" if packet[3] else "")


@pytest.fixture(scope="session")
def wire(pgssi_plan: Plan, pgssi_hosts: Hosts, network: Network) -> Iterator[Wire]:
    """Machines of the site that can send packets: hosts where acting is allowed, and a lab's stand-ins for equipment."""
    prober = prober_of(pgssi_plan.inventory, network, pgssi_hosts.channel, pgssi_plan.acting)
    yield Wire(network, prober.channels, prober.pythons)
    for name, channel in prober.channels.items():
        if name in network.equipment:
            channel.close()


@pytest.fixture
def zones(network: Network) -> Callable[..., list[str]]:
    """``zones("guest")``: the zones of some uses; ``zones()``: all but the Internet."""

    def find(*uses: str) -> list[str]:
        wanted = set(uses)
        return [z.name for z in network.zones.values() if (wanted & z.uses if wanted else "internet" not in z.uses)]

    return find


@pytest.fixture
def inside(network: Network) -> Callable[[str, Sequence[str]], bool]:
    """``inside("10.1.2.0/24", ["guests"])``: whether an element touches one of the zones."""

    return lambda text, names: any(touches(text, block) for name in names for block in network.blocks(name))


@pytest.fixture
def strays(more: Sequence[Element], inside: Callable[[str, Sequence[str]], bool]) -> Callable[..., str]:
    """``strays(["guests"], ["servers"])``: the first undeclared element from some zones to others (None: anywhere), in words."""

    def find(sources: Sequence[str] | None, targets: Sequence[str] | None) -> str:
        if sources is None or targets is None:
            end, names = (0, sources) if targets is None else (1, targets)
            found = (element for element in more if names is None or inside(element[end], names))
        else:
            ways = [(one, two) for one in sources for two in targets if one != two]
            found = (e for e in more if any(inside(e[0], [one]) and inside(e[1], [two]) for one, two in ways))
        return " . ".join(next(found, ()))

    return find


@dataclass(frozen=True)
class Pair:
    """Two inventory hosts in zones that only a gateway joins, and their addresses of one version."""

    sender: str
    receiver: str
    source: str
    target: str


@pytest.fixture
def pair(wire: Wire, network: Network, me: NetHost) -> Pair:
    """Two hosts on both sides of this gateway, by IPv4 or by IPv6 as it comes; by the one that there is on a site with one."""
    found = (
        Pair(sender, receiver, sources[version], targets[version])
        for version in random.sample((4, 6), 2)
        for one, two in permutations([zone for zone in network.zones if zone in me.zones], 2)
        for sender, sources in wire.machines(one)
        for receiver, targets in wire.machines(two)
        if sender != receiver and {sender, receiver} <= set(network.hosts) and version in sources and version in targets
    )
    return next(found, None) or not_verified("il faut deux hôtes de l'inventaire, dans deux zones de cette passerelle")
