"""Shared by the tests of backups: the plan of the host, what its repository really holds, a client's own borg."""

from __future__ import annotations

import json
import re
import secrets
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from testinfra.host import Host

from pgssi.backup_groups import backup_groups
from pgssi.inforce import HostContext
from pgssi.verify.timers import settled

STORE = "/srv/pgssi-backup"
ESCROW = "/srv/pgssi-escrow"
COPIES = "/srv/pgssi-offsite"
SSH = "ssh -F /etc/pgssi/backup/ssh_config"


@pytest.fixture
def plan(site: Mapping[str, Any], context: HostContext) -> list[Mapping[str, Any]]:
    """The components of this host in the backup plan."""
    mine = [component for component in site["site_backup_plan"] if component["host"] == context.name]
    assert mine, "aucun composant de cet hôte n'est dans le plan de sauvegarde"
    return mine


@pytest.fixture
def server(site: Mapping[str, Any], other: Callable[[str], Host]) -> Host:
    """The backup server of the site, over its own channel."""
    return other(site["site_backup"]["server"])


@pytest.fixture(scope="session")
def asked() -> dict[Any, Any]:
    """What backup servers said of their clients, asked once per session."""
    return {}


@pytest.fixture
def seen(server: Host, context: HostContext, asked: dict[Any, Any]) -> Mapping[str, Any]:
    """What the backup server finds now in the repository of this host: archives, verification, encryption."""
    if context.name not in asked:
        before = time.time()
        asked[context.name] = (_state(server).get(context.name) or {}) | {"asked": before}
    state: Mapping[str, Any] = asked[context.name]
    return state if "transaction" in state else {}


def _state(server: Host) -> dict[str, Any]:
    done = server.run("pgssi-backup-store status --json")
    return json.loads(done.stdout) if done.rc == 0 else {}


@pytest.fixture
def overridden(facts: Any) -> Callable[..., list[str]]:
    """Say which of some units systemd would not run as they stand in its own folder: masked, hidden or overridden."""

    def judge(*units: str) -> list[str]:
        """Return one sentence per fault, with its remedy."""
        names = " ".join(shlex.quote(unit) for unit in units)
        wanted = "-p Id -p LoadState -p FragmentPath -p DropInPaths"
        said = facts(f"units {names}", f"systemctl show {wanted} -- {names}")
        faults = []
        for unit, block in zip(units, said.strip().split("\n\n"), strict=True):
            seen = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            if seen["LoadState"] != "loaded":
                faults.append(f"{unit} : {seen['LoadState']}")
            foreign = [path for path in seen["DropInPaths"].split() if not path.startswith(("/usr/lib/", "/lib/"))]
            if seen["FragmentPath"] and not seen["FragmentPath"].startswith("/etc/systemd/system/"):
                foreign.append(seen["FragmentPath"])
            faults += [f"{path} s'impose à {unit} ; à retirer par : rm {path} && systemctl daemon-reload" for path in foreign]
        return faults

    return judge


@pytest.fixture
def foreign_programs(facts: Any) -> Callable[..., list[str]]:
    """Say which programs of some packages are no longer those of Debian: changed, gone or diverted."""

    def judge(*packages: str) -> list[str]:
        """Return their paths; configuration files, which dpkg marks with a letter, are not programs."""
        names = " ".join(packages)
        said = facts(f"genuine {names}", f"dpkg --verify {names}; dpkg-divert --list | sed -n 's/^local diversion of //p'")
        words = (line.split() for line in said.splitlines())
        paths = [line[-1] if len(line) == 2 else line[0] for line in words if line and (len(line) == 2 or line[1:2] == ["to"])]
        ours = facts(f"programs {names}", f"dpkg-query -L {names}").splitlines()
        return [path for path in paths if path in ours and re.match(r"(/usr)?/(s?bin|lib(exec)?)/", path)]

    return judge


@pytest.fixture
def clock(seen: Mapping[str, Any]) -> float:
    """How many seconds the clock of the backup server is ahead of the control node's; no age says anything otherwise."""
    return datetime.fromisoformat(seen["now"]).timestamp() - seen["asked"] if "now" in seen else 0.0


@pytest.fixture
def clients(host: Host, asked: dict[Any, Any]) -> Mapping[str, Mapping[str, Any]]:
    """On a backup server: what it finds now in the repository of each client."""
    if host not in asked:
        asked[host] = _state(host)
    return asked[host]


@pytest.fixture
def journal_of(server: Host, asked: dict[Any, Any]) -> Callable[[str], list[Mapping[str, Any]]]:
    """The journal of a client that is kept with the media, oldest first."""

    def read(client: str) -> list[Mapping[str, Any]]:
        key = (client, "journal")
        if key not in asked:
            lines = server.run(f"cat {STORE}/{shlex.quote(client)}/journal.jsonl").stdout.splitlines()
            asked[key] = list(_records(lines))
        found: list[Mapping[str, Any]] = asked[key]
        return found

    return read


@pytest.fixture
def journal(journal_of: Callable[[str], list[Mapping[str, Any]]], context: HostContext) -> list[Mapping[str, Any]]:
    """The journal of this host."""
    return journal_of(context.name)


def _records(lines: list[str]) -> Iterator[Mapping[str, Any]]:
    """Yield what is a record: a line cut by a full disk, or written by hand, proves nothing."""
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and record.keys() >= {"component", "status", "verification", "received", "transaction"}:
            yield record


