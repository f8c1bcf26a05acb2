"""Recordings of suppliers' sessions: made for real, read on the log server, attacked from the bastion (PSSI 6.1.2.4, 6.1.1.5)."""

from __future__ import annotations

import json
import secrets
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.host import Host

from pgssi.paths import ROLES
from pgssi.remote.model import Access
from pgssi.remote.recording import digest
from pgssi.remote.report import KIND, late
from pgssi.verify import not_applicable, not_verified
from pgssi.verify.sudo_policy import read_policy

SCRIPT = Path(__file__).with_name("on_bastion.py").read_text("utf-8")
RECORDS = "/usr/local/lib/pgssi/pgssi-records"
PROGRAM = "/usr/local/lib/pgssi/remote-relay"
DEFAULTS = yaml.safe_load((ROLES / "remote_maintenance" / "defaults" / "main.yml").read_text("utf-8"))
# Digests of what the folders hold now against what was sealed, the chain, and what lacks a seal or a folder.
REREAD = """import hashlib, json, pathlib, sys
root = pathlib.Path(sys.argv[1]); previous = "0" * 64; faults = []; opened = {}; sealed = {}
for line in (root / "seals.jsonl").read_bytes().splitlines():
    value = json.loads(line)
    if value["previous"] != previous: faults.append(f"chaîne rompue, ligne {value['seq']}")
    previous = hashlib.sha256(line).hexdigest()
    if value["event"] == "opened": opened[value["recording"]] = value
    if value["event"] == "sealed": sealed[value["recording"]] = value
for name, value in sealed.items():
    folder = root / "recordings" / name
    there = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()} if folder.is_dir() else {}
    if there != {file: facts["sha256"] for file, facts in value["files"].items()}: faults.append(f"modifié : {name}")
faults += [f"hors scellés : {p.parent}" for p in root.glob("recordings/*/*/*/log")
           if str(p.parent.relative_to(root / "recordings")) not in opened]
print(json.dumps({"faults": faults, "sealed": {n: v["files"] for n, v in sealed.items()}}))"""


@pytest.fixture
def root(pgssi_plan: Any) -> str:
    """Where the log server of the site keeps recordings, events and seals."""
    servers = pgssi_plan.inventory.members("log_servers")
    given = pgssi_plan.inventory.hosts[servers[0]].variables if servers else {}
    return str(given.get("remote_maintenance_recordings") or DEFAULTS["remote_maintenance_recordings"])


@pytest.fixture
def relays(declared: list[Access]) -> list[str]:
    """The relays, on the bastion, of every equipment that the model declares to a supplier."""
    return list(dict.fromkeys(access.relay for access in declared))


@pytest.fixture
def relay(relays: list[str]) -> str:
    """The first of them, for what is tried once."""
    return relays[0]


@pytest.fixture
def account(host: Host, relays: list[str]) -> Iterator[str]:
    """A throw-away supplier's account with the rights of some: to start these relays, and nothing else."""
    absent = [relay for relay in relays if host.run(f"getent passwd {relay}").rc != 0]
    assert not absent, f"la passerelle n'a pas de relais pour des équipements : {', '.join(absent[:4])}"
    login = f"essai{secrets.token_hex(4)}"
    groups = "-g pgssi-suppliers" + (" -G pgssi-sudo" if host.run("getent group pgssi-sudo").rc == 0 else "")
    right = f'{login} ALL=({", ".join(relays)}) NOPASSWD: {PROGRAM} ""\n'
    host.check_output(f"useradd --system --no-create-home {groups} {login}")
    try:
        path = f"/etc/sudoers.d/{login}"
        host.check_output(f"printf %%s %s > {path} && chmod 0440 {path} && visudo -cqf {path}", right)
        yield login
    finally:
        left = f"/etc/sudoers.d/{login} /run/pgssi-remote/windows/{login}.json /run/faillock/{login}"
        host.run(f"rm -f {left}; pkill -KILL -u {login}; userdel {login}")


@dataclass(frozen=True)
class Recorded:
    """What sudo does with the sessions of one declared access. options: in effect; tags: of its rights."""

    access: Access
    options: Mapping[str, Any]
    tags: Mapping[str, set[Any]]

    def keeps(self, what: str) -> bool:
        """Return whether ``log_input`` or ``log_output`` is on, whichever right the access starts by."""
        tags = self.tags.get(what, set())
        return False not in tags and (True in tags or self.options.get(what) is True)

    def __str__(self) -> str:
        """Return the account."""
        return self.access.account


