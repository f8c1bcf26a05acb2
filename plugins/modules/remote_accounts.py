"""Accounts of remote maintenance: people's and relays' on a bastion, the supplier's on managed equipment.

Nothing here opens anything: accounts are made locked, and a window opens them. Accounts that nobody declares any more
are locked, never deleted.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: remote_accounts
short_description: Accounts, keys and one-time codes of remote maintenance
description:
  - On a bastion, one locked account per equipment and person, and one relay account per equipment with its own key.
  - On managed equipment, the supplier's account, open to the bastion's certificate only.
options:
  view: {type: dict, required: true, description: Result of the C(pgssi.toolkit.remote_host) filter, without its codes.}
  codes: {type: dict, default: {}, description: Base32 secrets by account.}
  authority: {type: str, required: true, description: Public key of the suppliers' authority.}
  sudo_group: {type: bool, default: false, description: Whether sudo is closed to all but group pgssi-sudo.}
author: [The PGSSI toolkit contributors]
"""
EXAMPLES = """
- pgssi.toolkit.remote_accounts:
    view: "{{ hostvars | pgssi.toolkit.remote_host(inventory_hostname) }}"
    authority: "{{ keys.authority }}"
"""
RETURN = """
done: {description: What was changed., type: list, returned: always}
"""
SUPPLIERS, RELAYS, MAINTENANCE = "pgssi-suppliers", "pgssi-relays", "pgssi-maintenance"
STATE, FOLDER, RUN = Path("/var/lib/pgssi/remote"), Path("/etc/pgssi/remote"), Path("/run/pgssi-remote")
GATE, SESSION = "/usr/local/lib/pgssi/pgssi-remote-gate", "/usr/local/lib/pgssi/pgssi-remote-session"
CODE_OPTIONS = '" RATE_LIMIT 3 30\n" WINDOW_SIZE 3\n" DISALLOW_REUSE\n" TOTP_AUTH\n'


