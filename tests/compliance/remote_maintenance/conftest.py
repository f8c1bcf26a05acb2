"""Shared by the tests of the gateway for suppliers: a throw-away window on the loopback, with certificates made for it."""

from __future__ import annotations

import base64
import json
import secrets
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from testinfra.host import Host

from pgssi.remote.model import Access, load
from pgssi.verify import not_applicable, not_verified
from pgssi.verify.sshd_views import INSIDE, Server, View, server_views, servers
from pgssi.verify.turns import through_gateways

CONFIG = "/etc/pgssi/remote/sshd_config"
CODES = "/var/lib/pgssi/remote/totp"
SWITCH = "pgssi-essai-code"  # unit that gives a secret back when nobody else did
# Stands for an equipment: the first port gives back what it gets, the second greets like an SSH server and hangs up.
LISTENER = """import os, socket, sys, threading
def answer(door, echo):
    while True:
        line, _ = door.accept()
        threading.Thread(target=talk, args=(line, echo), daemon=True).start()
def talk(line, echo):
    with line:
        if not echo:
            line.sendall(b"SSH-2.0-essai\\r\\n")
        while echo and (data := line.recv(4096)):
            line.sendall(data)
doors = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
for door, echo in zip(doors, (True, False)):
    threading.Thread(target=answer, args=(door, echo)).start()
with open(sys.argv[1] + ".new", "w") as stream:
    print(*(door.getsockname()[1] for door in doors), file=stream)
os.rename(sys.argv[1] + ".new", sys.argv[1])"""


@pytest.fixture(scope="session")
def declared(site: Mapping[str, Any]) -> list[Access]:
    """Every pair of equipment and person that the site declares."""
    name = site["inventory_hostname"]
    found = list(load({name: dict(site)}, {"bastions": [name]}).accesses())
    return found or not_applicable("aucun prestataire n'est déclaré")


@pytest.fixture(scope="session")
def service(request: pytest.FixtureRequest, facts: Any) -> list[View]:
    """What the suppliers' service answers to every connection that its Match blocks tell apart; empty when there is none.

    One that does not run is judged by its file, as it would start; one that is there for nobody is judged too.
    """
    running = [server for server in servers(facts) if server.config == CONFIG]
    there = facts("remote-sshd", f"[ -e {CONFIG} ] && echo there; true").strip()
    stopped = [Server(("-f", CONFIG), CONFIG)] if there else []
    if not running and not stopped:
        request.getfixturevalue("declared")  # without a supplier, there is no service to have
    return [view for server in running or stopped for view in server_views(facts, server)]


@pytest.fixture(scope="session")
def in_effect(service: list[View]) -> Callable[..., list[str]]:
    """``in_effect(keyword=value, …)``: the settings of the suppliers' service that differ from these, with who meets them."""

    def differing(**wanted: str) -> list[str]:
        assert service, "aucun service à part pour les prestataires sur cette passerelle"
        return [
            f"{key} {view.get(key) or 'absent'} pour {view}"
            for view in service for key, value in wanted.items() if view.get(key) != value
        ]  # fmt: skip

    return differing


@pytest.fixture(scope="session")
def state(facts: Any, declared: list[Access]) -> Mapping[str, Any]:
    """What the host says of its windows, accounts and wire; empty when it knows nothing of them. For sites with suppliers."""
    said = facts.result("remote-state", "pgssi-remote state")
    return dict(json.loads(said.stdout)) if said.rc == 0 else {}