@pytest.fixture
def recorded(declared: list[Access], facts: Any) -> Callable[[], list[Recorded]]:
    """``recorded()``: what the sudo policy, as sudo's own parser reads it, says of each declared access."""
    passwd, groups = {entry[0]: entry for entry in facts.getent("passwd")}, facts.getent("group")

    def names(login: str) -> set[str]:
        entry = passwd.get(login)
        mine = [group for group in groups if login in group[3].split(",") or (entry and group[2] == entry[3])]
        numbered = {f"#{entry[2]}"} if entry else set()
        return {login, *numbered, *(f"%{group[0]}" for group in mine), *(f"%#{group[2]}" for group in mine)}

    def read() -> list[Recorded]:
        policy = read_policy(facts)
        assert not policy.fault, policy.fault
        found = []
        for access in declared:
            asked = names(access.account), names(access.relay), PROGRAM
            tags: dict[str, set[Any]] = {}
            for tag, value in policy.tags(*asked):
                tags.setdefault(tag, set()).add(value if isinstance(value, bool) else str(value))
            found.append(Recorded(access, policy.options(*asked), tags))
        return found

    return read


@pytest.fixture
def log_server(other: Callable[[str], Host]) -> Host:
    """The log server of the site, over its own channel."""
    return other("log_servers")


def recent(root: str, name: str, marker: str) -> str:
    """Return the line of shell that finds a marker in files of this name, among recordings of now, not of years."""
    return f"find {root}/recordings -name {name} -mmin -15 -exec grep -lF {marker} {{}} +"


@dataclass
class Live:
    """A session that runs now on the bastion, recorded, with nobody behind. name: of its recording, empty when none."""

    host: Host
    server: Host
    root: str
    unit: str
    marker: str
    name: str = ""
    seconds: float = 0.0
    said: str = ""

    def hear(self, word: str, patience: float = 50) -> bool:
        end = time.monotonic() + patience
        while time.monotonic() < end:
            self.said = self.host.run(f"cat /run/{self.unit}.out 2>&1").stdout
            if word in self.said or "END" in self.said:
                break
            time.sleep(0.2)
        return word in self.said

    def find(self, patience: float = 10) -> str:
        """Return the folder on the log server in which a stream holds the marker."""
        started = time.monotonic()
        while not self.name and time.monotonic() < started + patience:
            found = self.server.run(recent(self.root, "ttyin", self.marker)).stdout.split()
            self.name = found[0].removeprefix(f"{self.root}/recordings/").removesuffix("/ttyin") if found else ""
        self.seconds = time.monotonic() - started
        return self.name

    def stream(self, name: str) -> str:
        return self.server.run(f"cat {self.root}/recordings/{self.name}/{name}").stdout

    def end(self) -> None:
        """End it, and wait until nothing writes any more."""
        self.host.run(f"systemctl stop {self.unit}.service")


@pytest.fixture
def live(host: Host, log_server: Host, root: str, account: str, relay: str, way: None) -> Iterator[Live]:
    """A real session through the recorded relay: a marker was typed, its mirror image was answered, it goes on."""
    unit, marker = f"pgssi-essai-{secrets.token_hex(4)}", f"MARQUEUR-{secrets.token_hex(8)}"
    asked = json.dumps({"account": account, "relay": relay, "marker": marker, "hold": 40})
    session = Live(host, log_server, root, unit, marker)
    out = f"-p StandardOutput=file:/run/{unit}.out -p StandardError=append:/run/{unit}.out"
    host.check_output(f"systemd-run -q --unit={unit} {out} python3 -I -c %s session %s", SCRIPT, asked)
    try:
        assert session.hear("READY"), f"aucune session enregistrée ne s'ouvre sur la passerelle : {session.said.strip()[-200:]}"
        yield session
    finally:
        session.end()
        host.run(f"rm -f /run/{unit}.out; systemctl reset-failed {unit}.service")


@pytest.mark.rule("remote-session-recorded")
def test_no_access_is_left_out(recorded: Callable[[], list[Recorded]], observe: Callable[[str], None]) -> None:
    """In sudo's policy every declared access, as the relay of its equipment, has keys, screens and files recorded."""
    found = recorded()
    flags = ("log_stdin", "log_stdout", "log_stderr", "log_ttyin", "log_ttyout", "use_pty")
    missing = [
        f"{one} ({name})"
        for one in found
        for name in (
            *(name for name in ("log_input", "log_output") if not one.keeps(name)),
            *(name for name in flags if one.options.get(name) is False),
        )
    ]
    observe(f"{len(found)} accès déclarés, {len({name.split(' ')[0] for name in missing})} sans enregistrement complet")
    assert not missing, f"l'enregistrement est coupé : {', '.join(missing[:4])}"


