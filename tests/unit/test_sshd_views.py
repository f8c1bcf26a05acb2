"""Which connections an sshd is asked about: no Match block is out of sight, nor hidden behind another, nor misread."""

from __future__ import annotations

import fnmatch
import ipaddress
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from pgssi.verify import NotVerified, sshd_views
from pgssi.verify.facts import Facts
from pgssi.verify.sshd_views import INSIDE, OUTSIDE, Server, View, connections, criteria, read_server, server_views, views

PASSWD = ["root:x:0:0::/root:/bin/sh", "daemon:x:1:1::/:/usr/sbin/nologin", "alice:x:1000:1000::/home/alice:/bin/sh",
          "bob:x:1001:1001::/home/bob:/bin/sh", "carole:x:1002:50::/home/carole:/bin/sh"]  # fmt: skip
GROUPS = ["root:x:0:", "daemon:x:1:", "alice:x:1000:", "bob:x:1001:", "staff:x:50:", "adm:x:4:alice,bob", "adm-ext:x:60:bob"]


class Answers:
    """Facts of a host whose files are these, and whose sshd repeats what it was asked."""

    def __init__(self, files: dict[str, str], listeners: str = "", said: str = "permitrootlogin no") -> None:
        self.files, self.listeners, self.said = files, listeners, said
        self.commands: list[str] = []

    def __call__(self, key: str, command: str) -> str:
        self.commands.append(command)
        if key == "sshd-listeners":
            return self.listeners
        if key.startswith("sshd-file:"):
            pattern = key.removeprefix("sshd-file:")
            return "\n".join(text for path, text in self.files.items() if fnmatch.fnmatchcase(path, pattern))
        return self.said

    def getent(self, database: str) -> list[list[str]]:
        return [line.split(":") for line in {"passwd": PASSWD, "group": GROUPS}[database]]


def asked(config: str, user: str = "", **files: str) -> list[dict[str, str]]:
    """Return the connections that the default server is asked about."""
    paths = {"/etc/ssh/" + name.replace("__", "/") + ".conf": text for name, text in files.items()}
    facts = cast(Facts, Answers({"/etc/ssh/sshd_config": config, **paths}))
    return [view.connection for view in views(facts, user)]


def within(network: str, but: str = "192.0.2.0/32") -> Callable[[dict[str, Any]], bool]:
    """Return what tells a client from one network and not from another."""
    inner, outer = ipaddress.ip_network(but), ipaddress.ip_network(network)
    return lambda c: (client := ipaddress.ip_address(c["addr"])) in outer and client not in inner


def test_a_plain_server_is_asked_twice_about_root() -> None:
    """Without a Match block, root is asked about from inside and from outside."""
    assert asked("Port 22\nPermitRootLogin no\n#Match User alice\n") == [
        {"user": "root", "host": "localhost", "addr": INSIDE},
        {"user": "root", "host": "localhost", "addr": OUTSIDE},
    ]
    assert asked("PermitRootLogin no\nMatch all\n  PermitRootLogin yes\n") == asked("")


