"""A small network, and what its hosts would answer: for the tests of the proof."""

from __future__ import annotations

from datetime import date
from typing import Any

from pgssi.network.model import Network, build
from pgssi.network.probing import Heard, Met
from pgssi.network.sample import Place, Probe

TODAY = date(2026, 11, 22)
CLOSED = frozenset({"hosts", "zones", "edge", "spoofing"})
SITE: dict[str, Any] = {
    "site_palier": 2,
    "site_zones": {
        "servers": {"cidr4": "10.0.2.0/24", "cidr6": "fd00:0:0:2::/64", "trust": "high", "owner": "dsi"},
        "users": {"cidr4": "10.0.6.0/24", "cidr6": "fd00:0:0:6::/64", "trust": "medium", "owner": "dsi"},
        "dmz": {"cidr4": "10.0.4.0/24", "cidr6": "fd00:0:0:4::/64", "trust": "low", "owner": "dsi"},
        "guests": {"cidr4": "10.0.8.0/24", "cidr6": "fd00:0:0:8::/64", "trust": "none", "owner": "dsi"},
    },
    "site_equipment": {"irm1": {"zone": "users", "addresses": ["10.0.6.50"], "owner": "biomed"}},
    "site_services": {"https": {"ports": ["tcp/443"]}, "passive": {"ports": ["tcp/50000-50100"]}, "dns": {"ports": ["udp/53"]}},
    "site_flows": [
        {"id": "consult", "from": ["users"], "to": ["dpi1"], "service": "https", "expires": "2027-06-30"},
        {"id": "names", "from": ["web1"], "to": ["dpi1"], "services": ["dns", "passive"], "expires": "2027-06-30"},
    ],
}
HOSTS = {
    "gw1": {"gateways": {"servers": 254, "users": 254, "dmz": 254}},
    "dpi1": {"servers": {"servers": 10}},
    "ws1": {"workstations": {"users": 10}},
    "web1": {"servers": {"dmz": 10}},
}
THIRD = {"servers": 2, "users": 6, "dmz": 4, "guests": 8}


def make_network(**changes: Any) -> Network:
    """Build the network above; changes replace site variables, or hosts with ``hosts=``."""
    hosts = changes.pop("hosts", HOSTS)
    rows = []
    for name, groups in hosts.items():
        for group, places in groups.items():
            interfaces = {zone: [f"10.0.{THIRD[zone]}.{at}", f"fd00:0:0:{THIRD[zone]}::{at:x}"] for zone, at in places.items()}
            rows.append((name, frozenset({group}), {"site_interfaces": interfaces, "ansible_host": name}, CLOSED))
    return build({**SITE, **changes}, rows, TODAY)


def make_probe(**changes: Any) -> Probe:
    """Build a probe of ws1 to dpi1, port 22, that gw1 must refuse."""
    known: dict[str, Any] = {
        "number": 0,
        "sender": "ws1",
        "source": Place("ws1", "users", "10.0.6.10"),
        "target": Place("dpi1", "servers", "10.0.2.10"),
        "protocol": "tcp",
        "port": 22,
        "kind": "elsewhere",
        "by": ("gw1", "dpi1"),
    }
    return Probe(**{**known, **changes})


def make_heard(probe: Probe, *, state: str = "up", sniffs: bool = True, **passed: tuple[int, int]) -> dict[str, Heard]:
    """Build what ws1, gw1 and dpi1 saw of a probe: (packets in, packets out) by host."""
    key = (probe.source.address, probe.target.address, probe.protocol, probe.port, probe.kind == "forged")
    fates = {(probe.protocol, probe.target.address, probe.port): state}
    seen = {"ws1": (0, 2), "gw1": (0, 0), "dpi1": (0, 0), **passed}
    return {name: Heard(fates if name == "dpi1" else {}, sniffs, "", {key: counts}) for name, counts in seen.items()}


SILENT = Met("silent")
