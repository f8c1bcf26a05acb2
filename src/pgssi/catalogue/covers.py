"""How much of the official text the toolkit observes: counts of the catalogue, not the state of a site."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pgssi.catalogue import Catalogue, Requirement


@dataclass(frozen=True)
class Cover:
    """Numbers of requirements; ``rule + evidence + attested + nothing == total``.

    rule: at least one rule observes part of it. evidence: no rule, but a kind of signed record does.
    attested: neither; a person of the site can answer. nothing: automated, and no rule exists yet.
    """

    total: int
    rule: int
    evidence: int
    attested: int
    nothing: int


def means(requirement: Requirement, catalogue: Catalogue) -> str:
    """Return what covers one requirement: ``rule``, ``evidence``, ``attested`` or ``nothing``."""
    if catalogue.rules_for(requirement.id):
        return "rule"
    if requirement.class_ == "automated":
        return "nothing"
    return "evidence" if requirement.evidence else "attested"


def cover(requirements: Iterable[Requirement], catalogue: Catalogue) -> Cover:
    """Count what covers these requirements."""
    counts = Counter(means(requirement, catalogue) for requirement in requirements)
    return Cover(counts.total(), counts["rule"], counts["evidence"], counts["attested"], counts["nothing"])
