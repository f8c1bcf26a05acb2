"""The report: one HTML page and one JUnit file out of a results document."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pgssi.catalogue import Catalogue, load_catalogue
from pgssi.report.document import check_results, load_results
from pgssi.report.junit import write_junit
from pgssi.report.page import render
from pgssi.report.site import site_values
from pgssi.scoring import score

__all__ = ["check_results", "load_results", "write"]


def write(
    results: Mapping[str, Any],
    directory: Path,
    catalogue: Catalogue | None = None,
    source: str = "results.json",
) -> Path:
    """Write ``report.html`` and ``junit.xml`` into ``directory``; return the path of the page.

    results: a ``pgssi-results/1`` document. catalogue: the toolkit's own unless given.
    source: how the user knows the document, for error messages.
    Raises InvalidInput when the document does not follow its schema.
    """
    check_results(results, source)
    known = catalogue or load_catalogue()
    directory.mkdir(parents=True, exist_ok=True)
    judged = score(results, known)
    write_junit(results, judged, directory / "junit.xml")
    page = directory / "report.html"
    page.write_text(render("report.html.j2", site_values(results, judged, known)), "utf-8")
    return page
