"""The catalogue: its loader, what is selected from it, what covers an article, and its pages."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from catalogue_builder import ARTICLE, Repository
from rich.console import Console

from pgssi.catalogue import CLASSES, load_catalogue
from pgssi.catalogue.covers import cover, means
from pgssi.catalogue.docs import page
from pgssi.catalogue.select import Selection, find, nearest, plain, within
from pgssi.catalogue.view import rule_page
from pgssi.errors import InvalidInput, PgssiError


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_digest_changes_with_any_byte(repository: Repository) -> None:
    """Two catalogues that differ have two digests; the same files have the same."""
    first = load_catalogue.__wrapped__(repository.catalogue())
    assert load_catalogue.__wrapped__(repository.catalogue()).digest == first.digest
    repository.rules[0]["palier"] = 2
    assert load_catalogue.__wrapped__(repository.catalogue()).digest != first.digest


def test_missing_key_is_an_error_for_people(repository: Repository) -> None:
    """A rule without a key is refused by name, without a traceback."""
    del repository.rules[0]["why"]
    with pytest.raises(InvalidInput, match=r"lockout-three-failures\.why"):
        load_catalogue.__wrapped__(repository.catalogue())


def test_unreadable_file_is_an_error_for_people(repository: Repository) -> None:
    """A file that is no YAML is refused by name."""
    folder = repository.catalogue()
    (folder / "pssi.yml").write_text("requirements: [", "utf-8")
    with pytest.raises(InvalidInput, match=r"pssi\.yml"):
        load_catalogue.__wrapped__(folder)


def test_an_id_stands_once(repository: Repository) -> None:
    """The same rule twice is refused."""
    repository.rules *= 2
    with pytest.raises(InvalidInput, match="stands twice"):
        load_catalogue.__wrapped__(repository.catalogue())


@pytest.mark.parametrize(
    ("selection", "kept"),
    [
        (Selection(), True),
        (Selection(guide="access_rights"), True),
        (Selection(guide="backup"), False),
        (Selection(palier=1), True),
        (Selection(palier=2), False),
        (Selection(class_="automated"), True),
        (Selection(class_="assisted"), False),
        (Selection(theme="authentication"), True),
        (Selection(theme="wifi"), False),
        (Selection(requirement="5.2"), True),
        (Selection(requirement="5.2.3.1"), True),
        (Selection(requirement="5.2.3.10"), False),
        (Selection(kind="host"), True),
        (Selection(kind="evidence"), False),
        (Selection(search="ECHECS verrouille"), True),
        (Selection(search="echecs sauvegarde"), False),
    ],
)
def test_selection_filters_rules_and_articles(repository: Repository, selection: Selection, kept: bool) -> None:
    """Each filter keeps the rule and its article, or neither."""
    catalogue = load_catalogue.__wrapped__(repository.catalogue())
    assert bool(selection.rules(catalogue)) is kept
    assert bool(selection.requirements(catalogue)) is kept


def test_within_compares_whole_numbers() -> None:
    """7.4.1 is within 7.4 and 7.40 is not."""
    assert within("7.4.1.1", "7.4")
    assert not within("7.40.1.1", "7.4")


def test_search_ignores_accents_and_apostrophes() -> None:
    """A reader may type without accents."""
    assert plain("Œuvre d’Été") == "oeuvre d'ete"


def test_unknown_id_names_the_nearest(repository: Repository) -> None:
    """A misspelt id is answered with the ids that look like it."""
    catalogue = load_catalogue.__wrapped__(repository.catalogue())
    with pytest.raises(PgssiError, match="lockout-three-failures"):
        find("lockout-3-failures", catalogue, "en")
    assert nearest("lockout", catalogue.rules) == ["lockout-three-failures"]


@pytest.mark.parametrize(
    ("class_", "evidence", "ruled", "expected"),
    [
        ("automated", [], True, "rule"),
        ("automated", ["access_review"], False, "nothing"),
        ("assisted", ["access_review"], False, "evidence"),
        ("assisted", [], False, "attested"),
        ("assisted", ["access_review"], True, "rule"),
        ("organisational", [], False, "attested"),
    ],
)
def test_what_covers_an_article(repository: Repository, class_: str, evidence: list[str], ruled: bool, expected: str) -> None:
    """An automated article is covered by a rule or by nothing; the others may be answered by a person."""
    repository.articles = [dict(ARTICLE) | {"class": class_, "evidence": evidence}]
    repository.rules = repository.rules if ruled else []
    catalogue = load_catalogue.__wrapped__(repository.catalogue())
    assert means(catalogue.requirements["5.2.3.1"], catalogue) == expected


def test_the_parts_of_the_coverage_make_the_whole() -> None:
    """No article of the real catalogue is counted twice or forgotten."""
    catalogue = load_catalogue()
    every = list(catalogue.requirements.values())
    parts = [cover([r for r in every if r.class_ == class_], catalogue) for class_ in CLASSES]
    total = cover(every, catalogue)
    assert total.total == sum(part.total for part in parts) == 337
    assert total.rule + total.evidence + total.attested + total.nothing == total.total


@pytest.mark.parametrize(
    "expected",
    [
        "5.2.3.1",
        "ANSSI BP-028 R31",
        "deny = 3",
        "palier 2+, pssi",
        "Alert after three lockouts",
        "::test_lockout",
        "sed",
    ],
)
def test_rule_is_explained(repository: Repository, expected: str) -> None:
    """A rule's page shows source, settings, tasks, tests and break."""
    catalogue = load_catalogue.__wrapped__(repository.catalogue())
    console = Console(width=80, record=True, file=StringIO())
    console.print(rule_page(catalogue.rules["lockout-three-failures"], catalogue, "fr", repository.root))
    assert expected in console.export_text()


def test_page_shows_every_rule_and_article(repository: Repository) -> None:
    """The generated page holds each rule, each article, and says by what it is covered."""
    text = page(load_catalogue.__wrapped__(repository.catalogue()), "fr")
    assert "### `lockout-three-failures`" in text
    assert "| 5.2.3.1 | 1 | automatisé | Compte verrouillé après trois échecs | [`lockout-three-failures`]" in text
