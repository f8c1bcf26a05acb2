"""Seals of files: what a comparison of AIDE is taken for, and what the baseline does to have one every night."""

from __future__ import annotations

import json
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pgssi.paths import ROLES

FILES = ROLES / "system_hardening" / "files"
REPORT = """\
Start timestamp: 2026-11-29 01:15:00 +0000 (AIDE 0.18.3)
AIDE found differences between database and filesystem!!

Summary:
  Total number of entries:	4120
  Added entries:		1

---------------------------------------------------
Added entries:
---------------------------------------------------

f++++++++++: /usr/local/sbin/stranger

---------------------------------------------------
Changed entries:
---------------------------------------------------

f >.... H  : /usr/bin/getfattr
d ...   .  : /etc/a folder

---------------------------------------------------
The attributes of the (uncompressed) database(s):
---------------------------------------------------

/var/lib/pgssi/seal/base
 SHA256    : /abcdefghijklmnop
"""


def _module(name: str, path: Path) -> ModuleType:
    loader = SourceFileLoader(name, str(path))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


@pytest.fixture
def seal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, with a base of its own, an AIDE that gives the report, and packages that brought getfattr since."""
    module = _module("pgssi_seal", FILES / "pgssi-seal")
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    for name in ("BASE", "NEW", "NOTED"):
        monkeypatch.setattr(module, name, tmp_path / getattr(module, name).name)
    module.BASE.write_text("base", "utf-8")
    module.NOTED.write_text(json.dumps({"digest": module.digest(), "when": 1}), "utf-8")
    module.told, module.report, module.code = [], REPORT, 5
    monkeypatch.setattr(module, "alert", module.told.append)
    monkeypatch.setattr(module, "by_package", lambda path, _: path in ("/usr/bin/getfattr", "/etc/a folder"))

    def run(*words: Any) -> SimpleNamespace:
        if "--init" in words:
            module.NEW.write_text("base anew", "utf-8")
            return SimpleNamespace(returncode=0, stdout="", stderr="")
        return SimpleNamespace(returncode=module.code, stdout=module.report, stderr="")

    monkeypatch.setattr(module, "run", run)
    return module


def test_what_no_package_explains_is_told(seal: ModuleType) -> None:
    """The stranger is named, what packages brought is not, and the base stays until somebody accepts."""
    seal.check()
    assert len(seal.told) == 1
    assert "/usr/local/sbin/stranger" in seal.told[0] and "getfattr" not in seal.told[0]
    assert seal.BASE.read_text("utf-8") == "base"


def test_a_program_is_not_lost_among_many_files(seal: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a hundred files changed besides, the alert names the unknown program, and the journal every file."""
    program = tmp_path / "zz-stranger"
    program.touch(0o755)
    files = [f"/etc/application/{number:03d}.conf" for number in range(100)]
    seal.report = REPORT + "".join(f"f++++++++++: {path}\n" for path in [*files, program])
    seal.check()
    assert str(program) in seal.told[0] and "au journal" in seal.told[0]
    said = seal.told[0] + capsys.readouterr().out
    assert [path for path in files if path not in said] == []


def test_the_work_of_packages_makes_the_base_anew(seal: ModuleType) -> None:
    """Where packages alone changed files the base is made anew, and its digest told."""
    seal.report, seal.code = REPORT.replace("f++++++++++: /usr/local/sbin/stranger\n", ""), 4
    seal.check()
    assert seal.BASE.read_text("utf-8") == "base anew"
    assert seal.told and seal.digest() in seal.told[0]
    assert json.loads(seal.NOTED.read_text("utf-8"))["digest"] == seal.digest()


def test_differences_that_cannot_be_read_are_told(seal: ModuleType) -> None:
    """An exit code that says "changed" with a report in another form is an alert, and no new base."""
    seal.report, seal.code = "rien de lisible\n", 4
    seal.check()
    assert seal.told and seal.BASE.read_text("utf-8") == "base"


@pytest.mark.parametrize("what", ["altered", "gone", "error"])
def test_a_base_that_proves_nothing_is_told(seal: ModuleType, what: str) -> None:
    """A base that changed otherwise, one that is gone, and an AIDE that fails are alerts, and the unit fails."""
    if what == "altered":
        seal.BASE.write_text("other", "utf-8")
    elif what == "gone":
        seal.BASE.unlink()
    else:
        seal.code = 17
    with pytest.raises(SystemExit):
        seal.check()
    assert len(seal.told) == 1


@pytest.fixture
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The part of the baseline, on folders of its own; systemd says what ``module.state`` holds."""
    module = _module("hardening_seal", FILES / "parts" / "seal.py")
    monkeypatch.setattr(module, "OURS", tmp_path / "etc")
    monkeypatch.setattr(module, "FOLDERS", (str(tmp_path / "etc"), str(tmp_path / "run")))
    monkeypatch.setattr(module, "WANTS", tmp_path / "wants")
    monkeypatch.setattr(module, "AIDE", tmp_path / "aide")
    monkeypatch.setattr(module, "FOLDER", tmp_path / "seal")
    module.state = {"is-enabled": "disabled", "is-active": "inactive"}
    monkeypatch.setattr(
        module.subprocess, "run", lambda words, **_: SimpleNamespace(stdout=module.state.get(words[1], ""), returncode=0)
    )
    return module


def test_the_seals_are_installed_and_given_back(part: ModuleType, tmp_path: Path) -> None:
    """Package, base, timer: each that is missing; what overrides our units goes; all of it leaves when nobody asks any more."""
    host = SimpleNamespace(wanted={"sealed": True}, before={}, had=lambda name: host.before.setdefault(name, {}))
    (tmp_path / "run" / "pgssi-seal.service.d").mkdir(parents=True)
    assert [what.split(" : ")[1] for what, _ in part.gaps(host)] == ["absent", "présent", "absente", "disabled, inactive"]
    for _, correct in part.gaps(host):
        correct()
    part.AIDE.touch()
    part.FOLDER.mkdir()
    (part.FOLDER / "base").touch()
    part.state = {"is-enabled": "enabled", "is-active": "active"}
    assert list(part.gaps(host)) == []
    host.wanted = {"sealed": False}
    part.WANTS.symlink_to("/nowhere")
    for _, correct in part.gaps(host):
        correct()
    assert list(part.gaps(host)) == [] and not part.FOLDER.exists()
