"""``pgssi verify``: the compliance tests against the live hosts of an inventory, and the report."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import pytest
import typer
from rich.console import Console
from typer import Option

from pgssi.catalogue import load_catalogue
from pgssi.errors import InvalidInput, PgssiError, Problem
from pgssi.paths import COMPLIANCE
from pgssi.verify.plan import Plan, Selection, make_plan
from pgssi.verify.plugin import COLLECTOR
from pgssi.verify.progress import Progress, summarise
from pgssi.verify.results import Collector, in_target_accepted, write

OUTPUT = Path("var/verify")


def verify(
    inventory: Annotated[list[str] | None, Option("--inventory", "-i", help="Inventaire Ansible ; répétable.")] = None,
    palier: Annotated[int, Option(min=0, max=3, help="Palier visé, et palier le plus haut vérifié.")] = 0,
    limit: Annotated[str, Option("--limit", "-l", help="Hôtes ou groupes, à la manière d'Ansible.")] = "",
    guide: Annotated[list[str] | None, Option("--guide", "-g", help="Seulement ce guide ; répétable.")] = None,
    rule: Annotated[list[str] | None, Option("--rule", "-r", help="Seulement cette règle ; répétable.")] = None,
    acting: Annotated[
        bool | None, Option("--acting/--no-acting", help="Essais qui agissent (défaut : site_acting_tests).")
    ] = None,
    output: Annotated[Path, Option("--output", "-o", help="Dossier de results.json et du rapport.")] = OUTPUT,
    extra_vars: Annotated[
        list[str] | None, Option("--extra-vars", "-e", help="clé=valeur, JSON ou @fichier ; répétable.")
    ] = None,
    processes: Annotated[int, Option("--processes", "-n", min=0, help="Hôtes vérifiés à la fois.")] = 0,
    lang: Annotated[str, Option(help="Langue du résumé : fr ou en.")] = "fr",
    tests: Annotated[Path, Option(hidden=True)] = COMPLIANCE,
    catalogue: Annotated[Path | None, Option(hidden=True)] = None,
) -> None:
    """Vérifie les hôtes d'un inventaire et écrit le rapport.

    Lecture seule, sauf les essais que le site autorise à agir ; ils ne laissent pas de trace.

    Code de retour : 0 tout est conforme au palier visé, 1 il reste des écarts, 2 la vérification n'a pas pu
    avoir lieu.
    """
    if lang not in ("fr", "en"):
        raise InvalidInput([Problem("pgssi verify", "--lang", lang, "langue inconnue", "Donner fr ou en.")])
    selection = Selection(palier or None, limit or None, tuple(guide or ()), tuple(rule or ()), acting)
    known = load_catalogue(catalogue) if catalogue else load_catalogue()
    plan = make_plan(inventory or _configured_inventory(), selection, extra_vars or (), known)
    console = Console(stderr=True)
    with Progress(plan, console, lang) as progress:
        collector = Collector(plan, None, progress.seen)
        status = _run(plan, collector, tests, processes)
    if status == pytest.ExitCode.INTERRUPTED and not collector.collection_errors:
        raise PgssiError("Vérification interrompue : aucun résultat n'a été écrit.")
    if collector.results is None:
        raise PgssiError(
            "\n".join(collector.collection_errors or collector.crashes) or f"pytest n'a pas pu s'exécuter ({status!r})."
        )
    path = write(collector.results, output)
    summarise(collector.results, output, console, lang)
    typer.echo(path)
    raise typer.Exit(0 if in_target_accepted(collector.results) else 1)


def _configured_inventory() -> list[str]:
    """Return the inventory of ansible.cfg or ANSIBLE_INVENTORY."""
    from ansible import constants

    value, origin = constants.config.get_config_value_and_origin("DEFAULT_HOST_LIST")
    if origin == "default":
        remedy = "Ajouter -i INVENTAIRE (par exemple -i inventories/demo)."
        raise InvalidInput([Problem("pgssi verify", "--inventory", "", "aucun inventaire n'est donné", remedy)])
    return [str(source) for source in value]


def _run(plan: Plan, collector: Collector, tests: Path, processes: int) -> int:
    """Run pytest in this process; its own plugins only, whatever else is installed."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    arguments = ["-p", "pgssi.verify.plugin", "-p", "no:cacheprovider", "-p", "no:terminal", "-c", os.devnull]
    arguments += [f"--rootdir={tests}", "--import-mode=importlib", "--strict-markers"]
    wanted = min(processes or 4 * (os.cpu_count() or 1), len(plan.contexts))
    if wanted > 1:
        arguments += ["-p", "xdist", "-n", str(wanted), "--dist", "loadscope"]
    return int(pytest.main([*arguments, str(tests)], plugins=[_Named(collector)]))


class _Named:
    """Registers the collector under the name by which the plugin looks for it."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        if not config.pluginmanager.has_plugin(COLLECTOR):
            config.pluginmanager.register(self._collector, COLLECTOR)
        config.option.tbstyle = "value"  # nobody reads the tracebacks, and making them is slow
