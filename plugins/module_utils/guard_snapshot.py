"""Copies of files and trees that can be put back exactly: content, mode, owner, ACL, absence.

Standard library only: the copy of this file that a guard leaves on a host works without Ansible.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence

LIMIT_BYTES = 256 * 1024 * 1024
TEMPORARY = ".pgssi-new"  # no drop-in directory of sshd, sudo, PAM or systemd reads such a name
_ACLS = ("system.posix_acl_access", "system.posix_acl_default")
Entry = Dict[str, Any]


class SnapshotError(Exception):
    """A path that cannot be copied or put back; the text names it."""


def check_path(path: str) -> str:
    """Return the normalised path; refuse what is relative or wider than two levels (``/etc``, ``/``)."""
    clean = os.path.normpath(path)
    if not clean.startswith("/") or clean.startswith("//") or len(clean.strip("/").split("/")) < 2:
        raise SnapshotError(f"{path}: not an absolute path of at least two levels")
    return clean


def capture(paths: Sequence[str], store: Path) -> None:
    """Copy every path into ``store``: a manifest.json and one blob per regular file; trees recursively."""
    store.mkdir(mode=0o700)
    entries: List[Entry] = []
    total = 0
    for root in dict.fromkeys(_topmost_missing(check_path(path)) for path in paths):
        tree: List[Entry] = []
        for path in _walk(root):
            entry = describe(path)
            if entry["type"] == "file":
                total += os.lstat(path).st_size
                if total > LIMIT_BYTES:
                    raise SnapshotError(f"{root}: more than {LIMIT_BYTES >> 20} MiB to keep a copy of")
                entry["blob"] = f"{len(entries)}-{len(tree)}"
                shutil.copyfile(path, store / entry["blob"], follow_symlinks=False)
            tree.append(entry)
        entries.append({"root": root, "tree": tree})
    write_private(store / "manifest.json", json.dumps(entries).encode())


def restore(store: Path) -> List[str]:
    """Make every captured path as it was; return the paths that had to be changed. Safe to repeat."""
    changed: List[str] = []
    for item in json.loads((store / "manifest.json").read_bytes()):
        wanted = {entry["path"]: entry for entry in item["tree"]}
        for path in sorted(_walk(item["root"]), reverse=True):
            kind = wanted.get(path, {"type": "absent"})["type"]
            if kind != "other" and describe(path)["type"] not in (kind, "absent"):
                remove(path)
                changed.append(path)
        for entry in item["tree"]:
            if entry["type"] not in ("absent", "other") and _put_back(entry, store):
                changed.append(entry["path"])
        leftover = os.path.join(os.path.dirname(item["root"]), temporary_name(item["root"]))
        if os.path.lexists(leftover):
            remove(leftover)
    return changed


def describe(path: str) -> Entry:
    """Return ``{path, type: absent|file|dir|link|other, mode, uid, gid, target, acl, mtime_ns}``."""
    try:
        info = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return {"path": path, "type": "absent"}
    kinds = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "dir"), (stat.S_ISLNK, "link"))
    entry: Entry = {
        "path": path,
        "type": next((name for test, name in kinds if test(info.st_mode)), "other"),
        "mode": stat.S_IMODE(info.st_mode),
        "uid": info.st_uid,
        "gid": info.st_gid,
        "mtime_ns": info.st_mtime_ns,
    }
    if entry["type"] == "link":
        entry["target"] = os.readlink(path)
    else:
        entry["acl"] = _acls(path)
    return entry


def replace(path: str, content: bytes, mode: int, uid: int, gid: int) -> None:
    """Write a file whole, by one rename on the same file system, on disk before it takes the name."""
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o755, exist_ok=True)
    temporary = os.path.join(directory, temporary_name(path))
    if os.path.lexists(temporary):
        remove(temporary)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, mode)
        stream.flush()
        os.fsync(descriptor)
    if os.path.isdir(path) and not os.path.islink(path):
        remove(path)
    os.rename(temporary, path)
    sync_directory(directory)


def remove(path: str) -> None:
    """Remove a file, a link or a tree."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def temporary_name(path: str) -> str:
    """Return the name that ``path`` is first written under."""
    return f".{os.path.basename(path)}{TEMPORARY}"


def write_private(path: Path, content: bytes) -> None:
    """Write a file of root's alone, atomically and durably."""
    temporary = path.with_name(path.name + TEMPORARY)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(temporary, path)
    sync_directory(str(path.parent))


def sync_directory(directory: str) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _topmost_missing(path: str) -> str:
    """Return the highest ancestor that is missing, so that a directory made on the way goes away again."""
    if os.path.lexists(path):
        return path
    parent = os.path.dirname(path)
    return _topmost_missing(parent) if not os.path.lexists(parent) and parent.count("/") > 1 else path


def _walk(root: str) -> Iterator[str]:
    yield root
    if os.path.isdir(root) and not os.path.islink(root):
        for directory, directories, files in os.walk(root):
            for name in sorted(directories + files):
                yield os.path.join(directory, name)


def _acls(path: str) -> Dict[str, str]:
    found = {}
    try:
        names = set(os.listxattr(path, follow_symlinks=False))
    except OSError:  # a file system without extended attributes
        return {}
    for name in _ACLS:
        if name in names:
            found[name] = os.getxattr(path, name, follow_symlinks=False).hex()
    return found


def _put_back(entry: Entry, store: Path) -> bool:
    path, now, changed = entry["path"], describe(entry["path"]), False
    if entry["type"] == "link":
        if now.get("target") == entry["target"] and (now["uid"], now["gid"]) == (entry["uid"], entry["gid"]):
            return False
        remove(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(entry["target"], path)
        os.lchown(path, entry["uid"], entry["gid"])
        return True
    if entry["type"] == "dir" and now["type"] == "absent":
        os.makedirs(path)
        changed = True
    if entry["type"] == "file":
        content = (store / entry["blob"]).read_bytes()
        if now["type"] == "absent" or Path(path).read_bytes() != content:
            replace(path, content, entry["mode"], entry["uid"], entry["gid"])
            os.utime(path, ns=(entry["mtime_ns"], entry["mtime_ns"]))
            changed = True
    now = describe(path)
    if (now["uid"], now["gid"]) != (entry["uid"], entry["gid"]):
        os.lchown(path, entry["uid"], entry["gid"])
        changed = True
    if now["acl"] != entry["acl"]:
        for name in now["acl"]:
            os.removexattr(path, name)
        for name, value in entry["acl"].items():
            os.setxattr(path, name, bytes.fromhex(value))
        changed = True
    if describe(path)["mode"] != entry["mode"]:
        os.chmod(path, entry["mode"])
        changed = True
    return changed
