"""Shared by the tests of access rights: the declared state, the host's accounts and sudo policy, throw-away accounts."""

from __future__ import annotations

import json
import random
import secrets
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pgssi.habilitations import Account, declared_accounts
from pgssi.inforce import HostContext
from pgssi.remote.model import account_name, relay_name

SCRIPT = Path(__file__).with_name("on_host.py").read_text("utf-8")
RELAY = '/usr/local/lib/pgssi/remote-relay ""'
CLASSES = ("ABCDEFGHJKLMNPQRSTUVWXYZ", "abcdefghjkmnpqrstuvwxyz", "23456789", "!#%+-:=?@_")
KEYS = """getent passwd | while IFS=: read -r login _ uid _ _ home shell; do
for f in "$home/.ssh/authorized_keys" "$home/.ssh/authorized_keys2"; do
[ -f "$f" ] && sed -n "/^[[:space:]]*[^#[:space:]]/s|^|$login\\t|p" "$f"
done; done; true"""


def _draw(length: int = 16, without: int | None = None) -> str:
    classes = [kind for number, kind in enumerate(CLASSES) if number != without]
    chosen = [secrets.choice(kind) for kind in classes]
    # No character twice, and no neighbours such as "de" or "21": hosts may refuse too few different characters or a
    # sequence (cracklib counts them), and that is not what is tested.
    rest = sorted(set("".join(classes)) - set(chosen))
    chosen += random.SystemRandom().sample(rest, length - len(chosen))
    while True:
        random.SystemRandom().shuffle(chosen)
        if all(abs(ord(one) - ord(next_one)) > 1 for one, next_one in pairwise(chosen)):
            return "".join(chosen)


@dataclass
class People:
    """The accounts of the host as they are: fields of passwd and shadow, groups, key lines."""

    passwd: Mapping[str, list[str]]
    shadow: Mapping[str, list[str]]
    groups: Mapping[str, list[str]]
    keys: Mapping[str, list[str]]
    crontabs: set[str] = field(default_factory=set)

    def uid(self, login: str) -> int:
        return int(self.passwd[login][2])

    def usable(self, login: str) -> bool:
        """Whether a password (or none at all) opens the account."""
        return not self.shadow.get(login, ["", "*"])[1].startswith(("!", "*"))

    def expired(self, login: str) -> bool:
        value = self.shadow.get(login, [""] * 8)[7]
        return value != "" and int(value) <= (date.today() - date(1970, 1, 1)).days

    def ways_in(self, login: str) -> list[str]:
        """Return what would still let somebody act under this login."""
        ways = [
            ("mot de passe utilisable", self.usable(login)),
            ("compte non expiré", not self.expired(login)),
            ("clés SSH", bool(self.keys.get(login))),
            ("crontab", login in self.crontabs),
        ]
        return [name for name, present in ways if present]

    def opens(self, login: str) -> bool:
        """Whether the account can authenticate at all."""
        return not self.expired(login) and (self.usable(login) or bool(self.keys.get(login)))

    def member_of(self, login: str) -> set[str]:
        return {name for name, fields in self.groups.items() if login in fields[3].split(",")}


@pytest.fixture(scope="session")
def draw() -> Callable[..., str]:
    """``draw(length, without=None)``: a random password of every class (upper, lower, digit, sign) but one."""
    return _draw


@pytest.fixture(scope="session")
def people(facts: Any) -> People:
    """Every account of the host."""
    keys: dict[str, list[str]] = {}
    for line in facts("access-keys", KEYS).splitlines():
        login, _, key = line.partition("\t")
        keys.setdefault(login, []).append(key.strip())
    return People(
        {fields[0]: fields for fields in facts.getent("passwd")},
        facts.shadow(),
        {fields[0]: fields for fields in facts.getent("group")},
        keys,
        set(facts("access-crontabs", "ls /var/spool/cron/crontabs 2>/dev/null; true").split()),
    )


@pytest.fixture(scope="session")
def matrix(site: Any, context: HostContext) -> Mapping[str, Account]:
    """The declared accounts of this host, by login, today."""
    return {a.login: a for a in declared_accounts(site, context.name, context.groups, context.today)}


@pytest.fixture(scope="session")
def sudo_policy(facts: Any) -> Mapping[str, Any]:
    """The whole sudo policy as sudo's own parser reads it, includes and aliases resolved."""
    result = facts.result("access-sudoers", "cvtsudoers -e -f json /etc/sudoers")
    assert result.rc == 0, f"sudo ne sait pas lire sa politique : {result.stderr[-200:]}"
    return dict(json.loads(result.stdout))


@dataclass
class Grant:
    """One sudo right: to whom, as whom, what, with which options."""

    who: str
    run_as: tuple[str, ...]
    commands: tuple[str, ...]
    negated: bool
    options: Mapping[str, Any]


@pytest.fixture(scope="session")
def sudo_grants(sudo_policy: Mapping[str, Any], supplier_grants: set[Any]) -> list[Grant]:
    """Every right of the sudo policy but those of declared suppliers; a group stands as ``%group``."""
    grants = []
    for spec in sudo_policy.get("User_Specs", ()):
        for user in spec["User_List"]:
            who = user.get("username") or f"%{user.get('usergroup') or user.get('nonunixgroup') or user}"
            for command in spec["Cmnd_Specs"]:
                run_as = tuple(next(iter(u.values())) for u in command.get("runasusers", ()))
                options: dict[str, Any] = {}
                for option in command.get("Options", ()):
                    options.update(option)
                grants.append(
                    Grant(
                        who,
                        run_as,
                        tuple(str(c.get("command", c)) for c in command["Commands"]),
                        any(c.get("negated") for c in command["Commands"]),
                        options,
                    )
                )
    return [grant for grant in grants if (grant.who, grant.run_as, grant.commands) not in supplier_grants]


