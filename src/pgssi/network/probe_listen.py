"""Runs on a destination of probes, as root, from memory only: temporary listeners, and what arrives there.

Fed through the standard input of ``python3 -`` by pgssi.network.probing, with its settings in the last
line; never written to disk. Standard library only, Python 3.8 or later. ``listen`` answers once every
listener answers to the host itself, and leaves a child behind; ``collect`` makes that child tell what
arrived, and end. The child also ends with the agent of the channel that started it, and after its time.

Settings: token (of this run), addresses, ports ([protocol, port]), sport and sports (first source port of
the probes and how many), forged (how many more, above these, forged packets have), ident (ICMP identifier
of the probes), life (s).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import resource
import selectors
import socket
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what a packet is: source, destination, protocol, port (0: echo request), forged
    Seen = tuple[str, str, str, int, bool]

TICK = 0.5
ALL_PROTOCOLS = 3  # ETH_P_ALL
ATTACH_FILTER = 26  # SO_ATTACH_FILTER
OUTGOING = 4  # PACKET_OUTGOING
NAMES = {1: "icmp", 58: "icmp", 6: "tcp", 17: "udp"}
REFUSALS = {errno.EADDRINUSE: "taken", errno.EADDRNOTAVAIL: "absent"}


def family(address: str) -> socket.AddressFamily:
    """Return the address family of a literal."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def packet_filter(low: int, high: int, ident: int) -> tuple[tuple[int, int, int, int], ...]:
    """Return the classic BPF program that keeps the probes: by source port, or by echo identifier.

    Offsets are from the IP header (SOCK_DGRAM): opcode, jump if true, jump if false, operand.
    """
    return (
        (0x30, 0, 0, 0),  # 0: version and header length
        (0x54, 0, 0, 0xF0),
        (0x15, 0, 6, 0x40),  # 2: IPv4, else 9
        (0xB1, 0, 0, 0),  # 3: x = length of the header
        (0x30, 0, 0, 9),
        (0x15, 8, 0, 6),  # 5: TCP: 14
        (0x15, 7, 0, 17),
        (0x15, 10, 0, 1),  # 7: ICMP: 18
        (0x06, 0, 0, 0),
        (0x15, 0, 11, 0x60),  # 9: IPv6, else 21
        (0x01, 0, 0, 40),
        (0x30, 0, 0, 6),
        (0x15, 1, 0, 6),  # 12: TCP: 14
        (0x15, 0, 3, 17),  # 13: UDP: 14, else 17
        (0x48, 0, 0, 0),  # 14: source port
        (0x35, 0, 5, low),
        (0x25, 4, 3, high),  # 16: above: 21, else 20
        (0x15, 0, 3, 58),  # 17: ICMPv6: 18, else 21
        (0x48, 0, 0, 4),  # 18: identifier
        (0x15, 0, 1, ident),
        (0x06, 0, 0, 128),  # 20: keep
        (0x06, 0, 0, 0),  # 21: leave
    )


def sniffer(low: int, high: int, ident: int) -> socket.socket:
    """Return a socket that hears the probes that come in, and go out, on every interface."""
    heard = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ALL_PROTOCOLS))
    program = packet_filter(low, high, ident)
    code = b"".join(struct.pack("HBBI", *line) for line in program)
    held = ctypes.create_string_buffer(code)
    heard.setsockopt(socket.SOL_SOCKET, ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(held)))
    heard.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    heard.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:  # what came before the filter was there
            heard.recv(64)
    return heard


def decode(packet: bytes, above: int) -> Seen | None:
    """Return what a packet is; None when it is no probe. above: first source port of forged packets."""
    if packet[0] >> 4 == 4:
        at, number, version = (packet[0] & 15) * 4, packet[9], socket.AF_INET
        source, destination = packet[12:16], packet[16:20]
    else:
        at, number, version = 40, packet[6], socket.AF_INET6
        source, destination = packet[8:24], packet[24:40]
    protocol = NAMES.get(number)
    if protocol is None or len(packet) < at + 4:
        return None
    if protocol == "icmp" and packet[at] not in (8, 128):  # echo requests only
        return None
    sport, port = (0, 0) if protocol == "icmp" else struct.unpack_from("!HH", packet, at)
    return socket.inet_ntop(version, source), socket.inet_ntop(version, destination), protocol, port, sport >= above


def open_listeners(settings: dict[str, Any]) -> tuple[list[tuple[str, socket.socket]], list[list[Any]]]:
    """Open a listener on each port of each address; return them, and what became of each."""
    opened: list[tuple[str, socket.socket]] = []
    fates: list[list[Any]] = []
    for address in settings["addresses"]:
        for protocol, port in settings["ports"]:
            if protocol == "icmp":
                continue
            kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
            try:
                listener = socket.socket(family(address), kind)
            except OSError as error:
                fates.append([protocol, address, port, "failed", error.strerror])
                continue
            try:
                if kind == socket.SOCK_STREAM:
                    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family(address) == socket.AF_INET6:
                    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                listener.bind((address, port))
                if kind == socket.SOCK_STREAM:
                    listener.listen(128)
            except OSError as error:
                listener.close()
                fates.append([protocol, address, port, REFUSALS.get(error.errno or 0, "failed"), error.strerror])
                continue
            listener.setblocking(False)
            opened.append((protocol, listener))
            fates.append([protocol, address, port, "up", ""])
    return opened, fates


