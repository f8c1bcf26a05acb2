"""Every fault of the catalogue's files is named with file, key, value and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from catalogue_builder import Repository

from pgssi.catalogue.check import problems


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_sound_catalogue_has_no_problem(repository: Repository) -> None:
    """The small sound catalogue of these tests is accepted."""
    assert problems(repository.catalogue()) == []


RULES: list[tuple[str, Any, str, str]] = [
    # key, value, part of the message, part of the remedy
    ("palier", 4, "out of range", "1 to 3"),
    ("palier", "2", "is not of type", ""),
    ("requirements", ["5.2.3.9"], "is no article", "5.2.3.1"),
    ("requirements", [], "is empty", "at least 1"),
    ("groups", ["server"], "not an accepted value", "servers"),
    ("title", {"fr": "", "en": "Lockout after three"}, "is empty", "at least 8"),
    ("title", {"fr": "Verrouillage du compte"}, "key en is missing", "Add it"),
    ("statement", {"fr": "x" * 500, "en": "y" * 30}, "is too long (500", "Shorten"),
    ("refs", {"bp028": ["R81"]}, "wrong form", "R"),
    ("refs", {"hygiene": ["43"]}, "wrong form", ""),
    ("refs", {"care": ["D2-O3.Z"]}, "not an accepted value", "D2-O3"),
    ("refs", {"hds": ["EXI 05Z"]}, "wrong form", ""),
    ("refs", {"bp-028": ["R1"]}, "unknown key bp-028", "bp028"),
    ("kind", "hosts", "not an accepted value", "host"),
    ("guidance", ["anssi"], "not an accepted value", "pssi"),
    ("id", "Lockout", "wrong form", ""),
    ("paliers", 1, "unknown key paliers", "palier"),
]


@pytest.mark.parametrize(("key", "value", "message", "remedy"), RULES)
def test_fault_of_a_rule_is_named(repository: Repository, key: str, value: object, message: str, remedy: str) -> None:
    """One wrong value gives one problem, with its place, what is wrong and what to write."""
    repository.rules[0][key] = value
    (problem,) = problems(repository.catalogue())
    assert problem.file.endswith("rules/access_rights.yml")
    assert problem.key.startswith("rules[0]")
    assert message in problem.message
    assert remedy in problem.remedy


def test_guide_has_the_name_of_its_file(repository: Repository) -> None:
    """A known guide in the wrong file, and an unknown guide, are both refused."""
    repository.guide = "backup"
    assert [p.message for p in problems(repository.catalogue())] == ["differs from the file's name"]
    repository.guide = "acces_rights"
    assert "access_rights" in problems(repository.catalogue())[0].remedy


def test_same_rule_in_two_files_is_refused(repository: Repository) -> None:
    """A rule id belongs to one guide."""
    text = (repository.catalogue() / "rules" / "access_rights.yml").read_text("utf-8")
    repository.write("catalogue/rules/backup.yml", text.replace("guide: access_rights", "guide: backup"))
    assert [p.message for p in problems(repository.root / "catalogue")] == ["stands twice"]


def test_observable_class_needs_an_observable(repository: Repository) -> None:
    """An automated article says what has to be shown."""
    del repository.articles[0]["observable"]
    (problem,) = problems(repository.catalogue())
    assert "observable" in problem.message


def test_broken_yaml_is_one_problem(repository: Repository) -> None:
    """A file that cannot be read is named, and the others are still checked."""
    folder = repository.catalogue()
    (folder / "rules" / "access_rights.yml").write_text("rules: [", "utf-8")
    (problem,) = problems(folder)
    assert "cannot be read" in problem.message
