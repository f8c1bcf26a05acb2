"""Checks of every text: no hidden character, no look-alike of another alphabet."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from pgssi.site.model import Finding, Path, Site

_MULTILINE = {"query", "comment", "reason", "note"}
_CONFUSABLE = {"GREEK", "CYRILLIC", "ARMENIAN", "CHEROKEE", "COPTIC", "FULLWIDTH", "MATHEMATICAL", "LISU"}
_HIDDEN = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}


def check_texts(site: Site) -> Iterator[Finding]:
    """Yield the texts of the site model that do not mean what they show."""
    for variable, value in site.values.items():
        if variable.startswith("site_"):
            yield from _texts(value, (variable,))


def _texts(value: Any, path: Path) -> Iterator[Finding]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _text(str(key), (*path, str(key)))
            yield from _texts(item, (*path, key if isinstance(key, int) else str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))
    elif isinstance(value, str):
        yield from _text(value, path)


def _text(text: str, path: Path) -> Iterator[Finding]:
    if text.isascii() and text.isprintable():
        return
    allowed = "\n\t" if path[-1] in _MULTILINE else ""
    for character in text.strip("\n"):
        if unicodedata.category(character) in _HIDDEN and character not in allowed:
            name = f"U+{ord(character):04X} {unicodedata.name(character, '')}".strip()
            yield Finding("hidden_character", path, text, {"character": name})
            return
    for word in text.split():
        alphabets = {_alphabet(character) for character in word if character.isalpha()}
        if "LATIN" in alphabets and alphabets & _CONFUSABLE:
            foreign = next(c for c in word if _alphabet(c) in _CONFUSABLE)
            name = f"U+{ord(foreign):04X} {unicodedata.name(foreign, '')}".strip()
            yield Finding("look_alike", path, text, {"character": name, "word": word})
            return


def _alphabet(character: str) -> str:
    return unicodedata.name(character, "UNKNOWN").split()[0]
