"""junit.xml: one testcase per host and rule, and never a silent pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from report_builder import make_catalogue, make_host, make_results, make_rule, make_waiver

from pgssi.report import write

CATALOGUE = make_catalogue([make_rule("one"), make_rule("two", palier=2)])


def suites(directory: Path, results: dict[str, Any]) -> ElementTree.Element:
    """Write the report and parse its JUnit file."""
    write(results, directory, CATALOGUE)
    return ElementTree.parse(directory / "junit.xml").getroot()


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        ("conforme", None),
        ("non_conforme", "failure"),
        ("non_verifie", "error"),
        ("non_applicable", "skipped"),
    ],
)
def test_each_verdict_has_its_outcome(tmp_path: Path, verdict: str, outcome: str | None) -> None:
    """Only what was observed as conforming passes."""
    root = suites(tmp_path, make_results(CATALOGUE, [make_host("h")], lambda *_: verdict))
    for case in root.iter("testcase"):
        kinds = [child.tag for child in case if child.tag != "system-out"]
        assert kinds == ([outcome] if outcome else [])
    names = {"failure": "failures", "error": "errors", "skipped": "skipped"}
    assert root.get("tests") == "2"
    assert {name: root.get(name) for name in names.values()} == {
        name: "2" if kind == outcome else "0" for kind, name in names.items()
    }


def test_waived_rule_is_skipped_with_its_verdict(tmp_path: Path) -> None:
    """A waiver is neither a pass nor a failure."""
    waived = {"verdict": "derogation", "raw": "non_conforme", "waiver": make_waiver("one", scope=["h"])}
    root = suites(tmp_path, make_results(CATALOGUE, [make_host("h")], lambda _, r: waived if r.id == "one" else None))
    skipped = root.find(".//testcase[@name='one']/skipped")
    assert skipped is not None and "Dérogation" in skipped.get("message", "")


def test_lost_host_gives_errors(tmp_path: Path) -> None:
    """Every rule of an unreachable host is an error, reported or not."""
    host = make_host("h", status="unreachable", message="no route")
    root = suites(tmp_path, make_results(CATALOGUE, [host], lambda *_: None))
    assert (root.get("errors"), root.get("tests")) == ("2", "2")


def test_rule_left_out_on_purpose_is_skipped(tmp_path: Path) -> None:
    """A run limited to palier 1 does not fail a pipeline for palier 2, and does not pass it either."""
    selection = {"palier": 1, "limit": None, "guides": [], "rules": [], "acting": None}
    results = make_results(CATALOGUE, [make_host("h")], lambda _, r: "conforme" if r.palier == 1 else None, selection=selection)
    root = suites(tmp_path, results)
    skipped = root.find(".//testcase[@name='two']/skipped")
    assert skipped is not None and "Hors de la sélection" in skipped.get("message", "")


def test_hostile_text_keeps_the_file_well_formed(tmp_path: Path) -> None:
    """Control characters, lone surrogates and markup are made visible."""
    hostile = "\x00\x1b[31m]]><failure/>\ud800\u202e"
    root = suites(
        tmp_path,
        make_results(
            CATALOGUE,
            [make_host("h")],
            lambda *_: {
                "verdict": "non_conforme",
                "raw": "non_conforme",
                "message": hostile,
                "observed": [hostile],
            },
        ),
    )
    assert len(list(root.iter("failure"))) == 2
    assert "\\ud800" in (root.findtext(".//system-out") or "")
