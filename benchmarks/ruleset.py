"""What a large matrix costs: check, compile and load for 200 zones and 5,000 flows; writes a section of docs/benchmarks.md.

python benchmarks/ruleset.py

The site is made up: zones of five machines, flows between machines, zones and groups, over both families, some with
the Internet. The ruleset of the gateway, which holds all of them, is loaded in a network namespace of its own by `nft -f`.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from section import machine, write_section

from pgssi import __version__
from pgssi.network.model import load
from pgssi.network.ruleset import compile_host
from pgssi.site import Host, review

MACHINES = 5
SERVICES = 60


def site(zones: int, flows: int, seed: int = 1) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the site variables and the variables of each host."""
    dice = random.Random(seed)
    until = (date.today() + timedelta(days=300)).isoformat()
    owner = {"trust": "medium", "owner": "dsi"}
    networks = {
        f"zone{i}": {"cidr4": f"10.{i // 200}.{i % 200}.0/24", "cidr6": f"fd00:0:0:{i:x}::/64", "use": ["servers"], **owner}
        for i in range(1, zones)
    }
    networks["zone1"]["use"] = ["administration"]
    networks["dmz"] = {"cidr4": "172.16.0.0/24", "cidr6": "fd00:0:1::/64", "use": ["dmz_inbound"], **owner}
    networks["outside"] = {"cidr4": "0.0.0.0/0", "cidr6": "::/0", "use": ["internet"], "trust": "none", "owner": "dsi"}

    def where(zone: int, place: int) -> list[str]:
        return [f"10.{zone // 200}.{zone % 200}.{place}", f"fd00:0:0:{zone:x}::{place:x}"]

    equipment = {
        f"m{i}-{n}": {"zone": f"zone{i}", "addresses": where(i, 10 + n), "owner": "dsi"}
        for i in range(1, zones)
        for n in range(MACHINES)
    }
    equipment["control"] = {"zone": "zone1", "addresses": where(1, 1), "owner": "dsi", "use": "control"}
    equipment["portal"] = {"zone": "dmz", "addresses": ["172.16.0.10", "fd00:0:1::10"], "owner": "dsi"}
    services = {"ssh": {"ports": ["tcp/22"]}} | {
        f"s{n}": {"ports": [f"{'udp' if n % 5 == 0 else 'tcp'}/{2000 + n}"]} for n in range(SERVICES)
    }
    machines = [name for name in equipment if name.startswith("m")]
    lines = [("control-ssh", ["control"], ["all"], "ssh"), ("portal", ["outside"], ["portal"], "s0")]
    while len(lines) < flows:
        n = len(lines)
        kind = n % 10
        source = [f"zone{dice.randrange(2, zones)}"] if kind < 5 else [dice.choice(machines)]
        target = dice.sample(machines, 3) if kind < 9 else ["outside"]
        service = f"s{dice.randrange(1, SERVICES)}"
        if (source, target, service) not in [line[1:] for line in lines if kind == 9]:
            lines.append((f"flow-{n}", source, target, service))
    matrix = [
        {"id": name, "from": source, "to": target, "service": service, "purpose": "p", "technical_owner": "dsi",
         "business_owner": "dsi", "availability": 1, "confidentiality": 1, "category": "standard", "expires": until}
        for name, source, target, service in lines
    ]  # fmt: skip
    values = {"site_name": "x", "site_palier": 2, "site_zones": networks, "site_equipment": equipment, "site_services": services,
              "site_flows": matrix}  # fmt: skip
    legs = {f"zone{i}": where(i, 254) for i in range(1, zones)} | {"dmz": ["172.16.0.254", "fd00:0:1::fe"]}
    own = {
        "gw1": {"site_interfaces": legs, "ansible_host": where(1, 254)[0], "group_names": ["gateways"]},
        "srv1": {"site_interfaces": {"zone2": where(2, 100)}, "ansible_host": where(2, 100)[0], "group_names": ["servers"]},
    }
    return values, own


def seconds(action: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor seconds of an action, and what it returned: the machine may be busy with other things."""
    started = time.process_time()
    found = action()
    return time.process_time() - started, found


def loaded(text: str) -> list[float]:
    """Return the processor seconds of a first and of a second load of a ruleset, in a network namespace of its own."""
    with tempfile.NamedTemporaryFile("w", suffix=".nft") as file:
        file.write(text)
        file.flush()
        # the second line of `times`: user and system time of the children
        script = f"nft -f {file.name}; times; nft -f {file.name}; times"
        done = subprocess.run(["unshare", "-n", "bash", "-euc", script], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[:2000])
    totals = [sum(map(_clock, line.split())) for line in done.stdout.splitlines()[1::2]]
    return [totals[0], totals[1] - totals[0]]


def _clock(text: str) -> float:
    minutes, rest = text.rstrip("s").split("m")
    return 60 * float(minutes) + float(rest)


def main() -> None:
    """Measure, print and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zones", type=int, default=200)
    parser.add_argument("--flows", type=int, default=5000)
    options = parser.parse_args()
    where = machine()
    values, own = site(options.zones, options.flows)
    hosts = [Host(name, frozenset(mine["group_names"]), {**values, **mine}) for name, mine in own.items()]
    checked, found = seconds(lambda: review(hosts, []))
    if found.problems:
        sys.exit("\n".join(map(str, found.problems[:20])))
    hostvars = {name: {**values, **mine} for name, mine in own.items()}
    rows = []
    for host, label in (("gw1", "gateway, the whole matrix"), ("srv1", "one server")):
        compiled, text = seconds(lambda host=host: compile_host(load(hostvars), host))
        first, again = loaded(text)
        elements = text.count(' comment "')
        rows.append(f"| {label} | {elements} | {len(text) / 1e6:.1f} | {compiled:.1f} | {first:.2f} | {again:.2f} |")
    nft = subprocess.run(["nft", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    table = "\n".join(rows)
    text = f"""## Matrix of {options.zones} zones and {options.flows} flows

Measured {datetime.now(UTC):%Y-%m-%d} by `benchmarks/ruleset.py` (pgssi {__version__}, nftables {nft}) on {where}.
Both families; one load is one transaction: packets meet either the old ruleset or the new one. Processor seconds.

| ruleset | elements | MB | model and compilation, s | first load, s | load over itself, s |
|---|---:|---:|---:|---:|---:|
{table}

`pgssi check` of the same model: {checked:.1f} s."""
    write_section("ruleset", text)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