@pytest.mark.rule("remote-session-recorded")
@pytest.mark.acts
def test_what_is_typed_and_shown_is_recorded(live: Live, account: str, observe: Callable[[str], None]) -> None:
    """A marker is typed in a real session and answered: both are in the recording, which sudoreplay plays."""
    name = live.find()
    observe(f"marqueur {'trouvé' if name else 'absent'} sur le serveur de journaux")
    assert name, "ce qui est tapé n'est pas enregistré sur le serveur de journaux"
    answer = "REPONSE-" + live.marker[::-1]
    shown, end = live.stream("ttyout"), time.monotonic() + 5
    while answer not in shown and time.monotonic() < end:
        shown = live.stream("ttyout")
    live.end()
    facts = json.loads(live.stream("log.json"))
    played = live.server.run(f"sudoreplay -m 0 -s 100 {live.root}/recordings/{name}").stdout
    assert answer in shown, "ce qui est affiché n'est pas enregistré"
    assert facts["submituser"] == account, f"l'enregistrement est au nom de {facts['submituser']}"
    assert answer in played, "sudoreplay ne rejoue pas l'enregistrement"
    received = abs(facts["timestamp"]["seconds"] - time.time())
    assert received < 120, f"l'heure de l'enregistrement est à {received:.0f} s de l'heure du contrôle"


@pytest.mark.rule("remote-session-recorded")
@pytest.mark.acts
@pytest.mark.usefixtures("way")
def test_what_is_moved_is_recorded(
    host: Host, log_server: Host, root: str, account: str, relays: list[str], observe: Callable[[str], None]
) -> None:
    """Bytes sent without a terminal, as file transfers are, are in a recording with what came back, by each relay."""
    kept = {}
    for relay in relays:
        marker = f"OCTETS-{secrets.token_hex(8)}"
        command = f"runuser -u {account} -- env PGSSI_WINDOW=verification SSH_ORIGINAL_COMMAND={marker} "
        host.run(f"sleep 0.2 | {command} sudo -n -u {relay} {PROGRAM}")
        folder = log_server.run(recent(root, "log.json", marker)).stdout.strip().removesuffix("/log.json")
        kept[relay] = log_server.run(f"ls {shlex.quote(folder)}").stdout.split() if folder else []
    observe(f"sessions sans terminal : {sum(map(bool, kept.values()))} enregistrées sur {len(relays)} relais")
    lost = [relay for relay, found in kept.items() if not found]
    dry = [relay for relay, found in kept.items() if not {"stdout", "stderr"} & set(found)]
    assert not lost, f"une session sans terminal n'est pas enregistrée : {', '.join(lost)}"
    assert not dry, f"les flux d'une session sans terminal ne sont pas enregistrés : {', '.join(dry)}"


@pytest.mark.rule("remote-recording-off-bastion")
def test_no_access_goes_on_without_its_recording(recorded: Callable[[], list[Recorded]], observe: Callable[[str], None]) -> None:
    """In sudo's policy every declared access is recorded by the same server, and no error of recording is ignored."""
    found = recorded()
    errors = ("ignore_iolog_errors", "ignore_logfile_errors", "ignore_audit_errors")
    servers = {str(one): " ".join(one.options.get("log_servers") or ()) or "aucun" for one in found}
    loose = [f"{one} ({name})" for one in found for name in errors if one.options.get(name)]
    observe(f"{len(found)} accès, serveur {', '.join(sorted(set(servers.values())))}, {len(loose)} erreurs ignorées")
    kept_here = [name for name, server in servers.items() if server == "aucun"]
    assert not kept_here, f"l'enregistrement ne quitte pas la passerelle : {', '.join(kept_here[:4])}"
    assert len(set(servers.values())) == 1, f"tous n'ont pas le même serveur d'enregistrement : {servers}"
    assert not loose, f"une session peut durer sans son enregistrement : {', '.join(loose[:4])}"


@pytest.mark.rule("remote-recording-off-bastion")
@pytest.mark.acts
def test_recording_leaves_at_once(live: Live, host: Host, observe: Callable[[str], None]) -> None:
    """While the session still runs, the log server holds what was typed and the bastion's disk does not."""
    name = live.find(5)
    running = live.host.run(f"systemctl is-active {live.unit}.service").stdout.strip()
    kept = host.run(f"grep -rslF {live.marker} /var/log/sudo-io /var/log/sudo.log /var/lib/sudo /var/lib/pgssi /var/tmp /tmp")
    observe(f"sur le serveur en {live.seconds:.1f} s, session {running}, sur la passerelle : {kept.stdout.split() or 'rien'}")
    assert running == "active", "la session n'a pas duré assez pour juger"
    assert name, "ce qui est tapé n'arrive pas au serveur de journaux pendant la session"
    assert not kept.stdout.split(), "la passerelle garde une copie de ce qui est tapé"


