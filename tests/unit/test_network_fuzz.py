"""Whatever the matrix, the answer is a refusal in words or a ruleset that nft takes and that lets the operators in."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from network_builder import TODAY, Hostile, Plausible, flow, hosts, hostvars, nft, own, site

from pgssi.network import Network, load
from pgssi.network.ruleset import compile_host
from pgssi.site import review

KINDS = 8  # tests of 25 sites each: the rulesets of one test are loaded by one command


def answer(values: dict[str, Any], mine: Any = None) -> Network | None:
    """Check a site; return its network when it is sound, None when it is refused in words."""
    found = review(hosts(values, mine), [], today=TODAY)
    for problem in (*found.problems, *found.warnings):
        assert problem.message and problem.remedy and problem.key
        assert len(str(problem)) < 2500
    return None if found.problems else load(hostvars(values, mine), today=TODAY)


def rulesets(network: Network, folder: Path, name: str) -> list[Path]:
    """Write the ruleset of every host; each must let the operators in."""
    files = []
    for host in network.hosts.values():
        text = compile_host(network, host.name)
        for control in network.controls:
            for one, two in [(a, b) for a in control.addresses for b in host.addresses if a.version == b.version]:
                assert network.decide(one, two, "tcp", 22).allowed, (name, str(one), str(two))
                assert f"{one} . {two} . tcp . 22 " in text or f"{one} . {two} . tcp . " in text, name
        files.append(folder / f"{name}-{host.name}.nft")
        files[-1].write_text(text, "utf-8")
    return files


@pytest.mark.parametrize("batch", range(KINDS))
def test_hostile_site(tmp_path: Path, batch: int) -> None:
    """200 seeded damages: types, overlaps, loops, other alphabets, code in names; never a traceback, never a lock-out."""
    files: list[Path] = []
    refused = 0
    for seed in range(25 * batch, 25 * batch + 25):
        damaged = Hostile(seed).damage({"site": site(), "own": {name: more for name, (_, more) in own().items()}})
        mine = {
            name: (groups, damaged["own"][name] if isinstance(damaged.get("own", {}), dict) and
                   isinstance(damaged.get("own", {}).get(name), dict) else {})
            for name, (groups, _) in own().items()
        }  # fmt: skip
        network = answer(damaged["site"] if isinstance(damaged.get("site"), dict) else {}, mine)
        refused += network is None
        files += rulesets(network, tmp_path, str(seed)) if network else []
    assert refused > 5
    assert not nft(*files)


@pytest.mark.parametrize("batch", range(4))
def test_plausible_site(tmp_path: Path, batch: int) -> None:
    """Sites of random lines over each other: when the check passes, the kernel takes every element."""
    files: list[Path] = []
    for seed in range(10 * batch, 10 * batch + 10):
        values = Plausible(seed).site()
        found = review(hosts(values), [], today=TODAY)
        harmful = {problem.key.partition(".")[0] for problem in found.problems}
        values["site_flows"] = [one for i, one in enumerate(values["site_flows"]) if f"site_flows[{i}]" not in harmful]
        network = answer(values)
        assert network is not None, seed
        files += rulesets(network, tmp_path, str(seed))
    assert not nft(*files)


def test_ten_thousand_flows(tmp_path: Path) -> None:
    """A matrix of 10,000 lines is compiled and loaded like another."""
    values = site()
    values["site_services"] |= {f"p{n}": {"ports": [f"tcp/{1000 + n}"]} for n in range(5000)}
    values["site_flows"] += [flow(f"line-{n}", ["desks"], ["srv1" if n % 2 else "web1"], f"p{n // 2}") for n in range(10000)]
    network = answer(values)
    assert network is not None
    text = compile_host(network, "gw1")
    assert text.count('"line-') == 20000
    file = tmp_path / "gw1.nft"
    file.write_text(text, "utf-8")
    assert not nft(file)


def test_ten_thousand_unknown_names() -> None:
    """A list of 10,000 lines that name nothing is refused without a flood of memory or a crash."""
    values = site()
    values["site_flows"] += [flow(f"line-{n}", [f"d{n}"], ["srv1"], "https", expires=date(2026, 9, 1)) for n in range(300)]
    found = review(hosts(values), [], today=TODAY)
    assert len(found.problems) == 300 and all("ni une zone" in problem.message for problem in found.problems)
