"""Runs on the host, as root, through `python3 -c`: every local file once, and what an ordinary account can open.

One JSON argument: {"skipped": [folders]}. Prints one JSON answer. Standard library only.
"""

import grp
import hashlib
import json
import os
import pwd
import stat
import subprocess
import sys
from pathlib import Path

KINDS = {"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "overlay", "tmpfs", "zfs", "jfs", "reiserfs"}
# What only root, or a named group, has to read.
CLOSED = (
    "/etc/ssh/ssh_host_*_key",
    "/etc/ssh/sshd_config",
    "/etc/ssl/private",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/crontab",
    "/etc/cron.*",
    "/root",
    "/boot/grub/grub.cfg",
    "/var/log/auth.log*",
    "/var/log/syslog*",
    "/var/log/kern.log*",
)


def tops():
    """Return the mount points of the local file systems."""
    listed = subprocess.run(["findmnt", "-rnuo", "TARGET,FSTYPE,OPTIONS"], capture_output=True, text=True, check=True).stdout
    rows = [line.rsplit(" ", 2) for line in listed.splitlines()]
    return sorted({target.encode().decode("unicode_escape") for target, kind, _ in rows if kind in KINDS})


def named(number, lookup, ranges):
    """Tell whether an id is somebody's, or one of those that need no name."""
    try:
        lookup(number)
    except KeyError:
        return any(first <= number < first + count for first, count in ranges)
    return True


def ranges():
    """Return the ids that need no name: subordinate ones, and those that systemd gives for a while."""
    found = [(61184, 65520 - 61184)]
    for name in ("/etc/subuid", "/etc/subgid"):
        if Path(name).exists():
            found += [tuple(map(int, line.split(":")[1:3])) for line in Path(name).read_text("utf-8").splitlines() if ":" in line]
    return found


def privileged(path):
    """Tell whether a program carries capabilities."""
    try:
        return "security.capability" in os.listxattr(path, follow_symlinks=False)
    except OSError:
        return False


def inventory(skipped):
    """Return what is odd among all files."""
    found = {"files": 0, "unowned": [], "open": [], "writable": [], "special": []}
    users, groups, spare, seen = {}, {}, ranges(), set()
    for top in tops():
        device = Path(top).lstat().st_dev
        for folder, folders, plain in os.walk(top):
            here = os.lstat(folder)
            if here.st_dev != device or (here.st_dev, here.st_ino) in seen:
                folders.clear()
                continue
            seen.add((here.st_dev, here.st_ino))
            if folder in skipped:
                folders.clear()
                found["special"] += [[path, f"{mode:04o}", "", False] for path, mode in within_reach(folder)]
                continue
            for path in (folder, *(f"{folder.rstrip('/')}/{name}" for name in plain)):
                try:
                    status = os.lstat(path)
                except OSError:
                    continue
                found["files"] += 1
                if status.st_uid not in users:
                    users[status.st_uid] = named(status.st_uid, pwd.getpwuid, spare)
                if status.st_gid not in groups:
                    groups[status.st_gid] = named(status.st_gid, grp.getgrgid, spare)
                if not (users[status.st_uid] and groups[status.st_gid]):
                    found["unowned"].append(path)
                mode = status.st_mode
                if stat.S_ISDIR(mode) and mode & 0o002 and not mode & 0o1000:
                    found["open"].append(path)
                if stat.S_ISREG(mode):
                    if mode & 0o002:
                        found["writable"].append(path)
                    if mode & 0o111 and (mode & 0o6000 or privileged(path)):
                        package = origin(path)
                        found["special"].append([path, f"{stat.S_IMODE(mode):04o}", package, altered(path, package)])
    return found


def within_reach(top):
    """Yield the programs with special rights below a folder of containers that an ordinary account could get to."""
    device = os.lstat(top).st_dev
    for folder, folders, plain in os.walk(top):
        here = os.lstat(folder)
        if here.st_dev != device or not here.st_mode & 0o001:
            folders.clear()
            continue
        for path in (f"{folder}/{name}" for name in plain):
            try:
                mode = os.lstat(path).st_mode
            except OSError:
                continue
            if stat.S_ISREG(mode) and mode & 0o111 and (mode & 0o6000 or privileged(path)):
                yield path, stat.S_IMODE(mode)


def altered(path, package):
    """Tell whether a program is another one than its package brought; no when the package does not say."""
    known = {}
    for listing in Path("/var/lib/dpkg/info").glob(f"{package}*.md5sums") if package else ():
        if listing.name.removesuffix(".md5sums").partition(":")[0] == package:
            for line in listing.read_text("utf-8", "replace").splitlines():
                digest, _, name = line.partition("  ")
                known[f"/{name}"] = digest
    expected = known.get(path) or known.get(path.removeprefix("/usr"))
    return bool(expected) and hashlib.md5(Path(path).read_bytes(), usedforsecurity=False).hexdigest() != expected


def origin(path):
    """Return the package that a program comes from, an empty text when it is of none."""
    for name in (path, path.removeprefix("/usr")):
        said = subprocess.run(["dpkg-query", "--search", name], capture_output=True, text=True, check=False)
        if said.returncode == 0:
            lines = sorted(said.stdout.splitlines(), key=lambda line: "diversion" not in line)
            if lines[0].startswith("local diversion"):  # somebody put another one in its place
                return ""
            return lines[0].split()[2] if lines[0].startswith("diversion by ") else lines[0].split(":")[0]
    return ""


def readable(patterns):
    """Return which of these files and folders an ordinary account opens, tried in a process of nobody's."""
    paths = [path for pattern in patterns for path in sorted(map(str, Path("/").glob(pattern.lstrip("/"))))]
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        opened = []
        for path in paths:
            try:
                os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
                opened.append(path)
            except OSError:
                continue
        os.write(writer, json.dumps(opened).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        answer = json.loads(stream.read())
    os.waitpid(child, 0)
    return answer


def main():
    """Print what is odd."""
    asked = json.loads(sys.argv[1])
    found = inventory(set(asked["skipped"]))
    found["readable"] = readable(CLOSED)
    found["boot"] = readable(["/boot", "/boot/vmlinuz-*", "/boot/initrd*", "/boot/System.map-*"])
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
