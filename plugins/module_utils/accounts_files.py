"""Files around accounts: key files, what is set aside, rights on files that give root. Standard library only."""

from __future__ import annotations

import glob
import os
import pwd
import re
import shutil
import stat
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence, Set, Tuple

from ansible_collections.pgssi.toolkit.plugins.module_utils.accounts_host import Host, User
from ansible_collections.pgssi.toolkit.plugins.module_utils.accounts_jobs import programs

ASIDE = Path("/var/lib/pgssi/set-aside")
Found = Tuple[str, Callable[[Any], object], List[str]]
# The password files and their copies, whoever made them.
PASSWORD_FILES = ("/etc/*shadow*", "/etc/security/*opasswd*", "/var/backups/*shadow*")
ACL = "system.posix_acl_access"
# Where records of accounts that stand in no passwd file are read from, by the name source "systemd".
USER_RECORDS = ("/etc/userdb", "/run/userdb", "/usr/local/lib/userdb")
SHARED_HOMES = re.compile(
    r"^/?$|^/(nonexistent|bin|dev|proc|tmp|usr|etc|run|sbin|var/tmp|var/empty)(/|$)|^/(var|home|srv|opt)/?$"
)
# What root executes or obeys. Trees are walked without following links.
ROOT_TREES = (
    "/etc/cron.d", "/etc/cron.daily", "/etc/cron.hourly", "/etc/cron.monthly", "/etc/cron.weekly", "/etc/crontab",
    "/etc/anacrontab", "/etc/systemd", "/run/systemd/system", "/usr/lib/systemd", "/etc/pam.d", "/usr/lib/pam.d",
    "/usr/share/pam-configs", "/etc/security", "/etc/profile.d", "/etc/profile", "/etc/bash.bashrc", "/etc/environment",
    "/etc/rc.local", "/etc/init.d", "/etc/sudoers", "/etc/sudoers.d", "/etc/sudo.conf", "/etc/ssh", "/etc/ld.so.preload",
    "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/usr/local", "/var/spool/cron", "/root/.profile", "/root/.bashrc",
    "/root/.bash_profile", "/root/.bash_login", "/root/.bash_logout", "/root/.ssh", "/etc/apt/apt.conf", "/etc/apt/apt.conf.d",
    "/etc/default", "/etc/dhcp", "/etc/environment.d", "/etc/grub.d", "/etc/initramfs-tools", "/etc/kernel",
    "/etc/logrotate.conf", "/etc/logrotate.d", "/etc/modprobe.d", "/etc/network", "/etc/NetworkManager/dispatcher.d",
    "/etc/networkd-dispatcher", "/etc/sysctl.d", "/etc/tmpfiles.d", "/etc/udev", "/etc/update-motd.d",
)  # fmt: skip
# Programs and libraries of the system; packages give some of them to accounts of services (at), vendors to their own: whose they
# are is for a person to change, as an application may live on it.
SYSTEM_TREES = ("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec")
CRONTABS = "/var/spool/cron/crontabs"
ACCOUNT_DATABASES = ("passwd", "group", "shadow", "gshadow", "initgroups", "sudoers")


def set_aside(paths: Sequence[Path]) -> None:
    """Move files to the set-aside directory, under a name that tells where from and when."""
    ASIDE.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%dT%H%M%S")
    for path in filter(os.path.lexists, paths):  # two accounts may have the same home
        shutil.move(str(path), str(ASIDE / f"{stamp}{str(path).replace('/', '%')}"))


def write_keys(login: str, home: str, keys: Sequence[str]) -> None:
    """Replace a person's key file, without following a link that they may have left in their home."""
    entry = pwd.getpwnam(login)
    folder = Path(home, ".ssh")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        set_aside([folder])
    if not folder.exists():
        folder.mkdir(mode=0o700)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        temporary = ".authorized_keys.pgssi"
        if temporary in os.listdir(handle):
            os.unlink(temporary, dir_fd=handle)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(temporary, flags, 0o600, dir_fd=handle), "w", encoding="utf-8") as stream:
            stream.write("".join(f"{key}\n" for key in keys))
            os.fchown(stream.fileno(), entry.pw_uid, entry.pw_gid)
        os.rename(temporary, "authorized_keys", src_dir_fd=handle, dst_dir_fd=handle)
    finally:
        os.close(handle)


