"""What a second run of playbooks/site.yml costs on one host; writes a section of docs/benchmarks.md.

    python benchmarks/site.py -i inventories/demo --host web1 [--host dpi1] [--palier 3]

Each host is a run of its own and must already be at this palier (a run that changes something measures nothing and stops).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from section import machine, write_section

ROOT = Path(__file__).resolve().parents[1]


def run(inventory: str, host: str, palier: int) -> tuple[float, Counter[str]]:
    """Run site.yml once; return seconds and how many tasks the host went through, by outcome."""
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", inventory, "playbooks/site.yml"]
    command += ["--limit", host, "-e", f"site_palier={palier}"]
    environment = {**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_DEPRECATION_WARNINGS": "0"}
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    seconds = time.monotonic() - started
    document = json.loads(done.stdout[done.stdout.index("{") :])
    outcomes: Counter[str] = Counter()
    for play in document["plays"]:
        for task in play["tasks"]:
            for result in task["hosts"].values():
                kind = "changed" if result.get("changed") else "skipped" if result.get("skipped") else "ok"
                outcomes[kind] += 1
    return seconds, outcomes


def main() -> None:
    """Measure, print and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-i", "--inventory", default="inventories/demo")
    parser.add_argument("--host", action="append", required=True)
    parser.add_argument("--palier", type=int, default=3)
    options = parser.parse_args()
    where = machine()
    rows = []
    for host in options.host:
        seconds, outcomes = run(options.inventory, host, options.palier)
        if outcomes["changed"]:
            sys.exit(f"{host} was not at palier {options.palier}: {outcomes['changed']} tasks changed it. Run again.")
        rows.append(f"| {host} | {sum(outcomes.values())} | {outcomes['skipped']} | 0 | {seconds:.1f} |")
    text = f"""## Second run of site.yml on one host

Measured {time.strftime("%Y-%m-%d")} by `benchmarks/site.py` on {where}.
Palier {options.palier}, every guide of site.yml, preflight of the whole inventory included; hosts of `{options.inventory}`.

| host | tasks | of which skipped | changed | seconds |
|---|---:|---:|---:|---:|
{chr(10).join(rows)}
"""
    sys.stdout.write(text)
    write_section("site", text)


if __name__ == "__main__":
    main()
