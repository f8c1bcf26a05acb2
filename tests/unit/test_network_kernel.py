"""What a kernel's rules let pass besides the matrix, read from the JSON of a real nft in a network namespace of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from netaddr import IPAddress
from network_builder import TODAY, hostvars, site

from pgssi.network.counters import ends
from pgssi.network.kernel import Rules, reaches, read, told, touches
from pgssi.network.model import load
from pgssi.network.parts import Block
from pgssi.network.ruleset import compile_host

Live = Callable[..., Rules]
HOOKS = ("input", "forward", "output")


@pytest.fixture
def live(tmp_path: Path) -> Live:
    """``live("srv1", "insert rule …", palier=3)``: the ruleset of a host with these commands on top, as nft tells it."""

    def rules(host: str, *commands: str, palier: int = 3) -> Rules:
        return read(run_nft(tmp_path, host, commands, palier, "nft -j list ruleset"))

    return rules


def run_nft(folder: Path, host: str, commands: Sequence[str], palier: int, show: str) -> str:
    """Load the ruleset of a host, then these commands; return what nft shows."""
    first, then = folder / "first.nft", folder / "then.nft"
    first.write_text(compile_host(load(hostvars(site(palier)), today=TODAY), host), "utf-8")
    then.write_text("".join(f"{command}\n" for command in commands), "utf-8")
    namespace = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    script = f'nft -f "$1" && nft -f "$2" && {show}'
    done = subprocess.run([*namespace, "sh", "-c", script, "-", first, then], capture_output=True, check=False,
                          env={**os.environ, "PATH": f"/usr/sbin:{os.environ['PATH']}"})  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("utf-8", "backslashreplace")


@pytest.mark.parametrize("palier", [2, 3])
@pytest.mark.parametrize("host", ["gw1", "srv1", "ws1"])
def test_compiled_rules_open_nothing_else(live: Live, host: str, palier: int) -> None:
    """What the compiler writes is known, whole, and closed wherever the rules in force close it."""
    rules = live(host, palier=palier)
    assert [rule for hook in HOOKS for rule in rules.openings(hook)] == []
    assert [rules.closed(hook) for hook in ("input", "forward")] == ["", ""]


@pytest.mark.parametrize(
    "statement",
    [
        "ct state vmap { established : accept, related : accept }",
        "ct state vmap { established : jump aside }",
        "tcp dport vmap { 4444 : accept }",
        "tcp dport vmap @verdicts",
        "jump aside",
        "tcp dport 4444 accept",
        "ip saddr . ip daddr @ping4 accept",
        "ip daddr . ip saddr . meta l4proto . th sport @flows4 accept",
        "ip saddr . ip daddr . meta l4proto . th dport @flows4 accept",
        "ct direction original ip daddr . ip saddr . meta l4proto . th sport @flows4 accept",
        "ct direction reply ip saddr . ip daddr . meta l4proto . th dport @windows4 accept",
        "ct state established ct direction reply ip saddr . ip daddr . meta l4proto . th dport @windows4 accept",
        "ct direction original ip saddr . ip daddr . meta l4proto . th sport @flows4 accept",
        "ct direction original ip saddr . ip daddr . meta l4proto . th dport @free accept",
        "ct direction original ip saddr . ip daddr . meta l4proto . th dport { 192.0.2.1 . 192.0.2.2 . tcp . 22 } accept",
        "ct direction original ip saddr . ip daddr . meta l4proto . th dport != @flows4 accept",
        "ct state established,related accept",
        "ct state established icmp type destination-unreachable accept",
        "icmp type echo-request accept",
        "icmp type 8-9 accept",
        "udp sport { 67, 68 } udp dport 68 accept",
        "meta iif != lo accept",
        "ip saddr 192.0.2.1 ip daddr set 192.0.2.2",
        "add @free { ip saddr . ip daddr . meta l4proto . th dport }",
    ],
)
@pytest.mark.parametrize("hook", HOOKS)
def test_every_other_way_in_is_an_opening(live: Live, hook: str, statement: str) -> None:
    """Whatever lets a packet pass without asking the matrix is told, once, however it is written."""
    rules = live(
        "gw1",
        "add chain inet pgssi aside",
        "add rule inet pgssi aside accept",
        "add map inet pgssi verdicts { type inet_service : verdict; flags interval; counter; elements = { 5-6 : accept } }",
        "add set inet pgssi free { type ipv4_addr . ipv4_addr . inet_proto . inet_service; flags dynamic; size 9; }",
        f"insert rule inet pgssi {hook} {statement}",
    )
    assert len(list(rules.openings(hook))) == 1


def test_a_host_that_is_no_gateway_lets_nothing_through(live: Live) -> None:
    """Where nothing may be forwarded, a look-up of the matrix in a chain that is reached is one rule too many."""
    assert list(live("srv1").passing("forward")) == []
    rules = live("srv1", "insert rule inet pgssi forward ct state vmap { established : jump matrix4 }")
    assert list(rules.openings("forward")) == []
    assert len(list(rules.passing("forward"))) == 7


def test_what_lets_nothing_pass_is_none(live: Live) -> None:
    """Counters, refusals and maps of refusals are no openings."""
    rules = live(
        "srv1",
        "insert rule inet pgssi input tcp dport 23 counter reject",
        "insert rule inet pgssi input tcp dport vmap { 21 : drop, 23 : jump refused_input }",
    )
    assert list(rules.openings("input")) == []


def test_a_packet_given_to_a_program_is_an_opening() -> None:
    """A queue lets pass what its program says, or everything without one (this kernel may have no queues: written by hand)."""
    statement = {"queue": {"num": 3, "flags": "bypass"}}
    said = '{"nftables": [{"rule": {"family": "inet", "table": "pgssi", "chain": "input", "expr": [%s]}}]}'
    assert list(read(said % str(statement).replace("'", '"')).openings("input")) == [[statement]]


def test_a_table_asleep_is_not_closed(live: Live) -> None:
    """A dormant table keeps its rules, and filters nothing."""
    assert "sommeil" in live("srv1", "add table inet pgssi { flags dormant; }").closed("input")


@pytest.mark.parametrize(
    ("statement", "reached"),
    [
        ("accept", True),
        ("tcp dport 1-65535 accept", True),
        ("tcp dport { 21, 22 } accept", True),
        ("th dport @some accept", True),
        ("udp dport 22 accept", False),
        ("tcp dport { 80, 100-200 } accept", False),
    ],
)
def test_openings_of_some_ports(live: Live, statement: str, reached: bool) -> None:
    """An opening concerns a port unless it names others."""
    (rule,) = live(
        "srv1", "add set inet pgssi some { type inet_service; }", f"insert rule inet pgssi input {statement}"
    ).openings("input")
    assert reaches(rule, [("tcp", 22, 22)]) is reached


@pytest.mark.parametrize(
    ("end", "touched"),
    [("10.1.2.10", True), ("10.1.2.0/24", True), ("10.1.2.9-10.1.2.11", True), ("10.1.2.11-10.1.2.20", False), ("::/0", False)],
)
def test_an_end_touches_an_address(end: str, touched: bool) -> None:
    """Prefixes and ranges hold an address as well as the address itself does."""
    assert touches(end, Block.of(IPAddress("10.1.2.10"))) is touched


def test_no_rules_at_all_are_not_closed() -> None:
    """A host without a table of ours refuses nothing."""
    assert read('{"nftables": []}').closed("input")


def test_a_window_ends(live: Live) -> None:
    """An element without an end, or with one that is too far, is no window of the site."""
    rules = live(
        "gw1",
        "add element inet pgssi windows4 { 192.0.2.1 . 192.0.2.9 . tcp . 22 timeout 1h }",
        'add element inet pgssi windows4 { 192.0.2.2 . 192.0.2.9 . tcp . 22 comment "expires 5s" }',
        "add element inet pgssi windows6 { 2001:db8::/64 . ::/0 . udp . 9-10 timeout 9h }",
    )
    assert set(rules.endless(8 * 3600)) == {("192.0.2.2", "192.0.2.9", "tcp", "22"), ("2001:db8::/64", "::/0", "udp", "9-10")}


@pytest.mark.parametrize(
    ("element", "window"),
    [
        ("192.0.2.1 . 192.0.2.9 . tcp . 22 counter packets 0 bytes 0 timeout 30s expires 29s952ms", True),
        ('192.0.2.1 . 192.0.2.9 . tcp . 22 timeout 30s expires 29s952ms comment "w"', True),
        ("192.0.2.1 . 192.0.2.9 . tcp . 22 counter packets 0 bytes 0", False),
        ('192.0.2.1 . 192.0.2.9 . tcp . 22 comment "expires 5s"', False),
    ],
)
def test_only_what_ends_excuses_a_packet(element: str, window: bool) -> None:
    """A packet that passes is excused by an element that vanishes by itself, whatever its comment says."""
    assert ends(f"table inet pgssi {{ set windows4 {{ flags interval,timeout elements = {{ {element} }} }} }}".encode()) is window


@pytest.mark.parametrize(
    ("commands", "same"),
    [
        ((), True),
        (("add element inet pgssi windows4 { 192.0.2.1 . 192.0.2.9 . tcp . 22 timeout 1h }",), True),
        (("delete element inet pgssi flows4 { 10.1.1.1 . 10.1.2.10 . tcp . 22 }",
          'add element inet pgssi flows4 { 10.1.1.1 . 10.1.2.10 . tcp . 22 comment "operators" }'), True),
        (("add element inet pgssi flows4 { 192.0.2.1 . 192.0.2.9 . tcp . 22 }",), False),
        (("chain inet pgssi input { policy accept; }",), False),
        (("insert rule inet pgssi link accept",), False),
        (("delete chain inet pgssi forward",), False),
        (("add table inet pgssi { flags dormant; }",), False),
        (("insert rule inet pgssi refused_input counter name refused_noise",), False),
        (("add rule inet pgssi input meta nfproto ipv4 jump matrix4",), False),
    ],
)  # fmt: skip
def test_two_rulesets_are_the_same(tmp_path: Path, commands: Sequence[str], same: bool) -> None:
    """Hooks, policies, and the order and place of each rule count; the order of elements and open windows do not."""
    one, two = (told(run_nft(tmp_path, "srv1", some, 3, "nft -s list table inet pgssi")) for some in ((), commands))
    assert (one == two) is same
