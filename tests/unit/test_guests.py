"""What decides about a guest, without any host: codes, terms, devices, ends; the firewall is only noted."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pgssi.paths import ROLES

CONFIG = {
    "bridge": "br80", "uplink": "", "vlan": 80, "terms": "v1", "session_hours": 12, "code_days": 7, "terms_needed": True,
    "sessions_end": True, "codes_guarded": True, "traced": True,
}  # fmt: skip
MACS = {"10.90.8.101": "02:00:00:00:00:01", "10.90.8.102": "02:00:00:00:00:02"}


class Desk:
    """The program of the guests' way out, with a clock, neighbours and a firewall of its own."""

    def __init__(self, program: ModuleType) -> None:
        self.program, self.now, self.firewall = program, 1_000_000.0, list[str]()

    def issue(self, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
        defaults = {"who": "Mme Martin", "by": "accueil", "devices": 1, "valid": 86400, "session": 3600, "json": True}
        given = dict(zip(words[::2], words[1::2], strict=True))
        options = {**defaults, **{key: int(value) for key, value in given.items()}}
        self.program.issue(argparse.Namespace(**options))
        return dict(json.loads(capsys.readouterr().out))

    def comes(self, code: str, address: str = "10.90.8.101", accepted: Any = True) -> Any:
        return self.program.answer({"code": code, "accepted": accepted, "address": address, "agent": "essai"})


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A way out for guests, with nobody in."""
    loader = SourceFileLoader("pgssi_guests", str(ROLES / "wifi" / "files" / "pgssi-guests"))
    program = module_from_spec(spec_from_loader("pgssi_guests", loader) or pytest.fail("no program"))
    loader.exec_module(program)
    one = Desk(program)
    (tmp_path / "guests.json").write_text(json.dumps(CONFIG), "utf-8")
    monkeypatch.setattr(program, "CONFIG", tmp_path / "guests.json")
    monkeypatch.setattr(program, "STATE", tmp_path / "state")
    monkeypatch.setattr(program, "nft", lambda *statements: one.firewall.extend(statements))
    monkeypatch.setattr(program, "device", lambda address, _: MACS.get(address, ""))
    monkeypatch.setattr(program.time, "time", lambda: one.now)
    monkeypatch.setattr(program.syslog, "syslog", lambda *_: None)
    return one


def test_a_good_code_opens_for_its_session(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """A code typed in small letters without its dash opens both sets for the session, and no longer than the code lasts."""
    code = desk.issue(capsys, "valid", "1800")["code"]
    assert desk.comes(code.lower().replace("-", " ")) == {"ok": True, "until": desk.now + 1800}
    assert [line for line in desk.firewall if "timeout 1800s" in line and MACS["10.90.8.101"] in line and line.startswith("add")]
    assert {"inet", "bridge"} == {line.split()[2] for line in desk.firewall}


Spoil = Callable[[Desk, str], Any]
REFUSALS: dict[str, Spoil] = {
    "wrong": lambda desk, _: desk.comes("AAAAA-AAAAA"),
    "terms": lambda desk, code: desk.comes(code, accepted="on"),
    "unknown_device": lambda desk, code: desk.comes(code, "10.90.8.177"),
    "taken": lambda desk, code: (desk.comes(code), desk.comes(code, "10.90.8.102"))[1],
    "over": lambda desk, code: (setattr(desk, "now", desk.now + 86401), desk.comes(code))[1],
    "too_many": lambda desk, code: [desk.comes("BBBBB-BBBBB") for _ in range(5)] and desk.comes(code),
}


@pytest.mark.parametrize("why", REFUSALS)
def test_refusals(desk: Desk, capsys: pytest.CaptureFixture[str], why: str) -> None:
    """Each reason to refuse is said, and opens nothing to whoever asked."""
    code = desk.issue(capsys)["code"]
    said = REFUSALS[why](desk, code)
    assert said == {"ok": False, "why": why}
    assert not [line for line in desk.firewall if "timeout" in line and MACS["10.90.8.102"] in line]


def test_asking_again_makes_no_session_longer(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """The same code sent again in the middle of a session keeps its end; after the end it opens another."""
    code = desk.issue(capsys)["code"]
    first = desk.comes(code)["until"]
    desk.now += 1000
    assert desk.comes(code)["until"] == first
    desk.now = first + 1
    assert desk.comes(code)["until"] == desk.now + 3600


def test_revocation_cuts_and_nothing_kept_opens(desk: Desk, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What is kept holds no code, and a revoked one closes both sets to its device."""
    one = desk.issue(capsys)
    desk.comes(one["code"])
    kept = (tmp_path / "state" / "state.json").read_text("utf-8")
    assert one["code"] not in kept and one["code"].replace("-", "") not in kept
    desk.firewall.clear()
    desk.program.revoke(argparse.Namespace(code=one["id"], by="accueil"))
    assert [line.split()[2] for line in desk.firewall if line.startswith("delete") and MACS["10.90.8.101"] in line] == [
        "inet",
        "bridge",
    ]
    assert desk.comes(one["code"]) == {"ok": False, "why": "over"}


@pytest.mark.parametrize("words", [("valid", "9999999"), ("session", "90000")])
def test_the_site_limits_codes(desk: Desk, capsys: pytest.CaptureFixture[str], words: tuple[str, str]) -> None:
    """A code longer than the site grants is refused before anything is kept."""
    with pytest.raises(SystemExit, match="n'accorde pas plus"):
        desk.issue(capsys, *words)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"address": "x"}', '{"code": 3}', '{"address": "10.90.8.101; reboot"}'])
def test_nonsense_at_the_door(desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str) -> None:
    """Whatever the page sends, the door answers with a refusal."""

    class Line:
        def read(self, _: int) -> bytes:
            return text.encode()

    monkeypatch.setattr(desk.program.sys, "stdin", argparse.Namespace(buffer=Line()))
    desk.program.door(argparse.Namespace())
    assert json.loads(capsys.readouterr().out)["ok"] is False and not desk.firewall