def answer(protocol: str, listener: socket.socket, token: bytes, given: set[tuple[str, str, str, int]]) -> None:
    """Serve what waits at one listener: our name to whoever connects, or says our word; note who got that far."""
    here = listener.getsockname()
    with contextlib.suppress(OSError):
        if protocol == "tcp":
            client, sender = listener.accept()
            given.add((sender[0], here[0], protocol, here[1]))
            with client:
                client.send(token)
        else:
            data, sender = listener.recvfrom(256)
            if token[:16] in data:  # the word of this run: nothing for anybody else
                given.add((sender[0], here[0], protocol, here[1]))
                listener.sendto(token, sender)


def alive(agent: int, until: float) -> bool:
    """Return whether the channel that started us is there, and our time not over."""
    try:
        os.kill(agent, 0)
    except ProcessLookupError:
        return False
    return time.monotonic() < until


def serve(
    opened: list[tuple[str, socket.socket]],
    heard: socket.socket | None,
    control: socket.socket,
    agent: int,
    settings: dict[str, Any],
) -> None:
    """Answer and listen until somebody collects, the channel ends or time is over."""
    token, above = settings["token"].encode(), settings["sport"] + settings["sports"]
    seen: dict[Seen, dict[str, list[int]]] = {}
    given: set[tuple[str, str, str, int]] = set()
    watch = selectors.DefaultSelector()
    for protocol, listener in opened:
        watch.register(listener, selectors.EVENT_READ, protocol)
    watch.register(control, selectors.EVENT_READ, "control")
    if heard:
        watch.register(heard, selectors.EVENT_READ, "sniff")
    until = time.monotonic() + settings["life"]
    while alive(agent, until):
        for key, _ in watch.select(TICK):
            if key.data == "control":
                client, _ = control.accept()
                with client:
                    drain(heard, seen, above)
                    passed = [[*probe, *most(counts)] for probe, counts in seen.items()]
                    client.sendall(json.dumps({"passed": passed, "given": sorted(given)}).encode())
                return
            if key.data == "sniff":
                drain(heard, seen, above)
            elif isinstance(key.fileobj, socket.socket):
                answer(key.data, key.fileobj, token, given)


def drain(heard: socket.socket | None, seen: dict[Seen, dict[str, list[int]]], above: int) -> None:
    """Count what the sniffer holds: [packets in, packets out] by probe and interface."""
    with contextlib.suppress(BlockingIOError, InterruptedError):
        while heard:
            packet, (interface, _, way, *_) = heard.recvfrom(256)
            probe = decode(packet, above) if len(packet) >= 24 else None
            if probe:
                seen.setdefault(probe, {}).setdefault(interface, [0, 0])[1 if way == OUTGOING else 0] += 1


def most(counts: dict[str, list[int]]) -> list[int]:
    """Return the packets in and out: a VLAN or a bridge shows the same packet on two interfaces."""
    return [max(count[way] for count in counts.values()) for way in (0, 1)]


def check(fates: list[list[Any]], token: bytes) -> None:
    """Reach every listener from the host itself; one that does not answer is no listener."""
    for fate in fates:
        protocol, address, port, state, _ = fate
        if state != "up":
            continue
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        try:
            with socket.socket(family(address), kind) as client:
                client.settimeout(1)
                client.connect((address, port))
                if protocol == "udp":
                    client.send(token[:16])
                if client.recv(64) != token:
                    fate[3:] = ["deaf", "another answer"]
        except OSError as error:
            fate[3:] = ["deaf", str(error)]


def agent_of() -> int:
    """Return the process that started our session: the agent of the channel."""
    stat = Path(f"/proc/{os.getsid(0)}/stat").read_bytes()
    return int(stat.rpartition(b")")[2].split()[1])


def listen(settings: dict[str, Any]) -> None:
    """Open everything, leave a child that serves it, and print what became of each listener."""
    control = socket.socket(socket.AF_UNIX)
    control.bind("\0pgssi-" + settings["token"][:16])
    control.listen(1)
    raise_limit()
    agent = agent_of()
    opened, fates = open_listeners(settings)
    heard, fault = None, ""
    try:
        last = settings["sport"] + settings["sports"] + settings["forged"] - 1
        heard = sniffer(settings["sport"], last, settings["ident"])
    except OSError as error:
        fault = str(error)
    if os.fork() == 0:
        try:
            null = os.open("/dev/null", os.O_RDWR)
            for standard in (0, 1, 2):
                os.dup2(null, standard)
            serve(opened, heard, control, agent, settings)
        finally:
            os._exit(0)
    check(fates, settings["token"].encode())
    sys.stdout.write(json.dumps({"listeners": fates, "sniffs": heard is not None, "fault": fault}))


def collect(settings: dict[str, Any]) -> None:
    """Print what came since ``listen``.

    passed: [source, destination, protocol, port, forged, packets in, packets out] at the interfaces; given:
    the first four of these, of what a listener got in the end.
    """
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect("\0pgssi-" + settings["token"][:16])
        told = bytearray()
        while True:
            part = client.recv(1 << 16)
            if not part:
                break
            told += part
    sys.stdout.write(told.decode())


def raise_limit() -> None:
    """Allow as many descriptors as the host lets us have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main(settings: dict[str, Any]) -> None:
    """Do what the settings ask."""
    {"listen": listen, "collect": collect}[settings["action"]](settings)