@pytest.mark.parametrize(
    ("config", "reaches"),
    [
        ("Match User alice\n", lambda c: c["user"] == "alice"),
        ("match user alice\n", lambda c: c["user"] == "alice"),
        ("Match=User alice\n", lambda c: c["user"] == "alice"),
        ("Match = User=alice\n", lambda c: c["user"] == "alice"),
        ('\t "Match"\tUser\t"alice"\r\n', lambda c: c["user"] == "alice"),
        ("Match User 'alice' # and nobody else\n", lambda c: c["user"] == "alice"),
        ('Match User "dom\\alice"\n', lambda c: c["user"] == "dom\\alice"),
        ("Match User dom\\alice\n", lambda c: c["user"] == "dom\\alice"),
        ('Match User "al ice" Address 10.1.2.3\n', lambda c: c["user"] == "al ice" and c["addr"] == "10.1.2.3"),
        ("Match invalid-user Address 10.1.2.3\n", lambda c: c["addr"] == "10.1.2.3"),
        ("Match Version *,x Address 10.1.2.3\n", lambda c: c["addr"] == "10.1.2.3"),
        ("Match User !root,*\n", lambda c: c["user"] != "root"),
        ("Match User !x*,!q*,!root,z*\n", lambda c: c["user"].startswith("z")),
        ("Match User al?ce,b*\n", lambda c: c["user"] in ("alice", "bob")),
        ("Match User alice\nMatch User alice,bob\n", lambda c: c["user"] == "bob"),
        ("Match User alice,root,daemon\nMatch User *\n", lambda c: c["user"] not in ("alice", "root", "daemon")),
        ("Match Group adm\n", lambda c: c["user"] in ("alice", "bob")),
        ("Match Group adm\nMatch Group adm-ext\n", lambda c: c["user"] == "bob"),
        ("Match Group adm*,!adm-ext\n", lambda c: c["user"] == "alice"),
        ("Match Group absent,staff\n", lambda c: c["user"] == "carole"),
        ("Match User bob\nMatch Group adm\n", lambda c: c["user"] == "alice"),
        ("Match Host *.Example.ORG\n", lambda c: c["host"].endswith(".example.org")),
        ("Match Host localhost\nMatch Host *\n", lambda c: c["host"] != "localhost"),
        ("Match LocalPort 2222\n", lambda c: c["lport"] == "2222"),
        ("Match LocalPort 22\nMatch LocalPort 2222\n", lambda c: c["lport"] not in ("22", "2222")),
        ("Match LocalAddress 10.9.8.7\n", lambda c: c["laddr"] == "10.9.8.7"),
        ("Match RDomain vrf-blue\n", lambda c: c["rdomain"] == "vrf-blue"),
        (
            "Match User alice Address 10.0.0.0/8 LocalPort 443\n",
            lambda c: c["user"] == "alice" and within("10.0.0.0/8")(c) and c["lport"] == "443",
        ),
        ("Match User alice\nMatch Address 10.0.0.0/8\n", lambda c: c["user"] == "root" and within("10.0.0.0/8")(c)),
        ("Match User root Address 192.0.2.7,127.0.0.1\n", lambda c: c["user"] == "root" and c["addr"] not in (INSIDE, OUTSIDE)),
        ("Match Address 10.0.0.1\nMatch Address 10.0.0.1,10.0.0.2\n", lambda c: c["addr"] == "10.0.0.2"),
        ("Match Address 10.0.0.1\nMatch Address 10.0.0.0/8\n", within("10.0.0.0/8", "10.0.0.1/32")),
        ("Match Address 10.0.0.0/9\nMatch Address 10.0.0.0/8\n", within("10.128.0.0/9")),
        ("Match Address !10.0.0.0/25,10.0.0.0/24\n", within("10.0.0.128/25")),
        ("Match Address 0.0.0.0/0\nMatch all\n", within("::/0")),
        ("Match Address fd00::/8\n", within("fd00::/8")),
        ("Match Address 192.168.*\n", within("192.168.0.0/16")),
        ("Match Address 192.168.1*\n", lambda c: c["addr"].startswith("192.168.1")),
        ("Match Address 10.0.?.1\n", lambda c: c["addr"] == "10.0.1.1"),
        ("Match Address fd00:1:*\n", lambda c: c["addr"].startswith("fd00:1:")),
    ],
)
def test_each_block_has_a_connection_of_its_own(config: str, reaches: Callable[[dict[str, str]], bool]) -> None:
    """However a Match line is written, and whatever stands before it, somebody whom it alone is about is asked about."""
    assert any(map(reaches, asked(config)))


def test_a_login_that_is_given_is_the_only_one() -> None:
    """Whoever asks about root gets root from everywhere, even for blocks about others."""
    found = asked("Match User alice\nMatch Group adm\nMatch Address 10.0.0.0/8\n", "root")
    assert {c["user"] for c in found} == {"root"} and any(map(within("10.0.0.0/8"), found))


@pytest.mark.parametrize("include", [
    "Include other.conf",
    "include /etc/ssh/other.conf",
    "Include=other.conf",
    "Include absent.conf other.conf # and the rest",
    'Include "/etc/ssh/other.conf"',
    "Include /etc/ssh/oth*.conf",
    "Match User nobody\nInclude other.conf",
    "Include chain0.conf",
])  # fmt: skip
def test_included_blocks_are_seen(include: str) -> None:
    """Blocks of included files count, sixteen files deep as for sshd."""
    chain = {f"chain{n}": f"Include chain{n + 1}.conf\n" for n in range(13)} | {"chain13": "Include other.conf\n"}
    assert any(c["user"] == "bob" for c in asked(include + "\n", other="Match User bob\n", **chain))


def test_a_loop_of_includes_ends() -> None:
    """Files that include themselves or each other, which sshd refuses, are read all the same, once."""
    assert len(asked("Include sshd_config a.conf a.conf\n" * 9, a="Include *.conf sshd_config\nMatch User bob\n" * 9)) == 4


@pytest.mark.parametrize(
    ("path", "names"),
    [("*.conf", ["a.conf", "b.conf"]), ("my dir/*.conf", ["my dir/c.conf"]), ("$(touch x);.conf", ["$(touch x);.conf"])],
)
def test_files_are_read_on_the_host_one_by_one(path: str, names: list[str], tmp_path: Path) -> None:
    """Patterns stand for files, other signs for themselves; a file without a last line feed does not swallow the next."""

    def run(_: str, command: str) -> str:
        return subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True, cwd=tmp_path).stdout

    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"Match User {name[-6]}", "utf-8")
    lines = sshd_views._lines(cast(Facts, run), f"{tmp_path}/{path}")
    assert criteria(lines) == {"user": [name[-6] for name in names]}
    assert not (tmp_path / "x").exists()


