"""One self-contained HTML page out of the templates: nothing fetched, every text escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import jinja2
from markupsafe import Markup

from pgssi.catalogue import PALIERS
from pgssi.catalogue.words import REFERENCES
from pgssi.evidence.words import KINDS, RESULTS
from pgssi.findings import VERDICTS, day
from pgssi.report import figures, words

# The order in which verdicts are shown, good to bad.
SHOWN = ("conforme", "derogation", "atteste", "non_applicable", "non_verifie", "non_conforme")


def render(template: str, values: Mapping[str, Any]) -> str:
    """Return the page that a template makes of its values."""
    return _environment().get_template(template).render(**values)


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pgssi.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: words.clean(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = _source(environment, "page.js")
    environment.globals.update(
        t=words.both,
        text=words.text,
        subject=lambda name: words.both(*words.subject(name)),
        verdict_name=lambda verdict: words.both(*words.VERDICT_NAMES[verdict]),
        class_name=lambda name: words.both(*words.CLASS_NAMES.get(name, (name, name))),
        cause=lambda name: words.both(*words.CAUSES[name]),
        remedy=lambda name: words.both(*words.REMEDIES[name]),
        kind=lambda name: words.both(*KINDS.get(name, words.subject(name))),
        outcome=lambda name: words.both(*RESULTS.get(name, (name, name))),
        references=_references,
        measured=_moment,
        dated=_dated,
        percent=_percent,
        css_string=lambda value: Markup(words.css_string(value)),
        stairs=figures.stairs,
        radar=figures.radar,
        paliers=PALIERS,
        shown=SHOWN,
        worst_first=VERDICTS,
        style=Markup(_source(environment, "style.css")),
        script=Markup(script),
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    environment.filters["short"] = words.shorten
    return environment


def _source(environment: jinja2.Environment, name: str) -> str:
    assert environment.loader
    return environment.loader.get_source(environment, name)[0]


def _references(refs: Mapping[str, tuple[str, ...]]) -> Markup:
    """Return the other texts that demand a rule: ``ANSSI BP-028 R31, R33 · HDS EXI 05B``."""
    return Markup(" · ").join(
        Markup("{} {}").format(words.both(*REFERENCES.get(name, (name, name))), words.clean(", ".join(ids)))
        for name, ids in refs.items()
    )


def _dated(value: object) -> Markup:
    """Return a day in words; what is no date is shown as it is."""
    found = day(value)
    return words.long_date(found) if found else words.both(str(value), str(value))


def _moment(value: str) -> Markup:
    """Return an ISO moment in words, with its hour and zone."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return words.both(value, value)
    zone = " UTC" if moment.utcoffset() is not None and not moment.utcoffset() else moment.strftime(" %z").rstrip()
    hour = moment.strftime("%H:%M") + zone
    return words.both("{day}, {hour}", "{day}, {hour}", day=words.long_date(moment.date()), hour=hour)


def _percent(share: float | None) -> str:
    """Return a share rounded down, so that 100 % means all; a dash when there is no denominator."""
    return "–" if share is None else f"{int(share * 100)} %"


__all__ = ["SHOWN", "render"]
