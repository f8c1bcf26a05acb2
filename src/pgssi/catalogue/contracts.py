"""The contracts between the catalogue and the rest of the repository: no rule without role, test and break.

Every function returns faults as sentences that name the file; an empty list means that the contract holds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pgssi.catalogue import Catalogue, Rule
from pgssi.catalogue.explain import breaks, mentions, proofs, settings, sources
from pgssi.paths import ROOT

# A rule named in a task: `'rule-id' in (hostvars[…] | pgssi.toolkit.rules)` or a comment `# rule: rule-id`.
_IN_RULES = re.compile(r"""['"]([a-z][a-z0-9]*(?:-[a-z0-9]+)+)['"]\s+(?:not\s+)?in\s+[^\n]*toolkit\.rules""")
_COMMENT = re.compile(r"#\s*rule:\s*([a-z0-9-]+(?:\s*,\s*[a-z0-9-]+)*)")
_READABLE = {".py", ".yml", ".j2", ".sh", ""}
_KIND = re.compile(r"""\bkind["']?\s*[:=]\s*["']?(\w+)""")
# Where a rule's id would be a second list of rules.
_FORBIDDEN = ("src/**/*.py", "playbooks/**/*.yml", "molecule/**/*.yml", "lab/**/*", "roles/*/meta/*.yml")


def not_enforced(catalogue: Catalogue, root: Path = ROOT) -> list[str]:
    """Return the host rules that no setting, task, template or plugin names."""
    set_ = {setting.rule for setting in settings(root)}
    return [
        f"{rule.id}: no setting or task of roles/{rule.guide} or plugins names this rule"
        for rule in _host_rules(catalogue)
        if rule.id not in set_ and not mentions(rule.id, root)
    ]


def not_proven(catalogue: Catalogue, root: Path = ROOT) -> list[str]:
    """Return the rules without a compliance test, and the tests that stand in another guide's folder."""
    tests = proofs(root)
    tested = {proof.rule for proof in tests}
    missing = [
        f"{rule.id}: no test of tests/compliance/{rule.guide} carries its mark"
        for rule in catalogue.rules.values()
        if rule.id not in tested
    ]
    placed = [(proof, catalogue.rules[proof.rule].guide) for proof in tests if proof.rule in catalogue.rules]
    return missing + [
        f"{proof.file}::{proof.test}: {proof.rule} belongs to tests/compliance/{guide}"
        for proof, guide in placed
        if f"compliance/{guide}/" not in proof.file
    ]


def not_broken(catalogue: Catalogue, root: Path = ROOT) -> list[str]:
    """Return the host rules without a break, or with two on one host, and the breaks without a host or a script."""
    found = breaks(root)
    broken, twice = {b.rule for b in found}, Counter((b.rule, b.host) for b in found)
    wrong = [f"{rule.id}: no break in tests/breaks/{rule.guide}.yml" for rule in _host_rules(catalogue) if rule.id not in broken]
    wrong += [f"{rule}: {count} breaks on {host}" for (rule, host), count in twice.items() if count > 1]
    empty = [f"{b.file}: {b.rule}: host or shell is empty" for b in found if not b.host or not b.shell]
    return wrong + empty


def unknown_rules(catalogue: Catalogue, root: Path = ROOT) -> list[str]:
    """Return the settings, tasks, test marks and breaks that name a rule the catalogue does not know."""
    named = [(setting.file, setting.rule) for setting in settings(root)]
    named += [(proof.file, proof.rule) for proof in proofs(root)]
    named += [(item.file, item.rule) for item in breaks(root)]
    for path in sources(root):
        text = path.read_text("utf-8")
        comments = re.split(r"\s*,\s*", ",".join(_COMMENT.findall(text)))
        found = [*_IN_RULES.findall(text), *filter(None, comments)]
        named += [(str(path.relative_to(root)), rule) for rule in found]
    return [f"{file}: unknown rule {rule}" for file, rule in named if rule not in catalogue.rules]


def settings_of_other_guides(catalogue: Catalogue, root: Path = ROOT) -> list[str]:
    """Return the settings that stand in a role other than their rule's guide."""
    return [
        f"{s.file}: {s.rule} is a rule of {catalogue.rules[s.rule].guide}"
        for s in settings(root)
        if s.rule in catalogue.rules and not s.file.startswith(f"roles/{catalogue.rules[s.rule].guide}/")
    ]


def rules_elsewhere(catalogue: Catalogue, root: Path = ROOT) -> list[str]:
    """Return the quoted rule ids outside roles, plugins, tests, breaks and documentation."""
    quoted = re.compile(r"""["'`]([a-z][a-z0-9]*(?:-[a-z0-9]+)+)["'`]""")
    return [
        f"{path.relative_to(root)}: repeats the rule {name}"
        for path in _files(root, _FORBIDDEN)
        for name in quoted.findall(path.read_text("utf-8"))
        if name in catalogue.rules
    ]


def evidence_nobody_writes(catalogue: Catalogue, root: Path = ROOT) -> list[str]:
    """Return the kinds of evidence that cover an article and that no playbook, role or plugin writes."""
    writers = _files(root, ("playbooks/**/*.yml", "roles/*/tasks/**/*.yml", "plugins/**/*.py"))
    written = {kind for path in writers for kind in _KIND.findall(path.read_text("utf-8"))}
    kinds = {kind for item in catalogue.requirements.values() for kind in item.evidence}
    return [f"evidence {kind}: nothing writes it" for kind in sorted(kinds - written)]


def vague_tests(root: Path = ROOT) -> list[str]:
    """Return the compliance tests without exactly one rule, or whose docstring is not one sentence."""
    tests = proofs(root)
    counts = Counter((proof.file, proof.test) for proof in tests)
    double = [f"{file}::{test}: carries {n} rules" for (file, test), n in counts.items() if n != 1]
    return double + [
        f"{proof.file}::{proof.test}: its docstring must be one sentence that says how the rule is proven"
        for proof in tests
        if not re.fullmatch(r"\S[^\n]{14,200}\.", proof.sentence)
    ]


def faults(catalogue: Catalogue, root: Path = ROOT) -> list[str]:
    """Return the faults of every contract of this module."""
    return [
        *not_enforced(catalogue, root),
        *not_proven(catalogue, root),
        *not_broken(catalogue, root),
        *unknown_rules(catalogue, root),
        *settings_of_other_guides(catalogue, root),
        *rules_elsewhere(catalogue, root),
        *evidence_nobody_writes(catalogue, root),
        *vague_tests(root),
    ]


def _host_rules(catalogue: Catalogue) -> list[Rule]:
    return [rule for rule in catalogue.rules.values() if rule.kind == "host"]


def _files(root: Path, patterns: Iterable[str]) -> list[Path]:
    found = {path for pattern in patterns for path in root.glob(pattern)}
    return sorted(path for path in found if path.is_file() and path.suffix in _READABLE)
