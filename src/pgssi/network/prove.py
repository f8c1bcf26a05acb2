"""The proof of a matrix on live hosts: sample, probe, look, judge, and once more what did not conclude."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pgssi.network.counters import Drops, in_window, read_drops, risen
from pgssi.network.judge import Scene, Verdict, bad, good, judge
from pgssi.network.model import Network
from pgssi.network.probing import Met, Prober, Run, duration
from pgssi.network.sample import Probe, Sample, make_sample

# What a busy host or a firewall being reloaded explains as well: tried once more. A leak is one at first sight.
DOUBTFUL = frozenset(
    {"closed", "held", "silent", "refused", "uncounted", "unreached", "no_witness", "unsent", "no_listener", "stranger"}
)
PAUSE, ROUNDS, SLACK = 3.0, 3, 90.0  # s between rounds; rounds in all; s that a listener outlives its round

WINDOWS = 40  # probes that pass and should not, for which the hosts are asked whether a window is open


@dataclass(frozen=True)
class Outcome:
    """One probe, what it met and what that proves."""

    probe: Probe
    met: Met | None
    verdict: Verdict


@dataclass(frozen=True)
class Proof:
    """Everything that one proof found.

    counted: (packets that must have been counted, packets counted) by host that has our table; faults: hosts
    that could not take part; blind: hosts that could not look at packets, with why; equipment: destinations
    that are no inventory host.
    """

    sample: Sample
    outcomes: tuple[Outcome, ...]
    counted: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    blind: Mapping[str, str] = field(default_factory=dict)
    equipment: frozenset[str] = frozenset()
    seconds: float = 0.0

    def towards(self, host: str) -> list[Outcome]:
        """Return the outcomes of the probes that one host was the destination of."""
        return [outcome for outcome in self.outcomes if outcome.probe.target.owner == host]

    def faulty(self, outcomes: Sequence[Outcome] | None = None) -> list[Outcome]:
        """Return what is not conforming, the worst first."""
        wrong = [o for o in (self.outcomes if outcomes is None else outcomes) if o.verdict.verdict != "conforme"]
        return sorted(wrong, key=lambda o: (o.verdict.verdict != "non_conforme", o.probe.number))


def prove(
    network: Network,
    prober: Prober,
    *,
    targets: Collection[str] | None = None,
    seed: int = 1,
    random_ports: int = 3,
    tell: Callable[[str], None] = lambda _: None,
) -> Proof:
    """Prove the matrix towards some hosts and equipment (all but the operators' own, when None).

    Changes nothing that outlives the call: listeners end with it, or with the channel. tell: called with
    each step, for a progress display.
    """
    began = time.monotonic()
    everything = [*network.hosts, *(item.name for item in network.equipment.values() if not item.control)]
    aims = [name for name in everything if targets is None or name in targets]
    sample = make_sample(network, list(prober.channels), aims, seed, random_ports)
    tell(f"{len(sample.probes)} sondes vers {len(aims)} hôtes et équipements")
    return prove_probes(network, prober, sample, tell, began)


def prove_probes(
    network: Network, prober: Prober, sample: Sample, tell: Callable[[str], None] = lambda _: None, began: float | None = None
) -> Proof:
    """Prove just what a sample holds; as ``prove``."""
    began = began or time.monotonic()
    prober.connect(prober.channels)
    found: dict[int, Outcome] = {}
    counted: dict[str, tuple[int, int]] = {}
    blind: dict[str, str] = {}
    waiting = list(sample.probes)
    for number in range(ROUNDS):
        if number:
            time.sleep(PAUSE * number)
            tell(f"{len(waiting)} sondes à confirmer")
        outcomes, drops, dark = _round(network, prober, sample, waiting)
        found.update({outcome.probe.number: outcome for outcome in outcomes})
        blind.update(dark)
        for host, (needed, seen) in drops.items():
            before = counted.get(host, (0, 0))
            counted[host] = (before[0] + needed, before[1] + seen)
        waiting = [o.probe for o in outcomes if o.verdict.verdict != "conforme" and o.verdict.reason in DOUBTFUL]
        if not waiting:
            break
    ordered = tuple(found[probe.number] for probe in sample.probes)
    return Proof(sample, ordered, counted, dict(prober.faults), blind, frozenset(network.equipment), time.monotonic() - began)


def _round(
    network: Network, prober: Prober, sample: Sample, probes: Sequence[Probe]
) -> tuple[list[Outcome], dict[str, tuple[int, int]], dict[str, str]]:
    """Try some probes once; the declared first, so that the rest cannot get in their way."""
    run = Run()
    addresses = _listening(network, prober, sample, probes)
    owners = {probe.target.owner for probe in probes}
    ports = {name: sample.ports[name] for name in addresses if name in owners}
    declared = [probe for probe in probes if probe.allowed]
    others = [probe for probe in probes if not probe.allowed]
    most = max(sum(probe.sender == name for probe in probes) for name in {probe.sender for probe in probes}) if probes else 0
    before = read_drops(prober, list(addresses))
    heard = prober.listen(run, addresses, ports, SLACK + 2 * duration(most))
    met = prober.send(run, declared)
    met.update(prober.send(run, others))
    after = read_drops(prober, list(before))
    heard = prober.collect(run, heard)
    passed = frozenset(
        (p.source.address, p.target.address) for p in declared if p.number in met and met[p.number].result in ("open", "other")
    )
    gateways = frozenset(gateway.name for gateway in network.gateways)
    scene = Scene(heard, prober.faults, passed, gateways, frozenset(before))
    outcomes = [Outcome(probe, met.get(probe.number), judge(probe, met.get(probe.number), scene)) for probe in probes]
    suspects = [outcome for outcome in outcomes if outcome.verdict.reason in ("leaked", "crossed", "answered", "delivered")][
        :WINDOWS
    ]
    open_now = {o.probe.number for o in suspects if in_window(prober, o.probe)}
    outcomes = [replace(o, verdict=good("window")) if o.probe.number in open_now else o for o in outcomes]
    outcomes, drops = _count(outcomes, before, after, scene)
    return outcomes, drops, {name: known.fault for name, known in heard.items() if not known.sniffs}


def _listening(network: Network, prober: Prober, sample: Sample, probes: Sequence[Probe]) -> dict[str, list[str]]:
    """Return the addresses to listen on, by host: all those probed; every host that sends or decides only looks."""
    names = {gateway.name for gateway in network.gateways}
    names.update(*({probe.sender, probe.target.owner, *probe.by} for probe in probes))
    found: dict[str, list[str]] = {name: [] for name in prober.channels if name in names}
    for place in sample.targets:
        if place.owner in found:
            found[place.owner].append(place.address)
    return found


def _count(
    outcomes: Sequence[Outcome], before: Mapping[str, Drops], after: Mapping[str, Drops], scene: Scene
) -> tuple[list[Outcome], dict[str, tuple[int, int]]]:
    """Hold the packets that were dropped against what the hosts have counted; what is missing there was not counted."""
    needs: Counter[tuple[str, str]] = Counter()
    for outcome in outcomes:
        host = outcome.verdict.by
        if outcome.verdict.reason == "dropped" and host in before:
            packets = (scene.passes(host, outcome.probe) or (0, 0))[0]
            needs[host, _hook(outcome)] += max(1, packets)  # what a host refuses to send is never seen, and sent once at least
    rises = {(host, hook): risen(hook, before[host], after.get(host, {})) for host, hook in needs}
    short = {place: f"{rises[place]} sur {needed}" for place, needed in needs.items() if rises[place] < needed}
    judged = [
        replace(o, verdict=bad("uncounted", o.verdict.by, short[o.verdict.by, _hook(o)]))
        if o.verdict.reason == "dropped" and (o.verdict.by, _hook(o)) in short
        else o
        for o in outcomes
    ]
    drops: dict[str, tuple[int, int]] = {}
    for (host, hook), needed in needs.items():
        known = drops.get(host, (0, 0))
        drops[host] = (known[0] + needed, known[1] + rises[host, hook])
    return judged, drops


def _hook(outcome: Outcome) -> str:
    """Return where on the host that dropped it a packet was: its own, for it, or on its way."""
    if outcome.verdict.by == outcome.probe.sender:
        return "output"
    return "input" if outcome.verdict.by == outcome.probe.target.owner else "forward"
