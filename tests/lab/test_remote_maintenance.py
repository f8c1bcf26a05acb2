"""A supplier at its own keyboard: what one window lets one person do, what it refuses, how it ends and what it leaves."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import shlex
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pgssi.evidence import Journal
from pgssi.inventory import load_inventory
from pgssi.lab.podman import PODMAN, podman
from pgssi.paths import COMPLIANCE
from pgssi.remote.model import account_name

from .support import BIN, INVENTORY, Play, play

GATEWAY, BASTION, LOGS, AWAY = "gw1", "bastion1", "log1", "sup1"
MODALITY, SERVER = "irm1", "dpi1"  # one that no role manages, one that roles manage
JEANNE, PAUL, THOMAS = "acme-jdurand", "acme-pmartin", "medidoc-tleroy"
CUT = 5.0  # seconds that a cut may take
RECORDINGS = "/srv/pgssi-recordings"
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


def began(done: Play, task: str) -> float:
    """Return when a task of a play began, in seconds since 1970."""
    (start,) = {one["task"]["duration"]["start"] for each in done.document["plays"] for one in each["tasks"]
                if one["task"]["name"] == task}  # fmt: skip
    return datetime.fromisoformat(start).timestamp()


def open_windows(away: Away, *people: tuple[str, str], **changes: str) -> list[Granted]:
    """Open a window for each pair of person and equipment, in one go; hand their certificates over."""
    asked = {"purpose": "Bruit sur les coupes axiales", "approver": "rssi", "duration": "30m", **changes}
    requests = [{"person": person, "equipment": equipment, **asked} for person, equipment in people]
    lines = said(play("remote_session", "-e", json.dumps({"remote_session": "open", "windows": requests})).succeeded(), "Tell it")
    granted = []
    for line, (person, equipment) in zip(lines, people, strict=True):
        name, path = line.split(" : ", 1)[0], Path(line.split("CertificateFile=", 1)[1].split(" ", 1)[0])
        away.run(f"cat > {name}-cert.pub", path.read_text("utf-8"))
        granted.append(Granted(name, account_name(equipment, person), f"{name}-cert.pub"))
    return granted


def close_windows(which: str) -> Play:
    return play("remote_session", "-e", "remote_session=close", "-e", f"window={which}").succeeded()


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


@pytest.fixture(scope="module")
def inside(lab: Any) -> Callable[..., str]:
    """Run a script as root inside a host; give its output."""
    return lambda host, script, **more: podman("exec", "-i", lab.model.container(host), "sh", "-euc", script, **more)


@pytest.fixture(scope="module")
def away(lab: Any, inside: Callable[..., str]) -> Iterator[Away]:
    """The supplier's machine. The modality has the bastion's key, put there by hand, and the editor's address leads here."""
    machine = Away(lab)
    (thomas,) = [one for one in machine.site["site_suppliers"]["medidoc"]["addresses"] if ":" not in one]
    inside(AWAY, f"ip address replace {thomas} dev lo")
    inside(GATEWAY, f"ip route replace {thomas} via {machine.place(AWAY).v4}")
    lines = said(play("remote_session", "-e", "remote_session=keys").succeeded(), "Tell them")
    (line,) = [line for line in lines if line.startswith(f"{MODALITY} (service) : ")]
    install = "install -d -m 700 -o service ~service/.ssh; cat > ~service/.ssh/authorized_keys; chown service ~service/.ssh/*"
    inside(MODALITY, install, stdin=line.split(" : ", 1)[1].encode() + b"\n")
    yield machine
    if "id" in json.dumps(json.loads(inside(BASTION, "pgssi-remote state"))["windows"]):
        close_windows("all")
    inside(GATEWAY, f"ip route delete {thomas}")
    inside(AWAY, f"ip address delete {thomas} dev lo")


def ways_in(away: Away, version: str) -> list[tuple[str, int]]:
    """Return doors that have somebody behind: the bastion's two, the modality's two, the server's two."""
    doors = {BASTION: (away.port, 22), MODALITY: (22, 11112), SERVER: (22, 443)}
    return [(getattr(away.place(host), version), port) for host, ports in doors.items() for port in ports]


@pytest.mark.parametrize("version", ["v4", "v6"])
def test_without_a_window_no_door_answers(away: Away, version: str) -> None:
    """Outside any window, not one packet of the supplier reaches the bastion, the modality or a server."""
    doors = ways_in(away, version)
    assert dict(zip(doors, away.knock(*doors), strict=True)) == dict.fromkeys(doors, "nothing")