def test_too_many_mixes_are_never_passed_over() -> None:
    """A configuration that tells apart more than can be asked about ends the test without a verdict."""
    users = "".join(f"Match User u{n}\n" for n in range(40))
    with pytest.raises(NotVerified):
        asked(users + "".join(f"Match Address 10.{n}.0.1\n" for n in range(20)))
    assert len(asked(users)) == 2 * 41


@pytest.mark.parametrize(
    ("title", "options", "config"),
    [
        ("sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", (), "/etc/ssh/sshd_config"),
        ("sshd: /usr/sbin/sshd -D -p 2222 -f /root/x [listener] 0 of 10", ("-p", "2222", "-f", "/root/x"), "/root/x"),
        ("sshd: /usr/sbin/sshd -Df/root/x [listener] 0 of 10", ("-f", "/root/x"), "/root/x"),
        ("sshd: /usr/sbin/sshd -f /a -E /var/log/x -ddd -f /b [listener] 0", ("-f", "/a", "-f", "/b"), "/b"),
        ("sshd: /usr/sbin/sshd -o PermitRootLogin yes -D [listener] 0", ("-o", "PermitRootLogin yes"), "/etc/ssh/sshd_config"),
        ("sshd: /usr/sbin/sshd -oPermitRootLogin=yes -u0 -g 0 [listener] 0", ("-o", "PermitRootLogin=yes", "-g", "0"), None),
        (
            "sshd: /usr/sbin/sshd -o Banner /x [listener] -f /root/x [listener] 0",
            ("-o", "Banner /x [listener]", "-f", "/root/x"),
            "/root/x",
        ),
    ],
)
def test_options_of_a_running_server(title: str, options: tuple[str, ...], config: str | None) -> None:
    """The title of the process tells which settings the server was started with, and from which file."""
    assert read_server(title) == Server(options, config or sshd_views.DEFAULT)


def test_each_running_server_is_asked_with_its_own_options() -> None:
    """A second server is asked for itself, with its own file and the Match blocks of that file."""
    titles = "sshd: /usr/sbin/sshd -D [listener] 0 of 10\nsshd: /usr/sbin/sshd -f /root/it's [listener] 0 of 10\n"
    facts = Answers({"/root/it's": "Match User bob\n"}, titles)
    seen = views(cast(Facts, facts))
    assert [view.server.config for view in seen] == ["/etc/ssh/sshd_config"] * 2 + ["/root/it's"] * 4
    assert "/usr/sbin/sshd -T -f '/root/it'\"'\"'s' -C addr=127.0.0.1,host=localhost,user=bob" in facts.commands
    assert str(seen[-1]) == "-f /root/it's (user bob, addr 192.0.2.7)"


def test_a_server_that_does_not_run_can_be_asked() -> None:
    """A configuration that no server uses now is asked about like the others, Match blocks included."""
    facts = Answers({"/etc/autre": "Match Address 203.0.113.0/24\n  DisableForwarding no\n"})
    seen = server_views(cast(Facts, facts), Server(("-f", "/etc/autre"), "/etc/autre"))
    assert {view.connection["addr"] for view in seen} == {INSIDE, OUTSIDE, "203.0.113.0"}
    assert "/usr/sbin/sshd -T -f /etc/autre -C addr=203.0.113.0,host=localhost,user=root" in facts.commands


def test_what_sshd_answers_is_kept_whole() -> None:
    """Values are what sshd prints, repeated keywords joined; what it does not say, or a refusal to answer, is empty."""
    said = "PermitRootLogin without-password\ndenygroups a\ndenygroups b\nauthenticationmethods publickey,password publickey\n"
    view = views(cast(Facts, Answers({}, said=said)))[0]
    assert view.get("permitrootlogin") == "without-password"
    assert view.get("denygroups").split() == ["a", "b"]
    assert view.get("authenticationmethods") == "publickey,password publickey"
    assert views(cast(Facts, Answers({}, said="")))[0].get("permitrootlogin") == ""


def test_lists_that_name_nobody() -> None:
    """A list of exceptions alone names nobody, as for sshd; two accounts that no list tells apart are one."""
    found = connections({"user": ["!alice"], "group": ["!adm"]}, {"alice": {"adm"}, "bob": set(), "carole": set()})
    assert {c["user"] for c in found} == {"root", "alice"}


@pytest.mark.parametrize(
    ("lists", "admitted"),
    [
        ({}, True),
        ({"allowgroups": "backup"}, True),
        ({"allowgroups": "staff"}, False),
        ({"allowgroups": "staff b*"}, True),
        ({"denygroups": "staff backup"}, False),
        ({"allowusers": "alice@10.0.0.1"}, True),
        ({"allowusers": "bob"}, False),
        ({"denyusers": "al?ce"}, False),
        ({"denyusers": "alice@10.0.0.1"}, True),
        ({"allowusers": "alice", "allowgroups": "staff"}, False),
    ],
)
def test_whom_a_server_lets_in(lists: dict[str, str], admitted: bool) -> None:
    """Every list must let the login in; a place is no protection, since the intruder chooses it."""
    assert View(Server(), {}, lists).admits("alice", {"alice", "backup"}) is admitted
