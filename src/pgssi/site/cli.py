"""``pgssi check``: the whole site model, before anything touches a host."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pgssi.errors import Problem
from pgssi.site.load import review_inventory


class Lang(StrEnum):
    """Language of the messages."""

    FR = "fr"
    EN = "en"


_WORDS = {
    "fr": {
        "problem": "À corriger",
        "warning": "Attention",
        "bad": "{problems} problème(s), {warnings} avertissement(s) : aucun hôte ne sera modifié.",
        "good": "Modèle de site valide : {hosts} hôtes, {warnings} avertissement(s).",
    },
    "en": {
        "problem": "To correct",
        "warning": "Mind",
        "bad": "{problems} problem(s), {warnings} warning(s): no host will be changed.",
        "good": "Site model valid: {hosts} hosts, {warnings} warning(s).",
    },
}


def check(
    inventory: Annotated[list[Path], typer.Option("--inventory", "-i", help="Inventaire Ansible : fichier ou dossier.")],
    extra_vars: Annotated[
        list[str] | None,
        typer.Option("--extra-vars", "-e", help="Variable pour cette fois, comme ansible-playbook."),
    ] = None,
    lang: Annotated[Lang, typer.Option(help="Langue des messages : fr ou en.")] = Lang.FR,
) -> None:
    """Valide le modèle de site d'un inventaire sans toucher à aucun hôte. 0 : valide ; 1 : à corriger."""
    found = review_inventory([str(path) for path in inventory], extra_vars or (), lang)
    words, console = _WORDS[lang], Console(highlight=False, soft_wrap=True)
    for problem in found.warnings:
        console.print(_line(problem, words["warning"], "yellow"))
    for problem in found.problems:
        console.print(_line(problem, words["problem"], "red"))
    counts = {"problems": len(found.problems), "warnings": len(found.warnings), "hosts": found.hosts}
    console.print(words["bad" if found.problems else "good"].format(**counts))
    raise typer.Exit(1 if found.problems else 0)


def _line(problem: Problem, word: str, style: str) -> str:
    value = "" if problem.value == "" else f" = {problem.value!r}"
    where = f"{problem.file}: {problem.key}{value}"
    return f"[{style}]{word}[/{style}]  {escape(where)}\n    {escape(problem.message)}. {escape(problem.remedy)}"
