"""Real packets through real rulesets: four network namespaces, for one family; run under `unshare -nm`, answers in JSON.

cli (users) and adm (admin) reach srv (servers) through gw, over IPv4 or IPv6. Sockets are made in their namespace by one
process, so that both ends of a connection can be looked at.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pgssi.network.model import load
from pgssi.network.ruleset import compile_host

TODAY = date(2026, 7, 1)
NETS = {"cli": 1, "srv": 2, "adm": 3}
HOSTS = {"cli": "ws1", "srv": "srv1", "gw": "gw1"}
WAIT = 0.4  # seconds after which a packet that must not come was dropped
PATIENT = 5.0  # the same for one that must come: the machine may be busy
CLONE_NEWNET = 0x40000000
FLOW = {"purpose": "p", "technical_owner": "dsi", "business_owner": "dsi", "availability": 1, "confidentiality": 1,
        "category": "standard", "expires": TODAY + timedelta(days=90)}  # fmt: skip


def address(node: str, version: int, net: int | None = None) -> str:
    """Return the address of a node: 10.1.N.10 or fd01:0:0:N::10, N its network; gw ends with 254 or fe in each."""
    net = NETS.get(node, net or 1)
    last = {"gw": (254, "fe"), "adm": (1, "1")}.get(node, (10, "10"))
    return f"10.1.{net}.{last[0]}" if version == 4 else f"fd01:0:0:{net}::{last[1]}"


def both(node: str, net: int | None = None) -> list[str]:
    """Return the two addresses of a node."""
    return [address(node, 4, net), address(node, 6, net)]


def hostvars(palier: int, flows: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return the variables of an inventory with these flows open."""
    known = {
        "ssh": {"id": "ssh", "from": ["control"], "to": ["all"], "service": "ssh"},
        "web": {"id": "web", "from": ["users"], "to": ["srv1"], "services": ["https", "dns", "ping"]},
    }
    zones = {name: {"cidr4": f"10.1.{n}.0/24", "cidr6": f"fd01:0:0:{n}::/64", "trust": "high", "owner": "dsi"}
             for name, n in (("users", 1), ("servers", 2), ("admin", 3))}  # fmt: skip
    zones["outside"] = {"cidr4": "0.0.0.0/0", "cidr6": "::/0", "trust": "none", "owner": "dsi", "use": ["internet"]}
    site = {
        "site_palier": palier,
        "site_zones": zones,
        "site_equipment": {"control": {"zone": "admin", "addresses": both("adm"), "owner": "dsi", "use": "control"}},
        "site_services": {"ssh": {"ports": ["tcp/22"]}, "https": {"ports": ["tcp/443"]}, "dns": {"ports": ["udp/53"]},
                          "ping": {"ports": ["icmp"]}},
        "site_flows": [{**FLOW, **known[name]} for name in flows],
    }  # fmt: skip
    own = {
        "ws1": ({"users": both("cli")}, ["workstations"]),
        "srv1": ({"servers": both("srv")}, ["servers"]),
        "gw1": ({z: both("gw", n) for z, n in (("users", 1), ("servers", 2), ("admin", 3))}, ["gateways"]),
    }
    return {
        name: {**site, "site_interfaces": where, "group_names": groups, "ansible_host": next(iter(where.values()))[0]}
        for name, (where, groups) in own.items()
    }


def apply(node: str, palier: int, *flows: str) -> None:
    """Load the ruleset of a node, as its role would."""
    text = compile_host(load(hostvars(palier, flows), today=TODAY), HOSTS[node])
    inside(node, "nft", "-f", "-", text=text)


