"""``pgssi lab``: the demo hospital on this machine."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pgssi.errors import PgssiError
from pgssi.lab.demo import Demo, show
from pgssi.lab.lifecycle import DIRECTORY, Lab
from pgssi.paths import ROOT

app = typer.Typer(
    help="Le laboratoire : un petit hôpital de vrais hôtes Debian, conteneurs ou machines virtuelles.", no_args_is_help=True
)
console = Console(highlight=False)

Inventories = Annotated[list[str] | None, typer.Option("--inventory", "-i", help="Inventaire du laboratoire (inventories/demo).")]
Directory = Annotated[Path, typer.Option(help="Où sont les clés du laboratoire.")]
Hosts = Annotated[list[str] | None, typer.Argument(help="Hôtes (tous par défaut).")]


@app.command()
def up(hosts: Hosts = None, inventory: Inventories = None, directory: Directory = DIRECTORY) -> None:
    """Démarre le laboratoire ; ce qui tourne déjà n'est pas touché."""
    lab = _lab(inventory, directory)
    lab.up(*(hosts or ()))
    console.print(f"Laboratoire prêt. Se connecter : pgssi lab ssh {(hosts or lab.hosts)[0]}")


@app.command()
def reset(hosts: Hosts = None, inventory: Inventories = None, directory: Directory = DIRECTORY) -> None:
    """Remet les hôtes dans leur état du premier jour."""
    _lab(inventory, directory).reset(*(hosts or ()))


@app.command()
def restart(hosts: Hosts = None, inventory: Inventories = None, directory: Directory = DIRECTORY) -> None:
    """Éteint et rallume les hôtes ; leurs fichiers restent."""
    _lab(inventory, directory).restart(*(hosts or ()))


@app.command()
def down(inventory: Inventories = None, directory: Directory = DIRECTORY) -> None:
    """Retire les conteneurs, les machines virtuelles et les réseaux du laboratoire ; les images restent."""
    _lab(inventory, directory).down()


@app.command()
def status(inventory: Inventories = None, directory: Directory = DIRECTORY) -> None:
    """Dit l'état de chaque hôte ; le code de retour est 1 quand il en manque."""
    lab = _lab(inventory, directory)
    table = Table("hôte", "état", "adresse", "image", "zones")
    states = lab.status()
    for name, host in lab.model.hosts.items():
        colour = "green" if states[name] == "running" else "red"
        zones = ", ".join(zone.name for zone in host.zones)
        address = f"{host.address}:{host.port}" if host.machine else host.address
        table.add_row(name, f"[{colour}]{_STATES.get(states[name], states[name])}[/]", address,
                      host.image.rpartition(":")[2], zones)  # fmt: skip
    console.print(table)
    if set(states.values()) != {"running"}:
        raise typer.Exit(1)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def ssh(
    context: typer.Context,
    host: Annotated[str, typer.Argument(help="Hôte.")],
    inventory: Inventories = None,
    directory: Directory = DIRECTORY,
    user: Annotated[str, typer.Option(help="Compte.")] = "pgssi",
) -> None:
    """Ouvre une session sur un hôte, ou y exécute la commande donnée ensuite."""
    lab = _lab(inventory, directory)
    if host not in lab.hosts:
        raise PgssiError(f"Hôte inconnu du laboratoire : {host}. Connus : {', '.join(lab.hosts)}.")
    pinned = (f"-oUserKnownHostsFile={directory / 'known_hosts'}", "-oStrictHostKeyChecking=yes")
    chosen = lab.model.hosts[host]
    address = f"{user}@{chosen.address}"
    os.execvp("ssh", ["ssh", *pinned, "-p", str(chosen.port), "-i", str(directory / "keys" / "pgssi"), address, *context.args])


@app.command()
def demo(palier: Annotated[int, typer.Option(min=1, max=3, help="Palier à atteindre.")] = 2) -> None:
    """Remet l'hôpital à neuf, l'audite, le durcit, l'audite encore et compare (fait par « make demo »)."""
    show(Demo(palier, console).run())


_STATES = {"running": "en marche", "absent": "absent", "exited": "arrêté"}


def _lab(inventory: list[str] | None, directory: Path) -> Lab:
    started = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:6.1f} s[/]  {text}", soft_wrap=True)

    return Lab.load(inventory or [str(ROOT / "inventories" / "demo")], directory=directory, say=say)
