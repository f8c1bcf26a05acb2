"""How the rights of accounts are read on a host; standard library only, nothing is changed."""

from __future__ import annotations

import base64
import binascii
import grp
import hashlib
import os
import pwd
import re
import sqlite3
import stat
import struct
import time
from pathlib import Path

KEY_TYPE = re.compile(r"(?:^|\s)((?:ssh|ecdsa|sk)-[A-Za-z0-9@.\-]+)\s+(AAAA[A-Za-z0-9+/]+=*)(?:\s+(.*))?$")
MAX_KEY_FILE = 1 << 20  # bytes; an authorized_keys larger than this is read up to here
_LAST = struct.Struct("=i32s256s")  # struct lastlog of glibc
_DAY = 86400


def is_interactive(shell: str) -> bool:
    """Return whether a shell lets somebody in."""
    return Path(shell or "/bin/sh").name not in ("nologin", "false", "sync", "halt", "shutdown")


def ways_in(password: str, has_keys: bool) -> list[str]:
    """Return how an account can authenticate. password: usable, locked or empty."""
    ways = {"usable": ["password"], "empty": ["empty password"]}.get(password, [])
    return [*ways, "key"] if has_keys else ways


def shadow_states(path: str = "/etc/shadow", today: int | None = None) -> dict[str, tuple[str, bool]]:
    """Return {login: (usable | locked | empty, expired)}; the hashes themselves are dropped here."""
    today = int(time.time() // _DAY) if today is None else today
    states = {}
    for line in Path(path).read_text("utf-8", "replace").splitlines():
        fields = line.split(":")
        if len(fields) < 8:
            continue
        password, expires = fields[1], fields[7]
        state = "usable" if password.startswith(("$", "_")) or len(password) == 13 else "locked"
        if password == "":
            state = "empty"
        states[fields[0]] = (state, expires.isdigit() and int(expires) <= today)
    return states


def groups_of(login: str, gid: int) -> list[str]:
    """Return the effective groups of an account, its own private group apart."""
    names = set()
    for number in os.getgrouplist(login, gid):
        try:
            names.add(grp.getgrgid(number).gr_name)
        except KeyError:
            names.add(str(number))
    return sorted(names - {login})


def key_files(effective: str) -> list[str]:
    """Return the AuthorizedKeysFile patterns of ``sshd -T`` for one user."""
    for line in effective.splitlines():
        name, _, value = line.partition(" ")
        if name.lower() == "authorizedkeysfile":
            return [] if value.strip() == "none" else value.split()
    return [".ssh/authorized_keys", ".ssh/authorized_keys2"]


def keys_of(entry: pwd.struct_passwd, patterns: list[str]) -> list[dict[str, str]]:
    """Return the keys that open an account: {fingerprint, comment, file}."""
    found = []
    for pattern in patterns:
        name = pattern.replace("%h", entry.pw_dir).replace("%u", entry.pw_name).replace("%U", str(entry.pw_uid))
        path = str(Path(entry.pw_dir, name.replace("%%", "%")))
        found += [{**key, "file": path} for key in keys_in(_read(path))]
    return found


def keys_in(content: str) -> list[dict[str, str]]:
    """Return {fingerprint, comment} of each key of an authorized_keys text; what is no key is passed over."""
    found = []
    for line in content.splitlines():
        match = None if line.lstrip().startswith("#") else KEY_TYPE.search(line.strip())
        if not match:
            continue
        try:
            blob = base64.b64decode(match[2], validate=True)
        except binascii.Error:
            continue
        digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
        found.append({"fingerprint": f"SHA256:{digest}", "comment": (match[3] or "")[:80]})
    return found


def _read(path: str) -> str:
    """Read a file that its user chose: never waits on a pipe, never reads a device, never reads for ever."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return ""
        return os.read(handle, MAX_KEY_FILE).decode("utf-8", "replace")
    finally:
        os.close(handle)


def sudo_rights(listing: str) -> list[dict[str, object]]:
    """Return {run_as, commands, password, source} for each entry of ``sudo -ll -U``."""
    rights: list[dict[str, object]] = []
    commands: list[str] | None = None
    for line in listing.splitlines():
        text = line.strip()
        name, _, value = text.partition(":")
        value = value.strip()
        if line.startswith(("Sudoers entry", "LDAP Role", "SSSD Role")):
            commands = []
            rights.append({"run_as": "root", "commands": commands, "password": True, "source": value})
        elif not rights or commands is None or not text:
            continue
        elif name == "RunAsUsers":
            rights[-1]["run_as"] = value
        elif name == "RunAsGroups" or name == "Commands":
            continue
        elif name == "Options":
            rights[-1]["password"] = "!authenticate" not in value
        elif line.startswith("\t"):
            commands.append(text)
    return [right for right in rights if right["commands"]]


def last_logins(root: str = "/") -> dict[object, str]:
    """Return the last login by login (lastlog2, wtmpdb) or by uid (lastlog); empty when no trace is kept."""
    found: dict[object, float] = {}
    base = Path(root)
    tables = (
        ("var/lib/lastlog/lastlog2.db", "select Name, Time from Lastlog2", 1),
        (
            "var/lib/wtmpdb/wtmp.db",
            "select User, max(Login) from wtmp where Type = 3 group by User",
            1_000_000,
        ),
        ("var/log/wtmp.db", "select User, max(Login) from wtmp where Type = 3 group by User", 1_000_000),
    )
    for name, query, unit in tables:
        for login, moment in _rows(base / name, query):
            found[login] = max(found.get(login, 0), int(moment or 0) / unit)
    for uid, moment in _lastlog(base / "var/log/lastlog"):
        found[uid] = moment
    return {who: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment)) for who, moment in found.items() if moment}


def _rows(path: Path, query: str) -> list[tuple[str, int]]:
    if not path.is_file():
        return []
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()
    except sqlite3.Error:
        return []


def _lastlog(path: Path) -> list[tuple[int, int]]:
    if not path.is_file():
        return []
    found = []
    with path.open("rb") as stream:
        size = path.stat().st_size
        for entry in pwd.getpwall():
            if (entry.pw_uid + 1) * _LAST.size <= size:
                stream.seek(entry.pw_uid * _LAST.size)
                found.append((entry.pw_uid, _LAST.unpack(stream.read(_LAST.size))[0]))
    return found
