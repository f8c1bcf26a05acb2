"""Which rules and requirements a reader asked for."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from pgssi.catalogue import Catalogue, Requirement, Rule
from pgssi.catalogue.words import say
from pgssi.errors import PgssiError


@dataclass(frozen=True)
class Selection:
    """What to keep; None keeps everything. requirement: an id or the beginning of one (``7.4``)."""

    guide: str | None = None
    palier: int | None = None
    class_: str | None = None
    theme: str | None = None
    requirement: str | None = None
    kind: str | None = None
    search: str | None = None

    def rules(self, catalogue: Catalogue) -> list[Rule]:
        """Return the rules that match, in catalogue order."""
        return [rule for rule in catalogue.rules.values() if self._keeps_rule(rule, catalogue)]

    def requirements(self, catalogue: Catalogue) -> list[Requirement]:
        """Return the requirements that match; guide and kind are those of the rules that cover them."""
        return [item for item in catalogue.requirements.values() if self._keeps_requirement(item, catalogue)]

    def _keeps_rule(self, rule: Rule, catalogue: Catalogue) -> bool:
        articles = [catalogue.requirements[i] for i in rule.requirements if i in catalogue.requirements]
        texts = (rule.title, rule.statement, rule.why)
        return (
            self.guide in (None, rule.guide)
            and self.palier in (None, rule.palier)
            and self.kind in (None, rule.kind)
            and (self.class_ is None or any(a.class_ == self.class_ for a in articles))
            and (self.theme is None or any(a.theme == self.theme for a in articles))
            and (self.requirement is None or any(within(i, self.requirement) for i in rule.requirements))
            and self._matches(rule.id, *rule.requirements, *(t for part in texts for t in part.values()))
        )

    def _keeps_requirement(self, item: Requirement, catalogue: Catalogue) -> bool:
        rules = catalogue.rules_for(item.id)
        return (
            (self.guide is None or any(rule.guide == self.guide for rule in rules))
            and self.palier in (None, item.palier)
            and (self.kind is None or any(rule.kind == self.kind for rule in rules))
            and self.class_ in (None, item.class_)
            and self.theme in (None, item.theme)
            and (self.requirement is None or within(item.id, self.requirement))
            and self._matches(item.id, *item.title.values(), item.theme, item.observable)
        )

    def _matches(self, *texts: str) -> bool:
        if self.search is None:
            return True
        haystack = plain(" ".join(texts))
        return all(word in haystack for word in plain(self.search).split())


def within(identifier: str, start: str) -> bool:
    """Return whether ``7.4.4.6`` is ``start`` or stands below it (``7.4``, ``7.4.4``)."""
    return identifier == start or identifier.startswith(start.rstrip(".") + ".")


def plain(text: str) -> str:
    """Return lower-case text without accents or typographic apostrophes, for searching."""
    decomposed = unicodedata.normalize("NFD", text.lower().replace("’", "'").replace("œ", "oe"))
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def find(identifier: str, catalogue: Catalogue, lang: str) -> Rule | Requirement:
    """Return the rule or requirement of that id; raise PgssiError with the nearest ids when there is none."""
    if identifier in catalogue.rules:
        return catalogue.rules[identifier]
    if identifier in catalogue.requirements:
        return catalogue.requirements[identifier]
    known = [*catalogue.rules, *catalogue.requirements]
    message = say("unknown", lang, id=identifier)
    if close := nearest(identifier, known):
        message += say("nearest", lang, ids=", ".join(close))
    raise PgssiError(message)


def nearest(identifier: str, known: Iterable[str]) -> list[str]:
    """Return up to four known ids that look like this one."""
    every = list(known)
    close = difflib.get_close_matches(plain(identifier), every, 4, 0.5)
    return close or [item for item in every if plain(identifier) in item][:4]


def one_of(option: str, value: str | None, known: Collection[str], lang: str) -> None:
    """Raise PgssiError when the value of an option is none of those known."""
    if value is not None and value not in known:
        raise PgssiError(
            say("unknown_value", lang, option=option, value=value) + say("known_values", lang, ids=", ".join(sorted(known)))
        )
