"""The check of the site model: every bad input is refused in words, with its file, key, value and remedy."""

from __future__ import annotations

import copy
import random
import shutil
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from site_builder import demo_inventory
from site_faults import ACME, ALLY, BAD, WAIVER

from pgssi.catalogue import load_catalogue
from pgssi.site import Host, Review, review
from pgssi.site.schema import variables
from pgssi.site.words import MESSAGES

TODAY = date(2026, 7, 1)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo inventory, without what the lab makes."""
    return demo_inventory(tmp_path_factory.mktemp("site") / "demo")


@pytest.fixture(scope="session")
def model(demo: Path) -> dict[str, Any]:
    """The site variables of the demo, as Ansible would resolve them."""
    values: dict[str, Any] = {}
    for file in sorted((demo / "group_vars" / "all").glob("*.yml")):
        values |= yaml.safe_load(file.read_text("utf-8"))
    return {name: value for name, value in values.items() if name.startswith("site_")}


@pytest.fixture(scope="session")
def groups(demo: Path) -> dict[str, frozenset[str]]:
    """The groups of every demo host."""
    tree = yaml.safe_load((demo / "hosts.yml").read_text("utf-8"))["all"]
    return {host: frozenset(name for name, group in tree["children"].items() if host in group["hosts"]) for host in tree["hosts"]}


@pytest.fixture(scope="session")
def own(demo: Path) -> dict[str, dict[str, Any]]:
    """What hosts.yml says of each demo host."""
    hosts: dict[str, dict[str, Any]] = yaml.safe_load((demo / "hosts.yml").read_text("utf-8"))["all"]["hosts"]
    return hosts


Check = Callable[[Mapping[str, Any]], Review]


@pytest.fixture
def check(demo: Path, groups: Mapping[str, frozenset[str]], own: Mapping[str, dict[str, Any]]) -> Check:
    """Review a model on the demo hosts."""

    def run(values: Mapping[str, Any], lang: str = "fr") -> Review:
        hosts = [
            Host(
                name,
                member,
                {**values, **own[name], "ansible_user": "pgssi", "site_backup_passphrase": f"a secret of the host {name}"},
            )
            for name, member in groups.items()
        ]
        return review(hosts, [str(demo)], lang, TODAY)

    return run


def changed(model: Mapping[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return the model with one value replaced (``...`` removes it, a list path end of None appends)."""
    result: Any = copy.deepcopy(dict(model))
    node = result
    for part in path[:-1]:
        node = node[part]
    if value is ...:
        del node[path[-1]]
    elif path[-1] is None:
        node.append(value)
    else:
        node[path[-1]] = value
    return dict(result)


def test_demo_is_sound(model: dict[str, Any], groups: Mapping[str, frozenset[str]], check: Check) -> None:
    """The demo inventory has neither problem nor warning."""
    found = check(model)
    assert not found.problems, "\n".join(map(str, found.problems))
    assert not found.warnings, "\n".join(map(str, found.warnings))
    assert found.hosts == len(groups)


@pytest.mark.parametrize(("path", "value", "file", "words"), BAD, ids=[f"{n}-{case[0][0]}" for n, case in enumerate(BAD)])
def test_bad_value_is_refused(
    model: dict[str, Any], check: Check, path: tuple[Any, ...], value: Any, file: str, words: str
) -> None:
    """One wrong value gives a problem that names the file, the variable and the remedy, in both languages."""
    problems = check(changed(model, path, value)).problems
    told = [problem for problem in problems if words in f"{problem.message} {problem.remedy} {problem.value}"]
    assert told, "\n".join(map(str, problems)) or "nothing was said"
    assert file in told[0].file, told[0]
    if file not in ("", "connection.yml"):
        assert told[0].file.rpartition(":")[2].isdigit(), told[0]
    assert told[0].message and told[0].remedy


NARROW = next(rule.id for rule in load_catalogue().rules.values() if "gateways" not in rule.groups and "all" not in rule.groups)
MIND: list[tuple[tuple[Any, ...], Any, str]] = [
    (
        ("site_replacements", 0),
        {
            "person": "adurand",
            "replaces": "sbenali",
            "starts": date(2026, 1, 1),
            "ends": date(2026, 6, 30),
            "approved_by": "x",
        },
        "terminé",
    ),
    (("site_attestations", 0, "expires"), date(2026, 6, 30), "ne compte plus"),
    (("site_waivers", None), {**WAIVER, "scope": ["off1"], "rule": NARROW}, "aucun hôte"),
    (("site_people", None), ALLY, "verrouillé"),
    (("site_backup_plan", 1, "dmard_hours"), 2, "d'abord"),
    (("site_backup_plan", 3), ..., "rien n'y est sauvegardé"),
    (("site_trajectory", 2, "by"), date(2027, 7, 1), ""),
    ((*ACME, "contract_until"), date(2026, 6, 30), "aucune intervention ne s'ouvrira"),
    ((*ACME, "people", 0, "keys"), [], "rien ne pourra lui être ouvert"),
    ((*ACME, "equipment", 0, "host_keys"), ..., "refusera de s'y connecter"),
    ((*ACME, "addresses"), ["203.0.113.0/24"], ""),
]


