"""Settings of every SSH server that runs on a host, as sshd itself resolves them for each kind of connection.

``sshd -T`` tells what holds for one connection of the default configuration. A host may run a second server, start
the first with options of its own, or hold Match blocks that a single question never meets, or that an earlier block
hides from it; here each running server is asked once for every mix of connections that its Match blocks tell apart.
Source: sshd_config(5), sshd(8), OpenSSH 9.2 to 9.9.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import math
import re
import shlex
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass, field

from pgssi.verify import not_verified
from pgssi.verify.facts import Facts

# The title of a listening sshd keeps its command line, whatever its file is called.
LISTENERS = (
    r"""for f in $(grep -las ' \[listener\] [0-9]' /proc/[0-9]*/cmdline); do tr '\0' ' ' < $f; echo; done 2>/dev/null; """
    # The default server, when systemd starts it for each connection.
    "systemctl -q is-active ssh.socket 2>/dev/null && echo 'sshd: /usr/sbin/sshd [listener] 0'; true"
)
DEFAULT = "/etc/ssh/sshd_config"
INSIDE, OUTSIDE, OUTSIDE6 = "127.0.0.1", "192.0.2.7", "2001:db8::7"
LIMIT, DEPTH = 500, 16  # of questions to one server; of includes, as sshd
KEPT = ("-f", "-o", "-p", "-g", "-h")  # options of sshd(8) that change what -T prints, or let it run
OPTION = re.compile(r"-[46DdeGiqRrTtV]*(?:([CEbcfghkopu])(.*))?")
CRITERIA = {
    "user": "user", "group": "group", "host": "host", "address": "addr", "localaddress": "laddr", "localport": "lport",
    "rdomain": "rdomain",
}  # fmt: skip
ALONE = ("all", "invalid-user")
# A line of sshd_config: keyword, and the rest after blanks or one "="; then words of that, and what they are made of.
DIRECTIVE = re.compile(r'"?([^ \t"=#]+)"?(?:[ \t]*=[ \t]*|[ \t]*)(.*)')
_QUOTED = r"""\"(?:\\["'\\]|[^"])*"|'(?:\\["'\\]|[^'])*'"""
WORD = re.compile(rf"""(?:\\["'\\ ]|{_QUOTED}|[^ \t"'])+""")
PART = re.compile(rf"""\\(["'\\ ])|({_QUOTED})|([^"'])""")


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

    def admits(self, login: str, groups: Collection[str]) -> bool:
        """Return whether the lists of users and groups let a login in, from a place that suits whoever tries.

        groups: all groups of the login, the primary one included. Source: sshd_config(5), where ``!`` means nothing here.
        """
        deny, allow, deny_groups, allow_groups = (
            self.get(keyword).split() for keyword in ("denyusers", "allowusers", "denygroups", "allowgroups")
        )
        if any(_like(login, pattern) for pattern in deny):
            return False
        if allow and not any(_like(login, pattern.partition("@")[0]) for pattern in allow):
            return False
        if any(_like(group, pattern) for pattern in deny_groups for group in groups):
            return False
        return not allow_groups or any(_like(group, pattern) for pattern in allow_groups for group in groups)

    def __str__(self) -> str:
        """Say which server and which connection, briefly."""
        asked = ", ".join(f"{key} {value}" for key, value in self.connection.items() if value != "localhost")
        return f"{self.server.label() or 'sshd'} ({asked})"


def read_server(title: str) -> Server:
    """Return the server whose process title this is: ``sshd: /usr/sbin/sshd -D -p 22 [listener] 0 of 10-100``."""
    options: list[str] = []
    config, letter = DEFAULT, ""
    for word in title.rpartition(" [listener]")[0].split()[2:]:
        found = OPTION.fullmatch(word)
        if letter and not options[-1]:
            options[-1] = word
        elif found:
            letter = found[1] or ""
            options += [f"-{letter}", found[2]] if letter else []
        elif letter == "o":  # the title has lost the quotes around its value
            options[-1] += f" {word}"
    kept = [(flag, value) for flag, value in zip(options[::2], options[1::2], strict=True) if flag in KEPT]
    for flag, value in kept:
        config = value if flag == "-f" else config
    return Server(tuple(itertools.chain(*kept)), config)


def servers(facts: Facts) -> list[Server]:
    """Return the running servers; the default one when none listens (started by a socket)."""
    found = [read_server(line) for line in facts("sshd-listeners", LISTENERS).splitlines()]
    return list(dict.fromkeys(found)) or [Server()]


def _arguments(text: str) -> list[str]:
    """Cut the arguments of a keyword as sshd does: at blanks, save in quotes, up to a comment."""
    found = []
    for word in WORD.findall(text):
        if word.startswith("#"):
            break
        parts = PART.findall(word)
        found.append(
            "".join(bare or escaped or re.sub(r"""\\(["'\\])""", r"\1", quoted[1:-1]) for escaped, quoted, bare in parts)
        )
    return found


def _lines(facts: Facts, path: str, within: tuple[str, ...] = ()) -> Iterator[tuple[str, list[str]]]:
    """Return each keyword in lower case and its arguments, included files in place. path may be a pattern of glob(3)."""
    safe = re.sub(r"[^\w./*?\[\]!^@%+:,-]", r"\\\g<0>", path)
    for raw in facts(f"sshd-file:{path}", f'for f in {safe}; do cat "$f"; echo; done 2>/dev/null; true').split("\n"):
        found = DIRECTIVE.match(raw.strip(" \t\r\f"))
        if not found:
            continue
        keyword, arguments = found[1].lower(), _arguments(found[2])
        if keyword == "include":
            for name in (name if name.startswith("/") else f"/etc/ssh/{name}" for name in arguments):
                if name not in (*within, path) and len(within) < DEPTH:
                    yield from _lines(facts, name, (*within, path))
        else:
            yield keyword, arguments


def criteria(lines: Iterable[tuple[str, list[str]]]) -> dict[str, list[str]]:
    """Return the lists of patterns that the Match lines of a configuration compare with, by part of a connection."""
    found: dict[str, list[str]] = {}
    for keyword, arguments in lines:
        words = iter(arguments if keyword == "match" else ())
        for word in words:
            name, equals, value = word.partition("=")
            if name.lower() not in ALONE:
                value = value if equals else next(words, "")
                found.setdefault(CRITERIA.get(name.lower(), ""), []).append(value)
    return {part: list(dict.fromkeys(lists)) for part, lists in found.items() if part}


def _like(value: str, pattern: str) -> bool:
    return bool(re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), value, re.DOTALL))


