"""One record as a self-contained page to print: a template by kind, a generic one for the others."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pgssi.evidence import words
from pgssi.evidence._verify import Verification
from pgssi.evidence.journal import Record

TEMPLATES = Path(__file__).parent / "templates"


def _environment(language: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["t"] = lambda french, english: english if language == "en" else french
    environment.globals["language"] = language
    for name, table in (("kind", words.KINDS), ("outcome", words.RESULTS), ("role", words.ROLES)):
        environment.filters[name] = partial(words.name_of, table, language=language)
    environment.filters["refusal"] = partial(words.name_of, words.REFUSALS, language=language)
    environment.filters["ending"] = partial(words.name_of, words.ENDINGS, language=language)
    environment.filters["step"] = partial(words.name_of, words.STEPS, language=language)
    environment.filters["level"] = partial(words.name_of, words.LEVELS, language=language)
    environment.filters["difference"] = partial(words.name_of, words.DIFFERENCES, language=language)
    environment.filters["moment"] = partial(words.moment, language=language)
    environment.filters["span"] = words.span
    return environment


def page(
    record: Record,
    *,
    site_name: str = "",
    language: str = "fr",
    verification: Verification | None = None,
    names: Mapping[str, str] | None = None,
) -> str:
    """Return the HTML of a record.

    verification: of the journal, printed as the integrity of the sheet; None says it was not checked.
    names: login or role of a signer to the person's name.
    """
    template = f"{record.kind}.html.j2"
    if not (TEMPLATES / template).is_file() or template.startswith("_"):
        template = "generic.html.j2"
    context: dict[str, Any] = {
        "record": record,
        "site_name": site_name,
        "verification": verification,
        "approved": verification.approved(record.id) if verification else (),
        "names": names or {},
    }
    return _environment(language).get_template(template).render(context)
