"""What may be erased, and how: every refusal, and a thousand random requests against a shelf full of disks."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from media_builder import Shelf, medium, program, request

rules, journal, engine = program("rules"), program("journal"), program("engine")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
OLD = "2026-11-01T00:00:00+00:00"


def codes(asked: dict[str, Any], *media: dict[str, Any], busy: dict[str, str] | None = None) -> list[str]:
    return [one["code"] for one in rules.refusals(asked, media, busy or {}, NOW)]


def test_a_request_that_nothing_is_missing_from_is_accepted() -> None:
    """Without a reason to refuse there is none."""
    assert codes(request("A1"), medium("A1"), medium("B2")) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"system": ["/"], "mounted": ["/"]}, "system"),
        ({"mounted": ["/srv"]}, "mounted"),
        ({"swap": ["/dev/sdz2"]}, "swap"),
        ({"holders": [{"name": "md0", "kind": "raid"}]}, "in_use"),
        ({"holders": [{"name": "coffre", "kind": "luks"}]}, "in_use"),
        ({"holders": [{"name": "mpatha", "kind": "mpath"}]}, "multipath"),
        ({"contents": [{"type": "linux_raid_member", "offset": 0}]}, "raid_member"),
        ({"contents": [{"type": "LVM2_member", "offset": 0}]}, "raid_member"),
        ({"read_only": True}, "read_only"),
        ({"contents": [{"type": "nvidia_raid_member", "offset": 0}]}, "raid_member"),
        ({"contents": [{"type": "jbd", "offset": 0}]}, "raid_member"),
        ({"contents": [{"type": "btrfs_member", "offset": 0}]}, "raid_member"),
        ({"bus": "iscsi"}, "shared_bus"),
        ({"bus": "nvme-tcp"}, "shared_bus"),
        ({"size": 0}, "empty"),
        ({"type": "rom"}, "not_a_disk"),
        ({"hidden": 4096}, "hidden"),
        ({"beyond": ["1 autres espaces de noms"]}, "beyond"),
        ({"serials": ["A1", "A2"]}, "serial_doubtful"),
    ],
)
def test_a_medium_in_use_or_in_doubt_is_refused(changes: dict[str, Any], code: str) -> None:
    """System, mounted, swap, held by RAID or LUKS, several paths, member of an ensemble, of the network, hidden sectors: each
    by name.
    """
    assert code in codes(request("A1"), medium("A1", **changes))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"serial": "", "typed": ""}, "serial_missing"),
        ({"serial": "Z9", "typed": "Z9"}, "serial_unknown"),
        ({"typed": "a1"}, "serial_typed"),
        ({"typed": "A1 "}, "serial_typed"),
        ({"expected": {"size": 1}}, "identity"),
        ({"expected": {"wwn": "0x1"}}, "identity"),
        ({"destination": "poubelle"}, "destination"),
        ({"guidance": "none"}, "guidance"),
        ({"palier": 0}, "palier"),
        ({"operator": ""}, "operator"),
        ({"content": {}}, "content_undeclared"),
        ({"content": {"worthless": "  "}}, "worthless_reason"),
        ({"content": {"worthless": "tests", "backups": [{"component": "x", "backup_date": OLD}]}}, "content_both"),
        ({"approval": {}}, "approval_missing"),
        ({"approval": {**request("A1")["approval"], "by": "Jean"}}, "approval_self"),
        ({"approval": {**request("A1")["approval"], "serial": "B2"}}, "approval_other"),
        ({"approval": {**request("A1")["approval"], "destination": "external"}}, "approval_destination"),
        ({"approval": {**request("A1")["approval"], "until": OLD}}, "approval_over"),
        ({"approval": {**request("A1")["approval"], "until": "demain"}}, "approval_over"),
    ],
)
def test_a_request_in_which_something_is_missing_is_refused(changes: dict[str, Any], code: str) -> None:
    """Another serial number, an unknown destination, no backup, nobody else's agreement, an agreement for another disk."""
    assert code in codes(request("A1", **changes), medium("A1"), medium("B2"))


