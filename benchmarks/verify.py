"""What verifying one host costs, as ratios in one run; writes a section of docs/benchmarks.md.

python benchmarks/verify.py -i inventories/demo --host dpi1

The same command is asked of the host through pgssi's channel and through testinfra's own backends, as root
each time; then two synthetic suites and the toolkit's own read-only rules go through `pgssi verify`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import testinfra
from section import machine, write_section

from pgssi import __version__
from pgssi.inventory import load_inventory
from pgssi.transport.backend import channel_for, open_host
from pgssi.transport.connection import Connection

OPENING = "new connection and channel (once per host)"
COMMAND = "stat -c %a /etc/passwd"
SYNTHETIC = 200
TESTS = """
import pytest

RULES = {count}

def make(number):
    @pytest.mark.rule(f"bench-command-{{number}}")
    def command(host, observe):
        mode = host.run("stat -c %a /etc/passwd").stdout.strip()
        observe(mode)
        assert mode == "644", "mode"

    @pytest.mark.rule(f"bench-fact-{{number}}")
    def fact(facts, observe):
        port = facts("port", "sed -n 1p /etc/passwd")
        observe(port)
        assert port, "vide"

    return command, fact

for number in range(RULES):
    globals()[f"test_command_{{number}}"], globals()[f"test_fact_{{number}}"] = make(number)
"""


def milliseconds(action: Callable[[], object], times: int) -> float:
    """Return the median duration of an action, in milliseconds."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        action()
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)


def ssh_config(folder: Path, name: str, connection: Connection, *extra: str) -> Path:
    """Write the ssh configuration with which testinfra reaches the same host in the same way."""
    lines = [f"Host {name}", f"HostName {connection.address}", f"User {connection.user}", *extra]
    if connection.key:
        lines += [f"IdentityFile {Path(connection.key).resolve()}", "IdentitiesOnly yes"]
    if connection.port:
        lines.append(f"Port {connection.port}")
    arguments = list(connection.arguments)
    lines += [arguments[i + 1].replace("=", " ", 1) for i, word in enumerate(arguments) if word == "-o"]
    path = folder / f"ssh_config_{len(extra)}"
    path.write_text("\n  ".join(lines) + "\n", "utf-8")
    return path