@pytest.fixture(scope="module")
def windows(away: Away) -> list[Granted]:
    """Windows of Jeanne and Paul on the modality, and of Thomas on the server, opened by one run."""
    return open_windows(away, (JEANNE, MODALITY), (PAUL, MODALITY), (THOMAS, SERVER))


@pytest.fixture(scope="module")
def marker() -> str:
    """A word that nobody else types."""
    return f"MARQUEUR-{secrets.token_hex(6)}"


def test_a_person_works_on_the_equipment_of_the_window(away: Away, windows: list[Granted], marker: str) -> None:
    """Commands, a terminal and files reach the equipment itself, over IPv4 and IPv6; the bastion shows no shell."""
    jeanne, _, thomas = windows
    assert away.run(away.work(JEANNE, jeanne, "hostname; id -un")).stdout.split() == [MODALITY, "service"]
    terminal = away.run(away.work(JEANNE, jeanne, more="-tt"), f"hostname\necho {marker} | rev\nexit\n")
    assert MODALITY in terminal.stdout and marker[::-1] in terminal.stdout
    there, options = f"scp://{jeanne.account}@{away.place(BASTION).v4}:{away.port}", away.options(JEANNE, jeanne.certificate)
    moved = away.run(
        f"seq 500 > envoi && scp -q {options} envoi {there}/recu && scp -q {options} {there}/recu retour && cmp envoi retour"
    )
    assert moved.returncode == 0, moved.stderr
    assert away.knock((away.place(BASTION).v6, away.port)) == ["open"]
    (address,) = [one for one in away.site["site_suppliers"]["medidoc"]["addresses"] if ":" not in one]
    server = away.run(away.work(THOMAS, thomas, "hostname; id -un", f"-b {address.split('/')[0]}"))
    assert server.stdout.split() == [SERVER, "maint-medidoc"], server.stderr


def test_everything_else_is_refused_and_named_on_the_log_server(
    away: Away, windows: list[Granted], inside: Callable[..., str]
) -> None:
    """Other people, equipment, addresses and certificates, forwarding of any kind: nothing, and the log server says who tried."""
    jeanne, paul, thomas = windows
    operators = str(away.site["ansible_user"])
    expired = sign(away, "-2h:-1h", jeanne)
    tries = {
        "no certificate": (away.ssh(JEANNE, "", jeanne.account), jeanne, "no valid certificate"),
        "expired certificate": (away.ssh(JEANNE, expired, jeanne.account), jeanne, "expired certificate"),
        "somebody else's account": (away.ssh(JEANNE, jeanne.certificate, paul.account), paul, "of another person or equipment"),
        "another equipment": (away.ssh(JEANNE, jeanne.certificate, thomas.account), thomas, "of another person or equipment"),
        "somebody else's key": (away.ssh(PAUL, jeanne.certificate, jeanne.account), jeanne, "no valid certificate"),
        "stolen, elsewhere": (away.work(THOMAS, thomas, "id"), thomas, "source address of nobody declared"),
        "operator": (away.ssh(JEANNE, jeanne.certificate, operators), None, "account of nobody's"),
        "port": (away.work(JEANNE, jeanne, more=f"-W {MODALITY}:11112"), jeanne, "port forward to"),
        "elsewhere": (away.work(JEANNE, jeanne, more=f"-W {away.place(SERVER).v4}:443"), jeanne, "port forward to"),
        "back": (
            away.work(JEANNE, jeanne, more="-N -o ExitOnForwardFailure=yes -R 45001:127.0.0.1:22"),
            jeanne,
            "remote port forward",
        ),
    }
    for name, (line, window, reason) in tries.items():
        done = away.run(line)
        assert done.returncode != 0 and not done.stdout, f"{name}: {done.stdout}{done.stderr}"
        account = window.account if window else operators
        words = ["decision=refused", reason, f'account="{account}"', away.place(AWAY).v4]
        if window:
            equipment, person = window.account.removeprefix("rm-").split("_")
            words += [f"person={person}", f"target={equipment}"]
        search = " | ".join(f"grep -F -- {shlex.quote(word)}" for word in words)
        told = f"cat {RECORDINGS}/hosts/*.log | {search} || true"
        assert within(10, lambda told=told: inside(LOGS, told)), f"{name}: {' '.join(words)}"
    agent = "eval $(ssh-agent) >/dev/null; trap 'kill $SSH_AGENT_PID' EXIT; " + away.work(
        JEANNE, jeanne, "echo ${SSH_AUTH_SOCK:-none}", "-A"
    )
    assert away.run(agent.replace("exec ssh", "ssh")).stdout.strip() == "none"
    open_door = (away.place(BASTION).v4, away.port)
    doors = [door for door in ways_in(away, "v4") if door != open_door]
    assert away.knock(open_door, *doors) == ["open", *["nothing"] * len(doors)]
    foreign = str(away.lab.model.zones["outside"].v4[99])
    inside(AWAY, f"ip address add {foreign}/32 dev lo")
    try:
        assert away.knock(open_door, source=foreign) == ["nothing"]
    finally:
        inside(AWAY, f"ip address delete {foreign}/32 dev lo")


