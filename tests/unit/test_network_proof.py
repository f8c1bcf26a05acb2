"""The proof of a matrix, without hosts: what is sampled, what is concluded, how it is told."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from proof_builder import HOSTS, SILENT, make_heard, make_network, make_probe
from rich.console import Console

from pgssi.errors import InvalidInput
from pgssi.network.counters import dropped
from pgssi.network.explain import ends_of, ports_of
from pgssi.network.judge import Scene, judge
from pgssi.network.probe_listen import decode, most, packet_filter
from pgssi.network.probe_send import checksum, forged
from pgssi.network.probing import Met
from pgssi.network.prove import Outcome, Proof, _count
from pgssi.network.register import as_data as register
from pgssi.network.sample import Sample, make_sample, places
from pgssi.network.table import as_data, show, statement

SENDERS = ["gw1", "dpi1", "ws1", "web1"]


def test_same_seed_same_sample() -> None:
    """A seed is a promise: the sample can be drawn again, and another one differs."""
    network = make_network()
    one, again, other = (make_sample(network, SENDERS, [*SENDERS, "irm1"], seed, 3) for seed in (7, 7, 8))
    assert one == again
    assert {p.service for p in one.probes if p.kind == "random"} != {p.service for p in other.probes if p.kind == "random"}


def test_every_declared_flow_is_tried() -> None:
    """Each declared pair of addresses and each declared port is there, in both families, and must pass."""
    declared = {(p.sender, p.target.address, p.service) for p in _sample().probes if p.allowed}
    assert {("ws1", "10.0.2.10", "tcp/443"), ("ws1", "fd00:0:0:2::a", "tcp/443"), ("web1", "10.0.2.10", "udp/53")} <= declared
    ranged = {service for sender, _, service in declared if sender == "web1" and service.startswith("tcp")}
    assert {"tcp/50000", "tcp/50100"} < ranged


def test_the_rest_is_tried_from_elsewhere() -> None:
    """All declared ports from all other zones, random ports, an echo request: each names who must refuse it."""
    probes = [p for p in _sample().probes if p.sender == "ws1" and p.target.address == "10.0.4.10"]
    assert {p.service for p in probes if p.kind == "elsewhere"} >= {"icmp", "tcp/443", "tcp/50000", "udp/53"}
    assert Counter(p.protocol for p in probes if p.kind == "random") == {"tcp": 3, "udp": 3}
    assert all(p.by[0] == "gw1" for p in probes)


def test_zones_without_source_are_told() -> None:
    """A zone from which nothing can be sent is no silent success, nor one that only a gateway stands in."""
    sample = make_sample(make_network(), ["gw1", "dpi1", "ws1"], SENDERS, 1, 0)
    assert sample.mute == ("guests",)
    assert sample.through == ("dmz",)


def test_multi_homed_host_sends_from_each_zone() -> None:
    """A host of several zones is a source in each of them."""
    zones = {p.source.zone for p in _sample().probes if p.sender == "gw1"}
    assert zones == {"servers", "users", "dmz"}


def test_forged_packets_claim_a_right_they_lack() -> None:
    """A forged packet pretends to come from somebody of a third zone who may send that very packet."""
    network = make_network()
    forgeries = [p for p in _sample().probes if p.kind == "forged"]
    assert forgeries
    for probe in forgeries:
        assert network.decide(probe.source.address, probe.target.address, probe.protocol, probe.port).allowed
        zones = {place.zone for place in places(network, [probe.sender])}
        assert probe.source.zone not in zones
        assert probe.target.zone not in zones


def test_many_hosts_of_a_zone_are_sampled() -> None:
    """Of a zone of fifty, a few try the undeclared; what is declared is tried from all of them."""
    hosts = {**HOSTS, **{f"pc{n}": {"workstations": {"users": 20 + n}} for n in range(50)}}
    sample = make_sample(make_network(hosts=hosts), list(hosts), ["dpi1"], 1, 1)
    assert len({p.sender for p in sample.probes if p.allowed and p.target.version == 4}) >= 51
    assert len({p.sender for p in sample.probes if p.kind == "elsewhere" and p.source.zone == "users"}) <= 5


def test_firewalls_of_others_are_expected_to_drop() -> None:
    """Without a gateway in the inventory, zones must be apart all the same from palier 2 on."""
    hosts = {name: groups for name, groups in HOSTS.items() if name != "gw1"}
    sample = make_sample(make_network(hosts=hosts), list(hosts), list(hosts), 1, 1)
    assert any(p.sender == "ws1" and p.target.owner == "web1" and not p.allowed for p in sample.probes)


@pytest.mark.parametrize(
    ("result", "changes", "verdict", "reason"),
    [
        ("silent", {"gw1": (2, 0)}, "conforme", "dropped"),
        ("silent", {"gw1": (2, 2), "dpi1": (2, 0)}, "non_conforme", "crossed"),
        ("silent", {}, "non_verifie", "unreached"),
        ("silent", {"ws1": (0, 0)}, "non_verifie", "unsent"),
        ("silent", {"gw1": (2, 0), "state": "deaf"}, "non_verifie", "no_listener"),
        ("silent", {"sniffs": False}, "non_verifie", "no_witness"),
        ("open", {"gw1": (2, 2), "dpi1": (2, 0)}, "non_conforme", "leaked"),
        ("other", {}, "non_conforme", "leaked"),
        ("refused", {"gw1": (2, 0)}, "non_conforme", "answered"),
        ("rejected", {"gw1": (2, 0)}, "non_conforme", "answered"),
        ("unrouted", {"gw1": (2, 0)}, "non_verifie", "unrouted"),
        ("unsent", {}, "non_verifie", "unsent"),
        ("blocked", {}, "conforme", "dropped"),
    ],
)
def test_undeclared(result: str, changes: dict, verdict: str, reason: str) -> None:
    """Only a packet that the deciding host took in and kept is a drop; an answer never is."""
    probe = make_probe()
    judged = judge(probe, Met(result), Scene(make_heard(probe, **changes), {}))
    assert (judged.verdict, judged.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("result", "changes", "verdict", "reason"),
    [
        ("open", {}, "conforme", "passed"),
        ("other", {"state": "taken"}, "conforme", "passed"),
        ("other", {"state": "up"}, "non_verifie", "stranger"),
        ("silent", {"gw1": (2, 0)}, "non_conforme", "closed"),
        ("silent", {"gw1": (2, 2), "dpi1": (2, 0)}, "non_conforme", "closed"),
        ("silent", {"ws1": (0, 0)}, "non_conforme", "held"),
        ("silent", {"state": "absent"}, "non_verifie", "no_listener"),
        ("refused", {}, "non_conforme", "refused"),
        ("refused", {"state": "failed"}, "non_verifie", "no_listener"),
    ],
)
def test_declared(result: str, changes: dict, verdict: str, reason: str) -> None:
    """A declared flow passes when the right host answers; without anybody listening nothing is concluded."""
    probe = make_probe(kind="declared", flow="consult", by=())
    judged = judge(probe, Met(result), Scene(make_heard(probe, **changes), {}))
    assert (judged.verdict, judged.reason) == (verdict, reason)


def test_forged_packet_that_arrives() -> None:
    """A forged packet that its destination received is a fault; one that nobody saw proves nothing."""
    probe = make_probe(kind="forged", by=("gw1",))
    assert judge(probe, Met("sent"), Scene(make_heard(probe, dpi1=(1, 0)), {})).reason == "spoofed"
    assert judge(probe, Met("sent"), Scene(make_heard(probe, gw1=(3, 0)), {})).verdict == "conforme"
    assert judge(probe, Met("sent"), Scene(make_heard(probe), {})).verdict == "non_verifie"


@pytest.mark.parametrize("lost", ["ws1", "dpi1"])
def test_lost_host_proves_nothing(lost: str) -> None:
    """Silence to or from a host that could not take part is never a drop."""
    probe = make_probe()
    assert judge(probe, SILENT, Scene(make_heard(probe, gw1=(2, 0)), {lost: "injoignable"})).verdict == "non_verifie"
    assert judge(probe, None, Scene({}, {})).verdict == "non_verifie"


def test_what_was_not_counted_is_not_proven() -> None:
    """Packets that a host took in and dropped, and its counters do not show, are a fault of that host."""
    probe = make_probe()
    scene = Scene(make_heard(probe, gw1=(2, 0)), {})
    outcomes = [Outcome(probe, SILENT, judge(probe, SILENT, scene))]
    before = {"gw1": {"refused_forward": 10, "refused_output": 5}}
    fine, drops = _count(outcomes, before, {"gw1": {"refused_forward": 12, "refused_output": 5}}, scene)
    short, _ = _count(outcomes, before, {"gw1": {"refused_forward": 11, "refused_output": 9}}, scene)
    assert (fine[0].verdict.verdict, drops) == ("conforme", {"gw1": (2, 2)})
    assert (short[0].verdict.verdict, short[0].verdict.reason) == ("non_conforme", "uncounted")
    assert _count(outcomes, {}, {}, scene)[0] == outcomes  # another firewall: dropped is enough


def test_counters_of_refusals() -> None:
    """Only the counters of refusals count; a table without them is not ours."""
    mixed = {"nftables": [{"counter": {"name": "refused_input", "packets": 3}}, {"counter": {"name": "mine", "packets": 9}}]}
    assert dropped(mixed) == {"refused_input": 3}
    assert dropped({"nftables": []}) == {}


def test_answer_dropped_is_no_drop() -> None:
    """A datagram that a listener got has passed, even when its answer was then dropped and counted."""
    probe = make_probe(protocol="udp", by=("dpi1",))
    heard = make_heard(probe, gw1=(1, 1), dpi1=(1, 0))
    given = frozenset({(probe.source.address, probe.target.address, "udp", probe.port)})
    heard["dpi1"] = replace(heard["dpi1"], given=given)
    assert judge(probe, SILENT, Scene(heard, {})).reason == "delivered"


def test_table_says_everything() -> None:
    """The terminal table has each zone and destination, and ends with the totals and their denominator."""
    proof = _proof()
    told = _shown(proof)
    assert all(name in told for name in ("dpi1", "ws1", "users", "dmz"))
    assert f"sur {len(proof.outcomes)}" in told
    assert "Matrice non prouvée" in told
    assert any("guests" in line for line in statement(proof))
    assert any("graine 1" in line for line in statement(proof))


def test_nothing_tried_is_not_proven() -> None:
    """A proof of nothing is no proof."""
    assert "Matrice non prouvée" in _shown(Proof(make_sample(make_network(), [], [], 1, 1), ()))


def test_data_is_plain_and_complete() -> None:
    """The JSON form holds every probe with what was expected, met and concluded."""
    proof = _proof()
    data = json.loads(json.dumps(as_data(proof)))
    assert len(data["probes"]) == len(proof.outcomes)
    assert sum(data["totals"].values()) == len(proof.outcomes)
    assert {"expected", "met", "verdict", "service", "source", "destination"} <= set(data["probes"][0])


def test_packets_are_recognised() -> None:
    """The sniffer reads both families, tells forged packets by their port, and leaves replies alone."""
    for source, target in (("10.0.6.10", "10.0.2.10"), ("fd00::1", "fd00::2")):
        for protocol in ("tcp", "udp"):
            packet = forged(protocol, source, target, 443, 61500, b"word")
            assert decode(packet, 62000) == (source, target, protocol, 443, False)
            assert decode(packet, 61400) == (source, target, protocol, 443, True)
    assert decode(b"\x45" + b"\0" * 8 + b"\x2f" + b"\0" * 20, 0) is None  # GRE
    assert most({"eth0": [2, 0], "eth0.40": [2, 0]}) == [2, 0]


@pytest.mark.parametrize("source", ["10.0.6.10", "fd00::1"])
def test_filter_keeps_probes_only(source: str) -> None:
    """The kernel's filter, run here step by step, keeps what has one of our source ports, of either family."""
    target = "10.0.2.10" if "." in source else "fd00::2"
    program = packet_filter(61000, 62000, 7)
    for sport, kept in ((61000, True), (62000, True), (60999, False), (62001, False)):
        assert _run(program, forged("udp", source, target, 53, sport, b"x")) is kept


