"""Runs on a source of probes, as root, from memory only: hundreds of attempts at a time, and what each met.

Fed through the standard input of ``python3 -`` by pgssi.network.probing, with its settings in the last
line. Standard library only, Python 3.8 or later.

Settings: token, probes ([number, protocol, source, destination, port]), sport and sports, ident, timeout (s),
at_once; tokens: what our listener at each destination answers; spoofed: the same five of packets to send with
a source that is not ours.
Prints {number: [result, detail, milliseconds]}. Results: open (our listener answered), other (something
else did), refused (RST), rejected (ICMP error of somebody), unrouted (a router knows no way), silent
(nothing came back), blocked (this host itself did not let it out), unsent (no such address or no route
here), error; of spoofed packets: sent, blocked, unsent.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import selectors
import socket
import struct
import sys
import time
from typing import Any

ERRORS = 0x2000  # MSG_ERRQUEUE
LOCAL = 1  # SO_EE_ORIGIN_LOCAL
UNSENT = {errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.EAFNOSUPPORT, errno.EINVAL, errno.ENODEV}
BURST = 50  # packets between two looks at the answers


NTP = 123


def datagram(word: bytes, port: int) -> bytes:
    """Return what a UDP probe carries: the word of this run, for a time server within a request that it answers (RFC 5905)."""
    if port != NTP:
        return word
    return b"\x23" + bytes(15) + word.ljust(16, b"\0") + bytes(8) + os.urandom(8)


class Attempt:
    """One probe under way."""

    def __init__(self, number: int, protocol: str, source: str, destination: str, port: int) -> None:
        """Keep what is to be tried."""
        self.number, self.protocol, self.port = number, protocol, port
        self.source, self.destination = source, destination
        self.version = socket.AF_INET6 if ":" in destination else socket.AF_INET
        self.socket: socket.socket | None = None
        self.began = self.again = 0.0
        self.connected = False


class Prober:
    """Runs the probes of one host, a window of them at a time."""

    def __init__(self, settings: dict[str, Any]) -> None:
        """Take the settings; nothing is sent yet."""
        self.settings = settings
        self.word = settings["token"].encode()[:16]
        self.timeout = settings["timeout"]
        self.sport = 0
        self.watch = selectors.DefaultSelector()
        self.under_way: dict[int, Attempt] = {}
        self.results: dict[int, list[Any]] = {}
        self.echoes: dict[str, socket.socket | OSError] = {}

    def run(self) -> dict[int, list[Any]]:
        """Return what each probe met."""
        waiting = [Attempt(*probe) for probe in reversed(self.settings["probes"])]
        while waiting or self.under_way:
            for _ in range(BURST):
                if waiting and len(self.under_way) < self.settings["at_once"]:
                    self.start(waiting.pop())
            for key, _ in self.watch.select(0.02):
                if isinstance(key.data, Attempt):
                    self.hear(key.data)
                else:
                    self.hear_echo(key.data, key.fd)
            now = time.monotonic()
            for attempt in list(self.under_way.values()):
                if now - attempt.began > self.timeout:
                    self.end(attempt, "other" if attempt.connected else "silent")
                elif attempt.again and now > attempt.again:
                    attempt.again = 0.0
                    self.send(attempt)
        return self.results

    def end(self, attempt: Attempt, result: str, detail: str = "") -> None:
        """Keep the outcome of a probe, and close what it held."""
        took = round((time.monotonic() - attempt.began) * 1000) if attempt.began else 0
        self.results[attempt.number] = [result, detail, took]
        self.under_way.pop(attempt.number, None)
        if attempt.socket:
            if attempt.protocol != "icmp":
                self.watch.unregister(attempt.socket)
                attempt.socket.close()
            attempt.socket = None

    def start(self, attempt: Attempt) -> None:
        """Send the first packet of a probe."""
        attempt.began = time.monotonic()
        self.under_way[attempt.number] = attempt
        try:
            if attempt.protocol == "icmp":
                attempt.socket = self.echo_socket(attempt.source)
            else:
                attempt.socket = self.connect(attempt)
                self.watch.register(attempt.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, attempt)
        except OSError as error:
            self.fail(attempt, error, sending=True)
            return
        if attempt.protocol != "tcp":
            attempt.again = attempt.began + self.timeout / 2.5
            self.send(attempt)

    def connect(self, attempt: Attempt) -> socket.socket:
        """Return a socket of ours, from the probe's own address and a port of this run."""
        kind = socket.SOCK_STREAM if attempt.protocol == "tcp" else socket.SOCK_DGRAM
        made = socket.socket(attempt.version, kind)
        try:
            made.setblocking(False)
            level, option = (socket.IPPROTO_IP, 11) if attempt.version == socket.AF_INET else (socket.IPPROTO_IPV6, 25)
            made.setsockopt(level, option, 1)  # IP_RECVERR: every ICMP error is told, and by whom
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.bind(made, attempt.source)
            with contextlib.suppress(BlockingIOError):
                made.connect((attempt.destination, attempt.port))
        except OSError:
            made.close()
            raise
        return made

    def bind(self, made: socket.socket, source: str) -> None:
        """Take the next free source port of this run."""
        last: OSError | None = None
        for _ in range(20):
            self.sport = (self.sport + 1) % self.settings["sports"]
            try:
                made.bind((source, self.settings["sport"] + self.sport))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                last = error
            else:
                return
        if last:
            raise last

    def send(self, attempt: Attempt) -> None:
        """Send a datagram or an echo request."""
        if not attempt.socket:
            return
        try:
            if attempt.protocol == "udp":
                attempt.socket.send(datagram(self.word, attempt.port))
            elif attempt.protocol == "icmp":
                kind = 8 if attempt.version == socket.AF_INET else 128
                body = struct.pack("!HH", self.settings["ident"], attempt.number & 0xFFFF)
                body += self.word + struct.pack("!I", attempt.number)
                total = checksum(struct.pack("!BBH", kind, 0, 0) + body)
                attempt.socket.sendto(struct.pack("!BBH", kind, 0, total) + body, (attempt.destination, 0))
        except OSError as error:
            self.fail(attempt, error, sending=True)

    def echo_socket(self, source: str) -> socket.socket:
        """Return the raw socket that sends the echo requests of one of our addresses."""
        known = self.echoes.get(source)
        if known is None:
            try:
                if ":" in source:
                    known = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
                else:
                    known = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
                known.setblocking(False)
                known.bind((source, 0))
                self.watch.register(known, selectors.EVENT_READ, source)
            except OSError as error:
                known = error
            self.echoes[source] = known
        if isinstance(known, OSError):
            raise known
        return known

    def hear_echo(self, source: str, descriptor: int) -> None:
        """Read the echo replies, and the errors about our requests."""
        echo = self.echoes[source]
        while isinstance(echo, socket.socket) and echo.fileno() == descriptor:
            try:
                data, sender = echo.recvfrom(2048)
            except OSError:
                return
            six = ":" in source
            at = 0 if six else (data[0] & 15) * 4
            error = len(data) > at and data[at] in ((1, 2, 3, 4) if six else (3, 11, 12))
            unrouted = error and (data[at], data[at + 1]) == ((1, 0) if six else (3, 0))
            if error:
                inner = at + 8
                at = inner + (40 if six else (data[inner] & 15) * 4) if len(data) > inner else len(data)
            elif len(data) <= at or data[at] != (129 if six else 0):
                continue
            start = at + 8
            if data[start : start + 16] != self.word or len(data) < start + 20:
                continue
            attempt = self.under_way.get(struct.unpack_from("!I", data, start + 16)[0])
            if attempt and error:
                self.end(attempt, "unrouted" if unrouted else "rejected", str(sender[0]))
            elif attempt and same(sender[0], attempt.destination):
                self.end(attempt, "open")

    def hear(self, attempt: Attempt) -> None:
        """Read what happened to a TCP or UDP probe."""
        made = attempt.socket
        if made is None:
            return
        code = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self.fail(attempt, OSError(code, os.strerror(code)), sending=False)
            return
        if not attempt.connected:
            self.watch.modify(made, selectors.EVENT_READ, attempt)
            if attempt.protocol == "tcp":
                attempt.connected = True
        try:
            data = made.recv(64)
        except BlockingIOError:
            return
        except OSError as error:
            self.fail(attempt, error, sending=False)
            return
        if attempt.protocol == "tcp" or data:
            ours = self.settings["tokens"].get(attempt.destination, "").encode()
            self.end(attempt, "open" if data == ours else "other")

    def fail(self, attempt: Attempt, error: OSError, sending: bool) -> None:
        """Tell an ICMP error of somebody from one of this host itself."""
        who = self.origin(attempt.socket) if attempt.protocol != "icmp" else None
        if who:
            self.end(attempt, *who)
        elif attempt.connected:
            self.end(attempt, "other", os.strerror(error.errno or 0))
        elif error.errno == errno.ECONNREFUSED:
            self.end(attempt, "refused")
        elif error.errno in (errno.EPERM, errno.EACCES):
            self.end(attempt, "blocked")
        elif error.errno in UNSENT or (error.errno == errno.EHOSTUNREACH):
            self.end(attempt, "unsent", os.strerror(error.errno))
        elif not (sending and error.errno in (errno.EAGAIN, errno.ENOBUFS)):  # else: sent again in a moment
            self.end(attempt, "error", os.strerror(error.errno or 0))

    @staticmethod
    def origin(made: socket.socket | None) -> tuple[str, str] | None:
        """Return what the ICMP error that a socket holds says, and whose it is; None for an error of this host."""
        if made is None:
            return None
        try:
            _, notes, _, _ = made.recvmsg(64, 512, ERRORS)
        except OSError:
            return None
        for _, _, data in notes:  # struct sock_extended_err, then the address of who sent it
            if len(data) >= 28 and data[4] != LOCAL:
                six = struct.unpack_from("=H", data, 16)[0] == socket.AF_INET6
                said = "unrouted" if (data[5], data[6]) == ((1, 0) if six else (3, 0)) else "rejected"
                if six:
                    return said, socket.inet_ntop(socket.AF_INET6, data[24:40])
                return said, socket.inet_ntop(socket.AF_INET, data[20:24])
        return None


