"""What must change so that groups and keys are exactly those declared. Computes, changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Set

from ansible_collections.pgssi.toolkit.plugins.module_utils import accounts_files as files
from ansible_collections.pgssi.toolkit.plugins.module_utils.accounts_host import KEY_FILES
from ansible_collections.pgssi.toolkit.plugins.module_utils.accounts_steps import (
    BREAK_GLASS,
    SUDOERS,
    SUPPLIERS,
    Refused,
    Step,
    Steps,
)


class Rights(Steps):
    """Groups and keys, rule by rule."""

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
        managed = self.host.same_number({*self.options["groups"], SUDOERS, BREAK_GLASS})
        root_groups = self.host.same_number(self.options["root_groups"])
        by_number = {group.gid: group.name for group in self.host.groups.values()}
        self._closed_groups(managed | root_groups)
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
            primary, unwanted = by_number.get(user.gid, ""), managed if "rights-groups-exact" in self.rules else set()
            if "rights-root-groups-empty" in self.rules:
                extra |= have & (root_groups - wanted)
                unwanted = unwanted | root_groups
            if user.uid and primary in unwanted - wanted - {user.login}:
                other = self.host.groups.get(user.login, self.host.groups["nogroup"])
                text, change = f"{user.login}: primary group {other.name} instead of {primary}", {user.login: other.gid}
                self.steps.append(Step(text, lambda guard, change=change: files.renumber(guard, change, field=3)))
            for group in sorted(extra):
                self.command(f"{user.login}: out of group {group}", "gpasswd", "--delete", user.login, group)
            missing = wanted - have if "rights-groups-exact" in self.rules else (wanted - have) & {SUDOERS}
            if missing:
                names = ",".join(sorted(missing))
                self.command(f"{user.login}: into {names}", "usermod", "--append", "--groups", names, user.login)

    def _closed_groups(self, names: Set[str]) -> None:
        if self.rules.isdisjoint(("rights-groups-exact", "rights-root-groups-empty")):
            return
        if any(group.password not in ("x", "", "!", "*") and group.name in names for group in self.host.groups.values()):
            self.command("group passwords moved to gshadow", "grpconv")
        for name in sorted(names & set(self.host.groups)):
            group = self.host.groups[name]
            if group.opened:
                self.command(f"group {name}: no password, no administrator", "gpasswd", "--restrict", name)
                self.command(f"group {name}: no administrator", "gpasswd", "--administrators", "", name)
                self.command(f"group {name}: members of gshadow", "gpasswd", "--members", ",".join(group.members), name)

    def exact_keys(self) -> None:
        """rights-keys-exact: the key file of each declared account says what the matrix says; root has none."""
        if "rights-keys-exact" not in self.rules:
            return
        for login, account in self.accounts.items():
            user = self.host.users.get(login)
            if user is None or account["state"] != "active" or account["kind"] == "break_glass":
                continue
            wanted = list(account["keys"])
            if sorted(user.keys()) != sorted(wanted) or Path(user.home, KEY_FILES[0]).is_symlink():
                if login == self.connected and not wanted:
                    raise Refused(f"{login}: site_automation declares no key, and Ansible is connected with it.")
                self.steps.append(
                    Step(
                        f"{login}: {len(wanted)} key(s) instead of {len(user.keys())}",
                        lambda _, login=login, home=user.home, keys=wanted: files.write_keys(login, home, keys),
                        [str(Path(user.home, KEY_FILES[0]))],
                    )
                )
            second = Path(user.home, KEY_FILES[1])
            self.aside(f"{login}: second key file set aside", *(path for path in user.key_files() if path == second))
        if self.connected != "root":
            self.aside("root: keys set aside", *self.host.users["root"].key_files())
