"""A proof for people and for programs: the matrix in a terminal, and the same as plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pgssi.network.explain import Answer
from pgssi.network.model import Network
from pgssi.network.prove import Outcome, Proof

SCHEMA = "pgssi-proof/1"
SIGNS = {"conforme": ("✓", "green"), "non_conforme": ("✗", "bold red"), "non_verifie": ("?", "magenta")}
SHOWN = 25  # lines of what is not conforming, in a terminal


def as_data(proof: Proof) -> dict[str, Any]:
    """Return the whole proof as plain values (``pgssi-proof/1``): what was sampled, met and concluded."""
    sample = proof.sample
    return {
        "schema": SCHEMA,
        "seed": sample.seed,
        "random_ports": sample.random_ports,
        "seconds": round(proof.seconds, 1),
        "totals": dict(Counter(outcome.verdict.verdict for outcome in proof.outcomes)),
        "unfiltered": sample.unfiltered,
        "zones_without_source": list(sample.mute),
        "zones_from_gateway_only": list(sample.through),
        "counted": {host: {"needed": needed, "counted": seen} for host, (needed, seen) in proof.counted.items()},
        "faults": dict(proof.faults),
        "blind": dict(proof.blind),
        "probes": [_row(outcome) for outcome in proof.outcomes],
    }


def _row(outcome: Outcome) -> dict[str, Any]:
    probe, met = outcome.probe, outcome.met
    return {
        "from": probe.sender,
        "from_zone": probe.source.zone,
        "source": probe.source.address,
        "to": probe.target.owner,
        "destination": probe.target.address,
        "service": probe.service,
        "kind": probe.kind,
        "flow": probe.flow,
        "expected": "pass" if probe.allowed else "drop",
        "refused_by": list(probe.by),
        "met": met.result if met else None,
        "milliseconds": met.milliseconds if met else None,
        "verdict": outcome.verdict.verdict,
        "reason": outcome.verdict.reason,
        "by": outcome.verdict.by,
        "text": outcome.verdict.text,
    }


def statement(proof: Proof) -> list[str]:
    """Return what was tried, with every denominator, in French."""
    sample = proof.sample
    kinds = Counter(outcome.probe.kind for outcome in proof.outcomes)
    senders = {place.owner for place in sample.sources}
    declared = {port for ports in sample.ports.values() for port in ports}
    lines = [
        f"{len(proof.outcomes)} sondes, depuis {len(senders)} machines de {len({p.zone for p in sample.sources})} zones, "
        f"vers {len({p.owner for p in sample.targets})} hôtes et équipements, en {proof.seconds:.0f} s.",
        f"Doivent passer : {kinds['declared']} (tous les flux déclarés). Doivent être jetées : {kinds['elsewhere']} vers des "
        f"ports déclarés ailleurs, {kinds['random']} vers des ports au hasard ({sample.random_ports} par protocole et par "
        f"destination, graine {sample.seed}), {kinds['forged']} à l'adresse usurpée. {len(declared)} ports distincts, "
        "TCP, UDP et ICMP, IPv4 et IPv6.",
    ]
    if sample.unfiltered:
        lines.append(
            f"{sample.unfiltered} couples non déclarés que rien n'est chargé de filtrer (même zone, palier) : non essayés."
        )
    if sample.mute:
        lines.append(f"Zones sans machine d'où émettre, donc non prouvées comme sources : {', '.join(sample.mute)}.")
    if sample.through:
        lines.append(f"Zones essayées seulement depuis l'adresse qu'y a une passerelle : {', '.join(sample.through)}.")
    windows = [o.probe for o in proof.outcomes if o.verdict.reason == "window"]
    lines += [
        f"Fenêtre ouverte : {p.sender} {p.source.address} → {p.target.owner} {p.service} passe en ce moment." for p in windows
    ]
    lines += [f"{host} n'a pas pu prendre part : {fault}" for host, fault in sorted(proof.faults.items())]
    lines += [f"{host} ne peut pas observer les paquets : {fault}" for host, fault in sorted(proof.blind.items())]
    if proof.counted:
        told = (f"{host} {seen} (au moins {needed} attendus)" for host, (needed, seen) in proof.counted.items() if needed)
        lines.append(f"Rejets comptés : {', '.join(told) or 'aucun attendu'}.")
    return lines


def show(proof: Proof, console: Console) -> None:
    """Print the matrix, what is not conforming, and the statement of the sample."""
    console.print(matrix(proof))
    console.print("Par case : flux déclarés qui passent, puis autres paquets jetés, sur le nombre essayé.", style="dim")
    wrong = proof.faulty()
    for text, style in told(wrong, SHOWN):
        console.print(Text(text, style=style), soft_wrap=True)
    for line in statement(proof):
        console.print(Text(line), soft_wrap=True)
    totals = Counter(outcome.verdict.verdict for outcome in proof.outcomes)
    verdict = "Matrice prouvée" if not wrong and proof.outcomes else "Matrice non prouvée"
    console.print(
        Text(
            f"{verdict} : {totals['conforme']} conformes, {totals['non_conforme']} non conformes, "
            f"{totals['non_verifie']} non vérifiées, sur {len(proof.outcomes)}.",
            style="bold green" if not wrong and proof.outcomes else "bold red",
        )
    )


def told(outcomes: Sequence[Outcome], most: int) -> Iterable[tuple[str, str]]:
    """Yield (line, style) for what is not conforming; the same fault of many ports is one line."""
    groups: dict[tuple[str, ...], list[Outcome]] = {}
    for outcome in outcomes:
        probe = outcome.probe
        key = (
            outcome.verdict.verdict,
            outcome.verdict.text,
            probe.sender,
            probe.source.address,
            probe.target.owner,
            probe.target.address,
        )
        groups.setdefault(key, []).append(outcome)
    for (verdict, text, sender, source, target, destination), members in list(groups.items())[:most]:
        sign, style = SIGNS[verdict]
        services = list(dict.fromkeys(member.probe.service for member in members))
        listed = ", ".join(services[:6]) + (f" et {len(services) - 6} autres" if len(services) > 6 else "")
        claimed = " (usurpée)" if members[0].probe.kind == "forged" else ""
        yield f"{sign} {sender} {source}{claimed} → {target} {destination} {listed} : {text}", style
    if len(groups) > most:
        yield f"… et {len(groups) - most} autres lignes : voir le fichier JSON (-o).", "dim"


def matrix(proof: Proof) -> Table:
    """Return the table: a row per destination, a column per source zone."""
    zones = list(dict.fromkeys(place.zone for place in proof.sample.sources))
    title = "Matrice observée : vers ↓, depuis →"
    table = Table(title=title, title_justify="left", title_style="bold", padding=(0, 1, 0, 0), box=SIMPLE_HEAD, show_lines=False)
    table.add_column("Vers", no_wrap=True)
    for zone in zones:
        table.add_column(zone, justify="right", overflow="fold")
    cells: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in proof.outcomes:
        cells.setdefault((outcome.probe.target.owner, _zone(outcome)), []).append(outcome)
    for owner in dict.fromkeys(place.owner for place in proof.sample.targets):
        table.add_row(owner, *(_cell(cells.get((owner, zone), ())) for zone in zones))
    return table


def _zone(outcome: Outcome) -> str:
    """Return the zone that a probe leaves from; a forged packet is told with the zone of who sent it."""
    return outcome.probe.source.zone


def _cell(outcomes: Sequence[Outcome]) -> Text:
    if not outcomes:
        return Text("·", style="dim")
    text = Text()
    for allowed, mark in ((True, "→"), (False, "⊘")):
        part = [outcome for outcome in outcomes if outcome.probe.allowed == allowed]
        if part:
            fine = sum(outcome.verdict.verdict == "conforme" for outcome in part)
            worst = "non_conforme" if any(o.verdict.verdict == "non_conforme" for o in part) else "non_verifie"
            style = SIGNS["conforme" if fine == len(part) else worst][1]
            text.append("\n" if text else "")
            text.append(f"{mark}{fine}/{len(part)}" if fine != len(part) else f"{mark}{fine}", style=style)
    return text


ALLOWED = {
    "flow": "permis par la ligne « {flow} »",
    "open": "permis : la passerelle ne sépare pas ces zones à ce palier",
    "unfiltered": "permis : personne sur le chemin n'est chargé de filtrer",
    "same_host": "permis : même machine",
    "no_flow": "refusé : aucune ligne de la matrice",
    "expired": "refusé : la ligne « {flow} » est échue",
    "other_family": "refusé : deux familles d'adresses",
}


def lines_of(network: Network, answer: Answer) -> Iterable[tuple[str, str]]:
    """Yield (line, style): the decision, the flow behind it, each host that decides, the real probe."""
    decision = answer.decision
    service = f"{answer.protocol}/{answer.port}" if answer.port else answer.protocol
    one, two = (" ".join(dict.fromkeys((place.owner, place.address))) for place in (answer.source, answer.target))
    ends = f"{one} → {two} {service}"
    yield f"{ends} : {ALLOWED[decision.reason].format(flow=decision.flow)}", "bold green" if decision.allowed else "bold red"
    for flow in (flow for flow in network.flows if flow.id == decision.flow):
        ends = f"{', '.join(flow.sources)} → {', '.join(flow.destinations)} : {', '.join(flow.services)}"
        yield f"    {flow.id} : {ends}. {flow.purpose} ({flow.technical_owner} / {flow.business_owner}, {flow.expires})", ""
    for host, said in answer.live.items():
        role = (
            "refuse"
            if host in decision.by
            else "accepte"
            if host in answer.filters
            else "n'a pas à filtrer ce paquet à ce palier"
        )
        yield f"    {host} {role}" + (f" ; à l'instant : {said}" if said else ""), ""
    if answer.outcome:
        met = answer.outcome.met
        seen = {"open": "reçu", "other": "reçu par un service en place"}.get(met.result if met else "", "pas de réponse")
        seen = "réponse négative" if met and met.result in ("refused", "rejected") else seen
        verdict = answer.outcome.verdict
        yield f"    essai : {seen} ({verdict.text})", SIGNS[verdict.verdict][1]
