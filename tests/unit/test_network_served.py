"""What the site model says that a host serves, and what a host makes of its own listening sockets."""

from __future__ import annotations

from datetime import timedelta
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType
from typing import Any

import pytest
from network_builder import TODAY, flow, hostvars, own, site

from pgssi.network.served import described, doors
from pgssi.paths import ROLES


def served(values: dict[str, Any], host: str, **more: Any) -> set[tuple[str, int, int, str]]:
    """Return the doors of a host as plain values."""
    network = described(hostvars(values), TODAY)
    found = doors(network, network.hosts[host], more)
    return {(one.port.protocol, one.port.first, one.port.last, one.why) for one in found}


def test_a_host_serves_the_flows_that_end_at_it() -> None:
    """By name, by group or by zone, each port of the service and no echo; what starts at the host opens nothing there."""
    assert served(site(), "srv1") == {
        ("tcp", 22, 22, "operators"),
        ("tcp", 443, 443, "consult"),
        ("udp", 443, 443, "consult"),
        ("udp", 10000, 10100, "images"),
    }
    assert served(site(), "ws1") == {("tcp", 22, 22, "operators")}


def test_an_expired_flow_opens_nothing_from_palier_2_on() -> None:
    """Palier 1 only warns of a flow that has expired, here as in the firewall."""
    old = flow("old", ["desks"], ["web1"], "https", expires=TODAY - timedelta(days=1))
    for palier, there in ((1, True), (2, False)):
        values = site(palier)
        values["site_flows"].append(old)
        assert ("tcp", 443, 443, "old") in served(values, "web1") or not there
        assert ("tcp", 443, 443, "old") not in served(values, "web1") or there


def test_nobody_else_calls_a_flow_of_the_host_to_itself() -> None:
    """A flow whose only source is the host itself opens no port to others."""
    values = site()
    values["site_flows"].append(flow("self", ["ws1"], ["ws1"], "https"))
    assert served(values, "ws1") == {("tcp", 22, 22, "operators")}


def test_other_parts_of_the_model_open_their_doors() -> None:
    """Suppliers' windows, RADIUS and the guests' way out have no line in the matrix; each is a door where its group is."""
    known = own()
    known["gw1"] = (("gateways", "bastions", "radius_servers", "guest_portals"), known["gw1"][1])
    network = described(hostvars(site(), known), TODAY)
    more = {"site_remote": {"port": 2022}, "site_wifi": {"radius": {}, "guests": {"addresses": ["10.1.6.1"]}}}
    mine = {(one.port.protocol, one.port.first) for one in doors(network, network.hosts["gw1"], more)}
    assert {("tcp", 2022), ("udp", 1812), ("udp", 1813), ("udp", 67), ("udp", 53), ("tcp", 80)} <= mine
    assert ("tcp", 2022) not in {(one.port.protocol, one.port.first) for one in doors(network, network.hosts["srv1"], more)}


@pytest.fixture(scope="module")
def listening() -> ModuleType:
    """The part of the program on hosts that tells what listens."""
    path = ROLES / "system_hardening" / "files" / "parts" / "listening.py"
    loader = SourceFileLoader("hardening_listening", str(path))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


SAID = """\
udp UNCONN 0 0 0.0.0.0:68 0.0.0.0:* users:(("dhclient",pid=9,fd=7))
udp UNCONN 0 0 0.0.0.0:5353 0.0.0.0:* users:(("avahi-daemon",pid=10,fd=12))
udp UNCONN 0 0 0.0.0.0:45000 0.0.0.0:* users:(("rsyslogd",pid=11,fd=12))
tcp LISTEN 0 5 127.0.0.1:6379 0.0.0.0:* users:(("redis",pid=12,fd=6))
tcp LISTEN 0 5 127.0.0.53%lo:53 0.0.0.0:*
tcp LISTEN 0 5 [::ffff:127.0.0.1]:8005 *:* users:(("java",pid=13,fd=40))
tcp LISTEN 0 5 *:8000 *:* users:(("python3",pid=14,fd=3),("python3",pid=14,fd=4))
tcp LISTEN 0 5 10.1.2.10:443 0.0.0.0:* users:(("nginx",pid=15,fd=6),("nginx",pid=16,fd=6))
tcp LISTEN 0 5 10.88.0.1%podman0:443 0.0.0.0:* users:(("nginx",pid=15,fd=7))
tcp LISTEN 0 5 [fe80::1]%eth0:22 [::]:* users:(("sshd",pid=17,fd=7))
tcp LISTEN 0 5 [::]:22 [::]:* users:(("sshd",pid=17,fd=4))
"""


def test_a_host_tells_what_listens_without_a_flow(listening: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loopback and clients are passed over; an address that no flow reaches counts even on a declared port."""
    monkeypatch.setattr(listening.subprocess, "run", lambda *_, **__: type("Done", (), {"stdout": SAID}))
    monkeypatch.setattr(listening.Path, "read_text", lambda *_: "32768\t60999\n")
    host = type("Host", (), {"wanted": {"served": [["tcp", 22, 22, ["10.1.2.10"]], ["tcp", 443, 443, ["10.1.2.10"]]]}})
    told = [note.split(" écoute")[0] for note in listening.notes(host)]
    assert told == ["tcp/443 (nginx 15)", "tcp/8000 (python3 14)", "udp/5353 (avahi-daemon 10)"]
    host.wanted = {"served": []}
    assert list(listening.notes(host)) == []


def test_a_way_of_the_operators_without_a_flow_is_no_reason_to_say_nothing() -> None:
    """A host that Ansible reaches by another address and port, which the firewall's model refuses, has its doors all the same."""
    known = own()
    known["ws1"] = (known["ws1"][0], known["ws1"][1] | {"ansible_host": "127.0.0.1", "ansible_port": 2295})
    network = described(hostvars(site(), known), TODAY)
    assert {one.port.first for one in doors(network, network.hosts["ws1"], {})} == {22}
