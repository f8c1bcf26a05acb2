"""What independent scanners say of a virtual machine of the lab, and what of it the site may answer for.

OpenSCAP with the content of ComplianceAsCode (package ssg-debian, not in this repository), Lynis, ssh-audit. The first two run on
the machine, from its own packages; ssh-audit asks from outside. ``catalogue/scanners.yml`` says what fails and stays so, and why.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from pgssi.errors import InvalidInput, Problem
from pgssi.paths import CATALOGUE

# Each holds the rules of the one before, and judges them alike: the last is evaluated, once for all.
PROFILES = ("minimal", "intermediary", "enhanced")
XCCDF = "{http://checklists.nist.gov/xccdf/1.2}"
PROFILE = "xccdf_org.ssgproject.content_profile_anssi_bp28_{}"
RULE = "xccdf_org.ssgproject.content_rule_"
CONTENT = "/var/tmp/pgssi-scan.xml"
# Exit status 2: some rule fails.
EVALUATE = "oscap xccdf eval --progress --skip-validation --profile {profile} {content} || test $? -eq 2"
INSTALL = "DEBIAN_FRONTEND=noninteractive apt-get -q -q install -y --no-install-recommends {packages} >&2 </dev/null"
HOURS = 4 * 3600.0

# ``run(script, stdin)``: a shell script as root on the machine; returns its output.
Run = Callable[[str, bytes], str]


@dataclass(frozen=True)
class Lynis:
    """Hardening index out of 100, and the tests that warn, as ``ID text``."""

    index: int
    warnings: tuple[str, ...]


def openscap(run: Run, content: Path, profile: str) -> dict[str, str]:
    """Return the result of each rule of a profile (pass, fail, notapplicable…), by the rule's short name."""
    run(INSTALL.format(packages="openscap-scanner"), b"")
    run(f"gzip -d > {CONTENT}", gzip.compress(content.read_bytes(), 1))
    said = run(EVALUATE.format(profile=PROFILE.format(profile), content=CONTENT), b"")
    run(f"rm -f {CONTENT}", b"")
    found = re.findall(rf"^{RULE}([^\s:]+):(\w+)$", said, re.MULTILINE)
    if not found:
        raise InvalidInput([Problem(str(content), "profile", profile, "aucun résultat", "donner le contenu ssg-debian12-ds.xml")])
    return dict(found)


def rules_of(content: Path) -> dict[str, frozenset[str]]:
    """Return the rules of each profile, by short name; an error when the last does not judge the others alike."""
    rules: dict[str, frozenset[str]] = {}
    values: dict[str, dict[str | None, str | None]] = {}
    known = {PROFILE.format(name): name for name in PROFILES}
    for _event, profile in ET.iterparse(content):
        if profile.tag != f"{XCCDF}Profile" or profile.get("id") not in known:
            continue
        name = known[str(profile.get("id"))]
        selected = [str(one.get("idref")) for one in profile.iter(f"{XCCDF}select") if one.get("selected") == "true"]
        rules[name] = frozenset(one.removeprefix(RULE) for one in selected)
        values[name] = {one.get("idref"): one.get("selector") for one in profile.iter(f"{XCCDF}refine-value")}
    whole = PROFILES[-1]
    for name in PROFILES:
        if name not in rules or not (rules[name] <= rules[whole] and values[name].items() <= values[whole].items()):
            remedy = "évaluer ce profil à part, ou donner le contenu ssg-debian12-ds.xml"
            raise InvalidInput([Problem(str(content), "profile", name, f"absent, ou jugé autrement que par {whole}", remedy)])
    return rules


# Its status says that it found something, or that it fell: the report tells, which is written anew.
LYNIS = """
rm -f /var/log/lynis-report.dat
if lynis audit system --quick --no-colors --quiet >&2; then :; fi
test -s /var/log/lynis-report.dat
"""


def lynis(run: Run) -> Lynis:
    """Return what Lynis reports of the whole machine."""
    run(INSTALL.format(packages="lynis"), b"")
    run(LYNIS, b"")
    report = run("cat /var/log/lynis-report.dat", b"")
    index = re.search(r"^hardening_index=(\d+)$", report, re.MULTILINE)
    if not index:
        raise ValueError("lynis gave no index: its run did not come to its end")
    warnings = [" ".join(line.split("|")[:2]) for line in re.findall(r"^warning\[\]=(.*)$", report, re.MULTILINE)]
    return Lynis(int(index[1]), tuple(warnings))


def ssh_audit(command: Sequence[str], address: str, port: int) -> dict[str, list[str]]:
    """Return what ssh-audit holds against the algorithms of a server: its ``fail`` and its ``warn``."""
    words = [*command, "--json", "--skip-rate-test", "--port", str(port), address]
    said = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False).stdout
    found: dict[str, list[str]] = {"fail": [], "warn": []}
    document = json.loads(said)
    if not document.get("kex"):
        raise InvalidInput(
            [Problem("ssh-audit", f"{address}:{port}", said[:80], "le serveur n'a pas répondu", "vérifier qu'il écoute")]
        )
    for part in ("kex", "key", "enc", "mac"):
        for item in document.get(part) or ():
            for level in found:
                found[level] += [f"{item['algorithm']}: {note}" for note in item.get("notes", {}).get(level, ())]
    return found


@dataclass(frozen=True)
class Acceptance:
    """Why findings of a scanner stay: patterns of their names, the reason in French and in English."""

    scanner: str
    findings: tuple[str, ...]
    reason: Mapping[str, str]


def accepted(path: Path = CATALOGUE / "scanners.yml") -> list[Acceptance]:
    """Return what is accepted, in the order of the file."""
    document = yaml.safe_load(path.read_text("utf-8"))
    return [Acceptance(one["scanner"], tuple(one["findings"]), one["reason"]) for one in document["accepted"]]


def unexplained(findings: Sequence[str], scanner: str, known: Sequence[Acceptance]) -> list[str]:
    """Return the findings of a scanner that no acceptance names; a star stands for any characters."""
    patterns = [
        re.compile(re.escape(name).replace(r"\*", ".*")) for one in known if one.scanner == scanner for name in one.findings
    ]
    return [name for name in findings if not any(pattern.fullmatch(name) for pattern in patterns)]


def unused(findings: Sequence[str], scanner: str, known: Sequence[Acceptance]) -> list[str]:
    """Return what is accepted of a scanner and that it does not hold against the machine: to be taken out of the file."""
    names = [name for one in known if one.scanner == scanner for name in one.findings]
    return [name for name in names if len(unexplained(findings, scanner, [Acceptance(scanner, (name,), {})])) == len(findings)]
