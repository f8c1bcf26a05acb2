"""The words of the report in French and English, and safe ways to put text into a page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache

from markupsafe import Markup, escape

from pgssi.catalogue.words import SUBJECTS

Pair = tuple[str, str]  # (French, English)

VERDICT_NAMES: Mapping[str, Pair] = {
    "conforme": ("Conforme", "Compliant"),
    "non_conforme": ("Non conforme", "Non-compliant"),
    "derogation": ("Dérogation", "Waived"),
    "atteste": ("Attesté", "Attested"),
    "non_applicable": ("Sans objet", "Not applicable"),
    "non_verifie": ("Non vérifié", "Not verified"),
}
CLASS_NAMES: Mapping[str, Pair] = {
    "automated": ("automatisée", "automated"),
    "assisted": ("assistée", "assisted"),
    "organisational": ("organisationnelle", "organisational"),
}
CAUSES: Mapping[str, Pair] = {  # why something was not verified
    "": ("Le test n'a pas pu conclure", "The test could not conclude"),
    "unreachable": ("Hôte injoignable", "Host unreachable"),
    "not_selected": ("Hors de la sélection demandée", "Left out by the selection"),
    "not_run": ("Aucun test exécuté", "No test was run"),
    "no_test": ("Verdict sans test exécuté, écarté", "Verdict without a test run, set aside"),
    "contradicted": ("Verdict contredit par ses propres tests", "Verdict contradicted by its own tests"),
    "waiver_void": ("Dérogation sans effet", "Waiver without effect"),
}
REMEDIES: Mapping[str, Pair] = {  # what to do about it
    "": (
        "Lever l'obstacle indiqué, puis revérifier.",
        "Remove the stated obstacle, then verify again.",
    ),
    "unreachable": (
        "Rétablir l'accès SSH et sudo à l'hôte, puis relancer la vérification.",
        "Restore SSH and sudo access to the host, then verify again.",
    ),
    "not_selected": (
        "Relancer la vérification sans --palier, --guide ni --rule.",
        "Verify again without --palier, --guide or --rule.",
    ),
    "not_run": (
        "Relancer la vérification complète ; si cela persiste, la règle n'a pas de test pour cet hôte.",
        "Run the full verification again; if it persists, the rule has no test for this host.",
    ),
    "no_test": ("Relancer la vérification.", "Verify again."),
    "contradicted": ("Relancer la vérification.", "Verify again."),
    "waiver_void": (
        "Renouveler ou retirer la dérogation, puis relancer la vérification.",
        "Renew or remove the waiver, then verify again.",
    ),
}
MONTHS: Pair = (
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "January February March April May June July August September October November December",
)
# Characters that could hide or reorder what a reader sees, or that XML forbids.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)
LONGEST = 600  # characters of one observed text that the page repeats; results.json holds the rest


def clean(text: str) -> str:
    r"""Make control, bidirectional and invisible characters visible as ``\u202e``."""
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def shorten(text: str) -> str:
    """Cut what is too long to read on a page, and say how much was cut."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} […+{len(text) - LONGEST}]"


def subject(name: str) -> Pair:
    """Return the names of a guide or theme; one we have no words for keeps its own."""
    plain = name.replace("_", " ").capitalize()
    return SUBJECTS.get(name, (plain, plain))


def both(french: str, english: str, **values: object) -> Markup:
    """Return both languages for the switch of the page; ``values`` fill ``{name}`` fields, escaped."""
    marked = _both(french, english)
    if not values:
        return marked
    safe = {name: value if isinstance(value, Markup) else clean(str(value)) for name, value in values.items()}
    return marked.format(**safe)


@lru_cache(maxsize=4096)
def _both(french: str, english: str) -> Markup:
    pair = escape(clean(french)), escape(clean(english))
    if french == english:
        return pair[0]
    return Markup('<span lang="fr">{}</span><span lang="en">{}</span>').format(*pair)


def text(value: Mapping[str, str]) -> Markup:
    """Return both languages of a catalogue text ``{fr, en}``."""
    return both(value.get("fr", ""), value.get("en", value.get("fr", "")))


def long_date(day: date) -> Markup:
    """Return a date in words, in both languages."""
    french, english = (names.split()[day.month - 1] for names in MONTHS)
    first = "1er" if day.day == 1 else str(day.day)
    return both(f"{first} {french} {day.year}", f"{day.day} {english} {day.year}")


def css_string(value: str) -> str:
    """Return a quoted CSS string in which every character but letters and digits is escaped.

    Spaces too: one that follows an escape would be read as its end.
    """
    return '"' + "".join(c if c.isascii() and c.isalnum() else f"\\{ord(c):06x}" for c in value) + '"'
