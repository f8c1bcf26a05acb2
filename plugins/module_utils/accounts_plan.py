"""What must change so that the accounts of a host are those of the habilitation matrix. Computes, changes nothing.

Each rule of the access-rights guide has its function here; a rule that is not in force adds no step.
Nothing is ever deleted: files that must stop acting are moved to ``/var/lib/pgssi/set-aside``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Sequence, Set

from ansible_collections.pgssi.toolkit.plugins.module_utils import accounts_files as files
from ansible_collections.pgssi.toolkit.plugins.module_utils.accounts_host import (
    KEY_FILES,
    SHELLS_CLOSED,
    STRONG,
    Host,
    User,
    at_jobs,
    crontab,
    has_session,
    lingers,
)

ISSUE = "/usr/local/sbin/pgssi-initial-password"
SEALED = Path("/var/lib/pgssi/sealed")
INITIAL = Path("/var/lib/pgssi/accounts")
USED = Path("/var/lib/pgssi/break-glass-used")
BREAK_GLASS = "pgssi-break-glass"
SUDOERS = "pgssi-sudo"
SUPPLIERS = "pgssi-suppliers"  # primary group of the accounts that the remote_maintenance role keeps on a bastion
EPOCH = date(1970, 1, 1)


class Refused(Exception):
    """A declared state that would take the operator's access away; the text names the remedy."""


@dataclass
class Step:
    """One change. text: what the operator reads; run: called with the armed Guard; paths: what it alters."""

    text: str
    run: Callable[[Any], object]
    paths: List[str] = field(default_factory=list)


