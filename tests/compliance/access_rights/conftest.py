"""Shared by the tests of access rights: the declared state, the host's accounts and sudo policy, throw-away accounts."""

from __future__ import annotations

import json
import random
import re
import secrets
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pgssi.habilitations import Account, declared_accounts, fingerprint
from pgssi.inforce import HostContext
from pgssi.remote.model import account_name, relay_name
from pgssi.verify.sudo_policy import named, read_policy

SCRIPT = Path(__file__).with_name("on_host.py").read_text("utf-8")
RELAY = '/usr/local/lib/pgssi/remote-relay ""'
CLOSED_SHELLS = ("/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "/usr/bin/false", "/bin/sync", "/usr/bin/sync")
CLASSES = ("ABCDEFGHJKLMNPQRSTUVWXYZ", "abcdefghjkmnpqrstuvwxyz", "23456789", "!#%+-:=?@_")
KEYS = """getent passwd | while IFS=: read -r login _ uid _ _ home shell; do
for f in "$home/.ssh/authorized_keys" "$home/.ssh/authorized_keys2"; do
[ -f "$f" ] && grep -a '^[[:space:]]*[^#[:space:]]' "$f" | while IFS= read -r line; do printf '%s\\t%s\\n' "$login" "$line"; done
done; done; true"""
# What starts programs under a login without anybody logging in: its crontab, its at jobs, its lingering services.
JOBS = """cd /var/spool/cron/crontabs 2>/dev/null && for f in *; do [ ! -f "$f" ] || printf '%s\\tcrontab\\n' "$f"; done
cd /var/lib/systemd/linger 2>/dev/null && for f in *; do [ ! -f "$f" ] || printf '%s\\tservices permanents\\n' "$f"; done
[ ! -d /var/spool/cron/atjobs ] || find /var/spool/cron/atjobs -type f ! -name '.*' -printf '%u\\tat\\n'; true"""


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
    """The accounts of the host as they are: fields of passwd and shadow, groups, key lines, jobs."""

    passwd: Mapping[str, list[str]]
    shadow: Mapping[str, list[str]]
    groups: Mapping[str, list[str]]
    keys: Mapping[str, list[str]]
    jobs: Mapping[str, list[str]]
    today: int = field(default_factory=lambda: (date.today() - date(1970, 1, 1)).days)

    def uid(self, login: str) -> int:
        return number(self.passwd[login][2], -1)

    def hash(self, login: str) -> str:
        """Return the field that opens the account: that of passwd when it does not send to shadow."""
        own = self.passwd[login][1] if login in self.passwd else "x"
        return own if own != "x" else self.shadow.get(login, ["", "*"])[1]

    def day(self, login: str, place: int) -> int | None:
        """Return a number of the shadow line (2 last change, 4 longest, 6 grace, 7 expiry), None when there is none."""
        fields = self.shadow.get(login, [])
        return number(fields[place], None) if len(fields) > place else None

    def usable(self, login: str) -> bool:
        """Whether a password (or none at all) opens the account."""
        return not self.hash(login).startswith(("!", "*"))

    def expired(self, login: str) -> bool:
        """Whether the account itself has expired, or its password for longer than its days of grace."""
        end, last, longest, grace = (self.day(login, place) for place in (7, 2, 4, 6))
        if end is not None and 0 <= end <= self.today:
            return True
        if None in (last, longest, grace) or min(longest, grace) < 0 or last <= 0:
            return False
        return last + longest + grace < self.today

    def closed_shell(self, login: str) -> bool:
        """Whether the shell of the account opens nothing."""
        return self.passwd[login][6] in CLOSED_SHELLS

    def ways_in(self, login: str) -> list[str]:
        """Return what would still let somebody act under this login."""
        ways = [
            ("mot de passe utilisable", self.usable(login)),
            ("compte non expiré", not self.expired(login)),
            ("clés SSH", bool(self.keys.get(login))),
        ]
        return [name for name, present in ways if present] + self.jobs.get(login, [])

    def opens(self, login: str) -> bool:
        """Whether the account can authenticate at all."""
        return not self.expired(login) and (self.usable(login) or bool(self.keys.get(login)))

    def member_of(self, login: str) -> set[str]:
        """Return the supplementary groups of a login; two names of one number are the same group."""
        numbers = {fields[2] for fields in self.groups.values() if login in fields[3].split(",")}
        return {name for name, fields in self.groups.items() if fields[2] in numbers}

    def primary(self, login: str) -> set[str]:
        """Return the names of the primary group of a login."""
        return {name for name, fields in self.groups.items() if fields[2] == self.passwd[login][3]}


def number(text: str, default: Any) -> Any:
    """Read a number of passwd or shadow; a field that holds none is as good as empty."""
    return int(text) if re.fullmatch(r"\s*[+-]?[0-9]+\s*", text) else default


def grouped(text: str) -> dict[str, list[str]]:
    """Gather lines of ``login<TAB>something`` by login."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        login, _, what = line.partition("\t")
        found.setdefault(login, []).append(what.strip())
    return found


@pytest.fixture(scope="session")
def draw() -> Callable[..., str]:
    """``draw(length, without=None)``: a random password of every class (upper, lower, digit, sign) but one."""
    return _draw


@pytest.fixture(scope="session")
def people(facts: Any) -> People:
    """Every account of the host."""
    passwd = [fields for fields in facts.getent("passwd") if len(fields) > 6]
    return People(
        {fields[0]: fields for fields in reversed(passwd)},  # of two lines of one login, the first counts
        {login: fields for login, fields in facts.shadow().items() if len(fields) > 7},
        {fields[0]: fields for fields in facts.getent("group") if len(fields) > 3},
        grouped(facts("access-keys", KEYS)),
        grouped(facts("access-jobs", JOBS)),
    )


@pytest.fixture(scope="session")
def own_authorities(site: Any) -> set[str]:
    """Fingerprints of the site's own authorities for SSH, as the control node holds them."""
    names = ("site_backup_authority", "site_remote_authority")
    paths = [Path(f"{site[name]}.pub").expanduser() for name in names if site.get(name)]
    return {fingerprint(path.read_text("utf-8")) for path in paths if path.is_file()}


@pytest.fixture(scope="session")
def matrix(site: Any, context: HostContext) -> Mapping[str, Account]:
    """The declared accounts of this host, by login, today."""
    return {a.login: a for a in declared_accounts(site, context.name, context.groups, context.today)}


@pytest.fixture(scope="session")
def sudo_policy(facts: Any, relays: set[str]) -> Mapping[str, Any]:
    """The whole sudo policy as sudo's own parser reads it, from where sudo says that it is; aliases resolved."""
    read = read_policy(facts)
    if read.fault:
        return {"Unknown": read.fault}
    policy = {"Defaults": [], **read.document}
    for entry in read.targets:
        if not {named(target) for target in entry["Binding"]} <= relays:
            policy["Defaults"] = [*policy["Defaults"], {**entry, "Binding": [{"command": "toute cible"}]}]
    return policy


@dataclass
class Grant:
    """One sudo right: to whom, as whom, what, with which options."""

    who: str
    run_as: tuple[str, ...]
    commands: tuple[str, ...]
    negated: bool
    options: Mapping[str, Any]


@dataclass
class Default:
    """One sudo option. bound: whom or what it is for, empty for everything."""

    bound: tuple[str, ...]
    option: str
    value: Any

    def of_people(self, exempt: set[str]) -> bool:
        """Whether it touches anybody but root and automation."""
        return not self.bound or not set(self.bound) <= exempt


@pytest.fixture(scope="session")
def sudo_grants(sudo_policy: Mapping[str, Any], supplier_grants: set[Any]) -> list[Grant]:
    """Every right of the sudo policy but those of declared suppliers; a group stands as ``%group``."""
    if "Unknown" in sudo_policy:
        return [Grant("?", (), (sudo_policy["Unknown"],), True, {"authenticate": False, "noexec": False})]
    grants = []
    for spec in sudo_policy.get("User_Specs", ()):
        for who in (named(user) for user in spec["User_List"] if not user.get("negated")):
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
def relays(facts: Any, supplier_grants: set[Any]) -> set[str]:
    """Those that suppliers' recorded relays run as, and their group while it holds nobody else: no person is any of them."""
    accounts = {target for _, targets, _ in supplier_grants for target in targets}
    group = next((entry for entry in facts.getent("group") if entry[0] == "pgssi-relays"), None)
    if not group:
        return accounts
    members = {entry[0] for entry in facts.getent("passwd") if entry[3] == group[2]} | set(filter(None, group[3].split(",")))
    return accounts | {"%pgssi-relays"} if members <= accounts else accounts


@pytest.fixture(scope="session")
def sudo_defaults(sudo_policy: Mapping[str, Any], matrix: Mapping[str, Account], relays: set[str]) -> Callable[..., list[Any]]:
    """``sudo_defaults("noexec")``: every value that some person may meet, the one for everybody first (None: unset).

    Values bound to a user, a group, a command or a target count as much as the general one; those of root, of
    automation and of suppliers' relays alone do not.
    """
    exempt = {a.login for a in matrix.values() if a.kind == "automation"} | {"root"} | relays
    found = [
        Default(tuple(named(who) for who in entry.get("Binding", ())), option, value)
        for entry in sudo_policy.get("Defaults", ()) for options in entry["Options"] for option, value in options.items()
    ]  # fmt: skip

    def values(option: str) -> list[Any]:
        mine = [default for default in found if default.option == option and default.of_people(exempt)]
        general = [default.value for default in mine if not default.bound]
        return [general[-1] if general else None, *(default.value for default in mine if default.bound)]

    return values


@pytest.fixture(scope="session")
def on_host(host: Any) -> Callable[..., Any]:
    """``on_host("change", login=…)``: a task of on_host.py, on the host. apart: outside of this login, as a service is."""

    def run(task: str, timeout: float = 60, *, apart: bool = False, **arguments: Any) -> Any:
        asked = json.dumps({"task": task, **arguments})
        first = "systemd-run --quiet --pipe --wait " if apart else ""
        result = host.run(f"{first}python3 -I -c %s %s", SCRIPT, asked, timeout=timeout)
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
def visitors() -> set[str]:
    """The throw-away accounts of this very run, by their exact names: one left behind, or imitated, is nobody's."""
    return set()


@pytest.fixture(scope="session")
def new_visitor(host: Any, on_host: Callable[..., Any], visitors: set[str]) -> Iterator[Callable[..., Visitor]]:
    """``new_visitor(*groups)``: make a throw-away account; all are removed without a trace at the end."""
    made: list[str] = []

    def make(*groups: str) -> Visitor:
        login, password = f"essai{secrets.token_hex(4)}", _draw(20)
        options = f"--groups {','.join(groups)}" if groups else ""
        made.append(login)
        visitors.add(login)
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