@pytest.mark.rule("remote-recording-off-bastion")
@pytest.mark.acts
@pytest.mark.usefixtures("way")
def test_no_session_without_log_server(
    host: Host, site: Mapping[str, Any], account: str, relay: str, observe: Callable[[str], None]
) -> None:
    """With the way to the log server stopped for a second, a session is tried and refused before it starts."""
    port = site.get("remote_maintenance_record_port") or DEFAULTS["remote_maintenance_record_port"]
    busy = host.run(f"ss -Htn state established 'sport = :{port}'").stdout.strip()
    if busy:
        not_verified("une intervention est en cours : la liaison n'est pas coupée pour l'essai")
    tried = f"runuser -u {account} -- env PGSSI_WINDOW=verification sudo -n -u {relay} /usr/local/lib/pgssi/remote-relay"
    try:
        host.run("systemctl stop pgssi-record-link.service")
        answer = host.run(f"{tried} </dev/null", timeout=40)
    finally:
        host.run("systemctl start pgssi-record-link.service; sleep 0.3")
    said = f"{answer.stdout}{answer.stderr}"
    observe(f"sans serveur de journaux : code {answer.rc}, {said.strip()[:120]}")
    started = [line for line in said.splitlines() if line.strip() and not line.startswith("sudo: ")]
    assert answer.rc != 0 and not started, f"le relais démarre sans être enregistré : {' '.join(started)[-120:]}"
    assert "log server" in said, f"le refus ne vient pas de l'enregistrement : {said.strip()[-160:]}"


@pytest.mark.rule("remote-recording-not-alterable")
@pytest.mark.acts
def test_bastion_cannot_alter(live: Live, host: Host, observe: Callable[[str], None]) -> None:
    """Root of the bastion sends restarts, loose data and garbage at a running and a finished recording: nothing changes."""
    assert live.find(), "aucun enregistrement à attaquer : ce qui est tapé n'arrive pas au serveur de journaux"
    link = json.loads(host.run("cat /etc/pgssi/remote/record-link.json").stdout or "{}")
    assert link.get("servers"), "la passerelle n'a pas de serveur de journaux"
    first = link["servers"][0]
    aim = {"server": first["name"], "port": link["port"], "name": live.name, "address": first["address"], "root": live.root}
    asked = json.dumps(aim)
    running = json.loads(host.run("python3 -I -c %s attack %s", SCRIPT, asked, timeout=60).stdout or "{}")
    during = live.stream("ttyin")
    live.end()
    digest = f"cd {live.root}/recordings/{live.name} && sha256sum *"
    before = live.server.run(digest).stdout
    finished = json.loads(host.run("python3 -I -c %s attack %s", SCRIPT, asked, timeout=60).stdout or "{}")
    after = live.server.run(digest).stdout
    observe(f"{len(running) + len(finished)} attaques ; reprise : {finished.get('restart', 'sans réponse')[-60:]!r}")
    assert running and finished, "les attaques n'ont pas pu être envoyées"
    assert live.marker in during and "FAUX" not in during, "root de la passerelle modifie un enregistrement en cours"
    assert before == after and live.marker in live.stream("ttyin"), "root de la passerelle modifie un enregistrement fini"
    forged = live.server.run(f"grep -rlF FAUXFAUX {live.root}/recordings").stdout.split()
    assert not forged, f"des données sans session sont acceptées : {forged[:3]}"
    assert "pgssi-record-server" not in running["no certificate"], "le serveur de journaux reçoit sans certificat"


@pytest.mark.rule("remote-recording-closed-to-supplier")
def test_ordinary_account_reads_nothing(host: Host, site: Mapping[str, Any], root: str, observe: Callable[[str], None]) -> None:
    """An ordinary account of the log server tries to list, read and delete recordings, seals and traces."""
    if not site.get("site_suppliers"):
        not_applicable("aucun prestataire n'est déclaré")
    nobody = "runuser -u nobody --"
    script = (
        f"[ -d {root} ] && echo there; find {root} -perm /0077 -printf 'open %%p\\n' | head -n 20; "
        f"{nobody} find {root} -mindepth 1 -printf 'listed %%p\\n' 2>/dev/null | head -n 5; "
        f"{nobody} cat {root}/seals.jsonl >/dev/null 2>&1 && echo read; {nobody} test -w {root}/seals.jsonl && echo write; true"
    ).replace("%%", "%")
    said = host.run(script).stdout.split("\n")
    loose = [line for line in said if line and line != "there"]
    observe(f"dossier {'présent' if 'there' in said else 'absent'}, {len(loose)} chose(s) ouverte(s)")
    assert "there" in said, "aucun enregistrement n'est tenu sur ce serveur de journaux"
    assert not loose, f"lisible ou modifiable par un compte ordinaire : {', '.join(loose[:4])}"


