"""What the module for services orders systemd to do."""

from __future__ import annotations

import errno
import importlib.util
import os
import signal
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
from ansible_collections.pgssi.toolkit.plugins.module_utils.locked import named

from pgssi.paths import ROOT

RUNNING = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled", "ActiveEnterTimestamp": "", "MainPID": "0",
           "FreezerState": "running"}  # fmt: skip


@pytest.fixture(scope="module")
def module() -> ModuleType:
    """The module, without Ansible around it."""
    spec = importlib.util.spec_from_file_location("service_files", ROOT / "plugins/modules/service_files.py")
    assert spec and spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def unit(**more: object) -> dict[str, object]:
    return {"name": "a.service", "enabled": True, "state": "started", "restart_on": [], "check": None, **more}


def test_unit_whose_check_fails_is_restarted(module: ModuleType) -> None:
    asked: list[str] = []

    def holds(check: str) -> bool:
        asked.append(check)
        return check == "whole"

    assert module.unit_commands([unit(check="whole")], [RUNNING], [], holds) == []
    assert module.unit_commands([unit(check="changed")], [RUNNING], [], holds) == [["systemctl", "restart", "a.service"]]
    assert asked == ["whole", "changed"]


@pytest.mark.parametrize(
    ("more", "state", "changed", "wanted"),
    [
        ({}, {"ActiveState": "inactive"}, [], [["systemctl", "start", "a.service"]]),
        ({"restart_on": ["/etc/a"]}, {}, ["/etc/a"], [["systemctl", "restart", "a.service"]]),
        ({"state": "stopped"}, {}, [], [["systemctl", "stop", "a.service"]]),
    ],
)
def test_unit_that_is_to_change_anyway_is_not_checked(
    module: ModuleType, more: dict[str, object], state: dict[str, str], changed: list[str], wanted: list[list[str]]
) -> None:
    def holds(check: str) -> bool:
        pytest.fail(f"{check} was run")

    assert module.unit_commands([unit(check="changed", **more)], [RUNNING | state], changed, holds) == wanted


def test_service_that_a_signal_has_stopped_is_restarted(module: ModuleType) -> None:
    """systemd calls it active; its process says that it does nothing. Once it goes on, nothing is to be done."""
    with subprocess.Popen(["sleep", "60"]) as process:
        seen = RUNNING | {"MainPID": str(process.pid)}
        try:
            process.send_signal(signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)
            assert module.unit_commands([unit()], [seen], [], bool) == [["systemctl", "restart", "a.service"]]
            process.send_signal(signal.SIGCONT)
            os.waitpid(process.pid, os.WCONTINUED)
            assert module.unit_commands([unit()], [seen], [], bool) == []
        finally:
            process.kill()


@pytest.mark.parametrize(("state", "wanted"), [("frozen", [["systemctl", "restart", "a.service"]]), ("running", []), ("", [])])
def test_service_that_is_frozen_is_restarted(module: ModuleType, state: str, wanted: list[list[str]]) -> None:
    """systemd calls it active; a release without a freezer says nothing of it."""
    assert module.unit_commands([unit()], [RUNNING | {"FreezerState": state}], [], bool) == wanted


@pytest.mark.parametrize(
    ("number", "said"), [(errno.EPERM, "chattr -ia"), (errno.EBUSY, "findmnt"), (errno.EIO, "remove this cause")]
)
def test_file_that_root_may_not_change_is_named(number: int, said: str) -> None:
    """Not a traceback: which file, why, and what a person does."""

    class Ended(Exception):
        pass

    class Module:
        @staticmethod
        def fail_json(msg: str) -> None:
            raise Ended(msg)

    with pytest.raises(Ended, match=f"^/etc/motd cannot be changed .*{said}"), named(Module(), Path("/etc/motd")):
        raise OSError(number, "refused", "/etc/.motd.x")
