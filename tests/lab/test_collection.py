"""The repository is also a collection: the built artefact runs by its full name from an empty place."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from pgssi.paths import ROOT

from .support import BIN, INVENTORY


def _run(*command: str, cwd: Path, env: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}{done.stderr[-2000:]}"
    return done.stdout


def test_the_built_collection_runs_by_its_full_name(lab: Any, tmp_path: Path) -> None:
    """ansible-galaxy builds and installs it elsewhere; pgssi.toolkit.site then runs in check mode on a host."""
    env = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections"),
    }
    galaxy = str(BIN / "ansible-galaxy")
    # What git has, not what lies about in the work tree.
    source = tmp_path / "source"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in files.rstrip("\0").split("\0"):
        if not (ROOT / name).is_symlink() and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name)
    _run(galaxy, "collection", "build", "--output-path", str(tmp_path), cwd=source, env=env)
    artefact = next(tmp_path.glob("pgssi-toolkit-*.tar.gz"))
    _run(galaxy, "collection", "install", "--offline", "--no-deps", str(artefact), cwd=tmp_path, env=env)
    shutil.rmtree(source)
    output = _run(
        str(BIN / "ansible-playbook"),
        *("-i", str(INVENTORY), "pgssi.toolkit.site", "--check", "--limit", lab.hosts[0]),
        cwd=tmp_path,
        env=env,
    )
    assert "failed=0" in output
    assert "unreachable=0" in output
