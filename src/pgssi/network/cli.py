"""``pgssi flows``: the register of the flows, why one packet passes or not, and the proof of the whole matrix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pgssi.errors import InvalidInput, Problem
from pgssi.inventory import load_inventory
from pgssi.network.explain import explain
from pgssi.network.live import network_of, prober_of
from pgssi.network.model import Network
from pgssi.network.prove import prove as prove_matrix
from pgssi.network.reading import expired
from pgssi.network.register import port_text
from pgssi.network.table import as_data, lines_of, show

app = typer.Typer(help="Registre des flux, explication d'un paquet, preuve de la matrice.", no_args_is_help=True)

Sources = Annotated[list[str], typer.Option("--inventory", "-i", help="Inventaire Ansible ; répétable.")]
ExtraVars = Annotated[list[str] | None, typer.Option("--extra-vars", "-e", help="clé=valeur, JSON ou @fichier ; répétable.")]


@app.command("list")
def register(inventory: Sources, extra_vars: ExtraVars = None) -> None:
    """Affiche le registre des flux (PSSI 4.2.2.2) : tout ce qui doit passer, pourquoi, pour qui, jusqu'à quand."""
    network = network_of(load_inventory(inventory, None, extra_vars or ()))
    _need_flows(network, inventory)
    table = Table(
        title=f"Registre des flux : {len(network.flows)}", title_justify="left", title_style="bold", expand=True, show_lines=True
    )
    for heading, ratio in (("Flux", 3), ("De → vers", 3), ("Services", 2), ("Responsables, besoins", 2), ("Échéance", 3)):
        table.add_column(heading, overflow="fold", ratio=None if heading == "Échéance" else ratio, min_width=ratio * 4)
    for flow in sorted(network.flows, key=lambda flow: (flow.expires, flow.id)):
        left = (flow.expires - network.today).days
        style = "bold red" if expired(flow, network.today) else "yellow" if left <= SOON_DAYS else ""
        services = "\n".join(f"{name} {_ports(network, name)}" for name in flow.services)
        needs = f"{flow.category}, disp. {flow.availability}, conf. {flow.confidentiality}"
        table.add_row(
            Text(f"{flow.id}\n").append(flow.purpose, style="dim"),
            Text(f"{', '.join(flow.sources)}\n→ {', '.join(flow.destinations)}"),
            Text(services),
            Text(f"{flow.technical_owner} / {flow.business_owner}\n{needs}" + (f"\n{flow.rate}" if flow.rate else "")),
            Text(f"{flow.expires.isoformat()}\n" + ("échu" if left < 0 else f"{left} j"), style=style),
        )
    Console().print(table)


@app.command()
def prove(
    inventory: Sources,
    limit: Annotated[str, typer.Option("--limit", "-l", help="Destinations : hôtes ou groupes, à la manière d'Ansible.")] = "",
    seed: Annotated[int, typer.Option(help="Graine du tirage ; la même donne le même échantillon.")] = 1,
    sample: Annotated[int, typer.Option(min=0, max=1000, help="Ports au hasard, par protocole et par destination.")] = 3,
    palier: Annotated[int, typer.Option(min=0, max=3, help="Palier auquel juger (défaut : celui du site).")] = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Dossier où écrire proof.json.")] = None,
    extra_vars: ExtraVars = None,
) -> None:
    """Prouve la matrice par des paquets : des hôtes de chaque zone vers chaque hôte, attendu contre observé.

    Écoutes et sondes durent le temps de la preuve et ne laissent rien sur les hôtes.

    Code de retour : 0 tout est prouvé, 1 il reste des écarts, 2 la preuve n'a pas pu avoir lieu.
    """
    target = [json.dumps({"site_palier": palier})] if palier else []
    known = load_inventory(inventory, limit or None, [*(extra_vars or ()), *target])
    network = network_of(known)
    _need_flows(network, inventory)
    errors, console = Console(stderr=True), Console()
    prober = prober_of(known, network)
    try:
        with errors.status("Preuve de la matrice…") as status:
            proof = prove_matrix(
                network,
                prober,
                targets=known.selected if limit else None,
                seed=seed,
                random_ports=sample,
                tell=lambda text: status.update(f"Preuve de la matrice : {text}…"),
            )
    finally:
        for channel in prober.channels.values():
            channel.close()
    show(proof, console)
    if output:
        output.mkdir(parents=True, exist_ok=True)
        path = output / "proof.json"
        path.write_text(json.dumps(as_data(proof), ensure_ascii=False, indent=1) + "\n", "utf-8")
        typer.echo(path)
    if not proof.outcomes or len(proof.faults) == len(prober.channels):
        raise typer.Exit(2)
    raise typer.Exit(1 if proof.faulty() else 0)


@app.command("explain")
def explain_packet(
    inventory: Sources,
    source: Annotated[str, typer.Argument(metavar="SRC", help="Zone, hôte, groupe, équipement ou adresse.")],
    target: Annotated[str, typer.Argument(metavar="DST", help="De même.")],
    port: Annotated[str, typer.Argument(metavar="PORT", help="tcp/443, 443, udp/53, icmp, ou un service du modèle.")],
    live: Annotated[bool, typer.Option("--live/--model", help="Interroger aussi les hôtes, et essayer vraiment.")] = True,
    extra_vars: ExtraVars = None,
) -> None:
    """Dit quelle ligne permet ou refuse un paquet, qui en décide, et ce que les hôtes répondent à l'instant.

    Code de retour : 0 le paquet est permis, 1 il est refusé, 2 la question n'a pas de sens.
    """
    known = load_inventory(inventory, None, extra_vars or ())
    network = network_of(known)
    prober = prober_of(known, network) if live else None
    console = Console(highlight=False, soft_wrap=True)
    try:
        answers = list(explain(network, prober, source, target, port))
    finally:
        for channel in prober.channels.values() if prober else ():
            channel.close()
    for answer in answers:
        console.print(*(Text(line, style=style) for line, style in lines_of(network, answer)), sep="\n")
    raise typer.Exit(0 if all(answer.decision.allowed for answer in answers) else 1)


def _ports(network: Network, service: str) -> str:
    return ", ".join(port_text(port) for port in network.services[service].ports)


def _need_flows(network: Network, inventory: list[str]) -> None:
    if not network.described:
        problem = Problem(
            ", ".join(inventory),
            "site_flows",
            "",
            "aucun flux n'est déclaré",
            "Décrire les flux du site : voir inventories/demo.",
        )
        raise InvalidInput([problem])


SOON_DAYS = 60