@pytest.fixture(scope="session")
def supplier_grants(site: Any, context: HostContext) -> set[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """What a bastion grants, exactly, to each declared supplier's account: to start the recorded relay of its equipment."""
    suppliers = (site.get("site_suppliers") or {}).values() if "bastions" in context.groups else ()
    return {
        (account_name(equipment["name"], person["id"]), (relay_name(equipment["name"]),), (RELAY,))
        for supplier in suppliers
        for equipment in supplier.get("equipment") or ()
        for person in supplier.get("people") or ()
    }


@pytest.fixture(scope="session")
def sudo_defaults(sudo_policy: Mapping[str, Any]) -> Callable[[str], dict[str, Any]]:
    """``sudo_defaults("login")``: the Defaults that apply to a user, in order, last one wins."""

    def effective(login: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for entry in sudo_policy.get("Defaults", ()):
            bound = [who.get("username") for who in entry.get("Binding", ())]
            if not bound or login in bound:
                for option in entry["Options"]:
                    found.update(option)
        return found

    return effective


@pytest.fixture(scope="session")
def on_host(host: Any) -> Callable[..., Any]:
    """``on_host("change", login=…)``: a task of on_host.py, on the host."""

    def run(task: str, timeout: float = 60, **arguments: Any) -> Any:
        asked = json.dumps({"task": task, **arguments})
        result = host.run("python3 -I -c %s %s", SCRIPT, asked, timeout=timeout)
        if result.rc != 0:
            raise RuntimeError(result.stderr[-400:])
        return json.loads(result.stdout)

    return run


@dataclass
class Visitor:
    """A throw-away account with a password that it knows."""

    login: str
    password: str
    _run: Callable[..., Any]

    def change(self, new: str) -> dict[str, Any]:
        """Change the password as its holder; keep the new one when the host takes it."""
        answer: dict[str, Any] = self._run("change", login=self.login, current=self.password, new=new)
        if answer["accepted"]:
            self.password = new
        return answer


@pytest.fixture(scope="session")
def new_visitor(host: Any, on_host: Callable[..., Any]) -> Iterator[Callable[..., Visitor]]:
    """``new_visitor(*groups)``: make a throw-away account; all are removed without a trace at the end."""
    made: list[str] = []

    def make(*groups: str) -> Visitor:
        login, password = f"essai{secrets.token_hex(4)}", _draw(20)
        options = f"--groups {','.join(groups)}" if groups else ""
        made.append(login)
        command = "useradd --create-home --shell /bin/bash --comment 'Barnabé Quatrebarbes' " + options
        host.check_output(f"{command} {login} && printf '%s:%s' {login} {shlex.quote(password)} | chpasswd")
        return Visitor(login, password, on_host)

    yield make
    for login in made:
        host.run(
            f"loginctl terminate-user {login}; pkill -KILL -u {login}; faillock --user {login} --reset; "
            f"userdel --remove {login}; groupdel {login}; rm -f /run/faillock/{login} /var/lib/pgssi/accounts/{login} "
            f"/var/lib/pgssi/sealed/{login}.age /var/lib/pgssi/lockouts/*.{login} /var/mail/{login}; "
            f"sed -i '/^{login}:/d' /etc/security/opasswd"
        )


@pytest.fixture(scope="session")
def visitor(new_visitor: Callable[..., Visitor]) -> Visitor:
    """One ordinary throw-away account, for everything that needs no fresh one."""
    return new_visitor()


@pytest.fixture(scope="session")
def ssh_script(facts: Any) -> Callable[..., str]:
    """``ssh_script(login, password, command, number)``: the shell script of a real login over SSH, from loopback to loopback.

    sshd of Debian 13 holds failures against an address: from one address the fourth attempt would be refused for
    that reason, and prove nothing about the account. number: another one for each login, 2 to 63999, or a shell expression.
    """
    port = facts.sshd().get("port", "22").split()[0]

    def script(user: str, password: str, command: str, number: int | str) -> str:
        return (
            f"n={number}; d=$(mktemp -d); trap 'rm -rf $d' EXIT; printf '#!/bin/sh\\nprintenv PW\\n' > $d/a; chmod 700 $d/a; "
            f"PW={shlex.quote(password)} SSH_ASKPASS=$d/a SSH_ASKPASS_REQUIRE=force DISPLAY=:0 setsid -w ssh -p {port} "
            "-b 127.7.$((n / 250)).$((n % 250 + 2)) "
            "-T -o LogLevel=INFO -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
            "-o NumberOfPasswordPrompts=1 -o PreferredAuthentications=password,keyboard-interactive "
            f"-o PubkeyAuthentication=no -o ConnectTimeout=10 {user}@127.0.0.1 {shlex.quote(command)} </dev/null"
        )

    return script


@pytest.fixture(scope="session")
def ssh_in(host: Any, ssh_script: Callable[..., str]) -> Callable[..., Any]:
    """``ssh_in(login, password, command)``: a real login over SSH. rc 255 with "Permission denied" is a refusal."""
    counter = iter(range(2, 63900))

    def login(user: str, password: str, command: str = "id -un") -> Any:
        result = host.run(ssh_script(user, password, command, next(counter)), timeout=40)
        if result.rc == 255 and "Permission denied" not in result.stderr and "closed" not in result.stderr:
            raise RuntimeError(f"sshd n'a ni accepté ni refusé : {result.stderr[-200:]}")
        return result

    return login
