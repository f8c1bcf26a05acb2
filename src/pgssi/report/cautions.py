"""What a reader must know before believing a figure: the limits of this measurement, most serious first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from pgssi.catalogue import Catalogue
from pgssi.report.words import Pair, both
from pgssi.scoring import Score, limited_hosts

OTHER_CATALOGUE: Pair = (
    "Ces résultats viennent d'un autre catalogue que celui qui a produit cette page : titres, règles "
    "attendues et exigences peuvent différer. Refaire la vérification avec cette version.",
    "These results come from another catalogue than the one that made this page: titles, expected rules and "
    "requirements may differ. Verify again with this version.",
)
UNREACHABLE: Pair = (
    "{n} hôte(s) injoignable(s) : rien n'y a été observé, leur palier n'est pas établi.",
    "{n} host(s) unreachable: nothing was observed there, their palier is not established.",
)
SOME_HOSTS: Pair = (
    "Mesure limitée à une partie des hôtes : elle ne peut pas établir le palier du site.",
    "Measurement limited to some hosts: it cannot establish the palier of the site.",
)
SOME_RULES: Pair = (
    "Mesure limitée à une partie des règles : les autres comptent comme non vérifiées.",
    "Measurement limited to some rules: the others count as not verified.",
)
NOT_ACTING: Pair = (
    "Les tests qui agissent sur l'hôte n'étaient pas autorisés : leurs règles sont non vérifiées.",
    "Tests that act on the host were not allowed: their rules are not verified.",
)
SUSPECT: Mapping[str, Pair] = {
    "waiver_void": ("Dérogations sans effet (expirées ou hors périmètre) :", "Waivers without effect:"),
    "no_test": (
        "Verdicts favorables sans test exécuté, écartés :",
        "Good verdicts without a test, set aside:",
    ),
    "contradicted": (
        "Verdicts favorables contredits par leurs tests :",
        "Verdicts their own tests contradict:",
    ),
    "not_run": (
        "Règles sélectionnées pour lesquelles rien n'a été exécuté :",
        "Selected rules that never ran:",
    ),
}


@dataclass(frozen=True)
class Caution:
    """One limit of the measurement. names: the hosts, rules or digests that it is about."""

    text: Markup
    names: tuple[str, ...] = ()


def cautions(results: Mapping[str, Any], score: Score, catalogue: Catalogue) -> Iterator[Caution]:
    """Yield every limit of this measurement that changes what its figures mean."""
    digest = results["catalogue"]["digest"]
    if digest != catalogue.digest:
        yield Caution(both(*OTHER_CATALOGUE), tuple(f"{name[:19]}…" for name in (digest, catalogue.digest)))
    lost = tuple(host["name"] for host in results["hosts"] if host["status"] != "ok")
    if lost:
        yield Caution(both(*UNREACHABLE, n=len(lost)), lost)
    if limited_hosts(results):
        yield Caution(both(*SOME_HOSTS), (limited_hosts(results),))
    selection = results["selection"]
    chosen = [*(selection.get("guides") or ()), *(selection.get("rules") or ())]
    chosen += [f"palier ≤ {selection['palier']}"] if selection.get("palier") else []
    if chosen:
        yield Caution(both(*SOME_RULES), tuple(chosen))
    if selection.get("acting") is False:
        yield Caution(both(*NOT_ACTING))
    for cause, words in SUSPECT.items():
        rules = sorted({finding.rule for finding in score.findings if finding.cause == cause})
        if rules:
            yield Caution(both(*words), tuple(rules))
