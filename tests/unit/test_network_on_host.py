"""The packets that the segmentation tests send and watch: real ones, in a network namespace that has its loopback only."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pgssi.paths import ROOT

SCRIPT = ROOT / "tests/compliance/network_segmentation/on_host.py"
SENT = {
    4: [
        ["tcp", "127.0.0.1", "127.0.0.2", 40443],
        ["udp", "127.0.0.1", "127.0.0.2", 40443],
        ["icmp", "127.0.0.1", "127.0.0.2", 0],
    ],
    6: [["tcp", "::1", "::1", 40443], ["udp", "::1", "::1", 40443], ["icmp", "::1", "::1", 0]],
}
WATCH = """
import sys, time; sys.argv = [""]
path, packets, sport = json.loads(sys.stdin.read())
globals()["SPORT"] = sport
see(path, 20)
globals()["SPORT"] = sport + 1
send(packets)  # of another verifier, at the same time
globals()["SPORT"] = sport
said = send(packets)
later(packets, 0.2)
time.sleep(1)
print(json.dumps([said, collect(path)]))
"""


def namespace() -> dict[str, Any]:
    """Return what the script defines."""
    known: dict[str, Any] = {"__name__": "on_host"}
    exec(compile(SCRIPT.read_text("utf-8"), str(SCRIPT), "exec"), known)
    return known


@pytest.mark.parametrize("version", [4, 6])
def test_a_watcher_sees_packets_and_answers(tmp_path: Path, version: int) -> None:
    """Each packet is seen, with the refusal that quotes it; those of another verifier are not."""
    alone = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    code = f"{SCRIPT.read_text('utf-8')}\n{WATCH}"
    asked = json.dumps([str(tmp_path / "seen"), SENT[version], 20777])
    up = 'PATH=$PATH:/sbin:/usr/sbin; ip link set lo up; exec "$@"'
    command = [*alone, "sh", "-c", up, "-", sys.executable, "-c", code]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said, seen = json.loads(done.stdout)
    assert said == ["", "", ""]
    assert seen["lost"] == 0
    assert all(seen["left"].count(packet) == 2 for packet in SENT[version])  # at once, and later
    answers = {tuple(packet) for packet in seen["left"]} - {tuple(packet) for packet in SENT[version]}
    source, target = SENT[version][0][1:3]
    assert answers == {("re:tcp", target, source, 40443), ("re:refus udp", target, source, 40443), ("re:icmp", target, source, 0)}


def test_an_error_about_somebody_else_is_no_answer() -> None:
    """An ICMP error counts when it quotes a packet from our port, and only then."""
    known = namespace()
    for sport, mine in ((20777, True), (20778, False)):
        known["SPORT"] = sport
        body, _, one, two, _ = known["segment"]("udp", "192.0.2.1", "192.0.2.9", 53)
        quoted = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, 64, 17, 0, one, two) + body[:8]
        error = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(quoted), 0, 0, 64, 1, 0, two, one) + b"\3\3" + b"\0" * 6 + quoted
        known["SPORT"] = 20777
        assert known["read"](error) == (["re:refus udp", "192.0.2.9", "192.0.2.1", 53] if mine else None)
        assert known["read"](error[:40]) is None
