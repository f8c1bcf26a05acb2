"""Shared by the tests of backups: the plan of the host, what its repository really holds, a client's own borg."""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from testinfra.host import Host

from pgssi.inforce import HostContext

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
        asked[context.name] = _state(server).get(context.name)
    return asked[context.name] or {}


def _state(server: Host) -> dict[str, Any]:
    done = server.run("pgssi-backup-store status --json")
    return json.loads(done.stdout) if done.rc == 0 else {}


@pytest.fixture
def clients(host: Host, asked: dict[Any, Any]) -> Mapping[str, Mapping[str, Any]]:
    """On a backup server: what it finds now in the repository of each client."""
    if host not in asked:
        asked[host] = _state(host)
    return asked[host]


@pytest.fixture
def journal(server: Host, context: HostContext, asked: dict[Any, Any]) -> list[Mapping[str, Any]]:
    """The journal of this host that is kept with the media, oldest first."""
    key = (context.name, "journal")
    if key not in asked:
        lines = server.run(f"cat {STORE}/{context.name}/journal.jsonl").stdout.splitlines()
        asked[key] = [json.loads(line) for line in lines]
    found: list[Mapping[str, Any]] = asked[key]
    return found


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
    """One real run that saved a marker, every packet of it captured on the client.

    status: of pgssi-backup; said: its errors; capture: the listener's lines.
    """

    marker: str
    path: str
    text: str
    status: str
    archive: str
    said: str
    capture: tuple[str, ...]


@pytest.fixture(scope="session")
def marked_run(host: Host, site: Mapping[str, Any]) -> MarkedRun:
    """A marker file in the first component made of files, saved by one captured run; the file is gone afterwards."""
    name = site["inventory_hostname"]
    files = [c for c in site["site_backup_plan"] if c["host"] == name and c["type"] == "files"]
    assert files, "aucun composant de fichiers de cet hôte n'est dans le plan de sauvegarde"
    marker = "MARQUEUR-" + secrets.token_hex(16)
    path, text, stop = f"{files[0]['paths'][-1]}/pgssi-essai-{marker[-8:]}", (marker + "\n") * 200, marker[-4:]
    out = f"/run/pgssi-essai-{marker[-8:]}"
    script = (
        f"python3 -c {shlex.quote(LISTEN)} {marker} 200 {stop} > {out}.heard 2>&1 & "
        f"until grep -q . {out}.heard; do sleep 0.05; done; "
        f"pgssi-backup run {files[0]['component']} > {out}.said 2> {out}.errors; echo $?; sleep 0.3; "
        f"printf {stop} | python3 -c 'import socket,sys; socket.socket(2,2).sendto(sys.stdin.buffer.read(),(\"127.0.0.1\",9))'; "
        f"wait; tail -n 1 {out}.said | grep . || echo -; tail -c 200 {out}.errors | tr '\\n' ' '; echo; cat {out}.heard"
    )
    try:
        host.run(f"install -m 0640 -o nobody -g nogroup /dev/stdin {shlex.quote(path)}", stdin=text.encode())
        status, archive, said, *heard = host.run(f"sh -c {shlex.quote(script)}", timeout=280).stdout.split("\n")
    finally:
        host.run(f"rm -f {shlex.quote(path)} {out}.*")
    return MarkedRun(marker, path, text, status, archive, said.strip(), tuple(heard))
