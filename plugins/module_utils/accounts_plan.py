"""What must change so that the accounts of a host are those of the habilitation matrix. Computes, changes nothing.

Each rule of the access-rights guide has its function here; a rule that is not in force adds no step.
Nothing is ever deleted: files that must stop acting are moved to ``/var/lib/pgssi/set-aside``.
"""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.pgssi.toolkit.plugins.module_utils import accounts_files as files
from ansible_collections.pgssi.toolkit.plugins.module_utils.accounts_host import (
    SHELLS_CLOSED,
    STRONG,
    Host,
    User,
    at_jobs,
    crontab,
    has_session,
    lingers,
)
from ansible_collections.pgssi.toolkit.plugins.module_utils.accounts_rights import Rights
from ansible_collections.pgssi.toolkit.plugins.module_utils.accounts_steps import (
    EPOCH,
    SUDOERS,
    Refused,
    Step,
)

SEALED = Path("/var/lib/pgssi/sealed")
INITIAL = Path("/var/lib/pgssi/accounts")
USED = Path("/var/lib/pgssi/break-glass-used")


class Plan(Rights):
    """The steps from the host as it is to the host as declared, in the order in which they are safe."""

    # ---- passwords -------------------------------------------------------------------------------------

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
        self.aside(f"{user.login}: keys set aside ({why})", *user.key_files())
        table = crontab(user)
        self.aside(f"{user.login}: cron and at jobs set aside ({why})", *([table] if table else []), *at_jobs(user))
        if user.uid == 0 or user in self.host.twins:
            return
        if lingers(user):
            self.command(f"{user.login}: lingering services off", "loginctl", "disable-linger", user.login)
        if has_session(user):
            self.command(f"{user.login}: sessions closed ({why})", "loginctl", "terminate-user", user.login)

    def into_shadow(self) -> None:
        """password-files-private, password-not-empty, password-hash-strong: passwords stand in shadow, not in passwd."""
        inline = [user for user in self.host.users.values() if user.inline]
        if inline and not self.rules.isdisjoint(("password-files-private", "password-not-empty", "password-hash-strong")):
            self.command(f"passwords moved to shadow: {', '.join(user.login for user in inline)}", "pwconv")
            for user in inline:  # pwconv takes them for changed today
                self.command(f"{user.login}: date of its password kept", "chage", "--lastday", str(user.last or 0), user.login)

    def renew_root(self) -> None:
        """root-password-renewed: a random sealed one every quarter; no expiry, which would stop the jobs of root."""
        root = self.host.users["root"]
        if not {"root-password-renewed", "password-initial-change"} <= self.rules or not root.usable:
            return
        if root.last is None or not 0 <= self.today - root.last <= self.options["max_days"]:
            if self.connected == "root":
                raise Refused(
                    "root: its password is to be renewed, and Ansible connects as root. Use the site_automation account."
                )
            self.issue("root", "older than a quarter", keep=True)
        if root.longest is not None and 0 <= root.longest < 9999:
            self.command("root: password without end, for cron", "chage", "--maxdays", "-1", "root")

    # ---- who -------------------------------------------------------------------------------------------

    def unique_numbers(self) -> None:
        """accounts-unique-uid: an account that shares its number gets one of its own, and is locked."""
        if "accounts-unique-uid" in self.rules and self.host.surplus:
            surplus, names = self.host.surplus, ", ".join(line.partition(":")[0] for line in self.host.surplus)
            self.steps.append(Step(f"lines of passwd set aside: {names}", lambda guard: files.drop_lines(guard, surplus)))
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
        elif "umask-restrictive" in self.rules and any(part.startswith("umask=") for part in user.gecos.split(",")):
            # pam_umask takes this before anything that its line says.
            kept = ",".join(part for part in user.gecos.split(",") if not part.startswith("umask="))
            self.command(f"{user.login}: umask of its own", "usermod", "--comment", kept, user.login)
        if user.shell in SHELLS_CLOSED:
            self.command(f"{user.login}: login shell", "usermod", "--shell", "/bin/bash", user.login)
        if not Path(user.home).is_dir():
            self.steps.append(Step(f"{user.login}: home folder made", lambda _: files.make_home(user), [user.home]))
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
        dated = user.last is not None and 0 <= user.last <= self.today
        if "password-renewal" in self.rules and not dated and user.login not in self._issued:
            self.command(f"{user.login}: password of unknown age to be changed", "chage", "--lastday", "0", user.login)

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
                plain = user.login.lower().rstrip("0123456789")
                if plain in self.options["generic_names"] and "accounts-generic-locked" in self.rules:
                    self.lock(user, "generic name")
            elif account["state"] == "locked" and account["kind"] != "service" and ("accounts-leavers-refused" in self.rules):
                self.lock(user, "no function here")
        if "accounts-undeclared-locked" in self.rules:
            foreign = [path for path in files.user_records() if path.name.partition(".")[0] not in self.accounts]
            self.aside(f"user records set aside: {', '.join(path.name for path in foreign)}", *foreign)

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
        else:
            self.renew_root()

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
        if user.open_keys():
            self.aside(f"{user.login}: keys set aside (service account)", *user.key_files())

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
            if user is not None and user.shell in SHELLS_CLOSED:
                self.command(f"{login}: login shell", "usermod", "--shell", "/bin/bash", login)
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
                self.aside(f"{login}: keys set aside (console only)", *user.key_files())


def compute(
    host: Host, declared: Mapping[str, Any], rules: Sequence[str], options: Mapping[str, Any], connected: str
) -> List[Step]:
    """Return the steps, in order. Raises Refused when the declared state would lock the operator out."""
    accounts = {account["login"]: account for account in declared["accounts"]}
    if connected not in accounts and connected != "root":
        raise Refused(f"{connected}: Ansible is connected with it and nobody declares it. Declare it in site_automation.")
    plan = Plan(host, accounts, set(rules), {**options, "groups": declared["groups"]}, connected)
    for part in (
        plan.into_shadow,
        plan.unique_numbers,
        plan.make_groups,
        plan.people,
        plan.break_glass,
        plan.exact_groups,
        plan.exact_keys,
    ):
        part()
    plan.strangers()
    plan.others()
    plan.steps += [Step(text, run, paths) for text, run, paths in files.differences(host, plan.rules, options, SUDOERS)]
    return plan.steps
