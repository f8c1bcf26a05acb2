"""The accounts of a host as they really are: passwd, shadow, group, keys, cron. Read only; standard library only."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional

STRONG = re.compile(r"^\$(y|gy|6|2[abxy])\$")
SHELLS_CLOSED = ("/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "/usr/bin/false", "/bin/sync", "/usr/bin/sync")
CRONTABS = Path("/var/spool/cron/crontabs")
KEY_FILES = (".ssh/authorized_keys", ".ssh/authorized_keys2")
FIRST_PERSON, NOBODY = 1000, 65534
FORCED = re.compile(r"""^(?:[^"\s]|"(?:[^"\\]|\\.)*")*\bcommand=""", re.IGNORECASE)


@dataclass
class User:
    """One line of passwd with its line of shadow. last, longest, expires: days, None when the field is empty."""

    login: str
    uid: int
    gid: int
    gecos: str
    home: str
    shell: str
    hash: str = "*"
    last: Optional[int] = None
    longest: Optional[int] = None
    expires: Optional[int] = None
    groups: List[str] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether a password opens this account: a hash, or nothing at all."""
        return self.hash == "" or self.hash[0] not in "!*"

    @property
    def person(self) -> bool:
        """Whether its number is one of those given to people."""
        return self.uid >= FIRST_PERSON and self.uid != NOBODY

    def expired(self, today: int) -> bool:
        """Return whether the account has reached its expiry date (days since 1970)."""
        return self.expires is not None and self.expires <= today

    def keys(self, name: str = KEY_FILES[0]) -> List[str]:
        """Return the lines of one of its key files, without comments and blanks."""
        path = Path(self.home, name)
        try:
            # A link or a pipe set by its owner is not followed by root.
            if not stat.S_ISREG(os.lstat(path).st_mode):
                return []
            lines = path.read_text("utf-8", "replace").splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]

    def open_keys(self) -> List[str]:
        """Return the keys, of every key file, that are not tied to a forced command."""
        return [line for name in KEY_FILES for line in self.keys(name) if not FORCED.match(line)]


@dataclass
class Group:
    """One line of group; members as listed there (primary members are not)."""

    name: str
    gid: int
    members: List[str]


@dataclass
class Host:
    """Every account and group of the host's own files, in file order."""

    users: Dict[str, User]
    groups: Dict[str, Group]
    twins: List[User]

    def members(self, group: str) -> List[str]:
        """Return the supplementary members of a group, none when it does not exist."""
        return list(self.groups[group].members) if group in self.groups else []


def _number(text: str) -> Optional[int]:
    return int(text) if text.strip().lstrip("-").isdigit() else None


def _lines(path: str) -> List[List[str]]:
    return [line.split(":") for line in Path(path).read_text("utf-8", "replace").splitlines() if line.count(":") > 2]


def read() -> Host:
    """Return the accounts and groups of this host. Raises OSError when a file cannot be read."""
    users: Dict[str, User] = {}
    twins: List[User] = []
    seen = {0}  # root's, even when another line comes first
    for login, _, uid, gid, gecos, home, shell in (line[:7] for line in _lines("/etc/passwd")):
        user = User(login, int(uid), int(gid), gecos, home, shell)
        if user.uid in seen and user.login != "root":
            twins.append(user)
        seen.add(user.uid)
        users.setdefault(login, user)
    for line in _lines("/etc/shadow"):
        if line[0] in users:
            user = users[line[0]]
            user.hash, user.last = line[1], _number(line[2])
            user.longest, user.expires = _number(line[4]), _number(line[7])
    groups: Dict[str, Group] = {}
    for name, _, gid, members in (line[:4] for line in _lines("/etc/group")):
        groups[name] = Group(name, int(gid), [member for member in members.split(",") if member])
    for group in groups.values():
        for member in group.members:
            if member in users:
                users[member].groups.append(group.name)
    return Host(users, groups, twins)


def crontab(user: User) -> Optional[Path]:
    """Return the user's crontab when there is one."""
    path = CRONTABS / user.login
    return path if path.exists() else None


def at_jobs(user: User) -> List[Path]:
    """Return the at jobs of a user."""
    spool = Path("/var/spool/cron/atjobs")
    if not spool.is_dir():
        return []
    return sorted(path for path in spool.iterdir() if not path.name.startswith(".") and path.lstat().st_uid == user.uid)


def has_session(user: User) -> bool:
    """Return whether systemd knows a running session or user manager of this user."""
    return Path(f"/run/systemd/users/{user.uid}").exists()


def lingers(user: User) -> bool:
    """Return whether its services start without a session."""
    return Path(f"/var/lib/systemd/linger/{user.login}").exists()
