"""The copy that a guarded change keeps puts back content, rights, links and absence exactly."""

from __future__ import annotations

import errno
import importlib.util
import os
import random
import stat
from pathlib import Path
from types import ModuleType

import pytest

from pgssi.paths import ROOT


def load(name: str) -> ModuleType:
    """Import a host-side file the way its copy on a host is: alone."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "plugins" / "module_utils" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


snapshot = load("guard_snapshot")
messages = load("guard_messages")


def picture(root: Path) -> dict[str, object]:
    """Return everything that must be the same again."""
    seen: dict[str, object] = {}
    for directory, directories, files in os.walk(root):
        for name in [*directories, *files]:
            path = Path(directory, name)
            info = path.lstat()
            content = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else None
            seen[str(path)] = (
                stat.S_IFMT(info.st_mode),
                stat.S_IMODE(info.st_mode),
                info.st_uid,
                info.st_gid,
                content,
            )
    return seen


def populate(root: Path) -> None:
    """Make a small tree with links, odd names and rights."""
    (root / "tree" / "deep").mkdir(parents=True)
    for number, name in enumerate(("plain", "é space\n", "deep/secret")):
        file = root / "tree" / name
        file.write_bytes(os.urandom(20) * number)
        file.chmod((0o644, 0o400, 0o600)[number])
    (root / "tree" / "link").symlink_to("plain")
    (root / "tree" / "away").symlink_to("/nowhere")
    (root / "alone").write_text("alone\n", "ascii")


def wreck(root: Path, dice: random.Random) -> None:
    """Do to a tree what a careless change might."""
    for _ in range(12):
        paths = sorted(p for p in root.rglob("*") if p.is_symlink() or p.exists())
        if not paths:
            return
        path = dice.choice(paths)
        action = dice.randint(0, 5)
        if action == 0:
            snapshot.remove(str(path))
        elif action == 1 and path.is_file() and not path.is_symlink():
            path.chmod(0o600)
            path.write_bytes(b"changed")
        elif action == 2 and not path.is_symlink():
            path.chmod(0o777)
        elif action == 3 and path.is_dir() and not path.is_symlink():
            (path / f"new{dice.randint(0, 9)}").write_text("new", "ascii")
        elif action == 4:
            snapshot.remove(str(path))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to("/etc/passwd")
        elif action == 5:
            snapshot.remove(str(path))
            path.mkdir(parents=True)
            (path / "inside").write_text("x", "ascii")


@pytest.mark.parametrize("seed", range(30))
def test_everything_is_put_back(tmp_path: Path, seed: int) -> None:
    """Whatever is done to the paths, they are exactly as before; a second time changes nothing."""
    site = tmp_path / "site"
    site.mkdir()
    populate(site)
    before = picture(site)
    snapshot.capture([str(site / "tree"), str(site / "alone"), str(site / "missing" / "file")], tmp_path / "store")
    wreck(site, random.Random(seed))
    (site / "missing").mkdir(exist_ok=True)
    (site / "missing" / "file").write_text("appeared", "ascii")
    for extra in set(site.iterdir()) - {site / name for name in ("tree", "alone", "missing")}:
        snapshot.remove(str(extra))  # outside of what was captured
    snapshot.restore(tmp_path / "store")
    assert picture(site) == before
    assert snapshot.restore(tmp_path / "store") == []


@pytest.mark.parametrize("path", ["/", "/etc", "etc/passwd", "//etc/passwd", "/etc/..", "/etc/x/../.."])
def test_too_wide_paths_are_refused(path: str) -> None:
    """What is relative, or as wide as /etc, is never captured nor put back."""
    with pytest.raises(snapshot.SnapshotError):
        snapshot.check_path(path)


def test_replace_leaves_nothing_beside(tmp_path: Path) -> None:
    """A file is replaced whole, with its rights, and a leftover of a killed try is no obstacle."""
    target = tmp_path / "file"
    (tmp_path / snapshot.temporary_name(str(target))).write_text("left", "ascii")
    snapshot.replace(str(target), b"new", 0o440, os.getuid(), os.getgid())
    assert target.read_bytes() == b"new" and stat.S_IMODE(target.stat().st_mode) == 0o440
    assert list(tmp_path.iterdir()) == [target]


def test_messages_fill_in_both_languages() -> None:
    """Every message exists in French and English with the same values."""
    names = ("label", "reason", "command", "status", "output", "timeout", "directory", "path")
    values = {name: name for name in names} | {"number": errno.EPERM}
    for code in messages._MESSAGES:
        french, english = (messages.text(code, lang, values) for lang in ("fr", "en"))
        assert french != english and "{" not in french + english
