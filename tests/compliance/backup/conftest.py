"""Shared by the tests of backups: the plan of the host, what its repository really holds, a client's own borg."""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Callable, Iterator, Mapping
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


@pytest.fixture
def marked(host: Host, plan: list[Mapping[str, Any]], marker: str) -> Iterator[tuple[str, str, str]]:
    """A marker file in the first component made of files: (component, path, text); gone afterwards."""
    component = next(entry for entry in plan if entry["type"] == "files")
    path = f"{component['paths'][-1]}/pgssi-essai-{marker[-8:]}"
    text = (marker + "\n") * 200
    try:
        host.run(f"install -m 0640 -o nobody -g nogroup /dev/stdin {shlex.quote(path)}", stdin=text.encode())
        yield component["component"], path, text
    finally:
        host.run(f"rm -f {shlex.quote(path)}")