class Accounts:
    """Brings accounts, keys and files to their state, one small change at a time."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.done: list[str] = []
        self.shadow = {
            line.split(":")[0]: line.rstrip("\n").split(":") for line in Path("/etc/shadow").read_text("utf-8").splitlines()
        }

    def run(self, *command: str) -> None:
        self.done.append(" ".join(command))
        if not self.module.check_mode:
            self.module.run_command(list(command), check_rc=True)

    def group(self, name: str) -> None:
        try:
            grp.getgrnam(name)
        except KeyError:
            self.run("groupadd", "--system", name)

    def account(self, name: str, group: str, shell: str, home: Path, comment: str) -> None:
        """Make an account locked and expired; on one that is there, put right all but its lock."""
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            words = ["--system", "--no-create-home", "--home-dir", str(home), "--shell", shell, "--gid", group]
            expired = ["--expiredate", "1970-01-02"] if group != RELAYS else []
            self.run("useradd", *words, "--comment", comment, "--password", "!*", *expired, name)
            return
        if found.pw_uid >= 1000:
            self.module.fail_json(
                msg=f"{name} : compte d'une personne sur cet hôte. Donner un autre nom au compte de maintenance (site_suppliers)."
            )
        if (found.pw_shell, found.pw_dir, found.pw_gecos) != (shell, str(home), comment):
            self.run("usermod", "--shell", shell, "--home", str(home), "--comment", comment, name)
        if found.pw_gid != _gid(group):
            self.run("usermod", "--gid", group, name)
        if self.shadow[name][1] not in ("*", "!*"):
            self.run("usermod", "--password", "!*", name)
        waiting = group != RELAYS and not any(Path(RUN, place, f"{name}.json").exists() for place in ("windows", "open"))
        if waiting and (not self.shadow[name][1].startswith("!") or self.shadow[name][7] != "1"):
            self.run("usermod", "--password", "!*", "--expiredate", "1970-01-02", name)

    def only_groups(self, name: str, wanted: set[str]) -> None:
        present = {entry.gr_name for entry in grp.getgrall() if name in entry.gr_mem}
        for group in sorted(present - wanted):
            self.run("gpasswd", "--delete", name, group)
        for group in sorted(wanted - present):
            self.run("usermod", "--append", "--groups", group, name)

    def strangers(self, group: str, declared: set[str]) -> None:
        """Lock the accounts of a group of ours that nobody declares any more; take guests out of it."""
        for guest in grp.getgrnam(group).gr_mem if _gid(group) >= 0 else ():
            self.run("gpasswd", "--delete", guest, group)
        for entry in pwd.getpwall():
            if entry.pw_gid == _gid(group) and entry.pw_name not in declared:
                fields = self.shadow.get(entry.pw_name, ["", "", *[""] * 6])
                if not fields[1].startswith("!") or fields[7] != "1":
                    self.run("usermod", "--lock", "--expiredate", "1970-01-02", entry.pw_name)

    def folder(self, path: Path, mode: int, owner: str = "root", group: str = "root") -> None:
        if not path.is_dir():
            self.done.append(f"{path}: folder")
            if not self.module.check_mode:
                path.mkdir(parents=True)
        self.rights(path, mode, owner, group)

    def file(self, path: Path, text: str, mode: int, first_line_only: bool = False) -> None:
        present = path.read_text("utf-8") if path.is_file() and not path.is_symlink() else ""
        same = present.split("\n")[0] == text.split("\n")[0] if first_line_only else present == text
        if not same:
            self.done.append(f"{path}: written")
            if not self.module.check_mode:
                path.unlink(missing_ok=True)
                with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as stream:
                    stream.write(text)
        self.rights(path, mode)

    def rights(self, path: Path, mode: int, owner: str = "root", group: str = "root") -> None:
        if not path.exists():
            return
        found = path.stat()
        if (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) != (mode, _uid(owner), _gid(group)):
            self.done.append(f"{path}: {mode:04o} {owner}:{group}")
            if not self.module.check_mode:
                os.chown(path, _uid(owner), _gid(group))
                path.chmod(mode)

    def gone(self, folder: Path, wanted: set[str]) -> None:
        for path in sorted(folder.glob("*")) if folder.is_dir() else ():
            if path.name not in wanted:
                self.done.append(f"{path}: removed")
                if not self.module.check_mode:
                    path.unlink()

    def key(self, relay: str) -> None:
        """One key per equipment, made here, which its relay alone can read."""
        path = FOLDER / "keys" / relay
        if not path.exists():
            self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"pgssi-remote {relay}", "-f", str(path))
        self.rights(path, 0o400, relay, "root")

    def homes(self) -> None:
        """Let the accounts and sshd reach their homes."""
        for path in (STATE, STATE / "home"):
            self.folder(path, 0o755)

    def bastion(self, view: dict, codes: dict, sudo_group: bool) -> None:
        people, relays = {one["account"]: one for one in view["accounts"]}, sorted({one["relay"] for one in view["accounts"]})
        for group in (SUPPLIERS, RELAYS, *(["pgssi-sudo"] if sudo_group else [])):
            self.group(group)
        self.homes()
        self.folder(FOLDER / "keys", 0o711)
        for relay in relays:
            self.account(relay, RELAYS, "/usr/sbin/nologin", STATE / "home", "Relais PGSSI vers un équipement")
            self.only_groups(relay, set())
            self.key(relay)
        for name, one in people.items():
            comment = f"{one['name']} - {one['supplier']} - {one['equipment']}".replace(":", " ").replace(",", " ")
            self.account(name, SUPPLIERS, GATE, STATE / "home", comment)
            self.only_groups(name, {"pgssi-sudo"} if sudo_group else set())
        self.strangers(SUPPLIERS, set(people))
        self.strangers(RELAYS, set(relays))
        self.gone(FOLDER / "keys", {f"{relay}{end}" for relay in relays for end in ("", ".pub", "-cert.pub")})
        self.folder(STATE / "totp", 0o700)
        for name, secret in codes.items():
            self.file(STATE / "totp" / name, f"{secret}\n{CODE_OPTIONS}", 0o400, first_line_only=True)
        self.gone(STATE / "totp", set(codes))
        krl = FOLDER / "revoked.krl"
        if not krl.exists():
            self.run("ssh-keygen", "-q", "-k", "-f", str(krl))

    def equipment(self, view: dict, authority: str) -> None:
        self.group(MAINTENANCE)
        sources = ",".join(view["bastion_addresses"])
        options = f'cert-authority,principals="{view["principal"]}",from="{sources}",command="{SESSION}",restrict,pty'
        self.homes()
        for login in view["logins"]:
            home = STATE / "home" / login
            self.account(login, MAINTENANCE, "/bin/bash", home, "Maintenance à distance PGSSI")
            self.only_groups(login, set())
            # Its owner writes in work only: keys that it could add would outlive the window.
            self.folder(home, 0o755)
            self.folder(home / ".ssh", 0o755)
            if not self.module.check_mode:
                self.folder(home / "work", 0o700, login, MAINTENANCE)
            self.file(home / ".ssh" / "authorized_keys", f"{options} {authority}\n", 0o644)
        self.strangers(MAINTENANCE, set(view["logins"]))


def _uid(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return -2


def _gid(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return -2


def main() -> None:
    os.umask(0o022)  # folders on the way to ours are for everybody, whatever the umask of the operators' sessions
    module = AnsibleModule(
        argument_spec={
            "view": {"type": "dict", "required": True},
            "codes": {"type": "dict", "default": {}, "no_log": True},
            "authority": {"type": "str", "required": True},
            "sudo_group": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    accounts, given = Accounts(module), module.params
    if "bastion" in given["view"]["functions"]:
        accounts.bastion(given["view"], given["codes"], given["sudo_group"])
    if "equipment" in given["view"]["functions"]:
        accounts.equipment(given["view"], " ".join(given["authority"].split()[:2]))
    diff = {"before": "", "after": "".join(f"{line}\n" for line in accounts.done)}
    module.exit_json(changed=bool(accounts.done), done=accounts.done, diff=diff)


if __name__ == "__main__":
    main()
