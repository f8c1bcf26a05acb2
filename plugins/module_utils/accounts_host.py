"""The accounts of a host as they really are: passwd, shadow, group, keys, cron. Read only; standard library only."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Set, Tuple

STRONG = re.compile(r"^\$(y|gy|6|2[abxy])\$")
SHELLS_CLOSED = ("/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "/usr/bin/false", "/bin/sync", "/usr/bin/sync")
CRONTABS = Path("/var/spool/cron/crontabs")
KEY_FILES = (".ssh/authorized_keys", ".ssh/authorized_keys2")
FIRST_PERSON, NOBODY = 1000, 65534
FORCED = re.compile(r"""^(?:[^"\s]|"(?:[^"\\]|\\.)*")*\bcommand=""", re.IGNORECASE)


@dataclass
class User:
    """One line of passwd with its line of shadow. last, longest, expires: days, None when the field is empty.

    inline: the password stands in passwd itself, which everybody may read.
    """

    login: str
    uid: int
    gid: int
    gecos: str
    home: str
    shell: str
    hash: str = "*"
    inline: bool = False
    last: Optional[int] = None
    longest: Optional[int] = None
    expires: Optional[int] = None
    groups: List[str] = field(default_factory=list)
    line: str = ""

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
        except OSError:  # nothing there, or a home that is no folder
            return []
        return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]

    def key_files(self) -> List[Path]:
        """Return its key files that hold a key, or that are links, which sshd would follow."""
        paths = {name: Path(self.home, name) for name in KEY_FILES}
        return [path for name, path in paths.items() if self.keys(name) or path.is_symlink()]

    def open_keys(self) -> List[str]:
        """Return the keys, of every key file, that are not tied to a forced command; a link is as good as one."""
        lines = [line for name in KEY_FILES for line in self.keys(name) if not FORCED.match(line)]
        return lines + [str(path) for path in self.key_files() if path.is_symlink()]


@dataclass
class Group:
    """One line of group with its line of gshadow; members as listed in group (primary members are not)."""

    name: str
    gid: int
    members: List[str]
    password: str = "x"
    administrators: List[str] = field(default_factory=list)
    hidden: List[str] = field(default_factory=list)

    @property
    def opened(self) -> bool:
        """Whether others than its members may enter it: a password, administrators, members of gshadow alone."""
        return bool(self.password.strip("!*x") or self.administrators or set(self.hidden) - set(self.members))


@dataclass
class Host:
    """Every account and group of the host's own files, in file order.

    twins: accounts that share the number of another; surplus: lines of passwd that repeat a login or have no number.
    """

    users: Dict[str, User]
    groups: Dict[str, Group]
    twins: List[User]
    surplus: List[str] = field(default_factory=list)

    def same_number(self, groups: Iterable[str]) -> Set[str]:
        """Return these groups and those that are the same under another name."""
        numbers = {self.groups[name].gid for name in groups if name in self.groups}
        return set(groups) | {group.name for group in self.groups.values() if group.gid in numbers}

    def members(self, group: str) -> List[str]:
        """Return the supplementary members of a group, none when it does not exist."""
        return list(self.groups[group].members) if group in self.groups else []


def _number(text: str) -> Optional[int]:
    return int(text) if text.strip().lstrip("-").isdigit() else None


def _lines(path: str) -> List[List[str]]:
    try:
        text = Path(path).read_text("utf-8", "replace")
    except FileNotFoundError:
        return []
    return [line.split(":") for line in text.splitlines() if line.count(":") > 2]


def _own_home(user: User) -> bool:
    """Return whether the home folder of a line is really that account's."""
    try:
        return os.stat(user.home).st_uid == user.uid and Path(user.home).name == user.login
    except OSError:
        return False


def _users() -> Tuple[Dict[str, User], List[User], List[str]]:
    by_login: Dict[str, List[User]] = {}
    surplus: List[str] = []
    for line in _lines("/etc/passwd"):
        uid, gid = (_number(line[2]), _number(line[3])) if len(line) > 6 else (None, None)
        if line[0][:1] in ("+", "-"):
            continue
        if uid is None or gid is None:
            surplus.append(":".join(line))
            continue
        inline = line[1] != "x"
        user = User(line[0], uid, gid, line[4], line[5], line[6], line[1] if inline else "*", inline)
        user.line = ":".join(line)
        by_login.setdefault(user.login, []).append(user)
    users: Dict[str, User] = {}
    for login, same in by_login.items():
        # The first line counts; a line put before it to give another number is not what the account is.
        kept = next((user for user in same if _own_home(user) and (user.uid or login == "root")), same[0])
        users[login] = kept
        surplus += [user.line for user in same if user is not kept]
    by_number: Dict[int, List[User]] = {}
    for user in users.values():
        by_number.setdefault(user.uid, []).append(user)
    twins: List[User] = []
    for number, same in by_number.items():
        owner = users.get("root") if number == 0 else next(filter(_own_home, same), same[0])
        twins += [user for user in same if user is not owner]
    return users, twins, surplus


def _groups() -> Dict[str, Group]:
    groups: Dict[str, Group] = {}
    for line in _lines("/etc/group"):
        number = _number(line[2])
        if number is not None:
            members = [member for member in line[3].split(",") if member]
            groups.setdefault(line[0], Group(line[0], number, members, line[1]))
    for line in _lines("/etc/gshadow"):
        if line[0] in groups:
            group = groups[line[0]]
            group.password = line[1] if group.password in ("x", "") else group.password
            group.administrators, group.hidden = ([name for name in part.split(",") if name] for part in line[2:4])
    return groups


def read() -> Host:
    """Return the accounts and groups of this host. Raises OSError when a file cannot be read."""
    users, twins, surplus = _users()
    for line in _lines("/etc/shadow"):
        if line[0] in users and len(line) > 7:
            user = users[line[0]]
            user.hash = user.hash if user.inline else line[1]
            user.last, user.longest, user.expires = _number(line[2]), _number(line[4]), _number(line[7])
    groups = _groups()
    for group in groups.values():
        for member in group.members:
            if member in users:
                users[member].groups.append(group.name)
    return Host(users, groups, twins, surplus)


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
