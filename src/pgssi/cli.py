"""The ``pgssi`` command: playbooks change hosts, this command reads them."""

from __future__ import annotations

import importlib
import sys

import typer
from rich.console import Console

from pgssi import __version__
from pgssi.errors import PgssiError

# name: module with a Typer `app`.
GROUPS = {
    "lab": "pgssi.lab.cli",
    "catalogue": "pgssi.catalogue.cli",
    "report": "pgssi.report.cli",
    "evidence": "pgssi.evidence.cli",
    "remote": "pgssi.remote.cli",
    "flows": "pgssi.network.cli",
}
# name: (module, function) of a command without sub-commands.
COMMANDS = {
    "verify": ("pgssi.verify.cli", "verify"),
    "check": ("pgssi.site.cli", "check"),
}


def build(only: str = "") -> typer.Typer:
    """Assemble the command line from its parts, or only the one asked for: the others cost a second."""
    app = typer.Typer(
        help="PGSSI-S : vérifie les hôtes d'un site, explique les règles, écrit le rapport.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )

    @app.callback(invoke_without_command=True)
    def root(version: bool = typer.Option(False, "--version", help="Affiche la version.")) -> None:
        if version:
            typer.echo(f"pgssi {__version__}")
            raise typer.Exit

    wanted = {only} if only in GROUPS or only in COMMANDS else {*GROUPS, *COMMANDS}
    for name, module in GROUPS.items():
        if name in wanted:
            app.add_typer(importlib.import_module(module).app, name=name)
    for name, (module, function) in COMMANDS.items():
        if name in wanted:
            app.command(name)(getattr(importlib.import_module(module), function))
    return app


def main() -> None:
    """Run the command; a PgssiError is shown without a traceback and exits with 2; Ctrl-C with 130."""
    try:
        build(next(iter(sys.argv[1:]), ""))()
    except PgssiError as error:
        Console(stderr=True).print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