def test_an_ensemble_that_the_medium_was_taken_out_of_is_declared_by_its_kind() -> None:
    """What detached names is accepted, another kind is not, and a holder that still runs never is."""
    member = medium("A1", contents=[{"type": "linux_raid_member", "offset": 0}])
    assert codes(request("A1", detached=["linux_raid_member"]), member) == []
    assert codes(request("A1", detached=["LVM2_member"]), member) == ["raid_member"]
    held = {**member, "holders": [{"name": "md0", "kind": "raid"}]}
    assert codes(request("A1", detached=["linux_raid_member"]), held) == ["in_use"]


def test_two_devices_with_one_serial_number_or_one_name_are_both_refused() -> None:
    """Two paths to one disk, or a copy of its serial number: nobody knows which one is meant."""
    assert codes(request("A1"), medium("A1"), medium("A1", name="sdy")) == ["serial_shared"]
    assert codes(request("A1"), medium("A1"), medium("B2", wwn=medium("A1")["wwn"])) == ["serial_shared"]


def test_a_backup_older_than_the_data_is_none() -> None:
    """The backup must be younger than the last write; an unknown last write must be answered for by somebody."""
    written = medium("A1", contents=[{"type": "ext4", "offset": 0}], last_write="2026-11-10T00:00:00+00:00")
    backups = [{"component": "dossiers", "backup_date": OLD}]
    assert codes(request("A1", content={"backups": backups}), written) == ["backup_older"]
    younger = [{"component": "dossiers", "backup_date": "2026-11-20T00:00:00+00:00"}]
    assert codes(request("A1", content={"backups": younger}), written) == []
    assert codes(request("A1", content={"backups": younger}), {**written, "last_write": None}) == ["backup_unchanged"]
    raw = medium("A1")  # no signature of anything: blank, or a volume that only its owner can tell
    assert codes(request("A1", content={"backups": younger}), raw) == ["backup_unchanged"]
    answered = {"backups": younger, "unchanged": "arrêté le 1er novembre, claire"}
    assert codes(request("A1", content=answered), {**written, "last_write": None}) == []
    assert codes(request("A1", content=answered), raw) == []


@pytest.mark.parametrize(
    ("changes", "asked", "expected"),
    [
        ({}, {"destination": "internal"}, ["overwrite", "verify"]),
        ({}, {"destination": "external"}, ["nwipe", "overwrite", "verify"]),
        ({"rotational": False}, {"destination": "external"}, ["overwrite", "verify"]),
        ({"bus": "nvme"}, {"destination": "external"}, ["overwrite", "verify"]),
        ({"firmware": ["nvme-format"]}, {"destination": "external", "guidance": "current"},
         ["digest", "firmware", "changed", "overwrite", "verify"]),
        ({"firmware": ["ata-sanitize-block"]}, {"destination": "external", "guidance": "both"},
         ["digest", "firmware", "changed", "nwipe", "overwrite", "verify"]),
        ({"rotational": False, "discard": True}, {"destination": "external", "guidance": "current"},
         ["discard", "overwrite", "verify"]),
        ({"contents": [{"type": "crypto_LUKS", "offset": 4096}]}, {"destination": "internal"}, ["luks", "overwrite", "verify"]),
    ],
)  # fmt: skip
def test_the_method_follows_the_medium_the_destination_and_the_guidance(
    changes: dict[str, Any], asked: dict[str, Any], expected: list[str]
) -> None:
    """One pass inside, three on a disk that leaves, one on flash memory, the device's own command with today's guidance."""
    assert [step["do"] for step in rules.plan(request("A1", **asked), medium("A1", **changes))] == expected