@dataclass(frozen=True)
class Running:
    """A session that is open. alive: line of shell that prints something while it runs, with all that it started."""

    host: Host
    alive: str

    def ends(self, command: str = "true", patience: int = 20) -> tuple[float, float, str]:
        """Give a command while it runs, and wait for its end: when given, when ended, and what the command said.

        Both moments by the clock of the host, where they are taken: the way there takes no part. patience: in seconds.
        """
        script = f"""[ -n "$({self.alive})" ] || exit 3
        said=$(mktemp); given=$(date +%s%N); {{ {command}; echo "rc $?"; }} > $said 2>&1 &
        while [ -n "$({self.alive})" ] && [ $(($(date +%s%N) - given)) -lt {patience}000000000 ]; do sleep 0.1; done
        echo $given $(date +%s%N); wait; cat $said; rm $said"""
        done = self.host.run(script, timeout=patience + 40)
        assert done.rc != 3, "la session d'essai ne dure pas"
        moments, _, answer = str(done.stdout).partition("\n")
        given, ended = (int(moment) / 1e9 for moment in moments.split())
        return given, ended, answer.strip()


class Door:
    """The suppliers' service, tried on the bastion itself with certificates that are made for the test."""

    def __init__(
        self, host: Host, facts: Any, control: Any, site: Mapping[str, Any], declared: list[Access], service: list[View]
    ) -> None:
        self.host, self.facts, self.control, self.declared, self.service = host, facts, control, declared, service
        self.options: Mapping[str, str] = {}
        self.authority = Path(str(site.get("site_remote_authority", ""))).expanduser()
        self.folder, self.account, self.relay, self.window = "", "", "", ""
        self.end, self.borrowed = 0, False
        self.doors: list[int] = []

    def prepare(self) -> None:
        """Make keys, a listener and a choice of account; fail when there is no service to try."""
        assert self.service, "aucun service à part pour les prestataires sur cette passerelle"
        if self.folder:
            return
        if not self.authority.is_file() or b"PRIVATE KEY" not in self.authority.read_bytes():
            not_verified("l'autorité des prestataires n'est pas lisible sur ce poste : aucun certificat d'essai")
        self.alone()
        free = [one for one in self.declared if self.host.run(f"getent passwd {one.account}").rc == 0]
        assert free, "la passerelle n'a aucun des comptes déclarés"
        self.account, self.relay = free[0].account, free[0].relay
        mine = server_views(self.facts, self.service[0].server, self.account)
        self.options = next(view.settings for view in mine if view.connection["addr"] == INSIDE)
        assert self.options, "la configuration du service des prestataires ne se lit pas"
        self.folder = self.host.check_output("mktemp -d /run/pgssi-essai.XXXXXX").strip()
        self.host.check_output(
            f"ssh-keygen -q -t ed25519 -N '' -f {self.folder}/k && ssh-keygen -q -t ed25519 -N '' -f {self.folder}/ca"
        )
        doors = f"{self.folder}/doors"
        self.host.check_output(f"systemd-run -q --unit=pgssi-essai-ecoute python3 -c {shlex.quote(LISTENER)} {doors}")
        said = self.host.check_output(f"timeout 30 sh -c 'until cat {doors} 2>/dev/null; do sleep 0.05; done'")
        self.doors = [int(port) for port in said.split()]

    def close(self) -> None:
        """Leave nothing behind."""
        if not self.folder:
            return
        self.shut()
        self.host.run("systemctl stop pgssi-essai-ecoute.service; systemctl reset-failed pgssi-essai-ecoute.service")
        self.host.run(f"rm -rf {self.folder}")

    def alone(self) -> None:
        """Go no further while there is a window of somebody else: what is tried here would cut it."""
        windows = json.loads(self.host.check_output("pgssi-remote state"))["windows"]
        if any(window["id"] != self.window for window in windows):
            not_verified("une intervention est ouverte ou prévue : rien n'est essayé sur cette passerelle")

    def open(self, protocol: str = "tcp", seconds: int = 120) -> None:
        """Open a throw-away window of this account on the listener; no wire is touched. ``end`` is by the host's clock."""
        self.alone()
        now = int(self.host.check_output("date +%s"))
        self.end = now + seconds
        self.window = f"essai-{secrets.token_hex(4)}"
        port = self.doors[0 if protocol == "tcp" else 1]
        window = {
            "id": self.window, "person": "essai", "name": "Essai", "account": self.account, "relay": self.relay,
            "supplier": "essai", "equipment": "essai", "purpose": "Essai de conformité", "approver": "essai",
            "start": now - 5, "end": self.end, "wires": [], "addresses": ["127.0.0.1"], "port": port,
            "login": "essai", "protocol": protocol, "host_keys": [],
        }  # fmt: skip
        done = self.host.run("pgssi-remote open", stdin=json.dumps([window]).encode(), timeout=40)
        assert done.rc == 0, f"aucune fenêtre d'essai ne s'ouvre : {done.stderr.strip()[-200:]}"

    def shut(self) -> None:
        """Close the window, and give the account's owner the secret of one-time codes back."""
        if self.window:
            self.host.run(f"pgssi-remote close {self.window} --reason essai", timeout=40)
            self.window = ""
        if self.borrowed:
            self.host.check_output(self.give_back())
            self.host.run(f"systemctl stop {SWITCH}.timer {SWITCH}.service")
            self.borrowed = False

    def borrow(self) -> None:
        """Keep the secret of one-time codes of this account's owner; should this test die, the host puts it back."""
        if not self.borrowed:
            # What a test that died still holds is given back now.
            self.host.run(f"systemctl start {SWITCH}.service && systemctl stop {SWITCH}.timer")
            self.host.check_output(f"rm -f {self.folder}/code; [ ! -e {self.secret} ] || cp -a {self.secret} {self.folder}/code")
            after = "--on-active=600 --timer-property=AccuracySec=1s"
            late = shlex.quote(f"{self.give_back()}; rm -rf {self.folder}")
            self.host.check_output(f"systemd-run -q --collect --unit={SWITCH} {after} sh -c {late}")
            self.borrowed = True

    @property
    def secret(self) -> str:
        """Return the file of the account's secret of one-time codes."""
        return f"{CODES}/{self.account}"

    def give_back(self) -> str:
        kept, partial = f"{self.folder}/code", f"{CODES}/.essai"
        back = f"if [ -e {kept} ]; then cp -a {kept} {partial} && mv -f {partial} {self.secret}; else rm -f {self.secret}; fi"
        return f"[ ! -d {self.folder} ] || {back}"

    def certificate(self, principal: str = "", *, start: str = "-5m", end: str = "+10m", source: str = "127.0.0.0/8") -> str:
        """Sign the test's key with the site's authority, without forced command; return the path on the bastion."""
        public = self.host.check_output(f"cat {self.folder}/k.pub")
        with TemporaryDirectory() as folder:
            path = Path(folder, "k.pub")
            path.write_text(public, "utf-8")
            argv = ["ssh-keygen", "-q", "-s", str(self.authority), "-I", self.window or "essai", "-n", principal or self.account]
            argv += ["-V", f"{start}:{end}", "-O", "clear", "-O", f"source-address={source}", "-O", "permit-pty", str(path)]
            signed = self.control.run(argv)
            assert signed.rc == 0, signed.stderr
            text = Path(folder, "k-cert.pub").read_bytes()
        place = f"{self.folder}/{secrets.token_hex(3)}-cert.pub"
        self.host.run(f"cat > {place} && chmod 600 {place}", stdin=text)
        return place

    def code(self, wanted: bool = True) -> str:
        """Give the account a new secret of one-time codes, and return the present code, or a wrong one."""
        secret = secrets.token_bytes(20)
        options = '" RATE_LIMIT 3 30\n" WINDOW_SIZE 3\n" DISALLOW_REUSE\n" TOTP_AUTH\n'
        text = base64.b32encode(secret).decode() + "\n" + options
        self.borrow()
        self.host.run(f"rm -f {self.secret}; cat > {self.secret} && chmod 400 {self.secret}", stdin=text.encode())
        code = TOTP(secret, 6, SHA1(), 30).generate(int(time.time())).decode()
        return code if wanted else f"{(int(code) + 500_000) % 10**6:06d}"

    def line(self, certificate: str, options: str = "", command: str = "", *, user: str = "", code: str | None = None) -> str:
        """Return the shell line of one login; a code is added when the service asks for one. certificate: path, or none."""
        asks = "keyboard-interactive" in self.options.get("authenticationmethods", "")
        given = (self.code() if asks else "") if code is None else code
        words = "-F none -o IdentitiesOnly=yes -o IdentityAgent=none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
        words += f"-o LogLevel=ERROR -o ConnectTimeout=8 -o NumberOfPasswordPrompts=1 -i {self.folder}/k "
        words += f"-o CertificateFile={certificate} " if certificate else ""
        words += f"{options} " if "-p " in options else f"-p {self.options['port'].split()[0]} {options} "
        words += f"-- {user or self.account}@127.0.0.1 {shlex.quote(command) if command else ''}"
        if not given:
            return f"ssh -o BatchMode=yes {words}"
        ask = f"{self.folder}/ask"
        self.host.run(f"cat > {ask} && chmod 700 {ask}", stdin=f"#!/bin/sh\necho {given}\n".encode())
        return f"env SSH_ASKPASS={ask} SSH_ASKPASS_REQUIRE=force DISPLAY=:0 setsid -w ssh {words}"

    def login(self, certificate: str, options: str = "", command: str = "", typed: str = "", **more: Any) -> Any:
        """Log in, send what is typed, and wait for the end."""
        return self.host.run(f"{self.line(certificate, options, command, **more)}", stdin=typed.encode(), timeout=60)

    def passes(self, certificate: str, **more: Any) -> bool:
        """Return whether a login reaches the listener: a marker comes back."""
        marker = secrets.token_hex(8)
        return marker in str(self.login(certificate, "-T", typed=marker + "\n", **more).stdout)

    def opens(self, certificate: str) -> None:
        """Show that the right certificate does open this window: without that, a refusal would prove nothing."""
        assert self.passes(certificate), "le certificat de la fenêtre n'ouvre rien : aucun refus ne prouverait rien"

    @contextmanager
    def running(self, certificate: str) -> Iterator[Running]:
        """Keep a session open."""
        unit = f"pgssi-essai-{secrets.token_hex(3)}"
        pipe = f"{self.folder}/{unit}.in"
        line = f"mkfifo {pipe}; exec 3<>{pipe}; echo ici >&3; exec {self.line(certificate, '-T')} <&3 > {self.folder}/{unit}"
        self.host.check_output(f"systemd-run -q --unit={unit} sh -c {shlex.quote(line)}")
        end = time.monotonic() + 20
        while time.monotonic() < end and "ici" not in self.host.run(f"cat {self.folder}/{unit}").stdout:
            time.sleep(0.2)
        try:
            assert "ici" in self.host.run(f"cat {self.folder}/{unit}").stdout, "la session d'essai ne s'ouvre pas"
            alive = f"ps -u {self.account},{self.relay} -o pid= ; systemctl -q is-active {unit}.service && echo client; true"
            yield Running(self.host, alive)
        finally:
            self.host.run(f"systemctl stop {unit}.service; systemctl reset-failed {unit}.service")


@pytest.fixture(scope="session")
def one_door(
    host: Host, facts: Any, control: Any, site: Mapping[str, Any], declared: list[Access], service: list[View]
) -> Iterator[Door]:
    """The suppliers' service of this host, prepared when first used."""
    made = Door(host, facts, control, site, declared, service)
    yield made
    made.close()


@pytest.fixture
def way() -> Iterator[None]:
    """No gateway is closed by a test meanwhile: a session ends when its recording cannot go through."""
    with through_gateways():
        yield


@pytest.fixture
def door(one_door: Door, way: None) -> Iterator[Door]:
    """The suppliers' service, with no window left open after the test."""
    yield one_door
    one_door.shut()
