"""Before and after: what counts as better, and what the command line says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from report_builder import make_catalogue, make_host, make_results, make_rule, make_waiver
from test_report import Page
from typer.testing import CliRunner

from pgssi.report import cli as report_cli
from pgssi.report import compare, write
from pgssi.scoring import score

CATALOGUE = make_catalogue([make_rule("one"), make_rule("two", palier=2)])


def results_of(verdict: str | None, **more: Any) -> dict[str, Any]:
    """Fabricate a run of one host in which rule one has the given verdict."""
    waived = {"verdict": verdict, "raw": "non_conforme", "waiver": make_waiver("one")}
    given = waived if verdict == "derogation" else verdict
    return make_results(CATALOGUE, [make_host("h")], lambda _, rule: given if rule.id == "one" else "conforme", **more)


def saved(directory: Path, results: dict[str, Any], with_page: bool = True) -> Path:
    """Save a run as ``pgssi verify`` leaves it; return the path of results.json."""
    directory.mkdir(parents=True)
    if with_page:
        write(results, directory, CATALOGUE)
    path = directory / "results.json"
    path.write_text(json.dumps(results), "utf-8")
    return path


@pytest.mark.parametrize(
    ("before", "after", "trend"),
    [
        ("non_conforme", "conforme", "up"),
        ("non_verifie", "conforme", "up"),
        ("conforme", "non_conforme", "down"),
        ("conforme", "non_verifie", "down"),
        ("non_conforme", "non_verifie", "side"),
        ("non_verifie", "non_conforme", "side"),
        ("conforme", "non_applicable", "side"),
        ("non_conforme", "derogation", "side"),
        ("conforme", "derogation", "down"),
        ("derogation", "conforme", "up"),
        ("derogation", "non_conforme", "down"),
    ],
)
def test_trend_of_a_change(before: str, after: str, trend: str) -> None:
    """A fault that is waived or no longer observed is no improvement."""
    old, new = (score(results_of(verdict), CATALOGUE) for verdict in (before, after))
    assert [(c.rule, c.hosts, c.trend) for c in compare.changes(old, new, CATALOGUE)] == [("one", ("h",), trend)]


def test_page_shows_both_sides_and_links_both_reports(tmp_path: Path) -> None:
    """The comparison stands beside the two directories and reaches both pages."""
    before = saved(tmp_path / "before", results_of("non_conforme"))
    after = saved(tmp_path / "run" / "after", results_of("conforme"))
    path = compare.write_comparison(before, after, tmp_path / "compare.html", CATALOGUE)
    page = Page(path.read_text("utf-8"))
    outside = {link.partition("#")[0] for link in page.links if not link.startswith("#")}
    assert outside == {"before/report.html", "run/after/report.html"}
    assert all((tmp_path / link).is_file() for link in outside)
    assert "1 améliorées, 0 dégradées" in page.text
    assert page.languages["fr"] == page.languages["en"]


def test_report_that_is_not_there_is_not_linked(tmp_path: Path) -> None:
    """Only results.json is needed."""
    before = saved(tmp_path / "before", results_of("conforme"), with_page=False)
    path = compare.write_comparison(before, before, tmp_path / "compare.html", CATALOGUE)
    page = Page(path.read_text("utf-8"))
    assert all(link.startswith("#") for link in page.links)
    assert "Rapport non joint" in page.text and "Aucun changement" in page.text


def test_folders_of_results_are_enough(tmp_path: Path) -> None:
    """The folder that pgssi verify wrote stands for its results.json; the page links the reports beside it."""
    before = saved(tmp_path / "before", results_of("non_conforme")).parent
    after = saved(tmp_path / "after", results_of("conforme")).parent
    answer = CliRunner().invoke(report_cli.app, ["compare", str(before), str(after), "-o", str(tmp_path / "index.html")])
    assert answer.exit_code == 0, answer.output
    page = Page((tmp_path / "index.html").read_text("utf-8"))
    assert {"before/report.html", "after/report.html"} <= {link.partition("#")[0] for link in page.links}


def test_other_site_and_other_hosts_are_visible(tmp_path: Path) -> None:
    """Comparing two sites is possible and cannot go unnoticed."""
    other = make_results(CATALOGUE, [make_host("elsewhere")])
    other["site"]["name"] = "CH voisin"
    before, after = saved(tmp_path / "a", other), saved(tmp_path / "b", results_of("conforme"))
    page = Page(compare.write_comparison(before, after, tmp_path / "c.html", CATALOGUE).read_text("utf-8"))
    assert "pas du même site" in page.text and "CH voisin" in page.text
    assert "0 améliorées, 0 dégradées, 4 autres changements" in page.text


def test_command_lists_the_gaps_as_plain_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a host says is neither terminal colour nor markup."""
    monkeypatch.setattr(report_cli, "load_catalogue", lambda: CATALOGUE)
    results = results_of("non_conforme")
    results["verdicts"][0]["message"] = "[bold]obtenu[/bold] \x1b[31m8"
    answer = CliRunner().invoke(report_cli.app, ["gaps", str(saved(tmp_path / "r", results))])
    assert answer.exit_code == 0
    flat = " ".join(answer.output.split())
    assert "[bold]obtenu[/bold] \\u001b[31m8" in flat
    assert "Site : palier 0, cible 2" in flat and "sur 2." in flat


def test_command_does_not_call_left_out_rules_gaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a run of palier 1 only, palier 2 is unknown, not lacking; the count still says how much."""
    monkeypatch.setattr(report_cli, "load_catalogue", lambda: CATALOGUE)
    selection = {"palier": 1, "limit": None, "guides": [], "rules": [], "acting": None}
    results = make_results(CATALOGUE, [make_host("h")], lambda _, r: "conforme" if r.palier == 1 else None, selection=selection)
    answer = CliRunner().invoke(report_cli.app, ["gaps", str(saved(tmp_path / "r", results))])
    flat = " ".join(answer.output.split())
    assert "Titre de two" not in flat
    assert "palier 1, cible 2" in flat and "1 non vérifiées, sur 2." in flat


def test_command_writes_beside_the_results_by_default(tmp_path: Path) -> None:
    """The page of a foreign catalogue is written too, with its warning."""
    path = saved(tmp_path / "r", results_of("conforme"), with_page=False)
    answer = CliRunner().invoke(report_cli.app, ["html", str(path)])
    assert answer.exit_code == 0
    assert "autre catalogue" in (path.parent / "report.html").read_text("utf-8")
    assert (path.parent / "junit.xml").is_file()
