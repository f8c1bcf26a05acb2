"""Windows become openings: names that collide with nothing, wires on the hosts of the path and on no other."""

from __future__ import annotations

import importlib.util
from importlib.machinery import SourceFileLoader
from itertools import product
from types import ModuleType

import pytest
from remote_builder import NOW, remote, request

from pgssi.paths import ROLES
from pgssi.remote.model import account_name, codes, host_view, relay_name
from pgssi.remote.opening import openings, targets
from pgssi.remote.request import windows
from pgssi.remote.session import shown


def test_names_are_short_and_never_the_same() -> None:
    """Accounts of all pairs, and relays, are different logins of at most 32 characters, whatever the names look like."""
    words = [
        "irm1",
        "a",
        "a-b",
        "a_b",
        "b",
        "b-c",
        "b_c",
        "scanner-radiologie-etage-2",
        "scanner-radiologie-etage-3",
        "IRM1",
        "i.r.m",
    ]
    names = [account_name(*pair) for pair in product(words, words)] + [relay_name(word) for word in words]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 32 and name.isascii() for name in names)
    assert account_name("irm1", "acme-jdurand") == "rm-irm1_acme-jdurand"


def test_a_window_opens_its_path_and_nothing_else() -> None:
    """Each host of the path gets its own wires, over both versions of IP; a supplier's network stays a network."""
    site = remote()
    (window,) = windows(site, [request()], [], NOW)
    found = openings(site, window)
    assert set(found) == {"bastion1", "gw1"}
    inward = [["203.0.113.8/29", "10.0.9.10", "tcp", 2222], ["2001:db8::/64", "fd00:0:0:9::a", "tcp", 2222]]
    onward = [["10.0.9.10", "10.0.7.10", "tcp", 22], ["fd00:0:0:9::a", "fd00:0:0:7::a", "tcp", 22]]
    assert found["bastion1"]["wires"] == inward + onward
    assert found["gw1"]["wires"] == inward + onward
    assert "login" not in found["gw1"]


def test_managed_equipment_opens_for_the_gateway_only() -> None:
    """A managed host opens to the bastion's addresses, on its declared port, for its maintenance account."""
    site = remote()
    (window,) = windows(site, [request(equipment="dpi1")], [], NOW)
    opening = openings(site, window)["dpi1"]
    assert opening["wires"] == [["10.0.9.10", "10.0.2.10", "tcp", 2200], ["fd00:0:0:9::a", "fd00:0:0:2::a", "tcp", 2200]]
    assert opening["login"] == "maint-acme"
    assert targets(site) == ["bastion1", "gw1", "dpi1"]


def test_each_host_knows_its_part() -> None:
    """A bastion knows every account, equipment its own, a gateway none; secrets go to the bastion alone."""
    site = remote()
    bastion, gateway, server = (host_view(site, name, [group]) for name, group in
                                (("bastion1", "bastions"), ("gw1", "gateways"), ("dpi1", "servers")))  # fmt: skip
    assert bastion["functions"] == ["bastion"] and len(bastion["accounts"]) == 4
    assert gateway["functions"] == ["gateway"] and not gateway["accounts"]
    assert server["functions"] == ["equipment"] and server["logins"] == ["maint-acme"]
    assert server["bastion_addresses"] == ["10.0.9.10", "fd00:0:0:9::a"] and server["principal"] == "rm-dpi1"
    suppliers = site.site["site_suppliers"]
    suppliers["acme"]["people"][0]["totp_secret"] = "jbsw y3dp"
    assert codes(remote(site_suppliers=suppliers), ["bastions"])["rm-irm1_jdurand"] == "JBSWY3DP"
    assert codes(remote(site_suppliers=suppliers), ["gateways"]) == {}


def test_list_shows_what_the_kernel_holds() -> None:
    """The list tells the time left on each host, a host that closed, and one that does not answer."""
    site = remote()
    (window,) = windows(site, [request()], [], NOW)
    found, now = openings(site, window), window.start + 60
    keys = [" . ".join(map(str, wire)) for wire in found["gw1"]["wires"]]
    held = {"table": True, "elements": [{"key": key, "expires": 7140} for key in keys]}
    states = {
        "bastion1": {"now": now, "windows": [found["bastion1"]], "wire": held},
        "gw1": {"now": now, "windows": [found["gw1"]], "wire": {"table": True, "elements": []}},
        "dpi1": {},
    }
    lines = shown(site, states)
    assert "encore 1 h 59 min 00 s" in lines[0] and "bastion1 7140 s, gw1 fermé" in lines[0]
    assert lines[1] == "dpi1 : sans réponse"
    assert "à fermer partout" in shown(site, {**states, "bastion1": {**states["bastion1"], "windows": []}})[0]