def make_home(user: User) -> None:
    """Give an account a home folder of its own where something else, or nothing, stands."""
    if os.path.lexists(user.home):
        set_aside([Path(user.home)])
    os.makedirs(os.path.dirname(user.home), exist_ok=True)
    os.mkdir(user.home, 0o700)
    for name in os.listdir("/etc/skel"):
        shutil.copy2(os.path.join("/etc/skel", name), user.home)
        os.chown(os.path.join(user.home, name), user.uid, user.gid)
    os.chown(user.home, user.uid, user.gid)


def user_records() -> List[Path]:
    """Return the records of accounts and memberships outside passwd and group."""
    return sorted(path for folder in USER_RECORDS for path in Path(folder).glob("*.*") if not path.name.startswith("io."))


def drop_lines(guard: Any, lines: Sequence[str]) -> None:
    """Take whole lines out of /etc/passwd; they are kept in the set-aside directory."""
    ASIDE.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept, gone = [], []
    for line in Path("/etc/passwd").read_text("utf-8", "surrogateescape").splitlines():
        (gone if line.encode("utf-8", "surrogateescape").decode("utf-8", "replace") in lines else kept).append(line)
    path = ASIDE / f"{time.strftime('%Y%m%dT%H%M%S')}%etc%passwd"
    path.write_text("".join(f"{line}\n" for line in gone), "utf-8", "surrogateescape")
    guard.write("/etc/passwd", "".join(f"{line}\n" for line in kept).encode("utf-8", "surrogateescape"), 0o644, 0, 0)