@dataclass
class Plan:
    """The steps from the host as it is to the host as declared, in the order in which they are safe."""

    host: Host
    accounts: Mapping[str, Mapping[str, Any]]
    rules: Set[str]
    options: Mapping[str, Any]
    connected: str
    steps: List[Step] = field(default_factory=list)
    today: int = field(default_factory=lambda: (date.today() - EPOCH).days)
    _locked: Set[str] = field(default_factory=set)
    _issued: Set[str] = field(default_factory=set)

    def command(self, text: str, *argv: str) -> None:
        """Add a command."""
        self.steps.append(Step(text, lambda guard: guard.run(list(argv))))

    def aside(self, text: str, *paths: Path) -> None:
        """Add the move of files that must stop acting."""
        if paths:
            self.steps.append(Step(text, lambda _: files.set_aside(paths), [str(path) for path in paths]))

    # ---- passwords -------------------------------------------------------------------------------------

    def issue(self, login: str, why: str, keep: bool = False) -> None:
        """Give a random password, sealed for its recipients; the holder must change it unless ``keep``."""
        if login in self._issued:
            return
        self._issued.add(login)
        self.command(f"{login}: new sealed password ({why})", ISSUE, *(["--keep"] if keep else []), login)

    def disable_password(self, user: User, why: str) -> None:
        """Make a password unusable."""
        if user.usable and user.login not in self._locked:
            self.command(f"{user.login}: password locked ({why})", "usermod", "--lock", user.login)
            user.hash = "!" + user.hash

    def lock(self, user: User, why: str) -> None:
        """Close an account by every way in: password, expiry, keys, cron, at, sessions."""
        if user.login in self._locked:
            return
        if user.login == self.connected:
            raise Refused(
                f"{user.login}: this is the account Ansible is connected with ({why}). "
                "Declare it in site_automation, or connect with the declared account."
            )
        self.disable_password(user, why)
        self._locked.add(user.login)
        if not user.expired(self.today):
            self.command(f"{user.login}: account expired ({why})", "usermod", "--expiredate", "1970-01-02", user.login)
        self.aside(f"{user.login}: keys set aside ({why})", *self._key_files(user))
        table = crontab(user)
        self.aside(f"{user.login}: cron and at jobs set aside ({why})", *([table] if table else []), *at_jobs(user))
        if user.uid == 0 or user in self.host.twins:
            return
        if lingers(user):
            self.command(f"{user.login}: lingering services off", "loginctl", "disable-linger", user.login)
        if has_session(user):
            self.command(f"{user.login}: sessions closed ({why})", "loginctl", "terminate-user", user.login)

    @staticmethod
    def _key_files(user: User) -> List[Path]:
        return [Path(user.home, name) for name in KEY_FILES if user.keys(name)]

    # ---- who -------------------------------------------------------------------------------------------

    def unique_numbers(self) -> None:
        """accounts-unique-uid: an account that shares its number gets one of its own, and is locked."""
        if "accounts-unique-uid" not in self.rules or not self.host.twins:
            return
        taken = {user.uid for user in self.host.users.values()}
        free = (number for number in range(61000, 64000) if number not in taken)
        changes = {user.login: next(free) for user in self.host.twins}
        names = ", ".join(f"{login} -> {uid}" for login, uid in changes.items())
        self.steps.append(Step(f"numbers of their own: {names}", lambda guard: files.renumber(guard, changes)))
        for user in self.host.twins:
            user.uid = changes[user.login]
            if user.login not in self.accounts:
                self.lock(user, "shared number")

    def people(self) -> None:
        """accounts-declared-present: each active account exists, open, in its holder's name."""
        for login, account in self.accounts.items():
            if account["state"] != "active" or account["kind"] not in ("business", "technical", "automation"):
                continue
            user = self.host.users.get(login)
            if "accounts-declared-present" in self.rules:
                if user is None:
                    self._create(account)
                    continue
                self._open(user, account)
            if user is not None and "accounts-leavers-refused" in self.rules:
                self._expiry(user, account)
            if user is not None and account["kind"] != "automation":
                self._password(user)

    def _create(self, account: Mapping[str, Any]) -> None:
        login = account["login"]
        own = ["--no-user-group", "--gid", login] if login in self.host.groups else ["--user-group"]
        groups = ",".join(sorted(self.wanted_groups(account)))
        argv = ["useradd", "--create-home", "--key", "HOME_MODE=0700", *own, "--shell", "/bin/bash"]
        argv += ["--comment", account["name"] or login, *(["--groups", groups] if groups else [])]
        if account["last_day"]:
            argv += ["--expiredate", self._day_after(account)]
        self.command(f"{login}: account created, groups: {groups or 'none'}", *argv, login)
        home = f"/home/{login}"
        if account["keys"]:
            keys, text = account["keys"], f"{login}: {len(account['keys'])} key(s)"
            self.steps.append(Step(text, lambda _: files.write_keys(login, home, keys)))
        if account["kind"] != "automation" and "password-initial-change" in self.rules:
            self.issue(login, "new account")
            self._age(login)

    def _open(self, user: User, account: Mapping[str, Any]) -> None:
        if account["name"] and user.gecos.split(",")[0] != account["name"]:
            self.command(f"{user.login}: name {account['name']}", "usermod", "--comment", account["name"], user.login)
        if user.shell in SHELLS_CLOSED:
            self.command(f"{user.login}: login shell", "usermod", "--shell", "/bin/bash", user.login)
        if user.expired(self.today) and not account["last_day"]:
            self.command(f"{user.login}: no longer expired", "usermod", "--expiredate", "", user.login)

    @staticmethod
    def _day_after(account: Mapping[str, Any]) -> str:
        return date.fromordinal(date.fromisoformat(account["last_day"]).toordinal() + 1).isoformat()

    def _expiry(self, user: User, account: Mapping[str, Any]) -> None:
        if not account["last_day"]:
            return
        end = self._day_after(account)
        if user.expires != (date.fromisoformat(end) - EPOCH).days:
            self.command(f"{user.login}: expires on {end}", "usermod", "--expiredate", end, user.login)

    def _password(self, user: User) -> None:
        if "password-hash-strong" in self.rules and user.usable and user.hash and not STRONG.match(user.hash):
            self.issue(user.login, "weak hash")
        elif "password-not-empty" in self.rules and user.hash == "":
            self.issue(user.login, "empty password")
        elif "accounts-declared-present" in self.rules and not user.usable:
            if STRONG.match(user.hash.lstrip("!")):
                self.command(f"{user.login}: password unlocked", "usermod", "--unlock", user.login)
            elif "password-initial-change" in self.rules:
                self.issue(user.login, "no password")
        elif "password-initial-change" in self.rules and user.last != 0 and self.still_initial(user):
            self.command(f"{user.login}: initial password to be changed", "chage", "--lastday", "0", user.login)
        longest = self.options["max_days"]
        if user.longest is None or not 0 < user.longest <= longest:
            self._age(user.login)

    def _age(self, login: str) -> None:
        if "password-renewal" in self.rules:
            days = str(self.options["max_days"])
            text = f"{login}: password valid {days} days"
            self.command(text, "chage", "--maxdays", days, "--warndays", "14", login)

    @staticmethod
    def still_initial(user: User) -> bool:
        """Return whether the password is still the one that was issued."""
        record = INITIAL / user.login
        return record.exists() and record.read_text("ascii").strip() == hashlib.sha256(user.hash.encode()).hexdigest()

    def strangers(self) -> None:
        """Lock what the matrix does not know or knows as closed: undeclared, leavers, generic names."""
        holders = {account["name"] for account in self.accounts.values() if account["name"]}
        for user in list(self.host.users.values()):
            account = self.accounts.get(user.login)
            if account is None:
                if user.person and "accounts-undeclared-locked" in self.rules:
                    self.lock(user, "undeclared")
                elif user.person and user.gecos.split(",")[0] in holders and "accounts-two-per-person" in self.rules:
                    self.lock(user, "one account too many")
                if user.login in self.options["generic_names"] and "accounts-generic-locked" in self.rules:
                    self.lock(user, "generic name")
            elif account["state"] == "locked" and account["kind"] != "service" and ("accounts-leavers-refused" in self.rules):
                self.lock(user, "no function here")

    def others(self) -> None:
        """Service accounts, root, empty and weak passwords, hashes in common."""
        hashes: Dict[str, List[User]] = {}
        for user in self.host.users.values():
            mine = self.accounts.get(user.login, {})
            # A locked copy still gives away whose password it is, and opens again with the lock.
            hashes.setdefault(user.hash.lstrip("!"), []).append(user)
            if not user.usable or user.login in self._locked:
                continue
            if mine.get("state") == "active" and mine.get("kind") in ("business", "technical", "break_glass"):
                continue
            if "password-not-empty" in self.rules and user.hash == "":
                self.disable_password(user, "empty password")
            elif "password-hash-strong" in self.rules and not STRONG.match(user.hash):
                self.disable_password(user, "weak hash")
        if "accounts-secrets-not-shared" in self.rules:
            for secret, same in hashes.items():
                for user in same if len(same) > 1 and secret.strip("*") else []:
                    self._separate(user)
        for user in self.host.users.values():
            service = self.accounts.get(user.login, {}).get("kind") == "service" or 0 < user.uid < 1000
            if (service and user.login not in self.accounts) or self.accounts.get(user.login, {}).get("kind") == "service":
                self._service(user)
        root = self.host.users["root"]
        if "root-password-locked" in self.rules and root.usable:
            if self.connected == "root":
                raise Refused("root: its password stays while Ansible connects as root. Use the site_automation account.")
            self.disable_password(root, "root password")

    def _separate(self, user: User) -> None:
        account = self.accounts.get(user.login, {})
        if account.get("state") == "active" and account.get("kind") != "automation":
            self.issue(user.login, "password in common", keep=account["kind"] == "break_glass")
        else:
            # A copied hash is erased, not only locked: the account itself stays.
            self.command(f"{user.login}: password erased (in common)", "usermod", "--password", "!", user.login)
            user.hash = "!"

    def _service(self, user: User) -> None:
        if "accounts-service-no-login" not in self.rules or user.uid == 0:
            return
        self.disable_password(user, "service account")
        if user.shell not in SHELLS_CLOSED and user.open_keys():
            self.aside(f"{user.login}: keys set aside (service account)", *self._key_files(user))

    def break_glass(self) -> None:
        """break-glass-sealed, break-glass-use-detected: exists, sealed, renewed after each use."""
        for login, account in self.accounts.items():
            if account["kind"] != "break_glass" or "break-glass-sealed" not in self.rules:
                continue
            user, envelope = self.host.users.get(login), SEALED / f"{login}.age"
            if user is None:
                argv = ["useradd", "--create-home", "--key", "HOME_MODE=0700", "--user-group", "--groups"]
                argv += [",".join(sorted(self.wanted_groups(account))), "--shell", "/bin/bash", "--comment"]
                self.command(f"{login}: break-glass account created", *argv, "Compte de secours", login)
            elif user.expires is not None:
                self.command(f"{login}: never expires", "usermod", "--expiredate", "", login)
            used = USED.exists() and envelope.exists() and USED.stat().st_mtime >= envelope.stat().st_mtime
            if user is None or not user.usable or not envelope.exists():
                self.issue(login, "sealed account", keep=True)
            elif used and "break-glass-use-detected" in self.rules:
                self.issue(login, "it was used", keep=True)
            elif not STRONG.match(user.hash):
                self.issue(login, "weak hash", keep=True)
            if user is not None and user.longest is not None and 0 <= user.longest < 9999:
                self.command(f"{login}: password without end", "chage", "--maxdays", "-1", login)
            if user is not None and not self.still_initial(user) and login not in self._issued:
                self.issue(login, "changed outside the envelope", keep=True)
            if user is not None:
                self.aside(f"{login}: keys set aside (console only)", *self._key_files(user))

    # ---- rights ----------------------------------------------------------------------------------------

    def wanted_groups(self, account: Mapping[str, Any]) -> Set[str]:
        """Return the supplementary groups of one declared account, ours included."""
        groups = set(account["groups"])
        if "sudo-group-only" in self.rules and account["sudo"]:
            groups.add(SUDOERS)
        if account["kind"] == "break_glass":
            groups.add(BREAK_GLASS)
        return groups

    def make_groups(self) -> None:
        """Create the groups that the declared accounts of this host need."""
        active = [account for account in self.accounts.values() if account["state"] == "active"]
        wanted = set().union(*(self.wanted_groups(account) for account in active)) if active else set()
        if "break-glass-sealed" not in self.rules:
            wanted.discard(BREAK_GLASS)
        if not self.rules.isdisjoint(("accounts-declared-present", "rights-groups-exact", "sudo-group-only")):
            for group in sorted(wanted - set(self.host.groups)):
                system = ["--system"] if group in (SUDOERS, BREAK_GLASS) else []
                self.command(f"group {group} created", "groupadd", *system, group)

    def exact_groups(self) -> None:
        """rights-groups-exact, accounts-roles-separated, rights-root-groups-empty, sudo-group-only."""
        managed = {*self.options["groups"], SUDOERS, BREAK_GLASS}
        by_number = {group.gid: group.name for group in self.host.groups.values()}
        for user in self.host.users.values():
            account = self.accounts.get(user.login)
            if account and account["kind"] == "break_glass" and "break-glass-sealed" not in self.rules:
                continue
            ours = account is not None and account["state"] == "active"
            wanted = self.wanted_groups(account) if ours else set()
            have, extra = set(user.groups), set()
            if "rights-groups-exact" in self.rules:
                extra = have - wanted if ours else have & managed
                if not ours and by_number.get(user.gid) == SUPPLIERS:
                    extra.discard(SUDOERS)
            elif "accounts-roles-separated" in self.rules and ours:
                extra = have & managed - wanted
            if "rights-root-groups-empty" in self.rules:
                forbidden = set(self.options["root_groups"]) - wanted
                extra |= have & forbidden
                primary = by_number.get(user.gid)
                if user.person and primary in forbidden:
                    text = f"{user.login}: primary group nogroup instead of {primary}"
                    other = {user.login: self.host.groups["nogroup"].gid}
                    self.steps.append(Step(text, lambda guard, other=other: files.renumber(guard, other, field=3)))
            for group in sorted(extra):
                self.command(f"{user.login}: out of group {group}", "gpasswd", "--delete", user.login, group)
            missing = wanted - have if "rights-groups-exact" in self.rules else (wanted - have) & {SUDOERS}
            if missing:
                names = ",".join(sorted(missing))
                self.command(f"{user.login}: into {names}", "usermod", "--append", "--groups", names, user.login)

    def exact_keys(self) -> None:
        """rights-keys-exact: the key file of each declared account says what the matrix says; root has none."""
        if "rights-keys-exact" not in self.rules:
            return
        for login, account in self.accounts.items():
            user = self.host.users.get(login)
            if user is None or account["state"] != "active" or account["kind"] == "break_glass":
                continue
            wanted = list(account["keys"])
            if sorted(user.keys()) != sorted(wanted):
                if login == self.connected and not wanted:
                    raise Refused(f"{login}: site_automation declares no key, and Ansible is connected with it.")
                self.steps.append(
                    Step(
                        f"{login}: {len(wanted)} key(s) instead of {len(user.keys())}",
                        lambda _, login=login, home=user.home, keys=wanted: files.write_keys(login, home, keys),
                        [str(Path(user.home, KEY_FILES[0]))],
                    )
                )
            if user.keys(KEY_FILES[1]):
                self.aside(f"{login}: second key file set aside", Path(user.home, KEY_FILES[1]))
        if self.connected != "root":
            self.aside("root: keys set aside", *self._key_files(self.host.users["root"]))


def compute(
    host: Host, declared: Mapping[str, Any], rules: Sequence[str], options: Mapping[str, Any], connected: str
) -> List[Step]:
    """Return the steps, in order. Raises Refused when the declared state would lock the operator out."""
    accounts = {account["login"]: account for account in declared["accounts"]}
    if connected not in accounts and connected != "root":
        raise Refused(f"{connected}: Ansible is connected with it and nobody declares it. Declare it in site_automation.")
    plan = Plan(host, accounts, set(rules), {**options, "groups": declared["groups"]}, connected)
    for part in (plan.unique_numbers, plan.make_groups, plan.people, plan.break_glass, plan.exact_groups, plan.exact_keys):
        part()
    plan.strangers()
    plan.others()
    plan.steps += [Step(text, run, paths) for text, run, paths in files.differences(host, plan.rules, options, SUDOERS)]
    return plan.steps
