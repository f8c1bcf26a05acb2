"""Shared by the tests of the audit trail: where records go, how to find one there, and throw-away identities."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from testinfra.host import Host

from pgssi import authority, trail
from pgssi.inforce import HostContext
from pgssi.paths import ROLES
from pgssi.transport.channel import Unreachable
from pgssi.verify import not_applicable, not_verified
from pgssi.verify.facts import Facts
from pgssi.verify.plan import Plan
from pgssi.verify.timers import DAY, one_pass, timer

DEFAULTS = yaml.safe_load((ROLES / "audit_trail" / "defaults" / "main.yml").read_text("utf-8"))
WIRE = Path(__file__).with_name("on_wire.py").read_text("utf-8")
JOB = "pgssi-log-retention.timer"
LATER = 30.0  # seconds that a record may take


def setting(variables: Mapping[str, Any], name: str) -> Any:
    """Return an option of the role as this host has it."""
    return variables.get(name, DEFAULTS[name])


@dataclass(frozen=True)
class Keeper:
    """A host that keeps records of this one. name: of the inventory; store: where its records are."""

    name: str
    host: Host
    store: str
    port: int
    address: str

    def lines(self, marker: str) -> list[str]:
        """Return the kept lines that hold a marker, each with its file before it."""
        return self.host.run("grep -rsF -e %s %s", marker, self.store).stdout.splitlines()

    def waits(self, marker: str, seconds: float = LATER) -> list[str]:
        """Return the lines that hold a marker, once there are some or the time is over."""
        end = time.monotonic() + seconds
        while not (found := self.lines(marker)) and time.monotonic() < end:
            time.sleep(0.5)
        return found


@pytest.fixture(scope="session")
def groups(pgssi_plan: Plan) -> Mapping[str, list[str]]:
    """The groups of the inventory that matter here."""
    inventory = pgssi_plan.inventory
    names = (*trail.SENDERS, "backup_servers", "gateways")
    return {name: [host for host in inventory.members(name) if host != name or host in inventory.hosts] for name in names}


@pytest.fixture(scope="session")
def keepers(
    context: HostContext, groups: Mapping[str, list[str]], pgssi_plan: Plan, other: Callable[[str], Host]
) -> list[Keeper]:
    """The hosts that have to keep the records of this one, as far as they can be read."""
    names = trail.receivers(context.name, groups)
    assert names, "aucun autre hôte ne garde les traces de celui-ci (groupes log_servers, backup_servers)"
    variables = {name: host.variables for name, host in pgssi_plan.inventory.hosts.items()}
    found = []
    for name in names:
        try:
            host = other(name)
        except Unreachable:
            continue
        store, port = setting(variables[name], "audit_trail_store"), int(setting(variables[name], "audit_trail_port"))
        found.append(Keeper(name, host, store, port, trail.nearest(context.name, name, variables)))
    return found or not_verified(f"aucun serveur de journaux ne répond au vérificateur : {', '.join(names)}")


@pytest.fixture
def marker() -> str:
    """A word that no other record holds."""
    return f"pgssi-essai-{secrets.token_hex(6)}"


@pytest.fixture
def stranger(host: Host, marker: str) -> Iterator[str]:
    """A throw-away account that nobody can become, with a group of its own name."""
    name = marker.replace("pgssi-essai-", "essai")
    host.check_output("useradd --system --user-group --no-create-home --shell /usr/sbin/nologin %s", name)
    try:
        yield name
    finally:
        # userdel leaves a group that has members, and the failures that were counted.
        host.run("userdel %s; groupdel %s; rm -f /run/faillock/%s", name, name, name)


@pytest.fixture(scope="session")
def log_identity(site: Mapping[str, Any]) -> Callable[..., dict[str, str]]:
    """``log_identity("dpi1", other=True)``: a throw-away certificate of the site's log authority, or of a stranger's."""
    key = Path(str(site.get("site_log_authority", ""))).expanduser()
    if not key.is_file() or b"PRIVATE KEY" not in key.read_bytes():
        not_verified("l'autorité des traces n'est pas lisible sur ce poste : aucun certificat d'essai")

    def make(name: str, *, other: bool = False) -> dict[str, str]:
        pair = ec.generate_private_key(ec.SECP256R1())
        coded = serialization.Encoding.PEM
        private = pair.private_bytes(coded, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
        public = pair.public_key().public_bytes(coded, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        with TemporaryDirectory() as folder:
            signer = Path(folder, key.name) if other else key
            if other:
                authority.make(signer, f"PGSSI {key.name}")
            trusted = authority.certificate_path(signer).read_text("ascii")
            signed = authority.sign(public, authority.Subject(name, ("client",)), signer.read_bytes(), trusted)
        return {"certificate": signed, "key": private}

    return make


@pytest.fixture
def offer(host: Host) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    """``offer(orders)``: have this host send records to a log server; keys and certificates travel by standard input."""

    def send(orders: list[dict[str, Any]]) -> list[dict[str, Any]]:
        script = f"{WIRE}\nmain(json.loads({json.dumps(json.dumps(orders))}))\n".encode()
        done = host.run("python3 -I -", stdin=script, timeout=40 + 20 * len(orders))
        if done.rc:
            not_verified(f"essai impossible : {done.stderr.strip()[-200:]}")
        answers: list[dict[str, Any]] = json.loads(done.stdout)
        return answers

    return send


@pytest.fixture(scope="session")
def own_kernel(host: Host) -> bool:
    """Whether this host has a kernel of its own, and so an audit system; else the rule has no object."""
    if host.run("systemd-detect-virt --container --quiet").rc == 0:
        not_applicable("conteneur : l'audit est celui du noyau de son hôte")
    return True


@pytest.fixture
def audited(host: Host, own_kernel: bool, observe: Callable[[str], None]) -> Callable[..., str]:
    """``audited(command, *words)``: run a command; return the audit event written since then that has all the words."""
    status = host.run("auditctl -s").stdout
    assert re.search(r"^enabled [12]$", status, re.MULTILINE), "l'audit du noyau n'est pas actif"
    assert re.search(r"^pid [1-9]", status, re.MULTILINE), "aucun auditd ne reçoit les événements du noyau"

    def find(command: str, *words: str) -> str:
        start = host.check_output("LC_ALL=C date '+%s.%3N'").strip()
        host.run(command, timeout=60)
        end = time.monotonic() + 10
        while True:
            said = host.run("ausearch --input-logs -ts recent --raw 2>/dev/null", timeout=120).stdout
            event = _event(said, float(start), words)
            if event or time.monotonic() > end:
                observe(f"{command.split(';')[0][:60]} : {'événement ' + event[:160] if event else 'rien dans ausearch'}")
                return event
            time.sleep(1)

    return find


def _event(said: str, start: float, words: tuple[str, ...]) -> str:
    """Return the records of the first event since a time that together have all the words."""
    events: dict[str, list[str]] = {}
    for line in said.splitlines():
        stamp = re.search(r"msg=audit\(([\d.]+):(\d+)\)", line)
        if stamp and float(stamp[1]) >= start - 0.01:
            events.setdefault(stamp[2], []).append(line)
    return next((text for lines in events.values() if all(word in (text := "\n".join(lines)) for word in words)), "")


@pytest.fixture
def days_kept(context: HostContext, site: Mapping[str, Any]) -> Callable[[str], int]:
    """``days_kept("access")``: how long a class of records has to be kept on this host."""
    return lambda kind: trail.retention(context.guidance, setting(site, "audit_trail_retention"))[kind]


class Planted:
    """Throw-away records of an age, and the daily job that has to tell which of them are over."""

    def __init__(self, host: Host) -> None:
        """Nothing is planted yet."""
        self.host, self.paths = host, list[str]()

    def __call__(self, start: str, pattern: str, days: int) -> tuple[str, str]:
        """Plant one record that is two days too old and one that has a day left; pattern: of name and day."""
        made = []
        for age in (days + 2, days - 1):
            day = self.host.check_output("date -d '-%s days' +%%F", str(age)).strip()
            path = f"{start}{pattern.format(name=f'-{age}', day=day)}"
            script = "mkdir -p $(dirname %s) && echo essai > %s && touch -d '-%s days' %s"
            self.host.check_output(script, path, path, str(age), path)
            made.append(path)
        self.paths += made
        return made[0], made[1]

    def run(self) -> None:
        """Run the daily job now: it must be planned, and started by its timer within a day."""
        due = timer(Facts(self.host), JOB).fault("effacement des traces", DAY)
        assert not due, due
        done = one_pass(self.host, JOB.replace(".timer", ".service"), timeout=180)
        assert done.rc == 0, f"le travail quotidien échoue : {done.stderr.strip()[-160:]}"

    def left(self) -> set[str]:
        """Return the planted files that are still there."""
        return {path for path in self.paths if self.host.file(path).exists}

    def close(self) -> None:
        """Leave nothing behind."""
        for path in self.paths:
            self.host.run("rm -f %s; rmdir --ignore-fail-on-non-empty $(dirname %s)", path, path)


@pytest.fixture
def planted(host: Host) -> Iterator[Planted]:
    """Throw-away records of an age."""
    made = Planted(host)
    yield made
    made.close()
