"""The program that records flows, beside a kernel that has more to tell than the queue between them holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flow_records_world import PAUSE, TALK

from pgssi.paths import ROOT

TEMPLATE = ROOT / "roles" / "network_segmentation" / "templates" / "flow-records.py.j2"


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What was made and what was written (see flow_records_world), with a queue of sixteen kilobytes."""
    folder = tmp_path_factory.mktemp("flows")
    text = TEMPLATE.read_text("utf-8")
    for here, there in (
        ("/etc/pgssi/network/flow-records.json", str(folder / "settings.json")),
        ("/var/log/pgssi/flows.jsonl", str(folder / "flows.jsonl")),
        ("QUEUE = 64 << 20", "QUEUE = 16 << 10"),
    ):
        assert text.count(here) == 1
        text = text.replace(here, there)
    program = folder / "flow_records.py"
    program.write_text(text, "utf-8")
    (folder / "settings.json").write_text(json.dumps({"accepted": True, "dropped_from": [], "megabytes": 10}), "ascii")
    script = Path(__file__).with_name("flow_records_world.py")
    done = subprocess.run(
        ["unshare", "-n" if os.geteuid() == 0 else "-rn", sys.executable, str(script), str(folder), str(program)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PATH": f"/usr/sbin:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_no_end_of_a_flow_is_lost_or_told_twice(seen: Any) -> None:
    """Three thousand flows that end at once each leave one record, although few of them fit in the queue."""
    assert (seen["written"], seen["often"]) == (seen["made"], 1)


def test_each_record_holds_what_passed(seen: Any) -> None:
    """Bytes of both directions and the time that the talk lasted, over IPv4 and IPv6."""
    assert (seen["datagram"]["bytes_sent"], seen["datagram"]["bytes_received"]) == (28 + 10, 0)
    assert sorted(":" in talk["source"] for talk in seen["talks"]) == [False, True]
    for talk in seen["talks"]:
        assert talk["decision"] == "accept" and talk["destination_port"] == 443
        assert TALK < talk["bytes_sent"] < 1.1 * TALK and 100 < talk["bytes_received"] < 5000
        assert abs(talk["duration"] - PAUSE) < 1.5
