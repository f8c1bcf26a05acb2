"""The catalogue on a terminal; made to be read at 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pgssi.catalogue import CLASSES, PALIERS, Catalogue, Requirement, Rule
from pgssi.catalogue.covers import Cover, cover
from pgssi.catalogue.explain import breaks, mentions, proofs, settings
from pgssi.catalogue.words import counted, references, say, theme
from pgssi.paths import ROOT

_COLOURS = {"automated": "green", "assisted": "yellow", "organisational": "cyan"}


def rules_table(rules: Sequence[Rule], lang: str) -> RenderableType:
    """Return the rules, one line each: palier, id, title."""
    table = _table(say("palier", lang)[:1], say("rule", lang), say("title", lang))
    for rule in rules:
        table.add_row(str(rule.palier), Text(rule.id, "bold"), rule.title[lang])
    return Group(table, Text(f"\n{counted(len(rules), 'rule', lang)}", "dim"))


def requirements_table(requirements: Sequence[Requirement], catalogue: Catalogue, lang: str) -> RenderableType:
    """Return the requirements, one line each: palier, id, class, number of rules, title."""
    table = _table(say("palier", lang)[:1], say("article", lang), say("class", lang), "#", say("title", lang))
    for item in requirements:
        count = len(catalogue.rules_for(item.id))
        table.add_row(
            str(item.palier),
            Text(item.id, "bold"),
            Text(say(f"{item.class_}_short", lang), _COLOURS[item.class_]),
            str(count) if count else "·",
            item.title[lang],
        )
    return Group(table, Text(f"\n{counted(len(requirements), 'requirement', lang)}", "dim"))


def rule_page(rule: Rule, catalogue: Catalogue, lang: str, root: Path = ROOT) -> RenderableType:
    """Return everything about a rule: what, why, source, palier, how it is enforced, proven and broken."""
    grid = _grid()
    _add(grid, say("fact", lang), rule.statement[lang])
    _add(grid, say("why", lang), rule.why[lang])
    _add(grid, say("source", lang), *_sources(rule, catalogue, lang))
    _add(grid, say("groups", lang), _scope(rule, lang))
    _add(grid, say("enforced", lang), *(_enforced(rule, root) or [_none(lang)]))
    _add(grid, say("proven", lang), *(_proven(rule, lang, root) or [_none(lang)]))
    if rule.kind == "host":
        _add(grid, say("breaks", lang), *(_broken(rule, root) or [_none(lang)]))
    return Group(_head(rule.id, _rule_badge(rule, lang)), Text(rule.title[lang], "bold"), "", grid)


def requirement_page(item: Requirement, catalogue: Catalogue, lang: str) -> RenderableType:
    """Return everything about a requirement: class, palier, what has to be shown, what covers it."""
    grid = _grid()
    if item.observable:
        _add(grid, say("observable", lang), item.observable)
    if item.reason:
        _add(grid, say("reason", lang), item.reason)
    rules = [f"[bold]{r.id}[/bold]  (palier {r.palier})\n{escape(r.title[lang])}" for r in catalogue.rules_for(item.id)]
    _add(grid, say("rules_covering", lang), *(rules or [_none(lang)]))
    answers = [f"{say('by_evidence', lang)} {kind}" for kind in item.evidence]
    if item.class_ != "automated":
        answers.append(say("by_attestation", lang))
    if answers:
        _add(grid, say("answer", lang), *answers)
    badge = f"palier {item.palier} · {say(item.class_, lang)} · {theme(item.theme, lang)}"
    return Group(_head(f"PSSI {item.id}", badge), Text(item.title[lang], "bold"), "", grid)


def coverage_page(catalogue: Catalogue, lang: str) -> RenderableType:
    """Return how many requirements are covered and by what, by class, palier and theme."""
    every = list(catalogue.requirements.values())
    parts: list[RenderableType] = [Text(say("coverage", lang, n=len(every)), "bold"), ""]
    by_class = [(say(c, lang), [r for r in every if r.class_ == c]) for c in CLASSES]
    by_palier = [(f"{say('palier', lang)} {p}", [r for r in every if r.palier == p]) for p in PALIERS]
    names = sorted({r.theme for r in every}, key=lambda name: theme(name, lang))
    by_theme = [(theme(name, lang), [r for r in every if r.theme == name]) for name in names]
    for label, rows in (("class", by_class), ("palier", by_palier), ("theme", by_theme)):
        table = _table(
            say(label, lang),
            *[say(k, lang) for k in ("with_rule", "with_evidence", "attested", "nothing", "total")],
        )
        for column in table.columns[1:]:
            column.justify = "right"
        for name, items in rows:
            table.add_row(name, *_counts(cover(items, catalogue)))
        table.add_section()
        table.add_row(say("total", lang), *_counts(cover(every, catalogue)), style="bold")
        parts += [table, ""]
    return Group(*parts, Text(say("coverage_note", lang), "dim"))


def _counts(numbers: Cover) -> list[str]:
    kinds = (numbers.rule, numbers.evidence, numbers.attested, numbers.nothing)
    return [*(str(n) if n else "·" for n in kinds), str(numbers.total)]


def _sources(rule: Rule, catalogue: Catalogue, lang: str) -> list[str]:
    lines = [f"PSSI {i}  [dim]{escape(catalogue.requirements[i].title[lang])}[/dim]" for i in rule.requirements]
    refs = references(rule.refs, lang)
    return lines + ([" · ".join(refs)] if refs else [])


def _scope(rule: Rule, lang: str) -> str:
    guidance = f" {say('and', lang)} ".join(rule.guidance)
    return f"{', '.join(rule.groups)} · {say('guidance', lang)} {guidance}"


def _rule_badge(rule: Rule, lang: str) -> str:
    native = f" ({say('native', lang, n=rule.native_palier)})" if rule.native_palier else ""
    return f"palier {rule.palier}{native} · {say(rule.kind, lang)} · {theme(rule.guide, lang)}"


def _enforced(rule: Rule, root: Path) -> list[str]:
    lines = []
    for setting in settings(root):
        if setting.rule == rule.id:
            limits = [f"palier {setting.palier}+" if setting.palier else "", setting.guidance or ""]
            note = f" ({', '.join(filter(None, limits))})" if any(limits) else ""
            lines.append(f"{escape(f'{setting.key} = {setting.value}')}{note}\n[dim]{setting.file}[/dim]")
    seen = set()
    for mention in mentions(rule.id, root):
        if (mention.file, mention.task) not in seen:
            seen.add((mention.file, mention.task))
            name = f"{escape(mention.task)}\n" if mention.task else ""
            lines.append(f"{name}[dim]{mention.file}:{mention.line}[/dim]")
    return lines


def _proven(rule: Rule, lang: str, root: Path) -> list[str]:
    acts = f" ({say('acts', lang)})"
    return [
        f"{escape(proof.sentence)}{acts if proof.acts else ''}\n[dim]{proof.file}::{proof.test}[/dim]"
        for proof in proofs(root)
        if proof.rule == rule.id
    ]


def _broken(rule: Rule, root: Path) -> list[str]:
    return [f"[dim]{b.host}[/dim]\n{escape(b.shell)}" for b in breaks(root) if b.rule == rule.id]


def _none(lang: str) -> str:
    return f"[dim]{say('none_yet', lang)}[/dim]"


def _head(identifier: str, badge: str) -> Text:
    return Text.assemble((identifier, "bold cyan"), "  ", (badge, "dim"))


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2, 1, 0))
    grid.add_column(style="cyan", no_wrap=True)
    grid.add_column(ratio=1)
    return grid


def _add(grid: Table, label: str, *lines: str) -> None:
    grid.add_row(label, "\n".join(lines))


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for header in headers:
        table.add_column(header)
    return table