def _like_host(value: str, pattern: str) -> bool:
    return _like(value, pattern.lower())


def _like_address(value: str, pattern: str) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return _like(value, pattern)


def _listed(value: str, patterns: str, like: Callable[[str, str], bool]) -> bool | None:
    """Tell whether a list of patterns names the value; None when it does to leave it out."""
    named = [pattern for pattern in patterns.split(",") if like(value, pattern.removeprefix("!"))]
    return None if any(pattern.startswith("!") for pattern in named) else bool(named)


def _names(lists: Iterable[str]) -> list[str]:
    """Return names that the patterns are about."""
    patterns = [pattern.removeprefix("!") for each in lists for pattern in each.split(",")]
    return [p.replace("?", fill[:1] or "x").replace("*", fill) for p in patterns for fill in ("x", "", "q7")]


def _addresses(lists: Iterable[str]) -> list[str]:
    """Return the first address of each network, and the first beyond: no list can tell others apart; samples of wildcards."""
    found = []
    for pattern in (pattern.removeprefix("!") for each in lists for pattern in each.split(",")):
        tried = [
            pattern.replace("?", "1").replace("*", fill) for fill in ("1", "1.1", "1.1.1", "1.1.1.1", "", ".1", "1::1", ":1")
        ]
        with contextlib.suppress(ValueError):
            network = ipaddress.ip_network(pattern, strict=False)
            tried = [str(network.network_address)]
            tried.append(str(network.broadcast_address + 1))
        for address in tried:
            with contextlib.suppress(ValueError):
                found.append(str(ipaddress.ip_address(address)))
    return found


