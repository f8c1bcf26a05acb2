"""The catalogue as pages of the documentation, one per language."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from pgssi.catalogue import CLASSES, Catalogue, Requirement, Rule
from pgssi.catalogue.covers import cover
from pgssi.catalogue.words import LANGS, references, say, theme
from pgssi.paths import ROOT


def write(catalogue: Catalogue, root: Path = ROOT) -> list[Path]:
    """Write ``docs/<lang>/catalogue.md`` for each language; return the paths."""
    written = []
    for lang in LANGS:
        path = root / "docs" / lang / "catalogue.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(catalogue, lang), "utf-8")
        written.append(path)
    return written


def page(catalogue: Catalogue, lang: str) -> str:
    """Return the page: coverage, then the rules by guide, then the requirements by chapter."""
    lines = [f"<!-- {say('tagline', lang)} -->", "", f"# {say('doc_title', lang)}", ""]
    lines += [say("doc_intro", lang), "", *_coverage(catalogue, lang), ""]
    for guide in catalogue.guides():
        lines += [f"## {say('rules_of', lang, guide=theme(guide, lang))}", ""]
        for rule in catalogue.rules.values():
            if rule.guide == guide:
                lines += [*_rule(rule, lang), ""]
    lines += [f"## {say('requirements', lang).capitalize()}", ""]
    for chapter, items in groupby(catalogue.requirements.values(), key=_chapter_of):
        lines += [*_chapter(chapter, list(items), catalogue, lang), ""]
    return "\n".join(lines).rstrip() + "\n"


def _chapter_of(item: Requirement) -> str:
    return ".".join(item.id.split(".")[:2])


def _coverage(catalogue: Catalogue, lang: str) -> Iterator[str]:
    every = list(catalogue.requirements.values())
    heads = [say(k, lang) for k in ("class", "with_rule", "with_evidence", "attested", "nothing", "total")]
    yield f"## {say('coverage', lang, n=len(every))}"
    yield ""
    yield f"| {' | '.join(heads)} |"
    yield "|---|" + "--:|" * 5
    for class_ in CLASSES:
        yield _row(say(class_, lang), [r for r in every if r.class_ == class_], catalogue)
    yield _row(f"**{say('total', lang)}**", every, catalogue)
    yield ""
    yield say("coverage_note", lang)


def _row(label: str, items: list[Requirement], catalogue: Catalogue) -> str:
    numbers = cover(items, catalogue)
    return f"| {label} | {numbers.rule} | {numbers.evidence} | {numbers.attested} | {numbers.nothing} | {numbers.total} |"


def _rule(rule: Rule, lang: str) -> Iterator[str]:
    refs = [f"PSSI {', '.join(rule.requirements)}"]
    refs += references(rule.refs, lang)
    guidance = f" · {say('guidance', lang)} `{rule.guidance[0]}`" if len(rule.guidance) == 1 else ""
    yield f"### `{rule.id}`"
    yield ""
    scope = f"palier {rule.palier} · {say(rule.kind, lang)} · {', '.join(rule.groups)}{guidance}"
    yield f"**{rule.title[lang]}** ({scope})"
    yield ""
    yield f"{rule.statement[lang].strip()} *{rule.why[lang].strip()}*"
    yield ""
    yield " · ".join(refs)


def _chapter(chapter: str, items: list[Requirement], catalogue: Catalogue, lang: str) -> Iterator[str]:
    heads = [say(k, lang) for k in ("article", "palier", "class", "title", "covered")]
    yield f"### {chapter}"
    yield ""
    yield f"| {' | '.join(heads)} |"
    yield "|---|--:|---|---|---|"
    for item in items:
        rules = [f"[`{rule.id}`](#{rule.id})" for rule in catalogue.rules_for(item.id)]
        means = ", ".join([*rules, *(f"{say('evidence', lang)} `{kind}`" for kind in item.evidence)])
        cells = [item.id, str(item.palier), say(item.class_, lang), item.title[lang], means or "·"]
        yield f"| {' | '.join(cells)} |"
