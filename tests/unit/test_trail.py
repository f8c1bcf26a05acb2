"""The audit trail: who sends to whom, how long records are kept, and the programs that carry, keep and seal them."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
from datetime import date, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pgssi import trail
from pgssi.paths import ROLES

HOSTS: dict[str, dict[str, Any]] = {
    "gw1": {"site_interfaces": {"servers": ["10.0.2.254", "fd00::2:fe"], "users": ["10.0.6.254"]}},
    "log1": {"site_interfaces": {"servers": ["10.0.2.20", "fd00::2:14"]}},
    "dpi1": {"site_interfaces": {"servers": ["10.0.2.10"]}},
    "ws1": {"site_interfaces": {"users": ["10.0.6.10"]}},
    "bkp1": {"site_interfaces": {"backup": ["10.0.3.10"]}},
}
GROUPS = {
    "servers": ["gw1", "dpi1", "log1", "bkp1"],
    "workstations": ["ws1"],
    "log_servers": ["log1"],
    "backup_servers": ["bkp1"],
}
SERVERS = ["gw1"]


def program(name: str) -> ModuleType:
    """Load a program of the role as a module."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(ROLES / "audit_trail" / "files" / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_a_host_sends_to_every_log_server_and_a_log_server_elsewhere() -> None:
    """Records go to the log servers; those of a lone log server to the first backup server, which keeps its seals too."""
    assert trail.receivers("dpi1", GROUPS) == ["log1"]
    assert trail.receivers("log1", GROUPS) == ["bkp1"]
    assert trail.receivers("log1", GROUPS | {"log_servers": ["log1", "log2"]}) == ["log2"]
    assert trail.receivers("dpi1", {"servers": ["dpi1"], "backup_servers": ["bkp1"]}) == []


def test_a_receiver_knows_its_senders_by_every_address() -> None:
    """The log server expects each sender by name and address; the witness expects the log server alone."""
    seen = trail.view("log1", HOSTS, GROUPS, SERVERS)
    assert seen["keeps"]["10.0.2.10"] == "dpi1" and seen["keeps"]["fd00::2:fe"] == "gw1"
    assert seen["keeps_of"] == ["bkp1", "dpi1", "gw1", "ws1"]
    assert trail.view("bkp1", HOSTS, GROUPS, SERVERS)["keeps_of"] == ["log1"]


def test_the_nearest_address_is_that_of_a_shared_zone() -> None:
    """A workstation asks the gateway for the time in its own zone; a time server asks none of the site's."""
    assert trail.view("ws1", HOSTS, GROUPS, SERVERS)["time"] == ["10.0.6.254"]
    gateway = trail.view("gw1", HOSTS, GROUPS, SERVERS)
    assert gateway["serves"] and gateway["time"] == [] and "10.0.6.10" in gateway["asked_by"]


def test_longer_than_six_months_only_under_the_current_guidance() -> None:
    """Under pssi every class is kept 184 days, whatever the site wrote."""
    classes = {"access": {"days": 366, "reason": "a year"}, "system": {"days": 90, "reason": "short"}}
    assert trail.retention("pssi", classes) == {"access": 184, "system": 184}
    assert trail.retention("current", classes) == {"access": 366, "system": 90}


def record(mark: str, message: str = "essai", **more: str) -> dict[str, str]:
    """Return what rsyslog hands to the keeper."""
    return {
        "from": "10.0.2.10", "received": "2026-11-29T10:00:01.000000+00:00", "reported": "2026-11-29T10:00:00.000000+01:00",
        "host": "dpi1", "facility": "user", "severity": "notice", "tag": "essai[1]",
        "data": f'[pgssi@32473 id="{mark}"]', "message": message, **more,
    }  # fmt: skip


def test_the_keeper_keeps_each_record_once_even_after_its_restart(tmp_path: Path) -> None:
    """A record told again, by the same connection or to a keeper that has just started, is not written twice."""
    keeper, config = program("pgssi-log-keeper"), {"store": str(tmp_path), "senders": {"10.0.2.10": "dpi1"}}
    marks = [f"{number:032x}" for number in range(5)]
    senders: dict[str, Any] = {}
    for mark in [*marks[:3], *marks[1:4]]:
        keeper.keep(senders, config, record(mark))
    senders = {}
    for mark in marks[2:]:
        keeper.keep(senders, config, record(mark))
    lines = (tmp_path / "dpi1" / "system" / "2026-11-29.log").read_text("utf-8").splitlines()
    assert [line.split()[5] for line in lines] == marks


