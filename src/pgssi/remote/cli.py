"""``pgssi remote``: the recorded sessions of suppliers, read where the log server keeps them."""

from __future__ import annotations

import json
import os
import shlex
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pgssi.errors import PgssiError
from pgssi.evidence.words import moment, say, span
from pgssi.inventory import load_inventory
from pgssi.remote.recording import RECORDS, Session
from pgssi.transport.backend import channel_for
from pgssi.transport.connection import Connection

app = typer.Typer(help="Relit les interventions à distance enregistrées sur le serveur de journaux.", no_args_is_help=True)

Inventory = Annotated[list[str], typer.Option("-i", "--inventory", help="Inventaire Ansible du site.")]
Lang = Annotated[str, typer.Option("--lang", envvar="PGSSI_LANG", help="Langue : fr ou en.")]
Json = Annotated[bool, typer.Option("--json", help="Sortie JSON.")]
Name = Annotated[str, typer.Argument(metavar="ENREGISTREMENT", help="Nom donné par « pgssi remote list ».")]
MODES = {
    "shell": ("terminal", "terminal"),
    "exec": ("commande", "command"),
    "sftp": ("fichiers", "files"),
    "tcp": ("flux", "relay"),
}


def _server(inventory: list[str]) -> Connection:
    loaded = load_inventory(inventory)
    members = sorted(loaded.members("log_servers"))
    if not members:
        raise PgssiError("L'inventaire n'a pas de serveur de journaux. Mettez-en un dans le groupe log_servers.")
    return loaded.hosts[members[0]].connection


def _ask(inventory: list[str], *words: str) -> Any:
    channel = channel_for(_server(inventory))
    try:
        done = channel.run(shlex.join([RECORDS, *words]).encode(), timeout=600)
    finally:
        channel.close()
    if done.rc:
        said = done.stderr.decode("utf-8", "replace").strip()
        if done.rc == 127:
            said = "rien n'y est installé. Appliquez playbooks/remote_maintenance.yml au palier 2."
        raise PgssiError(f"Le serveur de journaux ne répond pas à la demande : {said[-400:]}")
    return json.loads(done.stdout)


@app.command("list")
def list_(
    inventory: Inventory,
    window: Annotated[str, typer.Option(help="Une seule fenêtre d'intervention.")] = "",
    since: Annotated[str, typer.Option(help="Depuis ce moment (AAAA-MM-JJ, AAAA-MM-JJTHH:MM).")] = "",
    as_json: Json = False,
    lang: Lang = "fr",
) -> None:
    """Liste les sessions enregistrées, les plus anciennes d'abord."""
    options = [f"--{name}={value}" for name, value in (("window", window), ("since", since)) if value]
    answer = _ask(inventory, "list", *options)
    if as_json:
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for pair in _COLUMNS:
        table.add_column(say(pair, lang), no_wrap=True)
    for session in map(Session.of, answer):
        if not session.end:
            state = Text(say(("en cours", "running"), lang), style="yellow")
        elif session.complete:
            state = Text(span((session.ended - session.started).total_seconds()), style="green")
        else:
            state = Text(say(("interrompue", "broken off"), lang), style="red")
        mode = say(MODES.get(session.mode, (session.mode, session.mode)), lang)
        table.add_row(session.recording, Text(session.account), mode, session.source, moment(session.start, lang), state)
    Console(width=max(Console().width, 130)).print(table, soft_wrap=True)


_COLUMNS = (
    ("Enregistrement", "Recording"),
    ("Compte", "Account"),
    ("Nature", "Kind"),
    ("Depuis", "From"),
    ("Début", "Start"),
    ("Durée", "Duration"),
)


@app.command()
def show(
    name: Name,
    inventory: Inventory,
    output: Annotated[bool, typer.Option("--output", help="Montre aussi ce que la session a affiché.")] = False,
    as_json: Json = False,
    lang: Lang = "fr",
) -> None:
    """Montre une session : commandes, fichiers échangés, et ce qu'elle a affiché avec --output."""
    session = _ask(inventory, "describe", name)
    printed = _ask(inventory, "output", name) if output else {}
    if as_json:
        typer.echo(json.dumps({**session, **printed}, ensure_ascii=False, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        Text(f"{session['account']} {say(('depuis', 'from'), lang)} {session['source']}, {moment(session['start'], lang)}")
    )
    for command in session["commands"]:
        note = ""
        if command["masked"]:
            note = say((" (saisie masquée)", " (masked)"), lang)
        elif command["raw"]:
            note = say((" (saisie brute)", " (raw keys)"), lang)
        console.print(Text(f"  + {span(command['at']):>9}  {command['text']}{note}"))
    for file in session["transfers"]:
        way = say(("vers l'équipement", "to the equipment"), lang)
        if file["direction"] == "from_equipment":
            way = say(("depuis l'équipement", "from the equipment"), lang)
        console.print(Text(f"  + {span(file['at']):>9}  {way} : {file['path']}, {file['size']} o, {file['sha256'] or '?'}"))
    for action in session["operations"]:
        console.print(Text(f"  + {span(action['at']):>9}  {action['operation']} {action['path']} {action['to']}".rstrip()))
    if session["damaged"]:
        console.print(Text(say(("  transfert illisible en partie", "  transfer partly unreadable"), lang), style="yellow"))
    if output:
        console.print(Text(printed["output"]))
        if printed["cut"]:
            console.print(
                Text(say(("… la suite par « pgssi remote replay »", "… more with 'pgssi remote replay'"), lang), style="yellow")
            )


@app.command()
def replay(
    name: Name,
    inventory: Inventory,
    speed: Annotated[float, typer.Option(min=0.1, max=100.0, help="Vitesse.")] = 1.0,
    longest: Annotated[float, typer.Option(min=0.0, help="Plus longue attente, en secondes.")] = 2.0,
) -> None:
    """Rejoue une session dans ce terminal, comme elle s'est affichée (espace : pause)."""
    found = _ask(inventory, "list")
    if name not in {session["recording"] for session in found}:
        raise PgssiError(f"Enregistrement inconnu : {name}. « pgssi remote list » les donne.")
    connection = _server(inventory)
    root = _ask(inventory, "root")["root"]
    player = shlex.join(["sudoreplay", "-s", str(speed), "-m", str(longest), f"{root}/recordings/{name}"])
    argv = connection.argv(options=("-tt",))
    os.execvp(argv[0], [*argv, f"sudo {player}" if connection.become else player])
