"""What independent scanners say of one virtual machine of the lab; writes a section of docs/benchmarks.md.

    python benchmarks/scanners.py --content ssg-debian12-ds.xml [--ssh-audit ssh-audit] [--host srv1] [--kept FILE] [--say]

The machine is judged as it is: apply the guides first. lab/setup/scanners fetches the content, which is not in this repository,
and ssh-audit; --ssh-audit: the command of that program on this machine. With --say nothing is written. --kept FILE: what a
scanner found is kept there, and is not asked again: a scan takes long, and its reasons are written after it.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from section import machine, write_section

from pgssi.lab.lifecycle import Lab
from pgssi.lab.scanners import HOURS, PROFILES, accepted, lynis, openscap, rules_of, ssh_audit, unexplained, unused

ROOT = Path(__file__).resolve().parents[1]


def found(scanners: Mapping[str, Callable[[], Any]], kept: Path | None) -> dict[str, Any]:
    """Return what each scanner finds; ``kept``: what is in this file is taken as it is, and the rest is added to it."""
    results: dict[str, Any] = json.loads(kept.read_text("utf-8")) if kept and kept.exists() else {}
    for name, ask in scanners.items():
        if name not in results:
            results[name] = ask()
            if kept:
                kept.write_text(json.dumps(results, indent=1), "utf-8")
    return results


def main() -> None:
    """Scan, print and write the section; 1 when something fails that nobody accepted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-i", "--inventory", action="append")
    parser.add_argument("--host", default="srv1")
    parser.add_argument("--content", type=Path, required=True)
    parser.add_argument("--ssh-audit", default="ssh-audit")
    parser.add_argument("--kept", type=Path)
    parser.add_argument("--say", action="store_true", help="print only")
    options = parser.parse_args()
    inventories = options.inventory or [str(ROOT / "inventories" / name) for name in ("demo", "machines")]
    where, lab, known = machine(), Lab.load(inventories), accepted()
    host = lab.model.hosts[options.host]

    def run(script: str, stdin: bytes) -> str:
        return lab.machines.run(host, "sh", "-euc", script, stdin=stdin, timeout=HOURS)

    scanners: dict[str, Callable[[], Any]] = {
        "openscap": lambda: openscap(run, options.content, PROFILES[-1]),
        "lynis": lambda: asdict(lynis(run)),
        "ssh-audit": lambda: ssh_audit(shlex.split(options.ssh_audit), host.address, host.port),
    }
    all_found = found(scanners, options.kept)
    rows, open_ = [], []
    results, said, heard = (all_found[name] for name in scanners)
    for profile, rules in rules_of(options.content).items():
        count = Counter(result for name, result in results.items() if name in rules)
        failed = sorted(name for name, result in results.items() if result == "fail" and name in rules)
        left = unexplained(failed, "openscap", known)
        rows.append(f"| OpenSCAP, BP-028 {profile} | {count['pass']} | {count['fail']} | {len(failed) - len(left)} |")
        open_ += [f"openscap {profile}: {name}" for name in left]
    everything = [name for name, result in results.items() if result == "fail"]
    open_ += [f"openscap: accepted in vain: {name}" for name in unused(everything, "openscap", known)]
    open_ += [f"lynis: {name}" for name in unexplained(said["warnings"], "lynis", known)]
    open_ += [f"ssh-audit: {name}" for name in unexplained(heard["fail"], "ssh-audit", known)]
    text = f"""## Independent scanners

Measured {time.strftime("%Y-%m-%d")} by `benchmarks/scanners.py` on {where}.
Host `{options.host}` as it was, content `{options.content.name}`. What fails and is accepted: `catalogue/scanners.yml`.

| scanner | passed | failed | of which accepted |
|---|---:|---:|---:|
{chr(10).join(rows)}

Lynis: index {said["index"]}, {len(said["warnings"])} warnings. ssh-audit: {len(heard["fail"])} fail, {len(heard["warn"])} warn.
"""
    sys.stdout.write(text + "".join(f"{line}\n" for line in open_))
    if not options.say:
        write_section("scanners", text)
    sys.exit(1 if open_ else 0)


if __name__ == "__main__":
    main()