def backends(folder: Path, sources: list[str], name: str, connection: Connection, times: int) -> dict[str, float]:
    """Return the median cost of one command, in milliseconds, through each way of running it as root."""
    channel = channel_for(connection)
    found = {OPENING: milliseconds(lambda: (channel.close(), channel.connect()), 5)}
    ours = open_host(name, channel)
    found["pgssi channel"] = milliseconds(lambda: ours.run(COMMAND), 10 * times)
    # What stays when the host does no work: its fork and exec apart, this is the price of the channel.
    found["pgssi channel, empty command"] = milliseconds(lambda: ours.run(":"), 10 * times)
    channel.close()
    shared = ssh_config(folder, name, connection, f"ControlPath {folder}/socket")
    alone = ssh_config(folder, name, connection)
    for label, config, persist in (
        ("testinfra `ssh` with a control socket", shared, 60),
        ("testinfra `ssh`", alone, 0),
    ):
        host = testinfra.get_host(f"ssh://{name}", ssh_config=str(config), sudo=True, controlpersist=persist)
        host.run(COMMAND)
        found[label] = milliseconds(lambda host=host: host.run(COMMAND), times)
    subprocess.run(["ssh", "-F", str(shared), "-O", "exit", name], capture_output=True, check=False)
    slow = testinfra.get_host(f"ansible://{name}?force_ansible=True", ansible_inventory=sources[0], sudo=True)
    found["testinfra `ansible`"] = milliseconds(lambda: slow.run(COMMAND), max(3, times // 4))
    return found


def verify(folder: Path, sources: list[str], name: str, *options: str) -> tuple[float, list[dict[str, Any]]]:
    """Run `pgssi verify` read-only on the host; return its wall time and what each of its tests took (benchmarks/timed.py)."""
    times = folder / "times.json"
    argv = [sys.executable, "-m", "pgssi.cli", "verify", "-l", name, "--no-acting", "-o", str(folder / "out"), *options]
    for source in sources:
        argv += ["-i", source]
    own = {"BENCH_TIMES": str(times), "PYTEST_PLUGINS": "timed"}
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, **own, "PYTHONPATH": os.pathsep.join(paths)}
    started = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    wall = time.perf_counter() - started
    if done.returncode not in (0, 1):
        sys.exit(done.stderr)
    return wall, json.loads(times.read_text("utf-8"))


def synthetic(folder: Path) -> list[str]:
    """Write a catalogue and tests of rules that cost one command, or one shared fact; return the options."""
    text = {"fr": "mesure", "en": "bench"}
    rules = [
        {
            "id": f"bench-{kind}-{number}",
            "title": text,
            "statement": text,
            "why": text,
            "palier": 1,
            "requirements": ["4.5.1.4"],
            "groups": ["all"],
        }
        for kind in ("command", "fact")
        for number in range(SYNTHETIC)
    ]
    (folder / "catalogue" / "rules").mkdir(parents=True)
    (folder / "catalogue" / "pssi.yml").write_text("requirements: []\n", "utf-8")
    (folder / "catalogue" / "rules" / "backup.yml").write_text(json.dumps({"guide": "backup", "rules": rules}), "utf-8")
    (folder / "tests").mkdir()
    (folder / "tests" / "test_bench.py").write_text(TESTS.format(count=SYNTHETIC), "utf-8")
    return ["--tests", str(folder / "tests"), "--catalogue", str(folder / "catalogue")]


def table(costs: dict[str, float]) -> str:
    """Return the ways of running one command, as a table of milliseconds and ratios."""
    unit = costs["pgssi channel"]
    lines = ["| one command as root | ms (median) | × channel |", "|---|---:|---:|"]
    lines += [f"| {label} | {cost:.1f} | {cost / unit:.1f} |" for label, cost in costs.items()]
    return "\n".join(lines)


def rules_line(label: str, wall: float, tests: list[dict[str, Any]]) -> str:
    """Return one row of the table of rules."""
    by_rule: dict[str, float] = {}
    for test in tests:
        by_rule[test["rule"]] = by_rule.get(test["rule"], 0.0) + 1000 * (test["seconds"] - test["shared"])
    count, costs = len(by_rule), list(by_rule.values())
    slowest = max(by_rule, key=by_rule.__getitem__)
    commands, asked = (sum(test[key] for test in tests) for key in ("commands", "asked"))
    shared, mean = sum(test["shared"] for test in tests), sum(costs) / count
    there = 1000 * asked / count
    figures = (f"{mean:.1f}", f"{there:.1f}", f"{mean - there:.1f}", f"{statistics.median(costs):.1f}")
    others = (sum(costs) - by_rule[slowest]) / max(1, count - 1)
    told = f"{by_rule[slowest]:.0f} ({slowest}) | {others:.1f}"
    return f"| {label} | {count} | {commands} | {' | '.join(figures)} | {told} | {shared:.1f} | {wall:.1f} |"


def main() -> None:
    """Measure, print and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-i", "--inventory", action="append", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--times", type=int, default=20)
    options = parser.parse_args()
    where = machine()
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # testinfra calls ansible
    connection = load_inventory(options.inventory, options.host).hosts[options.host].connection
    with tempfile.TemporaryDirectory(prefix="pgssi-bench-") as name:
        folder = Path(name)
        costs = backends(folder, options.inventory, options.host, connection, options.times)
        rows = [
            "| read-only rules | rules | commands | ms per rule, mean | of it the host's commands | of it the toolkit "
            "| median | the slowest | mean of the others | once per run, s | `pgssi verify`, s |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        ]
        for label, more in (
            ("synthetic: half one command, half one shared fact", synthetic(folder)),
            ("the toolkit's own", ["--palier", "3"]),
        ):
            wall, tests = verify(folder, options.inventory, options.host, *more)
            rows.append(rules_line(label, wall, tests))
    text = f"""## Verification of one host over SSH

Measured {datetime.now(UTC):%Y-%m-%d} by `benchmarks/verify.py` (pgssi {__version__}) on {where}.
The host is reached over SSH and root is taken by sudo, in every line of these tables.

{table(costs)}

{chr(10).join(rows)}

Per rule: on top of the connection and of what all rules share (the model of the network), which are paid once per run. Wall
time holds everything: Python, the inventory as Ansible resolves it, the connection, the rules, the report."""
    write_section("verify", text)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
