"""On gateways: the record that a flow leaves, accepted or refused, with the eight items of PSSI 4.3.3.2."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

import pytest
from testinfra.host import Host

from pgssi.inforce import HostContext
from pgssi.verify import not_verified

Observe = Callable[[str], None]
RECORDS = "/var/log/pgssi/flows.jsonl"
# The eight items: date-time, two addresses, protocol, ports, decision, volume of each direction, duration.
ITEMS = ("time", "source", "destination", "protocol", "source_port", "destination_port", "decision", "bytes_sent",
         "bytes_received", "duration")  # fmt: skip


def records(
    host: Host, pairs: Collection[tuple[str, str]], port: int, decision: str, patience: float
) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return the newest record of the flows between these ends, by destination port and decision; wait a little for them all."""
    end = time.monotonic() + patience
    while True:
        said = host.run(f"cat {RECORDS}.1 {RECORDS} 2>/dev/null | grep -F '\"destination_port\": {port},'").stdout
        lines = [json.loads(line) for line in said.splitlines()]
        found = {(line["source"], line["destination"]): line for line in lines if line["decision"] == decision}
        if found.keys() >= set(pairs) or time.monotonic() > end:
            return {pair: found.get(pair, {}) for pair in pairs}
        time.sleep(0.5)


def clock(host: Host) -> float:
    """Return the time of the gateway itself: whether its clock is right is another rule's matter."""
    return float(host.check_output("date +%s.%N"))


def complete(found: Mapping[str, Any]) -> None:
    """Fail unless a record holds all eight items."""
    assert found, "ce flux n'a laissé aucune trace"
    missing = [item for item in ITEMS if found.get(item) is None]
    assert not missing, f"il manque à la trace : {', '.join(missing)}"


@pytest.mark.rule("flows-traced")
@pytest.mark.acts
def test_a_flow_of_known_size_leaves_its_record(host: Host, wire: Any, pair: Any, context: HostContext, observe: Observe) -> None:
    """A throw-away flow of known size and duration leaves one record with eight items, volumes within five percent."""
    port, size, answer, pause = random.randrange(20000, 30000), 400_000, 300_000, 3.0
    packet = ("tcp", pair.source, pair.target, port)
    names = (pair.sender, pair.receiver, context.name)
    for name in names:
        wire.order(name, "windows", packets=[packet], seconds=40)
    try:
        wire.order(pair.receiver, "serve", address=pair.target, port=port, size=answer, seconds=20)
        settings = {
            "source": pair.source,
            "address": pair.target,
            "port": port,
            "size": size,
            "want": answer,
            "pause": pause,
        }
        before = clock(host)
        told = wire.order(pair.sender, "talk", timeout=40, **settings)
        version = "-f ipv6" if ":" in pair.source else ""
        host.run(f"conntrack -D {version} -p tcp -s {pair.source} -d {pair.target} --sport {told['sport']} --dport {port}")
        after = clock(host)
    finally:
        for name in names:
            wire.order(name, "close", packets=[packet])
    if "error" in told:
        not_verified(f"le flux d'essai n'a pas traversé la passerelle : {told['error']}")
    # A gateway whose matrix is proven meanwhile has thousands of records to write before this one.
    ends = (pair.source, pair.target)
    found = records(host, [ends], port, "accept", patience=40)[ends]
    observe(json.dumps(found))
    complete(found)
    assert (found["protocol"], found["source_port"]) == ("tcp", told["sport"])
    assert before - 1 <= datetime.fromisoformat(found["time"]).timestamp() <= after + 1, "l'heure de la trace est fausse"
    # Headers and acknowledgements come on top of what the application sends.
    for direction, sent in (("bytes_sent", size), ("bytes_received", answer)):
        more = found[direction] - sent
        assert 0 <= more <= 0.05 * (size + answer), f"{direction} : {found[direction]} octets tracés pour {sent}"
    # An entry that is taken away early tells the age of its last packet in whole seconds.
    late = abs(found["duration"] - told["seconds"])
    assert late <= 1 + 0.05 * told["seconds"], f"{found['duration']} s tracées pour {told['seconds']:.1f} s"


def refused(host: Host, wire: Any, gateway: str, sources: list[str], targets: list[str], observe: Observe) -> None:
    """Send undeclared packets of a new port from some zones to others, anew if need be; fail unless each record is complete."""
    port = random.randrange(31000, 32000)
    packets = {
        name: [
            ("udp", one[1], one[2], port) for one in some if one[0] == "udp" and not wire.declared(one[1], one[2], "udp", port)
        ][:2]
        for name, some in wire.between(sources, targets).items()
    }
    sender = next((name for name, some in packets.items() if some), "")
    if not sender:
        not_verified("aucune machine de ces zones ne peut émettre")
    traced: dict[tuple[str, str], Mapping[str, Any]] = {}
    for pause in (0, 5, 5):  # so many traces a second of one source: a proof that runs beside us may have taken them
        time.sleep(pause)
        came, _ = wire.passed(gateway, {sender: packets[sender]})
        if not came:
            not_verified("le paquet d'essai n'est pas arrivé à la passerelle")
        traced = records(host, {packet[1:3] for packet in came}, port, "drop", patience=12)
        if all(traced.values()):
            break
    for found in traced.values():
        observe(json.dumps(found))
        complete(found)
        assert found["bytes_sent"] > 0, f"trace inexacte : {found}"
        assert (found["bytes_received"], found["duration"]) == (0, 0), f"trace inexacte : {found}"


@pytest.mark.rule("blocked-flows-traced")
@pytest.mark.acts
def test_a_refused_flow_of_a_dmz_leaves_its_record(
    host: Host, wire: Any, context: HostContext, zones: Any, observe: Observe
) -> None:
    """An undeclared packet from a DMZ to the inside leaves a record with eight items that says it was dropped."""
    dmz = zones("dmz_inbound", "dmz_outbound")
    refused(host, wire, context.name, dmz, [name for name in zones() if name not in dmz], observe)


@pytest.mark.rule("blocked-inside-flows-traced")
@pytest.mark.acts
def test_a_refused_flow_of_the_inside_leaves_its_record(
    host: Host, wire: Any, context: HostContext, zones: Any, observe: Observe
) -> None:
    """An undeclared packet from an internal zone to the Internet or a DMZ leaves a record that says it was dropped."""
    outside = zones("internet", "dmz_inbound", "dmz_outbound")
    refused(host, wire, context.name, [name for name in zones() if name not in outside], outside, observe)
