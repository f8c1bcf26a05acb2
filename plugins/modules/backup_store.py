"""Accounts and folders of a backup store: one locked account per client, each shut in its own folder.

The login shell of these accounts is the forced command, so that no way into them opens a shell.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: backup_store
short_description: Accounts and folders of a backup store
description:
  - One system account per client (C(borg-<client>)) without password or shell, and one folder that only it can write.
  - An account for the off-site host that may read every repository and write none.
options:
  path: {type: path, required: true, description: Root of the store.}
  clients: {type: list, elements: str, default: [], description: Names of the clients.}
  reader: {type: str, description: Account that may read the repositories.}
  shell: {type: path, required: true, description: Forced command of the accounts.}
author: [The PGSSI toolkit contributors]
"""
EXAMPLES = """
- pgssi.toolkit.backup_store: {path: /srv/pgssi-backup, clients: [dpi1], shell: /usr/local/lib/pgssi/pgssi-backup-serve}
"""
RETURN = """
done: {description: What was changed., type: list, returned: always}
"""
GROUP = "pgssi-backup"
READERS = "pgssi-backup-read"
ACLS = {"system.posix_acl_access", "system.posix_acl_default"}
FOLDERS = {"": 0o2750, "borg": 0o2750, "deposits": 0o2750, "home": 0o2750}


class Store:
    """Brings accounts and folders to their state, one small change at a time."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.done: list[str] = []

    def run(self, *command: str) -> None:
        self.done.append(" ".join(command))
        if not self.module.check_mode:
            self.module.run_command(list(command), check_rc=True)

    def group(self, name: str) -> None:
        try:
            grp.getgrnam(name)
        except KeyError:
            self.run("groupadd", "--system", name)

    def members(self, group: str, wanted: list[str]) -> None:
        """Take out of a group whoever does not belong there: membership opens the store."""
        try:
            extra = sorted(set(grp.getgrnam(group).gr_mem) - set(wanted))
        except KeyError:
            return
        for name in extra:
            self.run("gpasswd", "--delete", name, group)

    def account(self, name: str, home: Path, shell: str, also: str = "") -> None:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            self.run(
                "useradd",
                "--system",
                "--no-create-home",
                "--home-dir",
                str(home),
                "--shell",
                shell,
                "--gid",
                GROUP,
                "--comment",
                "Sauvegarde PGSSI",
                "--password",
                "*",
                *(["--groups", also] if also else []),
                name,
            )
            return
        if found.pw_shell != shell or found.pw_dir != str(home):
            self.run("usermod", "--shell", shell, "--home", str(home), name)
        if also and name not in grp.getgrnam(also).gr_mem:
            self.run("usermod", "--append", "--groups", also, name)
        if _password(name) != "*":
            self.run("usermod", "--password", "*", name)

    def folder(self, path: Path, owner: str, group: str, mode: int) -> None:
        wanted = f"{mode:04o} {owner}:{group}"
        now = ""
        if path.is_dir():
            found = path.stat()
            listed = sorted(set(os.listxattr(path)) & ACLS)
            now = f"{stat.S_IMODE(found.st_mode):04o} {_user(found.st_uid)}:{_group(found.st_gid)}{' + ACL' if listed else ''}"
            for name in () if self.module.check_mode else listed:
                os.removexattr(path, name)
        if now == wanted:
            return
        self.done.append(f"{path}: {now or 'absent'} -> {wanted}")
        if not self.module.check_mode:
            path.mkdir(parents=True, exist_ok=True)
            os.chown(path, pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid)
            path.chmod(mode)

    def journal(self, path: Path, owner: str, group: str) -> None:
        """Let the client's account go on with its journal."""
        if path.is_file() and _user(path.stat().st_uid) != owner:
            self.done.append(f"{path}: {_user(path.stat().st_uid)} -> {owner}")
            if not self.module.check_mode:
                os.chown(path, pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid)

    def belongings(self, folder: Path, owner: str, group: str) -> None:
        """Give the client's account what somebody else has written in its folder: it could not go on otherwise."""
        if not folder.is_dir():
            return
        uid, gid = pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid
        for path in folder.rglob("*"):
            try:
                found = path.lstat()
                if stat.S_ISLNK(found.st_mode) or (found.st_uid == uid and found.st_mode & 0o600 == 0o600):
                    continue
                self.done.append(f"{path}: {_user(found.st_uid)} -> {owner}")
                if not self.module.check_mode:
                    os.chown(path, uid, gid)
                    path.chmod(stat.S_IMODE(found.st_mode) | (0o2750 if stat.S_ISDIR(found.st_mode) else 0o640))
            except FileNotFoundError:
                continue  # the client is at work


def _password(name: str) -> str:
    for line in Path("/etc/shadow").read_text("utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return line.split(":")[1]
    return ""


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def main() -> None:
    os.umask(0o022)  # folders on the way to ours are for everybody, whatever the umask of the operators' sessions
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "clients": {"type": "list", "elements": "str", "default": []},
            "reader": {"type": "str"},
            "shell": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    store, root = Store(module), Path(module.params["path"])
    reader, shell = module.params["reader"], module.params["shell"]
    if not module.params["clients"]:
        store.folder(root, "root", "root", 0o700)
    else:
        store.group(GROUP)
        store.group(READERS)
        if reader:
            store.account(reader, root, shell, also=READERS)
        store.members(GROUP, [])
        store.members(READERS, [reader] if reader else [])
        store.folder(root, "root", GROUP, 0o750)
        for client in module.params["clients"]:
            account = f"borg-{client}"
            store.account(account, root / client / "home", shell)
            for name, mode in FOLDERS.items():
                store.folder(root / client / name, account, READERS, mode)
            present = account in (entry.pw_name for entry in pwd.getpwall())
            for name in ("borg", "deposits") if present else ():
                store.belongings(root / client / name, account, READERS)
            if present:
                store.journal(root / client / "journal.jsonl", account, READERS)
    diff = {"before": "", "after": "".join(f"{line}\n" for line in store.done)}
    module.exit_json(changed=bool(store.done), done=store.done, diff=diff)


if __name__ == "__main__":
    main()