@dataclass(frozen=True)
class Client:
    """Root on a backup client, with that client's own keys and nothing else."""

    host: Host
    name: str
    server: str

    def repository(self, name: str = "main", of: str = "", account: str = "") -> str:
        return f"ssh://borg-{account or self.name}@{self.server}{STORE}/{of or self.name}/borg/{name}"

    def borg(self, command: str, repository: str = "", cwd: str = "/", timeout: int = 120) -> Any:
        environment = {
            "BORG_REPO": repository or self.repository(),
            "BORG_RSH": SSH,
            "BORG_PASSCOMMAND": "cat /etc/pgssi/backup/passphrase",
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            "BORG_DELETE_I_KNOW_WHAT_I_AM_DOING": "YES",
        }
        words = " ".join(f"{key}={shlex.quote(value)}" for key, value in environment.items())
        return self.host.run(f"cd {shlex.quote(cwd)} && env {words} borg --lock-wait 60 {command}", timeout=timeout)

    def ssh(self, options: str, *command: str, timeout: int = 30) -> Any:
        words = " ".join(shlex.quote(word) for word in command)
        return self.host.run(f"{SSH} {options} {self.server} {words}", timeout=timeout)


@pytest.fixture
def client(host: Host, site: Mapping[str, Any], context: HostContext) -> Client:
    """This host as a backup client."""
    return Client(host, context.name, site["site_backup"]["server"])


@pytest.fixture
def a_client(site: Mapping[str, Any], other: Callable[[str], Host]) -> Client:
    """On a backup server: the first client of the plan, to try things with its keys."""
    name = site["site_backup_plan"][0]["host"]
    return Client(other(name), name, site["site_backup"]["server"])


@pytest.fixture
def marker() -> str:
    """A word that no archive, repository or packet holds by chance."""
    return "MARQUEUR-" + secrets.token_hex(16)


# Counts the packets in which a word passes, until a datagram that ends with the stop word.
LISTEN = """import socket,sys,time
raw=socket.socket(socket.AF_PACKET,socket.SOCK_RAW,socket.htons(3)); raw.settimeout(0.5)
word=sys.argv[1].encode(); end=time.time()+float(sys.argv[2]); size=count=seen=0; tail=b""
print("listening",flush=True)
while time.time()<end:
    try: packet=raw.recv(65535)
    except TimeoutError: continue
    if sys.argv[3].encode()==packet[-4:]: break
    size+=len(packet); count+=1; seen+=word in tail+packet; tail=packet[-64:]
print(count,size,seen)"""


@dataclass(frozen=True)
class MarkedRun:
    """One night's runs, by the very units that the timers start, with markers and every packet captured on the client.

    marker: in every file; paths: {component: marker file}; text: their content; status: "0", or what failed;
    archives: {component: archive made by this run}; said: last words of the units; capture: the listener's lines.
    """

    marker: str
    paths: Mapping[str, str]
    text: str
    status: str
    archives: Mapping[str, str]
    said: str
    capture: tuple[str, ...]


@pytest.fixture(scope="session")
def marked_run(host: Host, site: Mapping[str, Any]) -> MarkedRun:
    """A marker file in each component made of files, then a run of each group of components; the markers are gone afterwards."""
    name = site["inventory_hostname"]
    mine = [component for component in site["site_backup_plan"] if component["host"] == name]
    files = {component["component"]: component["paths"][-1] for component in mine if component["type"] == "files"}
    assert files, "aucun composant de fichiers de cet hôte n'est dans le plan de sauvegarde"
    marker = "MARQUEUR-" + secrets.token_hex(16)
    text, stop, out = (marker + "\n") * 200, marker[-4:], f"/run/pgssi-essai-{marker[-8:]}"
    paths = {component: f"{folder}/pgssi-essai-{marker[-8:]}" for component, folder in files.items()}
    units = [f"pgssi-backup@{group.leader}.service" for group in backup_groups(mine)]
    script = (
        f"pgssi-backup status > {out}.before; "
        f"python3 -c {shlex.quote(LISTEN)} {marker} 400 {stop} > {out}.heard 2>&1 & "
        f"until grep -q . {out}.heard; do sleep 0.05; done; failed=; "
        f"for unit in {' '.join(units)}; do systemctl start $unit || failed=$unit; done; echo ${{failed:-0}}; sleep 0.3; "
        f"printf {stop} | python3 -c 'import socket,sys; socket.socket(2,2).sendto(sys.stdin.buffer.read(),(\"127.0.0.1\",9))'; "
        f"wait; grep . {out}.before || echo '{{}}'; pgssi-backup status | grep . || echo '{{}}'; "
        f"[ -z \"$failed\" ] || journalctl -q -o cat -n 3 _SYSTEMD_UNIT=$failed | tr '\\n' ' '; echo; cat {out}.heard"
    )
    for unit in units:
        settled(host, unit, timeout=900)
    try:
        for path in paths.values():
            host.run(f"install -m 0640 -o nobody -g nogroup /dev/stdin {shlex.quote(path)}", stdin=text.encode())
        status, before, after, said, *heard = host.run(f"sh -c {shlex.quote(script)}", timeout=500).stdout.split("\n")
    finally:
        host.run(f"rm -f {' '.join(map(shlex.quote, paths.values()))} {out}.*; systemctl reset-failed 'pgssi-backup@*'")
    old, new = _newest(before), _newest(after)
    made = {component: archive for component, archive in new.items() if archive != old.get(component)}
    return MarkedRun(marker, paths, text, status, made, said.strip(), tuple(heard))


def _newest(status: str) -> dict[str, str]:
    """Return {component: newest archive} of what the server said of the client."""
    components = json.loads(status).get("components", {})
    return {name: state["archive"]["name"] for name, state in components.items() if state["archive"]}