def test_palier_3_wants_the_command_of_the_medium_or_its_physical_destruction() -> None:
    """With today's guidance, at palier 3, a medium without such a command does not leave by software."""
    asked = request("A1", destination="external", guidance="current", palier=3)
    asked["approval"]["destination"] = "external"
    assert codes(asked, medium("A1")) == ["no_purge"]
    assert codes(asked, medium("A1", firmware=["nvme-format"])) == []


STATES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("free", {}), ("free", {"rotational": False}), ("free", {"contents": [{"type": "ext4", "offset": 0}]}),
    ("free", {"contents": [{"type": "crypto_LUKS", "offset": 0}]}),
    ("kept", {"mounted": ["/srv"]}), ("kept", {"system": ["/"], "mounted": ["/"]}), ("kept", {"swap": ["/dev/sdz"]}),
    ("kept", {"holders": [{"name": "coffre", "kind": "luks"}]}), ("kept", {"holders": [{"name": "md0", "kind": "raid"}]}),
    ("kept", {"contents": [{"type": "linux_raid_member", "offset": 0}]}), ("kept", {"read_only": True}),
    ("kept", {"holders": [{"name": "mpatha", "kind": "mpath"}]}),
)  # fmt: skip
SPOILS: tuple[dict[str, Any], ...] = (
    {"typed": "autre"}, {"approval": {}}, {"content": {}}, {"destination": "ailleurs"}, {"expected": {"size": 512}},
    {"operator": "claire"}, {"serial": "INCONNU", "typed": "INCONNU"},
)  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_random_requests_erase_exactly_the_disks_that_were_rightly_asked_for(tmp_path: Path, seed: int) -> None:
    """Fifty requests each: wrong serial, swapped names after a restart, in use, vanished, wiped before, twice at once."""
    chance = Random(seed)
    shelf, root = Shelf(tmp_path), tmp_path / "jobs"
    rightly: set[str] = set()
    waiting: set[str] = set()
    for number in range(30):
        _, changes = chance.choice(STATES)
        shelf.add(medium(f"S{seed}-{number:03d}", **changes))
    kept = {serial for serial, one in shelf.media.items() if any(one[key] for key in ("mounted", "holders", "swap", "read_only"))
            or any(content["type"] == "linux_raid_member" for content in one["contents"])}  # fmt: skip
    for _ in range(50):
        serial = chance.choice(list(shelf.media))
        asked = request(serial, **(chance.choice(SPOILS) if chance.random() < 0.4 else {}))
        told = rules.refusals(asked, shelf.list(), journal.busy(root), NOW)
        right = asked == request(serial) and serial not in kept | waiting and not shelf.media[serial].get("gone")
        assert bool(told) != right, (asked, told)
        if told:
            continue
        found = shelf.media[serial]
        job = journal.Job.open(asked, dict(found), rules.plan(asked, found), root)
        happens = chance.random()
        if happens < 0.3:
            shelf.rename()
        elif happens < 0.4:
            found["gone"] = True
        elif happens < 0.5:
            found["mounted"] = ["/mnt"]
        if found.get("gone") or found["mounted"]:
            with pytest.raises(engine.Stopped):
                engine.Engine(job, shelf).run()
            waiting.add(serial)
        else:
            assert engine.Engine(job, shelf).run()["end"]["result"] == "erased"
            rightly.add(serial)
        assert {one for one in shelf.media if not shelf.holds_data(one)} == rightly


def test_a_second_request_for_a_medium_waits_for_the_end_of_the_first(tmp_path: Path) -> None:
    """An open job refuses another request; once it has ended, the medium may be asked for again."""
    shelf = Shelf(tmp_path)
    shelf.add(medium("A1"))
    first = journal.Job.open(request("A1"), shelf.media["A1"], rules.plan(request("A1"), shelf.media["A1"]), tmp_path / "jobs")
    assert codes(request("A1"), shelf.media["A1"], busy=journal.busy(tmp_path / "jobs")) == ["busy"]
    engine.Engine(first, shelf).run()
    assert codes(request("A1"), shelf.media["A1"], busy=journal.busy(tmp_path / "jobs")) == []
