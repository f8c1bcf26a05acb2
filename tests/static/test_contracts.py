"""The catalogue is the only list of rules: roles, tests, breaks and documentation agree with it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from pgssi.catalogue import Catalogue, contracts, load_catalogue
from pgssi.catalogue.check import problems
from pgssi.catalogue.docs import page
from pgssi.catalogue.words import LANGS
from pgssi.paths import ROOT

# French words written without their accents, and never right in English prose of ours either.
UNACCENTED = re.compile(
    r"\b(acces|donnees?|securite|systemes?|reseaux?|cles?|echecs?|evenements?|verifiee?s?|deja|meme|etre|"
    r"regles?|declare[es]*|habilitees?|numero|duree|periode|medecin|procedures?|chiffrees?|integrite|"
    r"privileges?|operateurs?|apres|tres|dernieres?|premieres?|necessaires?|sauvegardees?|restaurees?|"
    r"verrouillees?|refusees?|journalisees?|oublie[es]+|creee?s?|controlees?|executee?s?)\b",
    re.IGNORECASE,
)
FRENCH_ONLY = re.compile(r"[àâçéèêëîïôùûœ«»]|\b(les|des|une|est|pour|avec|dans|sont)\b")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def texts(catalogue: Catalogue) -> Iterator[tuple[str, str, str]]:
    """Yield (where, language, text) for every text of the catalogue."""
    for item in catalogue.requirements.values():
        yield from ((item.id, lang, text) for lang, text in item.title.items())
    for rule in catalogue.rules.values():
        for part in (rule.title, rule.statement, rule.why):
            yield from ((rule.id, lang, text) for lang, text in part.items())


def show(faults: list[str]) -> str:
    return "\n" + "\n".join(faults)


def test_catalogue_files_keep_their_schemas() -> None:
    """Every file of the catalogue is valid, and its rules name only articles that exist."""
    faults = [str(problem) for problem in problems()]
    assert not faults, show(faults)


def test_the_337_articles_are_there(catalogue: Catalogue) -> None:
    """The catalogue holds the 336 assessable articles of the reference, and 4.2.2.10."""
    assert len(catalogue.requirements) == 337
    assert "4.2.2.10" in catalogue.requirements


def test_every_host_rule_is_enforced(catalogue: Catalogue) -> None:
    """A setting, a task or a plugin names every automated rule."""
    faults = contracts.not_enforced(catalogue)
    assert not faults, show(faults)


def test_every_rule_has_a_test(catalogue: Catalogue) -> None:
    """A compliance test of the rule's own guide carries its mark."""
    faults = contracts.not_proven(catalogue)
    assert not faults, show(faults)


def test_every_host_rule_has_one_break(catalogue: Catalogue) -> None:
    """Every automated rule has one sabotage that must turn it red."""
    faults = contracts.not_broken(catalogue)
    assert not faults, show(faults)


def test_no_unknown_rule_is_named(catalogue: Catalogue) -> None:
    """Settings, tasks, test marks and breaks name only rules of the catalogue."""
    faults = contracts.unknown_rules(catalogue)
    assert not faults, show(faults)


def test_settings_stand_in_the_role_of_their_guide(catalogue: Catalogue) -> None:
    """A role holds settings of its own guide only."""
    faults = contracts.settings_of_other_guides(catalogue)
    assert not faults, show(faults)


def test_rules_are_listed_nowhere_else(catalogue: Catalogue) -> None:
    """The package, playbooks, scenarios and the lab never repeat a rule id."""
    faults = contracts.rules_elsewhere(catalogue)
    assert not faults, show(faults)


def test_evidence_that_covers_an_article_is_written(catalogue: Catalogue) -> None:
    """A playbook or role writes every kind of evidence that the catalogue counts on."""
    faults = contracts.evidence_nobody_writes(catalogue)
    assert not faults, show(faults)


def test_every_compliance_test_says_how_it_proves() -> None:
    """A compliance test carries one rule, and its docstring is the sentence that readers are shown."""
    faults = contracts.vague_tests()
    assert not faults, show(faults)


def test_french_has_its_accents(catalogue: Catalogue) -> None:
    """No French text drops its accents."""
    faults = [
        f"{where}: {found.group()}: {text}"
        for where, lang, text in texts(catalogue)
        if lang == "fr" and (found := UNACCENTED.search(text))
    ]
    assert not faults, show(faults)


def test_english_is_english(catalogue: Catalogue) -> None:
    """The English text is a translation, not the French text left in place."""
    faults = [f"{where}: {text}" for where, lang, text in texts(catalogue) if lang == "en" and FRENCH_ONLY.search(text)]
    assert not faults, show(faults)


def test_no_two_articles_or_rules_share_a_title(catalogue: Catalogue) -> None:
    """A title names one article or rule."""
    for items in (catalogue.requirements.values(), catalogue.rules.values()):
        for lang in LANGS:
            titles = sorted(item.title[lang] for item in items)
            assert len(set(titles)) == len(titles), [t for t in titles if titles.count(t) > 1]


@pytest.mark.parametrize("lang", LANGS)
def test_catalogue_page_is_current(catalogue: Catalogue, lang: str) -> None:
    """The committed page is the one that `pgssi catalogue docs` writes."""
    committed = (ROOT / "docs" / lang / "catalogue.md").read_text("utf-8")
    assert committed == page(catalogue, lang), "run: pgssi catalogue docs"