@pytest.mark.parametrize(("path", "value", "words"), MIND, ids=[case[2] or "nothing" for case in MIND])
def test_doubtful_value_is_a_warning(model: dict[str, Any], check: Check, path: tuple[Any, ...], value: Any, words: str) -> None:
    """What is odd but harmless is told and stops nothing; what is fine is not told."""
    found = check(changed(model, path, value))
    assert not found.problems, "\n".join(map(str, found.problems))
    told = [f"{warning.message} {warning.remedy}" for warning in found.warnings]
    assert len(told) == bool(words), told
    assert all(words in text for text in told)


def test_all_problems_at_once(model: dict[str, Any], check: Check) -> None:
    """Several faults are told together, each once although eight hosts share them."""
    values = changed(model, ("site_zones", "dmz", "vlan"), 10)
    values = changed(values, ("site_people", 0, "functions"), ["x"])
    values = changed(values, ("site_backup_plan", 0, "pdma_hours"), ...)
    assert [problem.key for problem in check(values).problems] == [
        "site_backup_plan[0].pdma_hours",
        "site_zones.dmz.vlan",
        "site_people[0].functions[0]",
    ]


def test_secret_is_never_shown(groups: Mapping[str, frozenset[str]], model: dict[str, Any], demo: Path) -> None:
    """A passphrase that is too short, or that two hosts share, is refused without being printed."""
    hosts = [
        Host(name, member, {**model, "ansible_user": "pgssi", "site_backup_passphrase": "hunter2"})
        for name, member in groups.items()
    ]
    problems = review(hosts, [str(demo)], today=TODAY).problems
    assert any("20 caractères" in problem.remedy for problem in problems)
    assert any("même secret" in problem.message for problem in problems)
    assert "hunter2" not in "\n".join(map(str, problems))


def test_key_written_twice(model: dict[str, Any], groups: Mapping[str, frozenset[str]], demo: Path, tmp_path: Path) -> None:
    """A key that stands twice in a file is refused, where YAML would drop the first in silence."""
    shutil.copytree(demo, tmp_path / "twice")
    file = tmp_path / "twice" / "group_vars" / "all" / "network.yml"
    text = file.read_text("utf-8")
    file.write_text(text + "site_zones: {}\n", "utf-8")
    hosts = [Host("gw1", groups["gw1"], {**model, "ansible_user": "pgssi"})]
    problem = review(hosts, [str(tmp_path / "twice")], today=TODAY).problems[0]
    assert "deux fois" in problem.message and problem.file.endswith(f"network.yml:{text.count(chr(10)) + 1}")


def test_every_message_has_both_languages() -> None:
    """French and English of a message are filled from the same details."""
    for code, (french, english) in MESSAGES.items():
        for text in (*french, *english):
            assert text and "  " not in text, code
        assert french != english, code


def test_schema_knows_the_variables_of_the_demo(model: dict[str, Any]) -> None:
    """Every variable of the demo is in the schema."""
    assert set(model) <= variables()


class Cruel:
    """Seeded damage to a model: other types, typos, huge and strange texts, missing and doubled parts."""

    JUNK = (
        None, True, -1, 0, 10**40, 1.5, float("nan"), "", " ", "\x00", "é" * 5, "а", "\u202e", "a" * 10**6,
        "{{ x }}", "../..", "$(reboot)", [], {}, [[]], {"": ""}, {1: 2}, {"a": {"b": []}}, date(1, 1, 1),
        date(9999, 12, 31), b"\xff", "0.0.0.0/0", "::/0",
        "10.90.2.0/33", ["all"] * 2000, "yes", "2026-02-30", "ssh-rsa AAAA", "ssh-rsa " + "A" * 80, "\ud800",
    )  # fmt: skip

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def places(self, node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Return every path of a tree."""
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        return [place for key, value in items for place in [(*path, key), *self.places(value, (*path, key))]]

    def damage(self, model: dict[str, Any]) -> dict[str, Any]:
        """Return the model with one to four places damaged."""
        values = copy.deepcopy(model)
        for _ in range(self.dice.randint(1, 4)):
            path = self.dice.choice(self.places(values))
            node: Any = values
            for part in path[:-1]:
                node = node[part]
            key, action = path[-1], self.dice.randint(0, 5)
            if action <= 2:
                node[key] = self.dice.choice(self.JUNK)
            elif action == 3:
                del node[key]
            elif action == 4 and isinstance(node, dict):
                node[str(key)[::-1]] = node.pop(key)
            elif action == 5 and isinstance(node, list):
                node.append(copy.deepcopy(node[key]))
            else:
                other = self.dice.choice(self.places(values))
                source: Any = values
                for part in other:
                    source = source[part]
                node[key] = copy.deepcopy(source)
        return values


@pytest.mark.parametrize("seed", range(200))
def test_damaged_model_is_answered(model: dict[str, Any], check: Check, seed: int) -> None:
    """Whatever is done to the model, the check answers in words, in both languages, and never breaks."""
    values = Cruel(seed).damage(model)
    for lang in ("fr", "en"):
        found = check(values, lang)  # type: ignore[call-arg]
        for problem in (*found.problems, *found.warnings):
            assert problem.message and problem.remedy and problem.key
            assert len(str(problem)) < 2500
