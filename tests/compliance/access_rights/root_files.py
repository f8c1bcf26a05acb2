"""Runs on the host, as root, through `python3 -c`: prints what root executes and another account could change.

Standard library only. Access lists are read from the file system itself: the mode of a file does not show them.
"""

import grp
import os
import re
import stat
import struct
import subprocess
from pathlib import Path

TREES = (
    "/etc/cron.d", "/etc/cron.daily", "/etc/cron.hourly", "/etc/cron.monthly", "/etc/cron.weekly", "/etc/crontab",
    "/etc/anacrontab", "/etc/systemd", "/run/systemd/system", "/usr/lib/systemd", "/etc/pam.d", "/usr/lib/pam.d",
    "/usr/share/pam-configs", "/etc/security", "/etc/profile.d", "/etc/profile", "/etc/bash.bashrc", "/etc/environment",
    "/etc/rc.local", "/etc/init.d", "/etc/sudoers", "/etc/sudoers.d", "/etc/sudo.conf", "/etc/ssh", "/etc/ld.so.preload",
    "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/usr/local", "/var/spool/cron/crontabs", "/root/.profile", "/root/.bashrc",
    "/root/.bash_profile", "/root/.bash_login", "/root/.bash_logout", "/root/.ssh", "/etc/apt/apt.conf", "/etc/apt/apt.conf.d",
    "/etc/default", "/etc/dhcp", "/etc/environment.d", "/etc/grub.d", "/etc/initramfs-tools", "/etc/kernel",
    "/etc/logrotate.conf", "/etc/logrotate.d", "/etc/modprobe.d", "/etc/network", "/etc/NetworkManager/dispatcher.d",
    "/etc/networkd-dispatcher", "/etc/sysctl.d", "/etc/tmpfiles.d", "/etc/udev", "/etc/update-motd.d",
)  # fmt: skip
# Programs and libraries of the system; packages give some of them to accounts of services (at).
SYSTEM = ("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec")
CRONTABS = "/var/spool/cron/crontabs"
SCRIPT = re.compile(r"(?:^|(?<=[\s;&|=('\"]))(/[\w./+-]+)")
FOLDER = re.compile(r"\brun-parts\b[^;&|]*?\s(/[\w./+-]+)")  # everything in it is run
INSIDE = re.compile(r"\bcd\s+(/[\w./+-]+)\s*(?:&&|;)\s*(?:(?:ba|da)?sh\s+|python3?\s+|\.\s+)?(?:\./)?([\w.+-][\w./+-]*)")
OF_ANOTHER = re.compile(r"^User=(?!root$).", re.MULTILINE)
EXECUTED = "ExecStart,ExecStartPre,ExecStartPost,ExecReload,ExecCondition,ExecStop,ExecStopPost"
USER, GROUP, MASK = 0x02, 0x08, 0x10  # tags of an access list


def trusted():
    """Return the groups whose members are as good as root anyway, by number."""
    return {0} | {entry.gr_gid for entry in grp.getgrall() if entry.gr_name in ("staff", "crontab")}


def listed(path, groups):
    """Return whether an access list lets another account write."""
    try:
        raw = os.getxattr(path, "system.posix_acl_access", follow_symlinks=False)
    except OSError:
        return False
    entries = [struct.unpack_from("<HHI", raw, at) for at in range(4, len(raw), 8)]
    mask = next((rights for tag, rights, _ in entries if tag == MASK), 7)
    able = {USER: {0}, GROUP: groups}
    return any(rights & mask & 2 and tag in able and number not in able[tag] for tag, rights, number in entries)


def loose(path, groups):
    """Return why another account could change this, empty when none could."""
    now = os.lstat(path)
    if stat.S_ISLNK(now.st_mode) or stat.S_ISCHR(now.st_mode):
        return ""
    sticky = stat.S_ISDIR(now.st_mode) and now.st_mode & stat.S_ISVTX
    if now.st_uid and (now.st_uid >= 1000 or not path.startswith(SYSTEM)):
        return "propriétaire"
    if now.st_mode & 0o002 and not sticky:
        return "tous"
    if listed(path, groups):
        return "liste d'accès"
    # With an access list the group bits are its mask, and say nothing of the group.
    masked = "system.posix_acl_access" in os.listxattr(path, follow_symlinks=False)
    return "groupe" if now.st_mode & 0o020 and now.st_gid not in groups and not sticky and not masked else ""