def test_checksum_of_forged_packets() -> None:
    """A forged segment has a right checksum: one that is wrong would be dropped for that."""
    packet = forged("tcp", "fd00::1", "fd00::2", 443, 61000, b"")
    pseudo = packet[8:40] + len(packet[40:]).to_bytes(4, "big") + (6).to_bytes(4, "big")
    assert checksum(pseudo + packet[40:]) == 0


def test_names_of_explain() -> None:
    """A word of ``explain`` is a zone, a host, equipment or an address; a wrong one is refused with what there is."""
    network = make_network()
    assert [place.owner for place in ends_of(network, "users", "SRC")] == ["ws1", "ws1", "irm1"]
    assert ends_of(network, "10.0.2.10", "SRC")[0].owner == "dpi1"
    assert ends_of(network, "10.0.2.77", "SRC")[0].zone == "servers"
    assert ports_of(network, "dns") == [("udp", 53)]
    assert ports_of(network, "443") == [("tcp", 443)]
    for wrong in ("tcp/0", "sctp/5", "nothing", "tcp/65536", ""):
        with pytest.raises(InvalidInput):
            ports_of(network, wrong)
    with pytest.raises(InvalidInput, match="dpi1"):
        ends_of(network, "dpi2", "SRC")


def test_register_follows_its_schema() -> None:
    """The network part of results.json is what the schema of results says."""
    from jsonschema import Draft202012Validator

    from pgssi.report.document import SCHEMA

    schema = json.loads(SCHEMA.read_text("utf-8"))
    part = {**schema["properties"]["network"], "$defs": schema["$defs"]}
    data = json.loads(json.dumps(register(make_network())))
    assert not [error.message for error in Draft202012Validator(part).iter_errors(data)]
    assert data["flows"][0]["from_zones"] == ["users"]
    assert data["services"]["passive"] == ["tcp/50000-50100"]


