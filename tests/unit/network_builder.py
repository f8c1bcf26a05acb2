"""Small sites for the tests of the network: a sound one, and what chance makes of it."""

from __future__ import annotations

import copy
import os
import random
import subprocess
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pgssi.site import Host

TODAY = date(2026, 7, 1)
ZONES = {"admin": ("administration", 1), "hosts": ("servers", 2), "desks": ("users", 3), "front": ("dmz_inbound", 4),
         "devices": ("biomedical", 5), "visitors": ("guest", 6)}  # fmt: skip


def place(net: int, last: int) -> list[str]:
    """Return the two addresses of a machine: 10.1.N.L and fd01:0:0:N::L."""
    return [f"10.1.{net}.{last}", f"fd01:0:0:{net}::{last:x}"]


def flow(name: str, source: Iterable[str], target: Iterable[str], *services: str, **more: Any) -> dict[str, Any]:
    """Return one sound line of a matrix."""
    return {"id": name, "from": list(source), "to": list(target), "services": list(services), "purpose": "Essai",
            "technical_owner": "dsi", "business_owner": "dim", "availability": 2, "confidentiality": 2,
            "category": "standard", "expires": TODAY + timedelta(days=200)} | more  # fmt: skip


def site(palier: int = 2) -> dict[str, Any]:
    """Return the site variables of a small hospital."""
    zones: dict[str, Any] = {
        name: {"cidr4": f"10.1.{n}.0/24", "cidr6": f"fd01:0:0:{n}::/64", "vlan": 10 * n, "trust": "medium", "owner": "dsi",
               "use": [use]}
        for name, (use, n) in ZONES.items()
    }  # fmt: skip
    zones["outside"] = {"cidr4": "0.0.0.0/0", "cidr6": "::/0", "trust": "none", "owner": "dsi", "use": ["internet"]}
    return {
        "site_name": "Essai",
        "site_palier": palier,
        "site_backup_excluded": [{"scope": ["all"], "reason": "Essai du réseau seul.", "approved_by": "rssi"}],
        "site_zones": zones,
        "site_equipment": {
            "control": {"zone": "admin", "addresses": place(1, 1), "owner": "dsi", "use": "control"},
            "scanner": {"zone": "devices", "addresses": place(5, 10), "owner": "biomed"},
            "supplier": {"zone": "outside", "addresses": ["203.0.113.10", "2001:db8::10"], "owner": "biomed"},
            "next": {"zone": "outside", "addresses": ["10.1.7.0", "fd01:0:0:7::"], "owner": "dsi"},  # just after a zone
        },
        "site_services": {
            "ssh": {"ports": ["tcp/22"]},
            "https": {"ports": ["tcp/443", "udp/443"]},
            "media": {"ports": ["udp/10000-10100"]},
            "ping": {"ports": ["icmp"]},
        },
        "site_flows": [
            flow("operators", ["control"], ["all"], "ssh", "ping", category="administration"),
            flow("consult", ["desks"], ["srv1"], "https"),
            flow("portal", ["outside"], ["web1"], "https", category="uncontrolled"),
            flow("images", ["scanner"], ["srv1"], "media"),
            flow("visitors-web", ["visitors"], ["outside"], "https", category="uncontrolled"),
        ],
    }


def own() -> dict[str, tuple[tuple[str, ...], dict[str, Any]]]:
    """Return the groups and own variables of each host."""
    legs = {name: place(n, 254) for name, (_, n) in ZONES.items()}
    where = {"gw1": ("gateways", legs), "srv1": ("servers", {"hosts": place(2, 10)}),
             "web1": ("servers", {"front": place(4, 10)}), "ws1": ("workstations", {"desks": place(3, 10)})}  # fmt: skip
    return {
        name: ((group,), {"site_interfaces": zones, "ansible_host": next(iter(zones.values()))[0]})
        for name, (group, zones) in where.items()
    }


def hosts(values: dict[str, Any], mine: dict[str, tuple[tuple[str, ...], dict[str, Any]]] | None = None) -> list[Host]:
    """Return the hosts as the check wants them."""
    return [Host(name, frozenset(groups), {**values, **more}) for name, (groups, more) in (mine or own()).items()]


def hostvars(
    values: dict[str, Any], mine: dict[str, tuple[tuple[str, ...], dict[str, Any]]] | None = None
) -> dict[str, dict[str, Any]]:
    """Return the variables as Ansible gives them."""
    return {name: {**values, **more, "group_names": list(groups)} for name, (groups, more) in (mine or own()).items()}


