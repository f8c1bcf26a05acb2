"""What the programs of the backup role decide, without any host: what is kept, what is hidden, what goes together."""

from __future__ import annotations

import importlib
import json
import struct
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pgssi.backup_groups import backup_groups
from pgssi.paths import ROOT

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MANIFEST = bytes(32)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a module of the role as its programs do."""
    monkeypatch.syspath_prepend(str(ROOT / "roles" / "backup" / "files"))

    def load(name: str) -> ModuleType:
        monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name)

    return load


def daily(days: int) -> list[tuple[float, dict[str, str]]]:
    """Return one archive a day, oldest first, the newest an hour old."""
    when = [NOW - timedelta(days=day, hours=1) for day in reversed(range(days))]
    return [(moment.timestamp(), {"id": moment.isoformat(), "name": f"x-{moment:%Y-%m-%d}"}) for moment in when]


def test_the_numbers_of_the_plan_are_kept(program: Any) -> None:
    """Of two years of daily archives remain a week whole, then days, weeks and months as the plan counts them."""
    archives = daily(730)
    kept = program("pgssi_backup_retention").kept(archives, {"daily": 14, "weekly": 8, "monthly": 12}, 24, NOW.timestamp())
    assert {archive["id"] for _, archive in archives[-14:]} <= kept
    assert 14 + 6 + 9 <= len(kept) <= 14 + 8 + 12


def test_nothing_outlives_the_longest_retention_but_the_newest(program: Any) -> None:
    """Past the maximum even a kept month goes; an archive that nothing has replaced stays."""
    retention = program("pgssi_backup_retention")
    old = daily(400)[:5]
    assert retention.kept(old, {"monthly": 24}, 6, NOW.timestamp()) == {old[-1][1]["id"]}


def test_an_empty_plan_still_keeps_the_last_week(program: Any) -> None:
    """A retention of nothing thins nothing that stands around recent changes."""
    kept = program("pgssi_backup_retention").kept(daily(30), {"daily": 0}, 12, NOW.timestamp())
    assert len(kept) == 7


def repository(folder: Path, sizes: list[int]) -> Path:
    """Write a repository whose transactions 1, 2… each hold one list of archives of these sizes."""
    (folder / "data" / "0").mkdir(parents=True)
    for number, size in enumerate(sizes, start=1):
        body = bytes([5]) * (size - 9 - 32)
        put = struct.pack("<IIB", 0, size, 0) + MANIFEST + body
        (folder / "data" / "0" / str(number)).write_bytes(b"BORG_SEG" + put + struct.pack("<IIB", 0, 9, 2))
    (folder / f"index.{len(sizes)}").touch()
    return folder


def journal(sizes: list[int]) -> list[dict[str, Any]]:
    """Return the records of one archive per transaction, with the size of its list."""
    return [
        {
            "archive": {"id": f"{number:064x}"},
            "transaction": number,
            "manifest_bytes": size,
            "received": f"2026-11-22T{number:02}",
        }
        for number, size in enumerate(sizes, start=1)
    ]


@pytest.mark.parametrize(
    ("sizes", "journaled", "good"),
    [
        ([580, 640, 700], 3, None),
        ([580, 640, 580], 2, 2),  # one of two archives is no longer named, and nothing was journaled
        ([580, 640, 640], 3, 2),  # one in, one out
        ([580], 1, None),
        ([580, 614, 680], 3, None),  # compression wins at times
        ([580, 640, 640 - 5], 2, None),  # the same list once more
    ],
)
def test_one_archive_less_shows_among_few(
    tmp_path: Path, program: Any, sizes: list[int], journaled: int, good: int | None
) -> None:
    """A list of archives that is too short for what was journaled is found, and so is the last good transaction."""
    store = program("pgssi_backup_store")
    where = repository(tmp_path, sizes)
    assert store.shortened(where, 0, journal(sizes)[:journaled]) == good


def test_a_client_without_a_repository_has_shortened_nothing(tmp_path: Path, program: Any) -> None:
    """A server that replaces another one knows clients that have not written yet."""
    assert program("pgssi_backup_store").shortened(tmp_path / "main", 0) is None


def test_what_the_server_shortened_itself_is_no_attack(tmp_path: Path, program: Any) -> None:
    """Records older than the server's own deletion are not compared with what came after."""
    store = program("pgssi_backup_store")
    sizes = [580, 640, 580]
    assert store.shortened(repository(tmp_path, sizes), 0, journal(sizes[:2]), "2026-11-22T09") is None


def test_a_journal_keeps_what_is_a_record(tmp_path: Path, program: Any) -> None:
    """Cut lines and lines of another shape are left out, the others stay."""
    good = {"component": "a", "status": "success", "verification": "success", "received": "2026-11-22T10:00:00", "transaction": 1}
    path = tmp_path / "journal.jsonl"
    path.write_text("\n".join([json.dumps(good), "[1]", '"x"', "{}", '{"cut']), "utf-8")
    assert program("pgssi_backup_store").records(path) == [good]


def component(name: str, *needs: str, frequency: str = "daily") -> dict[str, Any]:
    return {"component": name, "depends_on": list(needs), "frequency": frequency}


def test_linked_components_share_one_timer() -> None:
    """Components tied by depends_on, even through a third, are one group, as often as the most demanding."""
    plan = [component("docs", "base"), component("etc"), component("base", frequency="hourly"), component("web", "docs")]
    groups = backup_groups(plan)
    assert [(group.leader, group.members, group.frequency) for group in groups] == [
        ("docs", ("docs", "base", "web"), "hourly"),
        ("etc", ("etc",), "daily"),
    ]


def test_a_run_takes_what_is_linked_in_order(program: Any) -> None:
    """One component named brings the others, each after what it depends on; what nothing ties stays alone."""
    linked = program("pgssi_backup_client").linked
    plan = {entry["component"]: entry for entry in [component("docs", "base"), component("etc"), component("base")]}
    assert linked(plan, ["base"]) == linked(plan, ["docs"]) == ["base", "docs"]
    assert linked(plan, ["etc"]) == ["etc"]
