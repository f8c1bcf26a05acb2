"""JUnit XML for continuous integration: one testcase per host and rule, and never a silent pass.

conforme: passed. non_conforme: failure. non_verifie: error, because nobody knows. derogation, non_applicable
and rules that the caller left out of the run: skipped, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from pgssi.report.words import CAUSES, VERDICT_NAMES, clean
from pgssi.scoring import Finding, Score


def write_junit(results: Mapping[str, Any], score: Score, path: Path) -> Path:
    """Write the testcases to ``path``, one testsuite per host; return the path."""
    root = ElementTree.Element("testsuites", name=clean(f"PGSSI-S {results['site']['name']}"))
    by_host: dict[str, list[Finding]] = {}
    for finding in score.findings:
        by_host.setdefault(finding.host, []).append(finding)
    for host in results["hosts"]:
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=clean(host["name"]),
            timestamp=results["generated"],
            time=f"{float(host.get('seconds') or 0):.3f}",
        )
        counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
        for finding in by_host.get(host["name"], ()):
            counts["tests"] += 1
            outcome = _testcase(suite, finding)
            if outcome:
                counts[outcome] += 1
        suite.attrib.update({name: str(count) for name, count in counts.items()})
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ElementTree.indent(root)
    path.write_bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")
    return path


def _testcase(suite: ElementTree.Element, finding: Finding) -> str:
    """Add one testcase; return the counter of the suite that it raises, or "" when it passed."""
    seconds = sum(float(test.get("seconds") or 0) for test in finding.tests)
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=clean(f"{finding.host}.{finding.guide}"),
        name=clean(finding.rule),
        time=f"{seconds:.3f}",
    )
    label = VERDICT_NAMES[finding.verdict][0]
    reason = ". ".join(part for part in (label, CAUSES[finding.cause][0] if finding.cause else "", finding.message) if part)
    kind, counter = {
        "conforme": ("", ""),
        "non_conforme": ("failure", "failures"),
        "non_verifie": ("error", "errors"),
    }.get(finding.verdict, ("skipped", "skipped"))
    if finding.cause == "not_selected":
        kind, counter = "skipped", "skipped"
    if kind:
        ElementTree.SubElement(case, kind, message=clean(reason), type=finding.verdict)
    if finding.observed:
        ElementTree.SubElement(case, "system-out").text = clean("\n".join(finding.observed))
    return counter
