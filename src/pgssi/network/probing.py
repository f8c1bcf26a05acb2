"""Runs the probes: the two scripts of the hosts, through the one channel that each host has."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom
from typing import Any, TypeVar

from pgssi.network.sample import Probe
from pgssi.transport import Channel, TransportError

HERE = Path(__file__).parent
LISTEN, SEND = HERE / "probe_listen.py", HERE / "probe_send.py"
# Source ports of probes: above those that Linux takes for itself, so that a packet tells whose it is.
LOWEST, SPORTS, FORGED, WINDOWS = 61000, 1024, 64, 4
TIMEOUT, AT_ONCE, AT_A_TIME = 1.3, 700, 16
T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """What tells the packets of one run from all others. ident: identifier of its echo requests."""

    token: str = field(default_factory=lambda: secrets.token_hex(16))
    sport: int = field(default_factory=lambda: LOWEST + SystemRandom().randrange(WINDOWS) * (SPORTS + FORGED))
    ident: int = field(default_factory=lambda: SystemRandom().randrange(1, 65536))

    def settings(self, host: str) -> dict[str, Any]:
        """Return what every script needs; the answer of a listener tells which host it is."""
        token = self.token[:16] + host.encode("ascii", "replace").decode()[:32]
        return {"token": token, "sport": self.sport, "sports": SPORTS, "forged": FORGED, "ident": self.ident}


@dataclass(frozen=True)
class Heard:
    """What became of the listeners of one host, and what arrived there.

    fates: state by (protocol, address, port): up, taken (something of the host's own listens), absent, deaf,
    failed. passed: (packets in, packets out) by (source, destination, protocol, port, forged); sniffs:
    whether packets could be seen at all; fault: why not; given: what a listener got in the end.
    """

    fates: Mapping[tuple[str, str, int], str]
    sniffs: bool
    fault: str = ""
    passed: Mapping[tuple[str, str, str, int, bool], tuple[int, int]] = field(default_factory=dict)
    given: frozenset[tuple[str, str, str, int]] = frozenset()


@dataclass(frozen=True)
class Met:
    """What one probe met: the words of probe_send."""

    result: str
    detail: str = ""
    milliseconds: int = 0


class Prober:
    """Runs scripts on hosts. channels: by name; what a host refuses is kept in ``faults``."""

    def __init__(self, channels: Mapping[str, Channel], pythons: Mapping[str, str]) -> None:
        """Take the channels, and the Python of each host."""
        self.channels = channels
        self.pythons = pythons
        self.faults: dict[str, str] = {}

    def everywhere(self, names: Iterable[str], work: Callable[[str], T]) -> dict[str, T]:
        """Do the same on many hosts at a time; one that fails is left out, and its fault kept."""
        wanted = [name for name in names if name not in self.faults]

        def one(name: str) -> tuple[T] | None:
            try:
                return (work(name),)
            except (TransportError, ValueError) as error:
                self.faults[name] = str(error)
                return None

        with ThreadPoolExecutor(AT_A_TIME) as pool:
            return {name: done[0] for name, done in zip(wanted, pool.map(one, wanted), strict=True) if done}

    def connect(self, names: Iterable[str]) -> None:
        """Open the channels that are not."""
        self.everywhere(names, lambda name: self.channels[name].connect())

    def _script(self, host: str, script: Path, settings: Mapping[str, Any], timeout: float) -> Any:
        source = script.read_text("utf-8") + f"\nmain(json.loads({json.dumps(dict(settings))!r}))\n"
        command = f"{self.pythons.get(host, 'python3')} -I -S -B -"
        done = self.channels[host].run(command, stdin=source.encode(), timeout=timeout)
        if done.rc:
            last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"code {done.rc}"]
            raise ValueError(f"sonde impossible : {last[0][:200]}")
        return json.loads(done.stdout)

    def listen(
        self, run: Run, addresses: Mapping[str, Sequence[str]], ports: Mapping[str, Sequence[tuple[str, int]]], life: float
    ) -> dict[str, Heard]:
        """Open the listeners of each host; they end with ``collect``, with the channel, or after ``life`` seconds."""

        def work(name: str) -> Heard:
            wanted = {"action": "listen", "addresses": list(addresses[name]), "ports": list(ports.get(name, ())), "life": life}
            answer = self._script(name, LISTEN, {**run.settings(name), **wanted}, 90)
            fates = {(protocol, address, port): state for protocol, address, port, state, _ in answer["listeners"]}
            return Heard(fates, answer["sniffs"], answer["fault"])

        return self.everywhere(addresses, work)

    def collect(self, run: Run, heard: Mapping[str, Heard]) -> dict[str, Heard]:
        """End the listeners and return them with what arrived; one that is gone proves nothing any more."""

        def work(name: str) -> Heard:
            told = self._script(name, LISTEN, {**run.settings(name), "action": "collect"}, 30)
            passed = {tuple(row[:5]): (row[5], row[6]) for row in told["passed"]}
            given = frozenset(tuple(row) for row in told["given"])
            return Heard(heard[name].fates, heard[name].sniffs, heard[name].fault, passed, given)

        return self.everywhere(heard, work)

    def send(self, run: Run, probes: Sequence[Probe]) -> dict[int, Met]:
        """Send probes, each from its own host; those of a host that failed are missing from the answer."""
        by_host: dict[str, list[Probe]] = {}
        for probe in probes:
            by_host.setdefault(probe.sender, []).append(probe)

        def work(name: str) -> dict[int, Met]:
            plain = [_row(probe) for probe in by_host[name] if probe.kind != "forged"]
            forged = [_row(probe) for probe in by_host[name] if probe.kind == "forged"]
            settings = {**run.settings(name), "probes": plain, "spoofed": forged, "timeout": TIMEOUT, "at_once": AT_ONCE}
            tokens = {probe.target.owner: run.settings(probe.target.owner)["token"] for probe in by_host[name]}
            addresses = {probe.target.address: tokens[probe.target.owner] for probe in by_host[name]}
            answer = self._script(name, SEND, {**settings, "tokens": addresses}, 60 + duration(len(plain)))
            return {int(number): Met(*said) for number, said in answer.items()}

        return {number: met for answers in self.everywhere(by_host, work).values() for number, met in answers.items()}


def duration(probes: int) -> float:
    """Return how long this many probes of one host take at most, in seconds."""
    return TIMEOUT * (probes / AT_ONCE + 2)


def _row(probe: Probe) -> list[object]:
    return [probe.number, probe.protocol, probe.source.address, probe.target.address, probe.port]