def _sample() -> Sample:
    return make_sample(make_network(), SENDERS, [*SENDERS, "irm1"], 1, 3)


def _proof() -> Proof:
    sample = make_sample(make_network(), SENDERS, SENDERS, 1, 2)
    dice = Random(1)
    outcomes = []
    for probe in sample.probes:
        met = Met(dice.choice(["open", "silent", "refused", "unsent"]))
        outcomes.append(Outcome(probe, met, judge(probe, met, Scene({}, {}))))
    return Proof(sample, tuple(outcomes), {"gw1": (4, 5)}, {"log1": "injoignable"}, {}, frozenset({"irm1"}), 1.5)


def _shown(proof: Proof) -> str:
    console = Console(file=io.StringIO(), width=100)
    show(proof, console)
    written = console.file
    assert isinstance(written, io.StringIO)
    return written.getvalue()


def _run(program: tuple[tuple[int, int, int, int], ...], packet: bytes) -> bool:
    """Run a classic BPF program of the few instructions that ours has."""
    at = a = x = 0
    while True:
        code, yes, no, k = program[at]
        at += 1
        if code == 0x06:
            return bool(k)
        if code == 0x30:
            a = packet[k]
        elif code == 0x54:
            a &= k
        elif code == 0xB1:
            x = (packet[k] & 15) * 4
        elif code == 0x01:
            x = k
        elif code == 0x48:
            a = int.from_bytes(packet[x + k : x + k + 2], "big")
        else:
            hit = {0x15: a == k, 0x25: a > k, 0x35: a >= k}[code]
            at += yes if hit else no