def renumber(guard: Any, changes: Mapping[str, int], field: int = 2) -> None:
    """Give accounts another uid (field 3: primary group) in /etc/passwd.

    usermod refuses while a process runs under a shared uid, and gives away the files of a shared home.
    """
    lines = []
    for line in Path("/etc/passwd").read_text("utf-8", "surrogateescape").splitlines():
        parts = line.split(":")
        if parts[0] in changes:
            parts[field] = str(changes[parts[0]])
        lines.append(":".join(parts))
    guard.write("/etc/passwd", ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"), 0o644, 0, 0)


def differences(host: Host, rules: Set[str], options: Mapping[str, Any], sudo_group: str) -> Iterator[Found]:
    """Yield ``(text, change, altered paths)`` for every file whose rights or place are not as they must be."""
    if "password-files-private" in rules:
        yield from _password_files(host)
    if "home-private" in rules:
        yield from _homes(host)
    if "root-jobs-not-writable" in rules:
        yield from _root_files(host)
    if "rights-sudo-exact" in rules:
        yield from _sudoers(options["kept_sudoers"])
    if "remote-accounts-secured" in rules:
        yield from _name_sources(options["name_sources"])
    if "sudo-group-only" in rules:
        yield from _sudo_binary(host, sudo_group)
    else:
        yield from _sudo_reopened(host, sudo_group)


def _rights(path: str, mode: int, uid: int, gid: int) -> Found:
    def change(_guard: Any) -> None:
        if _has_acl(path):
            os.removexattr(path, ACL)
        os.chown(path, uid, gid, follow_symlinks=False)
        os.chmod(path, mode)

    return f"{path}: {mode:04o}, owner {uid}, group {gid}", change, [path]


def _has_acl(path: str) -> bool:
    try:
        return ACL in os.listxattr(path, follow_symlinks=False)
    except OSError:
        return False


def _password_files(host: Host) -> Iterator[Found]:
    shadow = host.groups["shadow"].gid if "shadow" in host.groups else 0
    for path in sorted(path for pattern in PASSWORD_FILES for path in glob.glob(pattern)):
        now = os.lstat(path)
        allowed = 0o600 if "opasswd" in path else 0o640
        if not stat.S_ISREG(now.st_mode):
            continue
        if now.st_uid or now.st_gid not in (0, shadow) or stat.S_IMODE(now.st_mode) & ~allowed or _has_acl(path):
            yield _rights(path, allowed, 0, 0 if allowed == 0o600 else shadow)


def _homes(host: Host) -> Iterator[Found]:
    for user in host.users.values():
        home = os.path.realpath(user.home)
        if not user.person or not os.path.isdir(home) or SHARED_HOMES.search(user.home) or SHARED_HOMES.search(home):
            continue
        now = os.stat(home)
        mode = stat.S_IMODE(now.st_mode)
        if now.st_uid in (user.uid, 0) and (mode & 0o027 or _has_acl(home)):
            yield _rights(home, mode & ~0o027, user.uid, now.st_gid)


def _root_files(host: Host) -> Iterator[Found]:
    trusted = {0} | {g.gid for g in host.groups.values() if g.name in ("staff", "crontab") and not g.members}
    seen = set()
    for path, now in (*_walk(), *_programs()):
        if path in seen or stat.S_ISLNK(now.st_mode) or stat.S_ISCHR(now.st_mode):
            continue
        seen.add(path)
        mode, listed = stat.S_IMODE(now.st_mode), _has_acl(path)
        loose = mode & 0o002 if not mode & stat.S_ISVTX or not stat.S_ISDIR(now.st_mode) else 0
        loose |= mode & 0o020 if now.st_gid not in trusted or listed else 0
        owner = now.st_uid if path.startswith(SYSTEM_TREES) and not path.startswith(ROOT_TREES) else 0
        if now.st_uid != owner or loose or listed:
            yield _rights(path, mode & ~loose, owner, now.st_gid)


def _programs() -> Iterator[Tuple[str, os.stat_result]]:
    for path in programs():
        now = os.lstat(path)
        # A folder of another account is theirs; that root runs something from it is for a person to settle.
        if not stat.S_ISDIR(now.st_mode) or now.st_uid == 0:
            yield path, now


def _walk() -> Iterator[Tuple[str, os.stat_result]]:
    for tree in filter(os.path.lexists, (*ROOT_TREES, *SYSTEM_TREES)):
        yield tree, os.lstat(tree)
        if os.path.islink(tree):
            continue
        for folder, names, plain in os.walk(tree):
            # Crontabs of people are theirs; the directory itself is checked with its parent.
            if folder == CRONTABS:
                names.clear()
                continue
            for name in (*names, *plain):
                path = os.path.join(folder, name)
                if path.startswith("/var/spool/cron/at"):
                    continue
                yield path, os.lstat(path)


def _sudoers(kept: Sequence[str]) -> Iterator[Found]:
    folder = Path("/etc/sudoers.d")
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        # sudo itself ignores names with a dot or a final tilde.
        if path.name in (*kept, "README") or "." in path.name or path.name.endswith("~"):
            continue
        yield f"{path}: set aside (not declared)", lambda _, path=path: set_aside([path]), [str(path)]


def _name_sources(allowed: Sequence[str]) -> Iterator[Found]:
    path = Path("/etc/nsswitch.conf")
    if not path.exists():
        return
    before, after = path.read_text("utf-8", "surrogateescape").splitlines(), []
    removed: Dict[str, List[str]] = {}
    for line in before:
        name, colon, rest = line.partition(":")
        sources = rest.split("#")[0].split()
        remote = [word for word in sources if not word.startswith("[") and word not in allowed]
        if colon and name.strip() in ACCOUNT_DATABASES and remote:
            removed[name.strip()] = remote
            line = f"{name}: {' '.join(word for word in sources if word in allowed) or 'files'}"
        after.append(line)
    if removed:
        shown = ", ".join(f"{name}: {' '.join(words)}" for name, words in removed.items())
        content = ("\n".join(after) + "\n").encode("utf-8", "surrogateescape")
        yield (
            f"{path}: sources not declared removed ({shown})",
            lambda guard: guard.write(str(path), content, 0o644, 0, 0),
            [str(path)],
        )


def _sudo_binary(host: Host, group: str) -> Iterator[Found]:
    now = os.stat("/usr/bin/sudo")
    gid = host.groups[group].gid if group in host.groups else -1
    if (stat.S_IMODE(now.st_mode), now.st_uid, now.st_gid) != (0o4750, 0, gid) or _has_acl("/usr/bin/sudo"):
        argv = ["dpkg-statoverride", "--force-statoverride-add", "--update", "--add", "root", group, "4750", "/usr/bin/sudo"]

        def change(guard: Any) -> None:
            if _has_acl("/usr/bin/sudo"):
                os.removexattr("/usr/bin/sudo", ACL)
            guard.run(argv)

        yield (
            f"/usr/bin/sudo: only for group {group}",
            change,
            ["/usr/bin/sudo", "/var/lib/dpkg/statoverride"],
        )


def _sudo_reopened(host: Host, group: str) -> Iterator[Found]:
    """A palier lowered, or a waiver: members that leave our group would lose sudo while it is still closed to all others."""
    now = os.stat("/usr/bin/sudo")
    if group not in host.groups or (stat.S_IMODE(now.st_mode), now.st_gid) != (0o4750, host.groups[group].gid):
        return

    def change(guard: Any) -> None:
        guard.run(["dpkg-statoverride", "--force-statoverride-remove", "--remove", "/usr/bin/sudo"])
        os.chown("/usr/bin/sudo", 0, 0)
        os.chmod("/usr/bin/sudo", 0o4755)

    yield "/usr/bin/sudo: open to every account again", change, ["/usr/bin/sudo", "/var/lib/dpkg/statoverride"]