def sign(away: Away, validity: str, window: Granted) -> str:
    """Have the site's authority sign Jeanne's key for this account and this time; return the path on her machine."""
    keys = Path(away.lab.directory, "keys")
    authority = str(away.site["site_remote_authority"])
    name = f"{window.id}-autre"
    away.run(f"cat > {name}.pub", (keys / f"{JEANNE}.pub").read_text("utf-8"))
    public = Path(away.lab.directory, f"{name}.pub")
    public.write_text((keys / f"{JEANNE}.pub").read_text("utf-8"), "utf-8")
    certificate = public.with_name(f"{name}-cert.pub")
    try:
        argv = ["ssh-keygen", "-q", "-s", authority, "-I", name, "-n", window.account, "-V", validity, str(public)]
        subprocess.run(argv, check=True, capture_output=True)
        away.run(f"cat > {name}-cert.pub", certificate.read_text("utf-8"))
    finally:
        public.unlink()
        certificate.unlink(missing_ok=True)
    return f"{name}-cert.pub"


def test_the_recording_is_out_of_the_bastions_reach(
    away: Away, windows: list[Granted], marker: str, inside: Callable[..., str]
) -> None:
    """While a session still runs, what is typed is on the log server; root of the bastion can change none of it."""
    jeanne = windows[0]
    word = f"{marker}-EN-COURS"
    with away.going(away.work(JEANNE, jeanne, f"echo {word}; sleep 10"), word) as session:
        find = f"grep -rlF --include=log.json {word} {RECORDINGS}/recordings || true"
        assert within(CUT, lambda: inside(LOGS, find)), "nothing on the log server while the session runs"
        assert session.poll() is None
    (name,) = [inside(LOGS, find).split()[0].removeprefix(f"{RECORDINGS}/recordings/").removesuffix("/log.json")]
    assert within(20, lambda: any(one["recording"] == name and one["end"] for one in ask("list", "--window", jeanne.id)))
    digests = f"cd {RECORDINGS}/recordings/{name} && sha256sum *"
    before = inside(LOGS, digests)
    link = json.loads(inside(BASTION, "cat /etc/pgssi/remote/record-link.json"))
    first = link["servers"][0]
    asked = {"server": first["name"], "port": link["port"], "name": name, "address": first["address"]}
    script = (COMPLIANCE / "remote_maintenance" / "on_bastion.py").read_bytes()
    answers = json.loads(inside(BASTION, f"python3 -I - attack {shlex.quote(json.dumps(asked))}", stdin=script))
    assert len(answers) == 5
    assert inside(LOGS, digests) == before
    inside(LOGS, "/usr/local/lib/pgssi/pgssi-record-server verify")
    assert inside(BASTION, f"grep -rslF {word} /var/log/sudo-io /var/lib/sudo /var/lib/pgssi /tmp /var/tmp || true") == ""
    door = f"timeout 3 bash -c 'exec 3<>/dev/tcp/{away.place(LOGS).v4}/22' 2>&1 || echo closed"
    assert "closed" in inside(BASTION, door)


