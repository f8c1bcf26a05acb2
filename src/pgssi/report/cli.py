"""``pgssi report``: pages, comparison and gap list out of results that ``pgssi verify`` wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pgssi.catalogue import Catalogue, load_catalogue
from pgssi.report import load_results, write
from pgssi.report.compare import write_comparison
from pgssi.report.document import read_document
from pgssi.report.view import gaps_by_host
from pgssi.report.words import CAUSES, VERDICT_NAMES, clean, shorten, subject
from pgssi.scoring import Cell, Finding, Level, score

app = typer.Typer(help="Rapport HTML, comparaison et liste des écarts.", no_args_is_help=True)


def _file(path: Path) -> Path:
    """A folder that pgssi verify wrote stands for its results.json."""
    return path / "results.json" if path.is_dir() else path


Results = Annotated[
    Path, typer.Argument(metavar="RESULTS", callback=_file, help="Résultats de pgssi verify : results.json ou son répertoire.")
]
STYLES = {"non_conforme": "red", "non_verifie": "magenta"}


@app.command()
def html(
    results: Results,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Répertoire ; par défaut celui des résultats.")] = None,
) -> None:
    """Écrit report.html et junit.xml."""
    typer.echo(str(write(read_document(results), output or results.parent, source=str(results))))


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(metavar="AVANT", callback=_file, help="Résultats de départ, ou leur répertoire.")],
    after: Annotated[Path, typer.Argument(metavar="APRES", callback=_file, help="Résultats d'arrivée, ou leur répertoire.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Page HTML à écrire.")],
) -> None:
    """Écrit une page qui montre les deux rapports côte à côte et ce qui a changé."""
    typer.echo(str(write_comparison(before, after, output)))


@app.command()
def gaps(results: Results) -> None:
    """Affiche ce qui sépare chaque hôte et chaque guide de son palier suivant."""
    document, catalogue = load_results(results), load_catalogue()
    judged = score(document, catalogue)
    console = Console(highlight=False)
    if document["catalogue"]["digest"] != catalogue.digest:
        console.print("Ces résultats viennent d'un autre catalogue que celui de cette version.", style="yellow")
    for host, guides in gaps_by_host(judged):
        if not guides:
            console.print(_plain(f"{host} : {CAUSES['unreachable'][0].lower()}"), style="bold magenta")
        for guide, rows in guides:
            console.print(_group(judged.cells[host, guide], guide, rows, catalogue))
    towards = judged.towards_target
    console.print(
        f"Site : palier {_reached(judged.site)}, cible {judged.target}. Vérifications pour la cible : "
        f"{towards['conforme']} conformes, {towards['derogation']} sous dérogation, "
        f"{towards['non_conforme']} non conformes, {towards['non_verifie']} non vérifiées, "
        f"sur {towards.total}."
    )


def _group(cell: Cell, guide: str, rows: Sequence[Finding], catalogue: Catalogue) -> Table:
    """Return the gaps of one guide on one host as a table that stays readable on 80 columns."""
    heading = f"{rows[0].host} · {subject(guide)[0]} : palier {_reached(cell.level)} → {cell.next}"
    table = Table(title=_plain(heading), title_justify="left", title_style="bold", box=None, expand=True)
    table.add_column("Verdict", no_wrap=True)
    table.add_column("Règle", ratio=2)
    table.add_column("Observé", ratio=3)
    for gap in rows:
        rule = catalogue.rules.get(gap.rule)
        table.add_row(
            f"[{STYLES[gap.verdict]}]{VERDICT_NAMES[gap.verdict][0]}[/]",
            _plain(rule.title["fr"] if rule else gap.rule),
            _plain(_seen(gap)),
        )
    return table


def _reached(level: Level | None) -> str:
    if level is None:
        return "–"
    return "non établi" if level.reached is None else str(level.reached)


def _seen(gap: Finding) -> str:
    cause = CAUSES[gap.cause][0] if gap.cause else ""
    return " ; ".join(part for part in (cause, gap.message, *gap.observed) if part)


def _plain(text: str) -> str:
    """Return a text that the terminal shows as it is, without colours or control codes of its own."""
    return clean(shorten(text)).replace("[", r"\[")