def nft(*files: Path) -> str:
    """Load each file twice in a network namespace of its own; return what nft complains about."""
    script = 'for file; do unshare -n sh -c \'nft -f "$1" && nft -f "$1"\' - "$file" || echo "$file" >&2; done'
    namespace = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    environment = {**os.environ, "PATH": f"/usr/sbin:{os.environ['PATH']}"}
    done = subprocess.run([*namespace, "sh", "-c", script, "-", *map(str, files)], capture_output=True, text=True,
                          check=False, env=environment)  # fmt: skip
    return done.stderr


class Plausible:
    """Seeded sites that a person could have written: random lines, nested, crossing, partly the same."""

    def __init__(self, seed: int) -> None:
        """Throw the dice from this seed."""
        self.dice = random.Random(seed)

    def site(self) -> dict[str, Any]:
        """Return one more site: every line names real things."""
        values = site(self.dice.randint(1, 3))
        spots = [(net, last) for net in range(1, 7) for last in (2, 11, 12, 100, 253)]
        for n, (net, last) in enumerate(self.dice.sample(spots, self.dice.randint(0, 6))):
            zone = next(name for name, (_, m) in ZONES.items() if m == net)
            values["site_equipment"][f"box{n}"] = {"zone": zone, "addresses": place(net, last), "owner": "dsi"}
        for n in range(6):
            first = self.dice.randint(20, 90)
            ports = [f"{self.dice.choice(['tcp', 'udp'])}/{first}-{first + self.dice.randint(0, 30)}", f"tcp/{first}"]
            values["site_services"][f"app{n}"] = {"ports": self.dice.sample(ports, self.dice.randint(1, 2))}
        ends = [*ZONES, *values["site_equipment"], "all", "servers", "workstations", *own()]
        for n in range(self.dice.randint(1, 40)):
            source, target = self.dice.sample(ends, self.dice.randint(1, 2)), self.dice.sample(ends, self.dice.randint(1, 2))
            services = self.dice.sample(sorted(values["site_services"]), self.dice.randint(1, 3))
            values["site_flows"].append(flow(f"line-{n}", source, target, *services))
        return values


class Hostile:
    """Seeded damage to a sound site: wrong types, overlaps, loops, look-alike names, lines without end."""

    JUNK: tuple[Any, ...] = (
        None, True, -1, 0, 10**40, 1.5, "", " ", "\x00", "dеsks", "srv1\u200b", "ｄｅｓｋｓ", "\u202e1vrs", "a" * 10**5,
        "{{ x }}", "$(reboot)", 'x" ; flush ruleset ; #', "}\nflush ruleset\n", [], {}, [[]], {"": ""}, {"a": {"b": []}},
        date(1, 1, 1), date(9999, 12, 31), b"\xff", "0.0.0.0/0", "::/0", "10.1.2.0/33", "10.1.0.0/16", "10.1.2.0/25", "fd01::/16",
        "10.1.2.10", "::ffff:10.1.2.10", "fe80::1", "224.0.0.1", "127.0.0.1", "010.1.2.3", "1.2.3", "tcp/0", "tcp/65536",
        "tcp/1-65535",
        "udp/9-3", "sctp/5", "icmp/8", ["all"], ["outside"], ["control"], ["srv1"], ["group:servers"], ["zone:none"],
        "2026-02-30", "2026-06-30", "9999-01-01", ["all"] * 2000,
    )  # fmt: skip

    def __init__(self, seed: int) -> None:
        """Throw the dice from this seed."""
        self.dice = random.Random(seed)

    def _places(self, node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        return [spot for key, value in items for spot in [(*path, key), *self._places(value, (*path, key))]]

    def damage(self, whole: dict[str, Any]) -> dict[str, Any]:
        """Return the tree with one to three places damaged."""
        values = copy.deepcopy(whole)
        for _ in range(self.dice.randint(1, 3)):
            path = self.dice.choice(self._places(values))
            node: Any = values
            for part in path[:-1]:
                node = node[part]
            key, action = path[-1], self.dice.randint(0, 5)
            if action <= 2:
                node[key] = copy.deepcopy(self.dice.choice(self.JUNK))
            elif action == 3:
                del node[key]
            elif action == 4 and isinstance(node, dict):
                node[str(key).replace("e", "е").replace("a", "а")] = node.pop(key)  # Cyrillic letters
            elif isinstance(node, list):
                node.append(copy.deepcopy(node[key]))
        return values