def test_closing_cuts_running_work_and_writes_the_report(
    away: Away, windows: list[Granted], marker: str, inside: Callable[..., str]
) -> None:
    """Closing ends a sleep and a copy within seconds; who, what, when, commands and files are in the report at once."""
    jeanne, paul, thomas = windows
    (address,) = [one for one in away.site["site_suppliers"]["medidoc"]["addresses"] if ":" not in one]
    there = f"scp://{jeanne.account}@{away.place(BASTION).v4}:{away.port}"
    copy = (
        f"head -c 90000000 /dev/zero > gros && exec scp -q -l 4000 {away.options(JEANNE, jeanne.certificate)} gros {there}/gros"
    )
    sleep = away.work(PAUL, paul, "echo parti; exec sleep 4242", "-tt")
    server = away.work(THOMAS, thomas, "echo parti; exec sleep 4343", f"-b {address.split('/')[0]}")
    with away.going(sleep, "parti") as sleeping, away.going(copy) as copying, away.going(server, "parti") as serving:
        assert within(20, lambda: inside(MODALITY, "stat -c %s ~service/gros 2>/dev/null || true"))
        with ThreadPoolExecutor() as pool:
            ends = [pool.submit(ended, process) for process in (sleeping, copying)]
            done = close_windows(MODALITY)
            late = [end.result() - began(done, "Cut the sessions") for end in ends]
        assert max(late) <= CUT, late
        assert within(CUT, lambda: "gone" in inside(MODALITY, "pgrep -f 'sleep [4]242' || echo gone"))
        assert serving.poll() is None, "another equipment's session was cut too"
        started = time.time()
        inside(SERVER, "runuser -u nobody -- pgssi-remote-cut")
        assert ended(serving) - started <= CUT
        assert "gone" in inside(SERVER, "pgrep -f 'sleep [4]343' || echo gone")
    assert away.knock((away.place(BASTION).v4, away.port)) == ["nothing"]
    close_windows("all")
    told = report(away, jeanne)
    about, sessions = told["details"]["window"], told["details"]["sessions"]
    assert "Jeanne Durand" in told["who"]["supplier"] and told["who"]["approver"] == "Nadia Lefèvre"
    assert about["equipment"] == MODALITY and about["purpose"] == "Bruit sur les coupes axiales" and about["closed"]
    typed = [command["text"] for session in sessions for command in session["commands"]]
    assert any(marker in text for text in typed), typed
    files = {(Path(file["path"]).name, file["direction"]) for session in sessions for file in session["transfers"]}
    assert {("recu", "to_equipment"), ("recu", "from_equipment"), ("gros", "to_equipment")} <= files
    assert {one["reason"] for one in told["details"]["refused"]}
    assert list((Path(INVENTORY) / str(away.site["site_remote_dir"]) / "reports").glob(f"{told['id']}.html"))
    listed = {session["recording"] for session in sessions}
    assert listed == {one["recording"] for one in ask("list", "--window", jeanne.id)}
    assert any(marker[::-1] in ask("show", name, "--output")["output"] for name in listed)


def test_the_clock_opens_and_ends(away: Away, inside: Callable[..., str]) -> None:
    """Before its start a window opens nothing; at its end the session is cut, with nobody there, and reported when asked."""
    start = datetime.now(UTC) + timedelta(seconds=60)
    (window,) = open_windows(away, (JEANNE, MODALITY), start=start.isoformat(), duration="1m")
    end = start.timestamp() + 60
    door = (away.place(BASTION).v4, away.port)
    assert time.time() < start.timestamp(), "the machine is too slow for this test: it opened after its own start"
    assert away.knock(door) == ["nothing"] or time.time() > start.timestamp()
    time.sleep(max(0.0, start.timestamp() + 2 - time.time()))
    with away.going(away.work(JEANNE, window, "echo parti; exec sleep 4444"), "parti") as working:
        late = ended(working) - end
    assert -2 <= late <= CUT, late
    assert within(CUT, lambda: away.knock(door) == ["nothing"])
    play("intervention_reports").succeeded()
    told = report(away, window)
    assert not told["details"]["window"]["closed"] or "end" in told["details"]["window"]["reason"]
    assert len(told["details"]["sessions"]) == 1


@pytest.mark.parametrize("palier", [3])
def test_a_second_factor_is_wanted(away: Away, palier: int) -> None:
    """At palier 3 the certificate alone opens nothing; with the person's one-time code it does."""
    (window,) = open_windows(away, (JEANNE, MODALITY))
    people = {one["id"]: one for supplier in away.site["site_suppliers"].values() for one in supplier["people"]}
    secret = base64.b32decode(people[JEANNE]["totp_secret"])
    digest = hmac.new(secret, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
    at = digest[-1] & 15
    code = f"{(struct.unpack('>I', digest[at : at + 4])[0] & 0x7FFFFFFF) % 10**6:06d}"
    wrong = f"{(int(code) + 500_000) % 10**6:06d}"
    tries = {given: away.run(away.work(JEANNE, window, "hostname", code=given)).stdout.strip() for given in ("", wrong, code)}
    close_windows(window.account)
    assert tries == {"": "", wrong: "", code: MODALITY}
