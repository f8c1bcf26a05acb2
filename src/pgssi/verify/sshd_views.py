"""Settings of every SSH server that runs on a host, as sshd itself resolves them for each kind of connection.

``sshd -T`` tells what holds for one connection of the default configuration. A host may run a second server, start
the first with options of its own, or hold Match blocks that a single question never meets; here each running server
is asked once for every Match block of its configuration, with a connection that the block is about.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from pgssi.verify.facts import Facts

# The title of a listening sshd keeps its command line, whatever its file is called.
LISTENERS = (
    r"""for f in $(grep -las ' \[listener\] [0-9]' /proc/[0-9]*/cmdline); do tr '\0' ' ' < $f; echo; done 2>/dev/null; true"""
)
DEFAULT = "/etc/ssh/sshd_config"
INSIDE, OUTSIDE = "127.0.0.1", "192.0.2.7"
LIMIT = 60
_KEPT = "fopchHbC46iqteD"  # options of sshd(8)


@dataclass(frozen=True)
class Server:
    """One running server. options: those of its command line that change its settings; config: its file."""

    options: tuple[str, ...] = ()
    config: str = DEFAULT

    def label(self) -> str:
        """Return what tells it from the default one, empty for the default one."""
        return " ".join(self.options)


@dataclass(frozen=True)
class View:
    """What one server answers to one kind of connection; settings by lower-case keyword."""

    server: Server
    connection: dict[str, str]
    settings: dict[str, str] = field(default_factory=dict)

    def get(self, keyword: str) -> str:
        """Return the value of a keyword, empty when sshd says nothing."""
        return self.settings.get(keyword, "")

    def __str__(self) -> str:
        """Say which server and which connection, briefly."""
        asked = ", ".join(f"{key} {value}" for key, value in self.connection.items() if key != "host")
        return f"{self.server.label() or 'sshd'} ({asked})"


def read_server(title: str) -> Server:
    """Return the server whose process title this is: ``sshd: /usr/sbin/sshd -D -p 22 [listener] 0 of 10-100``."""
    words = title.partition(" [listener]")[0].split()[1:]
    options: list[str] = []
    config, keep = DEFAULT, ""
    for word in words[1:]:
        if re.fullmatch(rf"-[{_KEPT}]+\S*", word):
            match = re.match(r"-[46iqteD]*([fopchHbC]?)(.*)", word)
            letter, value = (match[1], match[2]) if match else ("", "")
            keep = letter if letter in ("f", "o", "p") else ""
            if keep:
                options.append(f"-{letter}")
                if value:
                    options.append(value)
        elif keep:
            options = [*options[:-1], f"{options[-1]} {word}"] if not options[-1].startswith("-") else [*options, word]
    for flag, value in zip(options[::2], options[1::2], strict=False):
        config = value if flag == "-f" else config
    return Server(tuple(options), config)


def servers(facts: Facts) -> list[Server]:
    """Return the running servers; the default one when none listens (started by a socket)."""
    found = [read_server(line) for line in facts("sshd-listeners", LISTENERS).splitlines()]
    return list(dict.fromkeys(found)) or [Server()]


def _lines(facts: Facts, path: str, depth: int = 0) -> Iterator[str]:
    safe = path if re.fullmatch(r"[\w./*?\[\]@%+:,-]+", path) else shlex.quote(path)
    for raw in facts(f"sshd-file:{path}", f"cat {safe} 2>/dev/null; true").splitlines():
        words = raw.strip().replace('"', "").replace("=", " ", 1).split()
        if words and words[0].lower() == "include" and depth < 8:
            for name in words[1:]:
                yield from _lines(facts, name if name.startswith("/") else f"/etc/ssh/{name}", depth + 1)
        elif words and not words[0].startswith("#"):
            yield raw


def _address(pattern: str) -> str:
    try:
        network = ipaddress.ip_network(pattern, strict=False)
        return str(network.network_address + (1 if network.num_addresses > 2 else 0))
    except ValueError:
        return pattern.replace("*", "7").replace("?", "7")


def _sample(patterns: str, kind: str) -> str:
    """Return something that the first positive pattern of a Match criterion is about."""
    wanted = next((p for p in patterns.split(",") if p and not p.startswith("!")), "")
    return _address(wanted) if kind in ("addr", "laddr") else wanted.replace("*", "x").replace("?", "x")


def matches(lines: Iterator[str], members: dict[str, str]) -> list[dict[str, str]]:
    """Return a connection for each Match block. members: someone of each group, by group name."""
    keys = {"user": "user", "host": "host", "address": "addr", "localaddress": "laddr", "localport": "lport"}
    found = []
    for line in lines:
        words = line.strip().replace('"', "").replace("=", " ").split()
        if words[0].lower() != "match":
            continue
        connection = {}
        for criterion, value in zip(words[1::2], words[2::2], strict=False):
            if criterion.lower() in keys:
                key = keys[criterion.lower()]
                connection[key] = _sample(value, key)
            elif criterion.lower() == "group":
                connection["user"] = next((members[g] for g in value.split(",") if members.get(g)), "")
        found.append({key: value for key, value in connection.items() if value})
    return [connection for connection in found if connection]


def views(facts: Facts, user: str = "") -> list[View]:
    """Return what each server answers: from inside, from outside, and to each of its Match blocks.

    user: the login to ask about, even for blocks about another; without it, root or the one that a block names.
    """
    by_number = {entry[3]: entry[0] for entry in facts.getent("passwd") if len(entry) > 3}
    groups = [entry for entry in facts.getent("group") if len(entry) > 3]
    members = {g[0]: g[3].split(",")[0] or by_number.get(g[2], "") for g in groups}
    found = []
    for server in servers(facts):
        asked: list[dict[str, str]] = [{"addr": INSIDE}, {"addr": OUTSIDE}, *matches(_lines(facts, server.config), members)]
        whole = [{"user": "root", "host": "localhost", "addr": INSIDE} | c | ({"user": user} if user else {}) for c in asked]
        for connection in [dict(pairs) for pairs in dict.fromkeys(tuple(sorted(c.items())) for c in whole)][:LIMIT]:
            found.append(View(server, connection, _ask(facts, server, connection)))
    return found


def _ask(facts: Facts, server: Server, connection: dict[str, str]) -> dict[str, str]:
    criteria = ",".join(f"{key}={value}" for key, value in sorted(connection.items()))
    command = " ".join(["/usr/sbin/sshd", "-T", *map(shlex.quote, server.options), "-C", shlex.quote(criteria)])
    settings: dict[str, str] = {}
    for line in facts(f"sshd:{command}", command).splitlines():
        keyword, _, value = line.strip().partition(" ")
        settings[keyword] = f"{settings[keyword]} {value}" if keyword in settings else value
    return settings
