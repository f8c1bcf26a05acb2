"""What a command line of root runs: role and verifier each read it by themselves, and find the same files."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from pgssi.paths import COMPLIANCE

ROOT = Path(__file__).resolve().parents[2]
READERS = (ROOT / "plugins/module_utils/accounts_jobs.py", COMPLIANCE / "access_rights/root_files.py")


@pytest.fixture(params=READERS, ids=("role", "verifier"))
def reader(request: pytest.FixtureRequest) -> Any:
    """One of the two, loaded as it runs on a host: without Ansible."""
    spec = importlib.util.spec_from_file_location("reader", request.param)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two programs, one of them in a folder of its own, and a text."""
    for name in ("nuit", "bin/export", "lisez-moi"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("#!/bin/sh\n", "ascii")
        (tmp_path / name).chmod(0o644 if name == "lisez-moi" else 0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{0}/nuit --force", ["nuit"]),
        ("/bin/sh -c '{0}/nuit; {0}/bin/export'", ["nuit", "bin/export"]),
        ("cd {0} && ./nuit", ["nuit"]),
        ("cd {0} && sh bin/export > /dev/null", ["bin/export"]),
        ("cd {0}; bin/export", ["bin/export"]),
        ("test -x /x || run-parts --report {0}/bin", ["bin", "bin/export"]),
        ("rsync -a {0}/ ailleurs:", []),
        ("cat {0}/lisez-moi", []),
    ],
)
def test_what_a_line_runs(reader: Any, folder: Path, line: str, expected: list[str]) -> None:
    """Scripts that are named, that follow a cd or lie in a folder for run-parts; not what a command only reads."""
    found = {name for name in reader.run_from(line.format(folder)) if name.startswith(str(folder))}
    assert {name.removeprefix(f"{folder}/") for name in found} == set(expected)
