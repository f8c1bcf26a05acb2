"""Rights of files: owners, shared folders, special rights, what only root reads."""

import grp
import os
import pwd
import stat
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path

BOOT = False  # long, and nothing of it is lost by a restart
LOCAL = ("ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "overlay", "tmpfs", "zfs")
DYNAMIC = range(61184, 65520)  # what systemd gives to a service while it runs
PLAIN, SPECIAL = 0o777, 0o6000


def subordinate():
    """Return the ranges of ids that containers of accounts use: nobody's by name, and in order."""
    ranges = [DYNAMIC]
    for path in (Path("/etc/subuid"), Path("/etc/subgid")):
        for line in path.read_text("utf-8").splitlines() if path.exists() else ():
            start, count = line.split(":")[1:3]
            ranges.append(range(int(start), int(start) + int(count)))
    return ranges


def known(number, lookup, seen, ranges):
    """Tell whether an id has a name, or is one of those that need none."""
    if number not in seen:
        try:
            lookup(number)
            seen[number] = True
        except KeyError:
            seen[number] = any(number in one for one in ranges)
    return seen[number]


def mounts():
    """Return the mount points of local file systems that can be written."""
    for line in Path("/proc/self/mounts").read_text("utf-8", "surrogateescape").splitlines():
        _, target, kind, options = line.split()[:4]
        if kind in LOCAL and "rw" in options.split(","):
            yield target.encode("utf-8", "surrogateescape").decode("unicode_escape")


def walk(left_alone):
    """Yield (path, status) of every file of the local file systems, each once."""
    done = set()
    for top in sorted(set(mounts())):
        waiting = [top]
        device = os.lstat(top).st_dev
        while waiting:
            folder = waiting.pop()
            try:
                entries = list(os.scandir(folder))
                found = Path(folder).stat()
            except OSError:
                continue
            if (found.st_dev, found.st_ino) in done or found.st_dev != device or folder in left_alone:
                continue
            done.add((found.st_dev, found.st_ino))
            yield folder, found
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        yield entry.path, entry.stat(follow_symlinks=False)
                except OSError:
                    continue


def capability(path):
    """Tell whether a program has capabilities of its own."""
    try:
        return bool(os.getxattr(path, "security.capability", follow_symlinks=False))
    except OSError:
        return False


def gaps(host):
    """Yield the files whose rights are not as wanted."""
    wanted = host.wanted["files"]
    yield from few(host, wanted.get("few", []))
    yield from closed(host, wanted.get("closed", {}))
    asked = {name for name in ("owned", "sticky", "special", "private") if wanted.get(name)}
    if not asked:
        return
    users, groups, ranges, special = {}, {}, subordinate(), {}
    for path, found in walk(set(wanted["left_alone"])):
        mode = found.st_mode
        if "owned" in asked:
            uid = found.st_uid if known(found.st_uid, pwd.getpwuid, users, ranges) else 0
            gid = found.st_gid if known(found.st_gid, grp.getgrgid, groups, ranges) else 0
            if (uid, gid) != (found.st_uid, found.st_gid):
                yield (
                    f"{path} : sans propriétaire connu ({found.st_uid}:{found.st_gid})",
                    lambda path=path, uid=uid, gid=gid: os.chown(path, uid, gid, follow_symlinks=False),
                )
        if stat.S_ISDIR(mode):
            if "sticky" in asked and mode & 0o1002 == 0o002:
                yield (
                    f"{path} : ouvert à tous sans sticky bit",
                    lambda path=path, mode=mode: Path(path).chmod(stat.S_IMODE(mode) | 0o1000),
                )
        elif stat.S_ISREG(mode):
            if "private" in asked and mode & 0o002:
                yield (
                    f"{path} : inscriptible par tous",
                    lambda path=path, mode=mode: Path(path).chmod(stat.S_IMODE(mode) & ~0o002),
                )
            if "special" in asked and mode & 0o111 and (mode & SPECIAL or capability(path)):
                special[path] = mode
    for path in sorted(set(special) - made_for_it(special, wanted)):
        yield f"{path} : droits spéciaux inattendus", lambda path=path: strip(path, special[path])


def made_for_it(paths, wanted):
    """Return the programs that a Debian package made to have special rights, and those that the site names."""
    more = {path for path in paths if any(fnmatchcase(path, pattern) for pattern in wanted["special_more"])}
    known_names, folders = wanted["special_programs"], tuple(wanted["special_folders"])
    named = {path for path in paths if path.startswith(folders) and Path(path).name in known_names}
    asked = [name for path in named for name in (path, path.removeprefix("/usr"))]  # dpkg may know it by its old place
    said = subprocess.run(["dpkg-query", "--search", *asked], capture_output=True, text=True, check=False).stdout if asked else ""
    packaged = {line.split(": ", 1)[1] for line in said.splitlines() if ": " in line}
    return more | {path for path in named if {path, path.removeprefix("/usr")} & packaged}


def strip(path, mode):
    """Take special rights from a program; the file stays."""
    if mode & SPECIAL:
        Path(path).chmod(stat.S_IMODE(mode) & PLAIN)
    if capability(path):
        os.removexattr(path, "security.capability", follow_symlinks=False)


def few(host, paths):
    """Yield the programs with special rights that nobody here needs; dpkg is told, so that no upgrade gives them back."""
    had = host.had("special")
    for path in (path for path in paths if Path(path).exists()):
        mode = stat.S_IMODE(Path(path).stat().st_mode)
        listed = subprocess.run(["dpkg-statoverride", "--list", path], capture_output=True, text=True, check=False)
        if mode & SPECIAL or listed.returncode:
            yield (
                f"{path} : {mode:04o}",
                lambda path=path, mode=mode, listed=listed: override(host, path, mode, not listed.returncode),
            )
    for path in sorted(set(had) - set(paths)):
        yield f"{path} : rendu", lambda path=path: give_back(host, path)


def override(host, path, mode, listed):
    """Take the special rights of a program of a package, for good."""
    if mode & SPECIAL:
        host.had("special").setdefault(path, mode)
    if listed:
        subprocess.run(["dpkg-statoverride", "--quiet", "--remove", path], check=True)
    plain = f"{mode & PLAIN:04o}"
    subprocess.run(["dpkg-statoverride", "--quiet", "--update", "--add", "root", "root", plain, path], check=True)


def give_back(host, path):
    """Give a program the rights that its package gave it."""
    mode = host.had("special").pop(path)
    subprocess.run(["dpkg-statoverride", "--quiet", "--remove", path], check=False)
    if Path(path).exists():
        Path(path).chmod(mode)


def closed(host, wanted):
    """Yield what is more open than the mask allows; a folder that is no longer wanted closed is opened as it was."""
    had, kept = host.had("closed"), set()
    for pattern, mask in wanted.items():
        for path in sorted(Path("/").glob(pattern.lstrip("/"))):
            kept.add(str(path))
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & ~int(mask, 8) and not path.is_symlink():
                yield f"{path} : {mode:04o}", lambda path=path, mode=mode, mask=mask: close(host, path, mode, int(mask, 8))
    for name in sorted(set(had) - kept):
        yield f"{name} : rendu", lambda name=name: reopen(host, name)


def close(host, path, mode, mask):
    """Take the rights beyond the mask."""
    host.had("closed").setdefault(str(path), mode)
    path.chmod(mode & mask)


def reopen(host, name):
    """Set a mode to what it was before."""
    mode = host.had("closed").pop(name)
    if Path(name).exists():
        Path(name).chmod(mode)
