"""The matrix proven by packets, once for all hosts: each then gets the verdict of what was sent to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from pgssi.inforce import HostContext
from pgssi.network.live import network_of, prober_of
from pgssi.network.prove import Outcome, Proof, prove
from pgssi.network.table import told
from pgssi.verify import not_verified
from pgssi.verify.hosts import Hosts
from pgssi.verify.plan import Plan

PALIER = 2  # of the rule: a host that aims lower is judged at this one


@pytest.fixture(scope="session")
def proof(pgssi_plan: Plan, pgssi_hosts: Hosts) -> Iterator[Proof | None]:
    """What hundreds of packets towards the hosts of this run met; the day is the seed, so that each day tries other ports."""
    network = network_of(pgssi_plan.inventory, pgssi_plan.catalogue, PALIER)
    if not network.described:
        yield None
        return
    prober = prober_of(pgssi_plan.inventory, network, pgssi_hosts.channel, pgssi_plan.acting)
    equipment = {item.name for item in network.equipment.values() if not item.control}
    targets = {name for name in pgssi_plan.inventory.selected if name in prober.channels}
    gateways = {gateway.name for gateway in network.gateways}
    try:
        yield prove(
            network,
            prober,
            targets=targets | (equipment if targets & gateways else set()),
            seed=int(network.today.strftime("%Y%m%d")),
        )
    finally:
        for name, channel in prober.channels.items():
            if name in network.equipment:
                channel.close()


@pytest.mark.acts
@pytest.mark.rule("matrix-proven")
def test_only_declared_flows_arrive(proof: Proof | None, context: HostContext, observe: Callable[[str], None]) -> None:
    """From each zone every declared flow reaches the host; a seeded sample of all else is dropped, and counted."""
    assert proof, "aucun flux n'est déclaré (site_flows) : rien ne dit ce qui doit passer"
    outcomes = proof.towards(context.name)
    if "gateways" in context.groups:  # equipment has no verdict of its own: whoever confines it has
        outcomes += [outcome for outcome in proof.outcomes if outcome.probe.target.owner in proof.equipment]
    for line in _summary(proof, outcomes):
        observe(line)
    wrong = proof.faulty(outcomes)
    said = " ; ".join(line for line, _ in told(wrong, 4))
    assert not any(outcome.verdict.verdict == "non_conforme" for outcome in wrong), said
    if wrong:
        not_verified(said)
    if not outcomes:
        not_verified("aucune sonde n'a pu être envoyée vers cet hôte")


def _summary(proof: Proof, outcomes: list[Outcome]) -> list[str]:
    kinds = Counter(outcome.probe.kind for outcome in outcomes)
    zones = {outcome.probe.source.zone for outcome in outcomes}
    lines = [
        f"{len(outcomes)} sondes de {len(zones)} zones : {kinds['declared']} flux déclarés ; à jeter : {kinds['elsewhere']} "
        f"vers des ports déclarés ailleurs, {kinds['random']} au hasard (graine {proof.sample.seed}), {kinds['forged']} usurpées"
    ]
    if proof.sample.mute:
        lines.append(f"zones sans machine d'où émettre : {', '.join(proof.sample.mute)}")
    if proof.sample.through:
        lines.append(f"zones essayées depuis l'adresse de la passerelle seulement : {', '.join(proof.sample.through)}")
    return lines
