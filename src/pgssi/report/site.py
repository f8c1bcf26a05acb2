"""The values of the site report's template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pgssi.catalogue import Catalogue
from pgssi.report import view
from pgssi.report.cautions import cautions
from pgssi.report.flows import network_values
from pgssi.report.words import subject
from pgssi.scoring import Finding, Score, Tally


def site_values(results: Mapping[str, Any], score: Score, catalogue: Catalogue) -> dict[str, Any]:
    """Return everything that ``report.html.j2`` shows."""
    covered = {requirement for rule in catalogue.rules.values() for requirement in rule.requirements}
    by_role = {rule.id for rule in catalogue.rules.values() if rule.kind == "host"}

    def appliable(gaps: Iterable[Finding]) -> bool:
        """Return whether running the guide's playbook can close one of these gaps."""
        return any(gap.verdict == "non_conforme" and gap.rule in by_role for gap in gaps)

    return {
        "appliable": appliable,
        "results": results,
        "site": results["site"],
        "score": score,
        "catalogue": catalogue,
        "cautions": list(cautions(results, score, catalogue)),
        "captions": view.captions(results, score),
        "weakest": view.weakest(score),
        "guide_names": {guide: subject(guide) for guide in score.guides},
        "rules": view.rule_views(score, catalogue),
        "gaps": view.gaps_by_host(score),
        "waivers": view.waivers(score),
        "unverified": view.unverified(score),
        "themes": [(theme, Tally.of(s.verdict for s in scores), scores) for theme, scores in view.themes(score)],
        "requirement_tally": Tally.of(s.verdict for s in score.requirements.values()),
        "covered": len(covered & set(score.requirements)),
        "attestations": list(view.attestation_rows(results, score)),
        "evidence": list(view.evidence_rows(results, score)),
        "observed_hosts": len({f.host for f in score.findings if f.verdict != "non_verifie"}),
        **network_values(results.get("network"), score.as_of),
        "host_by_name": {host["name"]: host for host in results["hosts"]},
    }