def trees():
    """Yield every file of the trees; the crontabs of people are theirs."""
    for tree in filter(os.path.lexists, (*TREES, *SYSTEM)):
        yield tree
        for folder, names, plain in os.walk(tree):
            if folder == CRONTABS:
                continue
            yield from (f"{folder}/{name}" for name in (*names, *plain))


def commands(units):
    """Yield the command lines that cron and systemd run as root."""
    for path in (Path("/etc/crontab"), *sorted(Path("/etc/cron.d").glob("*"))):
        for line in path.read_text("utf-8", "replace").splitlines() if path.is_file() else ():
            words = line.split(None, 2 if line.startswith("@") else 6)
            if not line.lstrip().startswith("#") and len(words) in (3, 7) and words[-2] == "root":
                yield words[-1]
    own = Path(CRONTABS, "root")
    yield from own.read_text("utf-8", "replace").splitlines() if own.is_file() else ()
    for unit in units:
        if not OF_ANOTHER.search(unit):
            yield from re.findall(r"argv\[\]=(.*?) ; ", unit)


def services():
    """Return what systemd says of each service that it knows."""
    asked = ["systemctl", "show", "--type=service", "*", f"--property={EXECUTED},User,FragmentPath,DropInPaths,EnvironmentFiles"]
    return subprocess.run(asked, capture_output=True, check=False).stdout.decode("utf-8", "replace").split("\n\n")


def obeyed(units):
    """Yield the files, wherever they stand, that say what a service runs and as whom; for root, in which environment too."""
    for unit in units:
        said = "FragmentPath|DropInPaths" + ("" if OF_ANOTHER.search(unit) else "|EnvironmentFiles")
        for line in re.findall(rf"^(?:{said})=(.*)", unit, re.MULTILINE):
            yield from (word for word in line.split() if word.startswith("/"))


def libraries():
    """Yield what the loader of every program takes from elsewhere: libraries to load first, folders to search."""
    for path in (Path("/etc/ld.so.preload"), Path("/etc/ld.so.conf"), *sorted(Path("/etc/ld.so.conf.d").glob("*.conf"))):
        for line in path.read_text("utf-8", "replace").splitlines() if path.is_file() else ():
            yield from (word for word in re.split(r"[\s:]+", line.partition("#")[0]) if word.startswith("/"))


def run_from(line):
    """Yield the files that a command line runs: those that it names, those of a folder given to run-parts, those below a cd."""
    for name in (*SCRIPT.findall(line), *(f"{folder}/{name}" for folder, name in INSIDE.findall(line))):
        if Path(name).is_file() and (os.access(name, os.X_OK) or name.endswith((".sh", ".py", ".pl"))):
            yield name
    for folder in filter(Path.is_dir, map(Path, FOLDER.findall(line))):
        yield from (str(folder), *map(str, folder.iterdir()))


def programs():
    """Yield what root runs and obeys elsewhere, links followed, with the folders that lead to it."""
    found, units = set(), services()
    named = [name for line in commands(units) for name in run_from(line)]
    for library in filter(Path.exists, map(Path, libraries())):
        named += [str(library), *(map(str, library.iterdir()) if library.is_dir() else ())]
    for name in (*named, *filter(os.path.isfile, obeyed(units))):
        for path in (Path(name), Path(os.path.realpath(name))):
            found |= {path, *path.parents}
    yield from sorted(str(path) for path in found)


def main():
    """Print one line per fault: what, and through what."""
    groups, said = trusted(), {}
    for path in (*trees(), *programs()):
        try:
            why = loose(path, groups)
        except FileNotFoundError:  # units come and go
            continue
        if why:
            said[path] = why
    for path, why in said.items():
        os.write(1, os.fsencode(f"{path} ({why})\n"))


if __name__ == "__main__":
    main()
