"""What a sudo policy means for one account that acts as another: the option that prevails is the one that sudo applies."""

from __future__ import annotations

from typing import Any

import pytest

from pgssi.verify.sudo_policy import SudoPolicy, named

ASKER, TARGET, COMMAND = {"rm-irm1_jeanne", "%pgssi-suppliers"}, {"rm-irm1", "%pgssi-relays"}, "/usr/local/lib/pgssi/remote-relay"
RELAYS = [{"usergroup": "pgssi-relays"}]


def default(option: str, value: Any, *binding: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return one option as cvtsudoers prints it."""
    return {"Binding": list(binding), "Options": [{**more, option: value}]}


@pytest.mark.parametrize(
    ("people", "targets", "expected"),
    [
        ([], [], None),
        ([default("log_input", True)], [], True),
        ([default("log_input", True), default("log_input", False)], [], False),
        ([default("log_input", False, {"username": "rm-irm1_jeanne"})], [default("log_input", True, *RELAYS)], True),
        ([], [default("log_input", True, *RELAYS), default("log_input", False, {"username": "rm-irm1"})], False),
        ([], [default("log_input", True, *RELAYS), default("log_input", False, {"username": "rm-pacs"})], True),
        ([], [default("log_input", True, {"username": "ALL"}, {"username": "rm-irm1", "negated": True})], None),
        ([default("log_input", False, {"command": COMMAND})], [default("log_input", True, *RELAYS)], False),
        ([default("log_input", False, {"command": "/usr/local/lib/"})], [default("log_input", True, *RELAYS)], False),
        ([default("log_input", False, {"command": "/usr/bin/id"})], [default("log_input", True, *RELAYS)], True),
        ([default("log_input", False, {"hostname": "bastion1"})], [], False),
        ([default("log_input", False, {"username": "alice"})], [], None),
    ],
)  # fmt: skip
def test_which_option_prevails(people: list[Any], targets: list[Any], expected: bool | None) -> None:
    """Everybody's and users' options, then those of a target, then those of a command; the last one of each."""
    assert SudoPolicy({"Defaults": people}, targets).options(ASKER, TARGET, COMMAND).get("log_input") is expected


def test_lists_grow_and_shrink() -> None:
    """A list is set, added to and taken from, as sudo does."""
    steps = [("list_assign", ["a:1"]), ("list_add", ["b:1"]), ("list_remove", ["a:1"])]
    entries = [default("log_servers", value, operation=how) for how, value in steps]
    found = [SudoPolicy({"Defaults": entries[:number]}).options(ASKER, TARGET, COMMAND) for number in (1, 2, 3)]
    assert found == [{"log_servers": ["a:1"]}, {"log_servers": ["a:1", "b:1"]}, {"log_servers": ["b:1"]}]


@pytest.mark.parametrize(
    ("who", "target", "command", "met"),
    [
        ({"username": "rm-irm1_jeanne"}, {"username": "rm-irm1"}, f'{COMMAND} ""', True),
        ({"usergroup": "pgssi-suppliers"}, {"username": "ALL"}, "ALL", True),
        ({"username": "rm-irm1_paul"}, {"username": "rm-irm1"}, f'{COMMAND} ""', False),
        ({"username": "rm-irm1_jeanne"}, {"username": "rm-pacs"}, f'{COMMAND} ""', False),
        ({"username": "rm-irm1_jeanne"}, {"username": "rm-irm1"}, "/usr/bin/id", False),
    ],
)
def test_tags_of_the_rights_that_apply(who: Any, target: Any, command: str, met: bool) -> None:
    """A tag counts when its right lets this account run this command as this target."""
    right = {"runasusers": [target], "Options": [{"log_input": False}], "Commands": [{"command": command}]}
    policy = SudoPolicy({"User_Specs": [{"User_List": [who], "Cmnd_Specs": [right]}]})
    assert list(policy.tags(ASKER, TARGET, COMMAND)) == ([("log_input", False)] if met else [])


def test_one_who_is_taken_out_is_not_the_one_who_is_named() -> None:
    """``Defaults>!rm-irm1`` is for all others: it must never count as an option of that relay alone."""
    assert [named({"username": "rm-irm1"}), named({"username": "rm-irm1", "negated": True})] == ["rm-irm1", "!rm-irm1"]
    assert named({"usergroup": "pgssi-relays", "negated": True}) == "!%pgssi-relays"
