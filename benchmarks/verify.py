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


def verify(folder: Path, sources: list[str], name: str, *options: str) -> tuple[float, list[float]]:
    """Run `pgssi verify` read-only on the host; return its wall time and the ms of each rule it settled."""
    argv = [
        sys.executable,
        "-m",
        "pgssi.cli",
        "verify",
        "-l",
        name,
        "--no-acting",
        "-o",
        str(folder / "out"),
        *options,
    ]
    for source in sources:
        argv += ["-i", source]
    started = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - started
    if done.returncode not in (0, 1):
        sys.exit(done.stderr)
    results = json.loads((folder / "out" / "results.json").read_text("utf-8"))
    rules = [sum(test["seconds"] for test in v["tests"]) * 1000 for v in results["verdicts"] if v["raw"] != "non_verifie"]
    return wall, rules


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


def rules_line(label: str, wall: float, rules: list[float], connection: float) -> str:
    """Return one row: rules, mean on top of the connection, median, slowest but one, wall time."""
    mean = (sum(rules) - connection) / len(rules)
    return f"| {label} | {len(rules)} | {mean:.1f} | {statistics.median(rules):.1f} | {sorted(rules)[-2:][0]:.0f} | {wall:.1f} |"


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
        opening = costs[OPENING]
        rows = [
            "| read-only rules | rules | mean ms per rule | median | slowest but one | `pgssi verify`, s |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        wall, rules = verify(folder, options.inventory, options.host, *synthetic(folder))
        rows.append(rules_line("synthetic: half one command, half one shared fact", wall, rules, opening))
        wall, rules = verify(folder, options.inventory, options.host)
        if rules:
            rows.append(rules_line("the toolkit's own", wall, rules, opening))
    text = f"""## Verification of one host over SSH

Measured {datetime.now(UTC):%Y-%m-%d} by `benchmarks/verify.py` (pgssi {__version__}) on {where}.
The host is reached over SSH and root is taken by sudo, in every line of these tables.

{table(costs)}

{chr(10).join(rows)}

Mean: on top of the connection. Wall time holds everything: Python, the inventory as Ansible resolves it, the
connection, the rules, the report."""
    write_section("verify", text)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
