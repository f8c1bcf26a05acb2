"""Services that run without the profile that was loaded after they had started, without any kernel."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hardening_builder import part


@pytest.fixture
def apparmor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The part about AppArmor; process 7 runs /usr/sbin/clamd without a profile, and systemd says that it is the service's."""
    module = part("apparmor")
    monkeypatch.setattr(module, "PROCESSES", tmp_path / "proc")
    monkeypatch.setattr(module, "POLICY", tmp_path / "policy")
    (tmp_path / "proc" / "7" / "attr" / "apparmor").mkdir(parents=True)
    (tmp_path / "proc" / "7" / "exe").symlink_to("/usr/sbin/clamd")
    under(tmp_path, "unconfined")

    def run(words: list[str], **_more: Any) -> SimpleNamespace:
        return SimpleNamespace(returncode=0, stdout="7\n" if "show" in words else "", stderr="")

    monkeypatch.setattr(module.subprocess, "run", run)
    return module


def under(folder: Path, label: str) -> None:
    """Say under which profile the process runs."""
    (folder / "proc" / "7" / "attr" / "apparmor" / "current").write_text(f"{label}\n", "utf-8")


def profile(folder: Path, attach: str, mode: str) -> None:
    """Load a profile."""
    made = folder / "policy" / "made.1"
    made.mkdir(parents=True)
    (made / "attach").write_text(f"{attach}\n", "utf-8")
    (made / "mode").write_text(f"{mode}\n", "utf-8")


@pytest.mark.parametrize(
    ("attach", "mode", "label", "loose"),
    [
        ("/usr/sbin/clamd", "enforce", "unconfined", True),
        ("/usr/sbin/clamd", "enforce", "/usr/sbin/clamd (enforce)", False),
        ("/usr/sbin/clamd", "complain", "unconfined", False),
        ("/usr/sbin/chronyd", "enforce", "unconfined", False),
    ],
)
def test_a_service_without_its_profile(
    apparmor: ModuleType, tmp_path: Path, attach: str, mode: str, label: str, loose: bool
) -> None:
    """Only an enforced profile that is made for its program has it started again."""
    profile(tmp_path, attach, mode)
    under(tmp_path, label)
    assert apparmor.loose("clamav-daemon.service") is loose


def test_a_start_that_changes_nothing_is_an_error(apparmor: ModuleType, tmp_path: Path) -> None:
    """A run does not start a service again each time without ever saying that it is in vain."""
    profile(tmp_path, "/usr/sbin/clamd", "enforce")
    with pytest.raises(OSError, match="ne suffit pas"):
        apparmor.restart("clamav-daemon.service")
    under(tmp_path, "/usr/sbin/clamd (enforce)")
    apparmor.restart("clamav-daemon.service")
