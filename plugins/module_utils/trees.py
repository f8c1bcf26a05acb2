"""What a tree of files is made of, and how a restored copy differs from it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator


def describe(root: str, paths: Iterable[str]) -> dict[str, list]:
    """Return {path: [type, mode, uid, gid, digest or link target, {xattr: hex}, ctime]}; paths are seen below root.

    Access control lists come with the extended attributes (system.posix_acl_*).
    """
    state = {}
    for path in _walk(root, paths):
        real = os.path.join(root, path.lstrip("/"))
        found = os.lstat(real)
        kind = stat.filemode(found.st_mode)[0]
        content = _digest(real) if kind == "-" else os.readlink(real) if kind == "l" else ""
        state[path] = [kind, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, content, _attributes(real), found.st_ctime]
    return state


def _walk(root: str, paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        top = os.path.join(root, path.lstrip("/"))
        yield path
        for folder, names, files in os.walk(top):
            below = path + folder[len(top) :]
            yield from (f"{below}/{name}" for name in (*names, *files))


def _digest(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _attributes(path: str) -> dict[str, str]:
    names = os.listxattr(path, follow_symlinks=False)
    return {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in sorted(names)}


def compare(source: dict[str, list], copy: dict[str, list], before: float) -> dict[str, list[str]]:
    """Return what differs, by kind; what the source changed after ``before`` (seconds since 1970) is apart."""
    found: dict[str, list[str]] = {"changed_since": [], "missing": [], "content": [], "owner": [], "mode": [], "attributes": []}
    for path, wanted in source.items():
        if wanted[0] not in "-dl":
            continue  # sockets and pipes hold nothing to restore
        if path not in copy:
            found["changed_since" if wanted[6] > before else "missing"].append(path)
            continue
        got = copy[path]
        if wanted[6] > before and (wanted[:6] != got[:6]):
            found["changed_since"].append(path)
            continue
        for name, places in (("content", (0, 4)), ("owner", (2, 3)), ("mode", (1,)), ("attributes", (5,))):
            if any(wanted[place] != got[place] for place in places) and not (wanted[0] == "l" and name == "mode"):
                found[name].append(path)
    return found