@pytest.fixture(scope="module")
def refusals() -> ModuleType:
    path = str(ROLES / "remote_maintenance" / "files" / "pgssi-remote-refusals")
    spec = importlib.util.spec_from_loader("refusals", SourceFileLoader("refusals", path))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.people = lambda: {"rm-irm1_jdurand": {"person": "jdurand", "equipment": "irm1"}}
    return module


WHO = "rm-irm1_jdurand from 203.0.113.9 port 4000 ssh2"
CLOSED = "Connection closed by authenticating user rm-irm1_jdurand 203.0.113.9 port 4000 [preauth]"
OPENED = (f"Accepted publickey for {WHO}: ED25519-CERT SHA256:x", "User child is on pid 8")
ASKED = "8:debug1: session.c:session_input_channel_req():2192 (bin=sshd-session, pid=8): session 0 req"
HEARD = {
    "outside a window": (
        "User rm-irm1_jdurand from 203.0.113.9 not allowed because account is locked",
        "Connection closed by invalid user rm-irm1_jdurand 203.0.113.9 port 4000 [preauth]",
    ),
    "wrong one-time code": (
        f"Partial publickey for {WHO}: ED25519-CERT SHA256:x",
        f"Postponed keyboard-interactive for {WHO} [preauth]",
        "error: PAM: Authentication failure for rm-irm1_jdurand from 203.0.113.9",
        f"Failed keyboard-interactive/pam for {WHO}",
        CLOSED,
    ),
    "one-time code missing": (f"Partial publickey for {WHO}: ED25519-CERT SHA256:x", CLOSED),
    "expired certificate": ("error: Certificate invalid: expired", f"Failed publickey for {WHO}: ED25519-CERT", CLOSED),
    "certificate of another person or equipment": ("error: Certificate invalid: name is not a listed principal", CLOSED),
    "no valid certificate": (f"Failed publickey for {WHO}: ED25519 SHA256:x", CLOSED),
    "port forward to 10.0.7.10:22": (
        *OPENED,
        "8:refused local port forward: originator 127.0.0.1 port 65535, target 10.0.7.10 port 22",
    ),
    "agent": (*OPENED, f"{ASKED} auth-agent-req@openssh.com"),
    "remote display": (*OPENED, f"{ASKED} x11-req"),
}


@pytest.mark.parametrize("reason", HEARD)
def test_refusals_are_named(refusals: ModuleType, reason: str) -> None:
    """What sshd says of one refused attempt becomes one line with person, equipment, source and reason."""
    watch, messages = refusals.Watch(), HEARD[reason]
    said = [watch.hear("8", text[2:]) if text.startswith("8:") else watch.hear("7", text) for text in messages]
    assert [line for line in said if line] == [
        f'decision=refused reason="{reason}" person=jdurand account="rm-irm1_jdurand" target=irm1 source=203.0.113.9'
    ]


def test_a_right_code_outside_a_window_is_no_wrong_code(refusals: ModuleType) -> None:
    """With two factors sshd tells that the code failed, and PAM, under another number, that the account is closed."""
    watch = refusals.Watch()
    messages = [("7", f"Postponed keyboard-interactive for {WHO} [preauth]"),
                ("9", "Accepted google_authenticator for rm-irm1_jdurand"),
                ("9", "pam_unix(pgssi-remote-sshd:account): account rm-irm1_jdurand has expired (account expired)"),
                ("7", f"Failed keyboard-interactive/pam for {WHO}"), ("7", CLOSED)]  # fmt: skip
    (line,) = filter(None, [watch.hear(pid, text) for pid, text in messages])
    assert 'reason="outside a window"' in line


def test_a_number_that_comes_back_is_another_connection(refusals: ModuleType) -> None:
    """After an accepted login, the same process number is refused: the refusal is told."""
    watch = refusals.Watch()
    messages = [f"Accepted publickey for {WHO}: ED25519-CERT SHA256:x", "User child is on pid 8",
                'Connection from 203.0.113.9 port 4000 on 10.0.9.10 port 2222 rdomain ""',
                f"Failed publickey for {WHO}: ED25519 SHA256:x", CLOSED]  # fmt: skip
    assert [bool(watch.hear("7", text)) for text in messages] == [False, False, False, False, True]


def test_a_login_that_tries_two_keys_is_no_refusal(refusals: ModuleType) -> None:
    """A bare key that is tried before the certificate, and a session that ends, are no refusals."""
    watch = refusals.Watch()
    messages = [f"Failed publickey for {WHO}: ED25519 SHA256:x", f"Accepted publickey for {WHO}: ED25519-CERT SHA256:x",
                "Disconnected from user rm-irm1_jdurand 203.0.113.9 port 4000"]  # fmt: skip
    assert not any(watch.hear("7", text) for text in messages)
    assert not watch.known