@pytest.mark.rule("remote-attempts-on-log-server")
@pytest.mark.acts
def test_refused_attempt_is_on_log_server(
    host: Host, log_server: Host, site: Mapping[str, Any], root: str, relay: str, observe: Callable[[str], None]
) -> None:
    """An unknown login tries the suppliers' service: within 10 s the log server has it, with source and its own time."""
    login = f"essai-{secrets.token_hex(5)}"
    port = (site.get("site_remote") or {}).get("port", 2222)
    attempt = host.run(
        f"ssh -p {port} -o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
        f"-o LogLevel=ERROR {login}@127.0.0.1 true </dev/null"
    )
    assert "Permission denied" in attempt.stderr, f"le service des prestataires ne répond pas : {attempt.stderr.strip()[-120:]}"
    line, end = "", time.monotonic() + 10
    while not line and time.monotonic() < end:
        line = log_server.run(f"grep -rhF {login} {root}/hosts").stdout.strip()
        time.sleep(0.3)
    observe(f"sur le serveur de journaux : {line.splitlines()[0][:160] if line else 'rien en 10 s'}")
    assert line, "une tentative refusée n'arrive pas au serveur de journaux"
    assert "127.0.0.1" in line, "la tentative n'y porte pas son origine"
    written = datetime.fromisoformat(line.split(" ", 1)[0])
    assert abs((datetime.now(UTC) - written).total_seconds()) < 60, "la tentative n'y porte pas l'heure du serveur"


@pytest.mark.rule("remote-recordings-sealed")
@pytest.mark.acts
def test_recordings_are_sealed(live: Live, evidence: tuple[Any, ...], observe: Callable[[str], None]) -> None:
    """A session that has just ended is sealed; every sealed recording is read again, and the chain followed.

    The end of a chain can be cut with its recordings: what intervention reports told of must still be sealed as they told.
    """
    name = live.find()
    assert name, "ce qui est tapé n'est pas enregistré : rien à sceller"
    live.end()
    done = live.server.run("python3 -I -c %s %s", REREAD, live.root, timeout=280)
    assert done.rc == 0, f"les scellés ne se relisent pas : {done.stderr.strip()[-160:]}"
    found = json.loads(done.stdout)
    sessions = [session for record in evidence if record["kind"] == KIND for session in record["details"]["sessions"]]
    reported = {session["recording"]: session["sha256"] for session in sessions if session["sha256"]}
    lost = [recording for recording, sha256 in reported.items() if digest(found["sealed"].get(recording)) != sha256]
    observe(
        f"{len(found['sealed'])} enregistrements scellés, {len(found['faults'])} défaut(s), {len(reported)} cités par un rapport"
    )
    assert name in found["sealed"], "une session finie n'est pas scellée"
    assert not found["faults"], f"scellés rompus : {' ; '.join(found['faults'][:4])}"
    assert not lost, f"cités par un rapport, et plus scellés ainsi : {', '.join(lost[:4])}"


@pytest.mark.rule("remote-report-for-each-session")
def test_each_session_has_its_report(
    host: Host, site: Mapping[str, Any], evidence: tuple[Any, ...], observe: Callable[[str], None]
) -> None:
    """Recordings finished more than 24 hours ago, minus those that intervention reports cite by digest, leave nothing."""
    if not site.get("site_suppliers"):
        not_applicable("aucun prestataire n'est déclaré")
    done = host.run(f"{RECORDS} windows", timeout=120)
    assert done.rc == 0, "aucun enregistrement n'est tenu sur ce serveur de journaux"
    answer = json.loads(done.stdout)
    missing = late(answer, evidence, datetime.now(UTC))
    count = sum(len(window["sessions"]) for window in answer["windows"]) + len(answer["strays"])
    observe(f"{count} sessions enregistrées, {len(missing)} sans rapport après 24 h")
    assert not missing, f"sessions sans rapport : {', '.join(session.recording for session in missing[:4])}"
