"""The `pgssi catalogue` command: what it prints, in both languages, and how it refuses."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from pgssi.catalogue.cli import app
from pgssi.errors import PgssiError

runner = CliRunner()


def run(*arguments: str) -> str:
    result = runner.invoke(app, arguments, env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    return result.output


def test_list_of_articles_fits_80_columns() -> None:
    """No line is longer than the terminal."""
    text = run("list", "--requirements")
    assert "7.4.4.6" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_list_as_json_is_complete() -> None:
    """JSON holds every article, with the official keys."""
    items = json.loads(run("list", "--requirements", "--json"))
    assert len(items) == 337
    assert {"id", "title", "class", "theme", "palier"} <= set(items[0])


def test_show_speaks_both_languages() -> None:
    """French by default, English on demand."""
    assert "Sauvegardes de données sensibles chiffrées" in run("show", "7.4.4.6")
    assert "Backups of sensitive data encrypted" in run("show", "7.4.4.6", "--lang", "en")


def test_show_prints_brackets_and_markup_as_they_are() -> None:
    """The text of an article is never taken for terminal markup."""
    assert "(traceroute, TTL)" in run("show", "4.2.2.9").replace("\n", " ")


def test_coverage_states_its_denominator() -> None:
    """The coverage page says of how many articles it speaks."""
    text = run("coverage", "--lang", "en")
    assert "337" in text
    assert "nothing" in text


@pytest.mark.parametrize(
    "arguments",
    ["show 7.4.4.66", "list --guide nope", "list --theme nope", "list --kind nope", "list --lang de"],
)
def test_unknown_names_are_refused_with_suggestions(arguments: str) -> None:
    """A misspelt name ends in a PgssiError, which the main command shows with exit code 2."""
    result = runner.invoke(app, arguments.split())
    assert isinstance(result.exception, PgssiError)
