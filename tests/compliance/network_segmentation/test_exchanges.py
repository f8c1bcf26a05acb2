"""On hosts that serve sensitive flows of a network that the site does not control: their services speak encrypted only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from pgssi.inforce import HostContext
from pgssi.network import NetHost, Network
from pgssi.network.exchanges import Served, elsewhere, served
from pgssi.network.spoken import doubt, fault, told
from pgssi.verify import not_applicable, not_verified
from pgssi.verify.plan import Plan

SCRIPT = Path(__file__).with_name("speaks.py").read_text("utf-8")
SECONDS = 120  # that one target may take at most
WIDE = 32  # ports of one range that are tried


def targets(offers: list[Served], unseen: list[str]) -> Iterator[tuple[Served, dict[str, Any]]]:
    """Yield (offer, target) for each address and port of the services; what cannot be tried goes to ``unseen``."""
    tried: set[tuple[str, int]] = set()
    for offer in offers:
        service = offer.service
        for port in service.ports:
            name = f"{service.name} ({port.protocol}/{port.first or 'écho'})"
            if not service.encrypted:
                unseen.append(f"{name} : le modèle ne dit pas comment il est chiffré")
            elif port.protocol != "tcp" or port.last - port.first >= WIDE:
                unseen.append(f"{name} : hors de portée de cet essai, qui parle TCP, {WIDE} ports au plus")
            else:
                for number in range(port.first, port.last + 1):
                    for address in map(str, offer.addresses):
                        if (address, number) not in tried:
                            tried.add((address, number))
                            yield offer, {"address": address, "port": number, "encrypted": service.encrypted}


@pytest.mark.rule("sensitive-exchange-encrypted")
@pytest.mark.acts
def test_services_for_sensitive_exchanges_speak_encrypted_only(
    host: Host, network: Network, me: NetHost, pgssi_plan: Plan, context: HostContext, observe: Callable[[str], None]
) -> None:
    """The host speaks clear text, old TLS, current TLS or SSH to each of these services; only the last two are answered."""
    offers = list(served(network, me))
    unseen = [f"{flow} : {end} n'est géré par aucun rôle" for flow, end in elsewhere(network, me)]
    if not offers and not unseen:
        not_applicable("aucun flux sensible hors du réseau maîtrisé ne concerne cet hôte")
    asked = list(targets(offers, unseen))
    python = pgssi_plan.inventory.hosts[context.name].connection.python
    script = f"{SCRIPT}\nmain(json.loads({json.dumps(json.dumps([target for _, target in asked]))}))\n"
    done = host.run(f"{python} -B -E -s -", stdin=script.encode(), timeout=30 + SECONDS * len(asked))
    if done.rc:
        not_verified(f"essai impossible : {done.stderr.strip()[-200:]}")
    faults = []
    for (offer, _), seen in zip(asked, json.loads(done.stdout), strict=True):
        where = f"{offer.flow} : {seen['address']} port {seen['port']}"
        if not seen["listens"] and not offer.certain:
            continue  # the flow leads to the zone, and this host does not serve it
        wrong = fault(seen) if seen["listens"] else ""
        observe(f"{where} : {told(seen) if seen['listens'] else 'rien'}")
        faults += [f"{where} {wrong}"] if wrong else []
        unseen += [f"{where} {why}"] if not wrong and (why := doubt(seen)) else []
    assert not faults, f"échange sensible mal protégé hors du réseau maîtrisé : {faults[0]}"
    if unseen:
        not_verified(f"échange sensible hors du réseau maîtrisé non observé : {unseen[0]}")
