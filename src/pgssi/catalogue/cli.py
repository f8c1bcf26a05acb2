"""``pgssi catalogue``: list, filter and explain rules and requirements; say what is covered."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console

from pgssi.catalogue import CLASSES, KINDS, Requirement, Rule, contracts, load_catalogue, view
from pgssi.catalogue import check as checker
from pgssi.catalogue import docs as pages
from pgssi.catalogue.select import Selection, find, one_of
from pgssi.catalogue.words import LANGS, say
from pgssi.errors import InvalidInput, PgssiError

app = typer.Typer(help="Montre et explique les règles et les exigences.", no_args_is_help=True)

Lang = Annotated[str, typer.Option("--lang", envvar="PGSSI_LANG", help="Langue : fr ou en.")]
Json = Annotated[bool, typer.Option("--json", help="Sortie JSON.")]


@app.command("list")
def list_(
    guide: Annotated[str | None, typer.Option(help="Guide des règles, par exemple backup.")] = None,
    palier: Annotated[int | None, typer.Option(min=1, max=3, help="Exactement ce palier.")] = None,
    class_: Annotated[str | None, typer.Option("--class", help="Classe des exigences.")] = None,
    theme: Annotated[str | None, typer.Option(help="Thème des exigences.")] = None,
    requirement: Annotated[str | None, typer.Option(help="Exigence ou début d'exigence, par exemple 7.4.")] = None,
    kind: Annotated[str | None, typer.Option(help="host ou evidence.")] = None,
    search: Annotated[str | None, typer.Option(help="Mots cherchés, accents indifférents.")] = None,
    requirements: Annotated[bool, typer.Option("--requirements/--rules", help="Exigences ou règles.")] = False,
    as_json: Json = False,
    lang: Lang = "fr",
) -> None:
    """Liste les règles (ou les exigences) retenues."""
    _known_lang(lang)
    catalogue = load_catalogue()
    one_of("--guide", guide, catalogue.guides(), lang)
    one_of("--class", class_, CLASSES, lang)
    one_of("--theme", theme, {item.theme for item in catalogue.requirements.values()}, lang)
    one_of("--kind", kind, KINDS, lang)
    selection = Selection(guide, palier, class_, theme, requirement, kind, search)
    found: Sequence[Rule | Requirement]
    if requirements:
        found = items = selection.requirements(catalogue)
        table = view.requirements_table(items, catalogue, lang)
    else:
        found = rules = selection.rules(catalogue)
        table = view.rules_table(rules, lang)
    if as_json:
        typer.echo(json.dumps([_as_json(item) for item in found], ensure_ascii=False, indent=2))
    elif found:
        Console().print(table)
    else:
        Console(stderr=True).print(say("nothing_found", lang))


@app.command()
def show(
    identifier: Annotated[str, typer.Argument(metavar="RÈGLE|EXIGENCE", help="Par exemple 7.4.4.6.")],
    as_json: Json = False,
    lang: Lang = "fr",
) -> None:
    """Explique une règle ou une exigence : quoi, pourquoi, source, mise en œuvre, preuve."""
    _known_lang(lang)
    catalogue = load_catalogue()
    item = find(identifier, catalogue, lang)
    if as_json:
        typer.echo(json.dumps(_as_json(item), ensure_ascii=False, indent=2))
    elif isinstance(item, Rule):
        Console().print(view.rule_page(item, catalogue, lang))
    else:
        Console().print(view.requirement_page(item, catalogue, lang))


@app.command()
def coverage(lang: Lang = "fr") -> None:
    """Compte ce qui couvre les articles de la PSSI, avec les dénominateurs."""
    _known_lang(lang)
    Console().print(view.coverage_page(load_catalogue(), lang))


@app.command()
def check(lang: Lang = "fr") -> None:
    """Vérifie le catalogue et ce qui s'y rattache (rôles, tests, sabotages) ; 2 en cas de faute."""
    _known_lang(lang)
    if faults := checker.problems():
        raise InvalidInput(faults)
    catalogue = load_catalogue()
    if broken := contracts.faults(catalogue):
        raise PgssiError("\n".join(broken))
    typer.echo(say("sound", lang, rules=len(catalogue.rules), requirements=len(catalogue.requirements)))


@app.command()
def docs() -> None:
    """Écrit docs/fr/catalogue.md et docs/en/catalogue.md."""
    for path in pages.write(load_catalogue()):
        typer.echo(str(path))


def _known_lang(lang: str) -> None:
    if lang not in LANGS:
        raise PgssiError(f"--lang {lang} : fr ou en / fr or en.")


def _as_json(item: Rule | Requirement) -> dict[str, object]:
    raw = dataclasses.asdict(item)
    if "class_" in raw:
        raw["class"] = raw.pop("class_")
    return raw