def inside(node: str, *command: str, text: str = "") -> str:
    """Run a command in the namespace of a node; raises when it fails."""
    done = subprocess.run(["ip", "netns", "exec", node, *command], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{node}: {' '.join(command)}: {done.stderr}")
    return done.stdout


@contextmanager
def at(node: str) -> Iterator[None]:
    """Make the sockets of this block in the namespace of a node."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/self/ns/net").open() as here, Path(f"/run/netns/{node}").open() as there:
        if libc.setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(here.fileno(), CLONE_NEWNET)


def build() -> None:
    """Make the four namespaces, their links, addresses and routes."""
    for node in ("gw", *NETS):
        subprocess.run(["ip", "netns", "add", node], check=True)
        inside(node, "ip", "link", "set", "lo", "up")
    for node, net in NETS.items():
        subprocess.run(
            ["ip", "link", "add", f"to{node}", "netns", "gw", "type", "veth", "peer", "eth0", "netns", node], check=True
        )
        for where, device in (("gw", f"to{node}"), (node, "eth0")):
            v4, v6 = (address(where, version, net) for version in (4, 6))
            inside(where, "ip", "addr", "add", f"{v4}/24", "dev", device)
            inside(where, "ip", "addr", "add", f"{v6}/64", "dev", device, "nodad")
            inside(where, "ip", "link", "set", device, "up")
        inside(node, "ip", "route", "add", "default", "via", address("gw", 4, net))
        inside(node, "ip", "-6", "route", "add", "default", "via", address("gw", 6, net))
    inside("gw", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")


def listen(node: str, version: int, port: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """Return a socket that listens in a node."""
    with at(node):
        found = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, kind)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind((address(node, version), port))
    if kind == socket.SOCK_STREAM:
        found.listen(16)
    found.settimeout(WAIT)
    return found


def connect(node: str, target: str, version: int, port: int, source: str = "", wait: float = WAIT) -> socket.socket | None:
    """Return a TCP connection from a node to another, or None."""
    with at(node):
        found = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6)
    found.settimeout(wait)
    try:
        if source:
            found.bind((source, 0))
        found.connect((address(target, version), port))
    except OSError:
        found.close()
        return None
    return found


def opens(*way: Any, **options: Any) -> bool:
    """Return whether a TCP connection opens."""
    found = connect(*way, **options)
    if found:
        found.close()
    return found is not None


def passes(one: socket.socket, two: socket.socket, wait: float = WAIT) -> bool:
    """Return whether a byte sent at one end comes out of the other."""
    two.settimeout(wait)
    try:
        one.send(b"x")
        return two.recv(1) == b"x"
    except OSError:
        return False


def datagram(node: str, target: str, version: int, port: int, wait: float = WAIT) -> bool:
    """Return whether a datagram is answered."""
    with listen(target, version, port, socket.SOCK_DGRAM) as server, at(node):
        client = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        client.settimeout(wait)
        server.settimeout(wait)
        with client:
            try:
                client.sendto(b"?", (address(target, version), port))
                server.sendto(b"!", server.recvfrom(1)[1])
                return client.recv(1) == b"!"
            except OSError:
                return False


def ping(node: str, target: str, version: int, wait: float = WAIT) -> bool:
    """Return whether an echo request is answered."""
    request, answer = (8, 0) if version == 4 else (128, 129)
    body = struct.pack("!BBHHH", request, 0, 0, 77, 1)  # the kernel itself writes the checksum of ICMPv6
    total = sum(struct.unpack("!4H", body))
    body = body[:2] + struct.pack("!H", 0xFFFF - (total % 0xFFFF)) + body[4:] if version == 4 else body
    with at(node):
        family, protocol = (socket.AF_INET, socket.IPPROTO_ICMP) if version == 4 else (socket.AF_INET6, socket.IPPROTO_ICMPV6)
        found = socket.socket(family, socket.SOCK_RAW, protocol)
    with found:
        found.settimeout(wait)
        found.sendto(body, (address(target, version), 0))
        try:
            while True:
                data = found.recv(200)
                if data[20 if version == 4 else 0] == answer:
                    return True
        except OSError:
            return False


def counter(node: str, name: str) -> int:
    """Return the packets of a named counter."""
    listing = json.loads(inside(node, "nft", "-j", "list", "counter", "inet", "pgssi", name))["nftables"]
    return int(next(item["counter"]["packets"] for item in listing if "counter" in item))


def window(node: str, version: int, port: int, seconds: int) -> None:
    """Open a window from cli to srv for so many seconds."""
    key = f"{address('cli', version)} . {address('srv', version)} . tcp . {port}"
    inside(node, "nft", "add", "element", "inet", "pgssi", f"windows{version}", f"{{ {key} timeout {seconds}s }}")


def matrix(version: int) -> dict[str, bool]:
    """Palier 2: what is declared passes, in its own direction only."""
    for node in HOSTS:
        apply(node, 2, "ssh", "web")
    ports = {node: [listen(node, version, port) for port in (22, 443, 8080)] for node in ("cli", "srv", "adm")}
    before = counter("gw", "refused_forward")
    seen = {
        "declared": opens("cli", "srv", version, 443, wait=PATIENT),
        "declared datagram": datagram("cli", "srv", version, 53, wait=PATIENT),
        "declared echo": ping("cli", "srv", version, wait=PATIENT),
        "operators": all(opens("adm", node, version, 22, wait=PATIENT) for node in ("srv", "cli")),
        "other port": opens("cli", "srv", version, 8080),
        "other datagram": datagram("cli", "srv", version, 54),
        "other zone": opens("adm", "srv", version, 443),
        "other direction": opens("srv", "cli", version, 443),
        "other echo": ping("srv", "cli", version),
        "counted": counter("gw", "refused_forward") > before,
    }
    for found in ports.values():
        for one in found:
            one.close()
    return seen


def established(version: int, change: Callable[[], object], port: int = 443, wait: float = WAIT) -> dict[str, bool]:
    """Open a connection, change something, and look whether it still carries bytes."""
    with listen("srv", version, port) as server:
        client = connect("cli", "srv", version, port, wait=PATIENT)
        if client is None:
            return {"opened": False}
        peer = server.accept()[0]
        peer.settimeout(WAIT)
        seen = {"opened": True, "before": passes(client, peer, PATIENT) and passes(peer, client, PATIENT)}
        change()
        seen |= {"to server": passes(client, peer, wait), "to client": passes(peer, client, wait)}
        seen["new"] = opens("cli", "srv", version, port, wait=wait)
        client.close()
        peer.close()
    return seen


def windows(version: int) -> dict[str, dict[str, bool]]:
    """A window opens, survives a reload, and cuts what runs when its time is over."""
    for node in HOSTS:
        apply(node, 2, "ssh")
    for node in ("gw", "srv"):
        window(node, version, 2222, 600)
    kept = established(version, lambda: [apply(node, 2, "ssh") for node in ("gw", "srv")], 2222, PATIENT)
    inside("gw", "nft", "flush", "set", "inet", "pgssi", f"windows{version}")
    window("gw", version, 2222, 8)  # the gateway's ends, the host's does not
    ended = established(version, lambda: time.sleep(8), 2222)
    return {"reload": kept, "timeout": ended}


def spoofed(version: int) -> dict[str, Any]:
    """A packet of cli that claims to come from the admin network."""
    for node in HOSTS:
        apply(node, 2, "ssh", "web")
    source = "10.1.3.99" if version == 4 else "fd01:0:0:3::99"
    inside(
        "cli", "ip", "addr", "add", f"{source}/{32 if version == 4 else 128}", "dev", "lo", *(["nodad"] if version == 6 else [])
    )
    before = counter("gw", "spoofed")
    with listen("srv", version, 22):
        return {"opened": opens("cli", "srv", version, 22, source=source), "counted": counter("gw", "spoofed") > before}


def paliers(version: int) -> dict[str, bool]:
    """What each palier leaves free."""
    seen = {}
    with listen("adm", version, 8080), listen("srv", version, 8080):
        for palier in (1, 2, 3):
            for node in HOSTS:
                apply(node, palier, "ssh", "web")
            seen[f"{palier} zone to zone"] = opens("srv", "adm", version, 8080, wait=PATIENT if palier == 1 else WAIT)
            seen[f"{palier} into a host"] = opens("adm", "srv", version, 8080)
            before = counter("srv", "refused_output")
            opens("srv", "adm", version, 8080)
            seen[f"{palier} refused by the sender"] = counter("srv", "refused_output") > before
    return seen


def older(version: int) -> dict[str, bool]:
    """A connection that was there before the first ruleset of its host goes on when it is declared, whoever spoke first."""
    for node in HOSTS:
        inside(node, "nft", "flush", "ruleset")
    with listen("srv", version, 443) as server:
        client = connect("cli", "srv", version, 443, wait=PATIENT)
        if client is None:
            return {"opened": False}
        peer = server.accept()[0]
        peer.settimeout(WAIT)
        apply("srv", 2, "ssh", "web")
        seen = {"opened": True, "server first": passes(peer, client, PATIENT), "then client": passes(client, peer, PATIENT)}
        apply("srv", 3, "ssh", "web")
        seen["palier 3"] = passes(peer, client, PATIENT) and passes(client, peer, PATIENT)
        apply("srv", 3, "ssh")
        seen["removed"] = passes(client, peer) or passes(peer, client)
        client.close()
        peer.close()
    return seen


def main() -> None:
    """Build, try everything over one family, print."""
    Path("/run/netns").mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/netns"], check=True)
    os.environ["LC_ALL"] = "C"
    build()
    version = int(sys.argv[1])
    for node in HOSTS:
        apply(node, 2, "ssh", "web")
    found: dict[str, Any] = {"matrix": matrix(version)}
    found["removed at the gateway"] = established(version, lambda: apply("gw", 2, "ssh"))
    apply("gw", 2, "ssh", "web")
    found["removed at the host"] = established(version, lambda: apply("srv", 2, "ssh"))
    found["windows"] = windows(version)
    found["spoofed"] = spoofed(version)
    found["paliers"] = paliers(version)
    found["nat"] = any("type nat" in inside(node, "nft", "list", "ruleset") for node in HOSTS)
    found["older"] = older(version)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