def test_a_line_cut_by_a_crash_is_dropped_and_told_again(tmp_path: Path) -> None:
    """What a crash left of a line is removed when the keeper starts, and the record that comes again is kept whole."""
    keeper, config = program("pgssi-log-keeper"), {"store": str(tmp_path), "senders": {"10.0.2.10": "dpi1"}}
    keeper.keep({}, config, record("a" * 32))
    path = tmp_path / "dpi1" / "system" / "2026-11-29.log"
    whole = path.read_text("utf-8")
    path.write_text(whole + whole.replace("a" * 32, "b" * 32)[:-9], "utf-8")
    keeper.keep({}, config, record("b" * 32))
    assert path.read_text("utf-8") == whole + whole.replace("a" * 32, "b" * 32)


@pytest.mark.parametrize("claim", ["victime", "../../etc", "/tmp/x"])
def test_a_claimed_name_never_chooses_the_file(tmp_path: Path, claim: str) -> None:
    """The file is that of the address; the claim is written in the line, and so is a line break of the text."""
    keeper, config = program("pgssi-log-keeper"), {"store": str(tmp_path), "senders": {"10.0.2.10": "dpi1"}}
    keeper.keep({}, config, record("c" * 32, "un\n2026 faux", host=claim, facility="authpriv"))
    keeper.keep({}, config, record("d" * 32, **{"from": "192.0.2.9"}))
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.log")) == [
        "dpi1/access/2026-11-29.log",
        "inconnu-192.0.2.9/system/2026-11-29.log",
    ]
    (line,) = (tmp_path / "dpi1" / "access" / "2026-11-29.log").read_text("utf-8").splitlines()
    assert f"(se dit {claim})" in line and line.endswith("un#0122026 faux")


def test_an_entry_of_the_journal_becomes_one_record() -> None:
    """Time with zone, priority, name, process; bytes and line breaks do no harm, and the identifier follows the cursor."""
    sender = program("pgssi-log-sender")
    entry = {"__CURSOR": "s=1;i=2", "__REALTIME_TIMESTAMP": "1795981132000001", "PRIORITY": "5", "SYSLOG_FACILITY": "10",
             "SYSLOG_IDENTIFIER": "a b]", "_PID": "7", "MESSAGE": [108, 10, 195, 169, 255]}  # fmt: skip
    text = sender.syslog(entry).decode()
    assert (
        text.startswith("<85>1 ") and " a_b_ 7 - [pgssi@32473 id=" in text and "\n" not in text and text.endswith("l#012é\ufffd")
    )
    assert sender.syslog(entry | {"__CURSOR": "s=1;i=3"}) != sender.syslog(entry)
    assert sender.text_of(None) == "" and sender.text_of(["un", "deux"]) == "un"


def seals(store: Path, monkeypatch: pytest.MonkeyPatch, state: Path) -> list[str]:
    """Seal a store as the log server does; return the lines that leave."""
    real, sent = Path.read_text, list[str]()
    monkeypatch.setattr(
        Path, "read_text", lambda path, *a: json.dumps({"store": str(store)}) if path.name == "keeper.json" else real(path, *a)
    )
    seal = program("pgssi-log-seal")
    monkeypatch.setattr(Path, "read_text", real)
    monkeypatch.setattr(seal, "STATE", state)
    monkeypatch.setattr(seal.subprocess, "run", lambda *_, **given: sent.extend(given["input"].splitlines()))
    seal.main()
    return sent


def test_seals_tell_what_was_altered_cut_or_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Growth agrees with the seals; a changed byte, a cut, a missing file and a missing seal do not; what expired may be gone."""
    store, verify = tmp_path / "store", program("pgssi-log-verify")
    today, old = date.today(), date.today() - timedelta(days=200)
    paths = [store / "dpi1" / "system" / f"{day}.log" for day in (today, today - timedelta(days=1), old)]
    paths[0].parent.mkdir(parents=True)
    for path in paths:
        path.write_text("un\ndeux\n", "utf-8")
    told = seals(store, monkeypatch, tmp_path / "state.json")
    paths[0].write_text("un\ndeux\ntrois\n", "utf-8")
    told += seals(store, monkeypatch, tmp_path / "state.json")
    paths[2].unlink()
    assert len(told) == 4
    assert list(verify.faults(told, store, {"system": 184})) == []
    paths[0].write_text("un\ndeux\ntrois\nquatre\n", "utf-8")
    assert list(verify.faults(told, store, {"system": 184})) == []
    for content, word in (("un\nDeux\ntrois\n", "altéré"), ("un\n", "tronqué")):
        paths[0].write_text(content, "utf-8")
        (fault,) = verify.faults(told, store, {"system": 184})
        assert word in fault
    paths[0].unlink()
    (fault,) = verify.faults(told, store, {"system": 184})
    assert "absent" in fault
    assert any("rompue" in fault for fault in verify.faults([told[0], *told[2:]], store, {"system": 184}))
    assert list(verify.faults([], store, {})) == ["aucun sceau"]
