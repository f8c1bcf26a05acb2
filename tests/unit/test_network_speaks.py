"""How a service answers is told apart by speaking to real ones: what is encrypted, what is not, what cannot be seen."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from speaking_servers import (
    AWAY,
    BAD,
    HELLO_10,
    PAGE,
    SSL_REQUEST,
    Talk,
    answers,
    certificate,
    context,
    says,
    serving,
    silent,
    tls,
)

from pgssi.network.spoken import doubt, fault, told
from pgssi.paths import COMPLIANCE

FOLDER = COMPLIANCE / "network_segmentation"
GREEN, RED, GREY = "conforme", "non_conforme", "non_verifie"


def loaded(name: str) -> Any:
    """Return a script of the compliance tests as a module."""
    spec = importlib.util.spec_from_file_location(f"under_test_{name}", FOLDER / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SPEAKS = loaded("speaks")


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and its certificate."""
    return certificate(tmp_path_factory.mktemp("tls") / "server.pem")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Wait long for whoever answers, on a machine that is busy; not for those who never do."""
    mute = request.node.callspec.params.get("name", "").startswith("never a word") if hasattr(request.node, "callspec") else False
    monkeypatch.setattr(SPEAKS, "PATIENCE", 1.0 if mute else 60.0)
    monkeypatch.setattr(SPEAKS, "GREETING", 0.1)


def judged(seen: dict[str, Any]) -> tuple[str, str]:
    """Return the verdict on what was seen, and its words."""
    if seen["listens"] and (wrong := fault(seen)):
        return RED, wrong
    why = doubt(seen)
    return (GREY, why) if why else (GREEN, told(seen))


Server = Callable[[Path], Talk]
OVER_TLS: dict[str, tuple[Server, str, str]] = {
    "modern": (lambda pem: tls(context(pem)), GREEN, "TLSv1.3"),
    "1.2 only": (lambda pem: tls(context(pem, highest="TLSv1_2")), GREEN, "TLSv1.2"),
    "wants our certificate, 1.3": (lambda pem: tls(context(pem, client=True)), GREEN, "TLSv1.3"),
    "wants our certificate, 1.2": (lambda pem: tls(context(pem, highest="TLSv1_2", client=True)), GREEN, "TLSv1.2"),
    "says 400 to clear text": (lambda pem: tls(context(pem), BAD), GREEN, "en clair : refusé"),
    "sends clear text away": (lambda pem: tls(context(pem), AWAY), GREEN, "en clair : refusé"),
    "1.0 only": (lambda pem: tls(context(pem, "TLSv1", "TLSv1")), RED, "accepte TLS 1.0 et n'a pas TLS 1.2"),
    "1.0 too": (lambda pem: tls(context(pem, "TLSv1")), RED, "accepte TLS 1.0, TLS 1.1"),
    "1.1 too": (lambda pem: tls(context(pem, "TLSv1_1")), RED, "accepte TLS 1.1"),
    "both on one port": (lambda pem: tls(context(pem), PAGE), RED, "en clair (HTTP 200)"),
    "clear text": (lambda _: answers(PAGE), RED, "en clair (HTTP 200)"),
    "clear text with a door": (lambda _: answers(b"HTTP/1.1 401 Unauthorized\r\n\r\n"), RED, "en clair (HTTP 401)"),
    "another protocol in clear text": (lambda _: answers(b"MSH|^~\\&|DPI|CH"), RED, "en clair (15 octets)"),
    "speaks first": (lambda _: says(b"# munin node\n"), RED, "en clair (13 octets)"),
    "SSH": (lambda _: says(b"SSH-2.0-OpenSSH\r\n"), RED, "en clair (SSH)"),
    "hangs up": (lambda _: lambda peer: peer.close(), RED, "aucune session"),
    "never a word": (lambda _: silent, GREY, "pas répondu à temps"),
    "never a word to clear text": (lambda pem: tls(context(pem), quiet=re.compile(b"GET")), GREY, "(texte clair)"),
    "never a word to TLS 1.0": (lambda pem: tls(context(pem), quiet=HELLO_10), GREY, "(TLS 1.0)"),
    "mail": (lambda _: says(b"220 mail ESMTP\r\n"), GREY, "commence en clair"),
    "mailbox": (lambda _: says(b"* OK ready\r\n"), GREY, "commence en clair"),
    "MySQL": (lambda _: says(b"\x4a\0\0\0\n8.0.36\0"), GREY, "commence en clair"),
    "PostgreSQL": (lambda _: answers(b"S", to=SSL_REQUEST), GREY, "commence en clair"),
}  # fmt: skip


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("name", OVER_TLS)
def test_a_service_that_states_tls(pem: Path, name: str, address: str) -> None:
    """TLS 1.2 or later and nothing else is green; what starts in clear text and goes on under TLS is not observed."""
    server, verdict, words = OVER_TLS[name]
    with serving(server(pem), address) as port:
        seen = SPEAKS.speaks({"address": address, "port": port, "encrypted": "tls"})
    assert "MARTIN" not in json.dumps(seen)
    assert (judged(seen)[0], words in judged(seen)[1]) == (verdict, True), (seen, judged(seen))


OVER_SSH: dict[str, tuple[Talk, str, str]] = {
    "SSH 2": (says(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), GREEN, "SSH 2.0"),
    "lines before": (says(b"Reserve aux personnes habilitees\r\nSSH-2.0-x\r\n"), GREEN, "SSH 2.0"),
    "SSH 1 too": (says(b"SSH-1.99-OpenSSH_3.9\r\n"), RED, "SSH 1.99"),
    "SSH 1": (says(b"SSH-1.5-old\r\n"), RED, "SSH 1.5"),
    "another protocol": (lambda peer: peer.sendall(b"220 ftp ready\r\n"), RED, "sans SSH"),
    "never a word": (silent, GREY, "se tait"),
    "hangs up": (lambda peer: peer.close(), GREY, "se tait"),
}


@pytest.mark.parametrize("name", OVER_SSH)
def test_a_service_that_states_ssh(name: str) -> None:
    """The version line decides; whoever says nothing proves nothing."""
    server, verdict, words = OVER_SSH[name]
    with serving(server, "127.0.0.1") as port:
        seen = SPEAKS.speaks({"address": "127.0.0.1", "port": port, "encrypted": "ssh"})
    assert (judged(seen)[0], words in judged(seen)[1]) == (verdict, True), (seen, judged(seen))


@pytest.mark.parametrize("encrypted", ["tls", "ssh"])
def test_nobody_listening_is_never_green(encrypted: str) -> None:
    """A port that refuses connections is not observed."""
    with serving(silent, "127.0.0.1") as port:
        pass
    seen = SPEAKS.speaks({"address": "127.0.0.1", "port": port, "encrypted": encrypted})
    assert judged(seen) == (GREY, "rien n'y écoute")


def test_it_runs_from_memory(pem: Path) -> None:
    """Fed to an interpreter as the test feeds it, with quotes and accents in the order, it prints JSON."""
    with serving(tls(context(pem)), "127.0.0.1") as port:
        order = json.dumps([{"address": "127.0.0.1", "port": port, "encrypted": "tls", "note": "l'« essai »"}])
        script = f"{Path(SPEAKS.__file__).read_text('utf-8')}\nmain(json.loads({json.dumps(order)}))\n"
        command = [sys.executable, "-B", "-E", "-s", "-"]
        done = subprocess.run(command, input=script, capture_output=True, text=True, check=True)
    (seen,) = json.loads(done.stdout)
    assert judged(seen)[0] == GREEN and seen["note"] == "l'« essai »"