def _distinct(always: list[str], others: Iterable[str], tell: Callable[[str], Hashable]) -> list[str]:
    """Return what is always asked, and one of the others for each answer of ``tell`` that is still missing."""
    first: dict[Hashable, str] = {}
    for value in (*always, *(other for other in others if other and "," not in other)):
        first.setdefault(tell(value), value)
    return list(dict.fromkeys((*always, *first.values())))


def connections(compared: dict[str, list[str]], groups: dict[str, set[str]], user: str = "") -> list[dict[str, str]]:
    """Return connections that differ for the Match lines, in every mix. groups: those of each account."""
    lists = {part: compared.get(part, []) for part in CRITERIA.values()}

    def account(login: str) -> Hashable:
        by_name = [_listed(login, patterns, _like) for patterns in lists["user"]]
        by_group = [{_listed(group, patterns, _like) for group in groups.get(login, ())} for patterns in lists["group"]]
        return (*by_name, *(True in answers and None not in answers for answers in by_group))

    def choices(part: str, always: list[str], others: Iterable[str], like: Callable[[str, str], bool] = _like) -> list[str]:
        return _distinct(always, others, lambda value: tuple(_listed(value, patterns, like) for patterns in lists[part]))

    mixed = {
        "user": [user] if user else _distinct(["root"], [*groups, *_names(lists["user"])], account),
        "host": choices("host", ["localhost"], map(str.lower, [*_names(lists["host"]), "q7.invalid"]), _like_host),
        "addr": choices("addr", [INSIDE, OUTSIDE], [*_addresses(lists["addr"]), OUTSIDE6], _like_address),
        "laddr": choices("laddr", [INSIDE], [*_addresses(lists["laddr"]), OUTSIDE6], _like_address),
        "lport": choices("lport", ["22"], [*filter(str.isdigit, lists["lport"]), "65535"]),
        "rdomain": choices("rdomain", ["q7"], _names(lists["rdomain"])),
    }
    mixed = {part: values for part, values in mixed.items() if part in ("user", "host", "addr") or lists[part]}
    if math.prod(map(len, mixed.values())) > LIMIT:
        not_verified("la configuration de sshd distingue trop de connexions pour que toutes soient essayées")
    return [dict(zip(mixed, values, strict=True)) for values in itertools.product(*mixed.values())]


def views(facts: Facts, user: str = "") -> list[View]:
    """Return what each running server answers, as ``server_views`` does."""
    return [view for server in servers(facts) for view in server_views(facts, server, user)]


def server_views(facts: Facts, server: Server, user: str = "") -> list[View]:
    """Return what a server answers: from inside, from outside, and to whatever else its Match blocks tell apart.

    It need not run. user: the login to ask about, even for blocks about another; without it, root and those that blocks name.
    """
    primary = {entry[0]: entry[3] for entry in facts.getent("passwd") if len(entry) > 3}
    named = [entry for entry in facts.getent("group") if len(entry) > 3]
    groups = {login: {g[0] for g in named if login in g[3].split(",") or gid == g[2]} for login, gid in primary.items()}
    compared = criteria(_lines(facts, server.config))
    return [View(server, asked, _ask(facts, server, asked)) for asked in connections(compared, groups, user)]


def _ask(facts: Facts, server: Server, connection: dict[str, str]) -> dict[str, str]:
    asked = ",".join(f"{key}={value}" for key, value in sorted(connection.items()))
    command = " ".join(["/usr/sbin/sshd", "-T", *map(shlex.quote, server.options), "-C", shlex.quote(asked)])
    settings: dict[str, str] = {}
    for line in facts(f"sshd:{command}", command).splitlines():
        keyword, _, value = line.strip().partition(" ")
        keyword = keyword.lower()  # later versions write PermitRootLogin
        settings[keyword] = f"{settings[keyword]} {value}" if keyword in settings else value
    return settings