def same(one: str, two: str) -> bool:
    """Return whether two literals are one address."""
    kind = socket.AF_INET6 if ":" in two else socket.AF_INET
    return socket.inet_pton(kind, one.partition("%")[0]) == socket.inet_pton(kind, two)


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total = int(sum(struct.unpack(f"!{len(padded) // 2}H", padded)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def forged(protocol: str, source: str, destination: str, port: int, sport: int, word: bytes) -> bytes:
    """Return a whole IP packet: a SYN or a datagram, from whatever source."""
    kind = socket.AF_INET6 if ":" in destination else socket.AF_INET
    ends = socket.inet_pton(kind, source) + socket.inet_pton(kind, destination)
    number = socket.IPPROTO_TCP if protocol == "tcp" else socket.IPPROTO_UDP

    def body(total: int) -> bytes:
        if protocol == "tcp":
            return struct.pack("!HHIIBBHHH", sport, port, 1, 0, 5 << 4, 2, 1024, total, 0)
        return struct.pack("!HHHH", sport, port, 8 + len(word), total) + word

    size = len(body(0))
    pseudo = ends + struct.pack("!II", size, number)
    content = body(checksum(pseudo + body(0)))
    if kind == socket.AF_INET6:
        return struct.pack("!IHBB", 6 << 28, size, number, 64) + ends + content
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + size, 0, 0, 64, number, 0) + ends + content  # the kernel sums it


def spoof(settings: dict[str, Any]) -> dict[int, list[Any]]:
    """Send each packet three times; return whether this host could."""
    results: dict[int, list[Any]] = {}
    for place, (number, protocol, source, destination, port) in enumerate(settings["spoofed"]):
        kind = socket.AF_INET6 if ":" in destination else socket.AF_INET
        sport = settings["sport"] + settings["sports"] + place % settings["forged"]
        packet = forged(protocol, source, destination, port, sport, settings["token"].encode()[:16])
        try:
            with socket.socket(kind, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
                for _ in range(3):
                    raw.sendto(packet, (destination, 0))
            results[number] = ["sent", "", 0]
        except OSError as error:
            refused = error.errno in (errno.EPERM, errno.EACCES)
            results[number] = ["blocked" if refused else "unsent", os.strerror(error.errno or 0), 0]
    return results


def main(settings: dict[str, Any]) -> None:
    """Send everything and print what came of it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    results = Prober(settings).run()
    results.update(spoof(settings))
    sys.stdout.write(json.dumps(results))
