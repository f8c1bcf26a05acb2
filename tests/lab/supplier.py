"""A supplier's machine on the Internet, the windows that are opened for its people, and what the site knows afterwards."""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from pgssi.evidence import Journal
from pgssi.inventory import load_inventory
from pgssi.lab.podman import PODMAN
from pgssi.remote.model import account_name

from .support import BIN, INVENTORY, Play, play

BASTION, AWAY = "bastion1", "sup1"
MODALITY, SERVER = "irm1", "dpi1"  # one that no role manages, one that roles manage
# Prints what becomes of connections, three seconds each, all at once: open, refused, or nothing.
KNOCK = """import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def knock(one):
    try:
        socket.create_connection(one[:2], timeout=3, source_address=(one[2], 0)).close()
        return "open"
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "nothing"
asked = json.loads(sys.argv[1])
print(json.dumps(list(ThreadPoolExecutor(len(asked)).map(knock, asked))))"""


@dataclass(frozen=True)
class Granted:
    """A window as the playbook answered it, and the path of its certificate on the supplier's machine."""

    id: str
    account: str
    certificate: str


class Away:
    """The supplier's machine, on the Internet, with the keys of its people."""

    def __init__(self, lab: Any) -> None:
        self.lab = lab
        self.site = load_inventory([str(INVENTORY)]).hosts[BASTION].variables
        self.port = int(self.site["site_remote"]["port"])

    def source(self, person: str) -> str:
        """Return the IPv4 address that a person's supplier declares."""
        suppliers = self.site["site_suppliers"].values()
        (mine,) = [one for one in suppliers if person in {each["id"] for each in one["people"]}]
        return str(next(one for one in mine["addresses"] if ":" not in one)).split("/")[0]

    def code(self, person: str) -> str:
        """Return the present one-time code of a person (RFC 6238)."""
        people = {each["id"]: each for one in self.site["site_suppliers"].values() for each in one["people"]}
        return TOTP(base64.b32decode(people[person]["totp_secret"]), 6, SHA1(), 30).generate(int(time.time())).decode()

    def place(self, host: str) -> Any:
        """Return the addresses of a host of one zone."""
        return self.lab.model.hosts[host].places[0]

    def _argv(self, script: str) -> list[str]:
        container = self.lab.model.container(AWAY)
        return [str(PODMAN), "exec", "-i", container, "runuser", "--login", "pgssi", "--command", script]

    def run(self, script: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run a line of shell there."""
        return subprocess.run(self._argv(script), input=typed, capture_output=True, text=True, timeout=90, check=False)

    @contextmanager
    def going(self, script: str, sign: str = "") -> Iterator[subprocess.Popen[bytes]]:
        """Keep a program running there; it has begun when it has said the sign."""
        argv, pipe = self._argv(script), subprocess.PIPE
        with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT) as process:
            try:
                said = b""
                while sign.encode() not in said:
                    part = process.stdout.read1() if process.stdout else b""
                    assert part, f"ended at once: {said.decode(errors='replace')}"
                    said += part
                yield process
            finally:  # podman's own end would leave the program running
                self.run("pkill -u pgssi 'ssh|scp'")
                process.kill()

    def knock(self, *targets: tuple[str, int], source: str = "") -> list[str]:
        """Return what connections become: open, refused, nothing."""
        asked = json.dumps([(address, port, source) for address, port in targets])
        return list(json.loads(self.run(f"python3 -c {shlex.quote(KNOCK)} {shlex.quote(asked)}").stdout))

    def options(self, person: str, certificate: str) -> str:
        """Return what ssh and scp are told: this person's key, this certificate if any, and nothing else."""
        words = "-F none -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        words += f" -o ConnectTimeout=6 -i ~/.ssh/{person}"
        return f"{words} -o CertificateFile={certificate}" if certificate else words

    def ssh(self, person: str, certificate: str, account: str, command: str = "", more: str = "", code: str = "") -> str:
        """Return the line that this person types. code: the one-time code, asked for by a prompt."""
        words = f"{self.options(person, certificate)} -p {self.port} {more} -- {account}@{self.place(BASTION).v4}"
        words += f" {shlex.quote(command)}" if command else ""
        if not code:
            return f"exec ssh -o BatchMode=yes {words}"
        ask = f"printf '#!/bin/sh\\necho {code}\\n' > ~/code; chmod 700 ~/code"
        return f"{ask}; export SSH_ASKPASS=~/code SSH_ASKPASS_REQUIRE=force; exec ssh -o NumberOfPasswordPrompts=1 {words}"

    def work(self, person: str, window: Granted, command: str = "", more: str = "", code: str = "") -> str:
        """Return the line of honest work in this window."""
        return self.ssh(person, window.certificate, window.account, command, more, code)


def said(done: Play, task: str) -> list[str]:
    """Return the lines that a task of a play told."""
    (found,) = [result["msg"] for _host, name, result in done.results() if name == task and "msg" in result]
    return list(found)


def closed(told: str, window: Granted) -> float:
    """Return when a host closed a window, in seconds since 1970. told: its journal, ``short-unix``."""
    (line,) = [line for line in told.splitlines() if "decision=closed" in line and window.id in line]
    return float(line.split(" ", 1)[0])


def open_windows(away: Away, *people: tuple[str, str], more: tuple[str, ...] = (), **changes: str) -> list[Granted]:
    """Open a window for each pair of person and equipment, in one go; hand their certificates over. more: options."""
    asked = {"purpose": "Bruit sur les coupes axiales", "approver": "rssi", "duration": "30m", **changes}
    requests = [{"person": person, "equipment": equipment, **asked} for person, equipment in people]
    done = play("remote_session", "-e", json.dumps({"remote_session": "open", "windows": requests}), *more)
    lines = said(done.succeeded(), "Tell it")
    granted = []
    for line, (person, equipment) in zip(lines, people, strict=True):
        name, path = line.split(" : ", 1)[0], Path(line.split("CertificateFile=", 1)[1].split(" ", 1)[0])
        away.run(f"cat > {name}-cert.pub", path.read_text("utf-8"))
        granted.append(Granted(name, account_name(equipment, person), f"{name}-cert.pub"))
    return granted


def close_windows(which: str, *more: str) -> Play:
    return play("remote_session", "-e", "remote_session=close", "-e", f"window={which}", *more).succeeded()


def ended(process: subprocess.Popen[bytes]) -> float:
    """Wait until a program has ended; return when."""
    process.wait(120)
    return time.time()


def within(seconds: float, fact: Callable[[], Any]) -> Any:
    """Return a fact as soon as it is true, or what it is when the time is over."""
    end = time.monotonic() + seconds
    while not (found := fact()) and time.monotonic() < end:
        time.sleep(0.3)
    return found


def ask(*words: str) -> Any:
    """Ask the log server from the control node, as an administrator does."""
    argv = [str(BIN / "pgssi"), "remote", words[0], "-i", str(INVENTORY), "--json", *words[1:]]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def report(away: Away, window: Granted) -> Mapping[str, Any]:
    """Return the evidence record of one intervention."""
    records = Journal.of_site(away.site, str(INVENTORY)).records("remote_session")
    (found,) = [one for one in records if one.details["window"]["id"] == window.id]
    return found.as_dict()


def ways_in(away: Away, version: str) -> list[tuple[str, int]]:
    """Return doors that have somebody behind: the bastion's two, the modality's two, the server's two."""
    doors = {BASTION: (away.port, 22), MODALITY: (22, 11112), SERVER: (22, 443)}
    return [(getattr(away.place(host), version), port) for host, ports in doors.items() for port in ports]


def sign(away: Away, person: str, validity: str, window: Granted) -> str:
    """Have the site's authority sign a person's key for this account and another time; return the path on the machine."""
    keys = Path(away.lab.directory, "keys")
    authority = str(away.site["site_remote_authority"])
    name = f"{window.id}-autre"
    public = Path(away.lab.directory, f"{name}.pub")
    public.write_text((keys / f"{person}.pub").read_text("utf-8"), "utf-8")
    certificate = public.with_name(f"{name}-cert.pub")
    try:
        argv = ["ssh-keygen", "-q", "-s", authority, "-I", name, "-n", window.account, "-V", validity, str(public)]
        subprocess.run(argv, check=True, capture_output=True)
        away.run(f"cat > {name}-cert.pub", certificate.read_text("utf-8"))
    finally:
        public.unlink()
        certificate.unlink(missing_ok=True)
    return f"{name}-cert.pub"
