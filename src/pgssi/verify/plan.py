"""What one run verifies: which rules on which hosts, against which target."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pgssi.catalogue import Catalogue, Rule, load_catalogue
from pgssi.errors import InvalidInput, Problem
from pgssi.inforce import HostContext
from pgssi.inventory import Inventory, load_inventory
from pgssi.verify.records import SiteEvidence


@dataclass(frozen=True)
class Selection:
    """What the user asked for. palier: target that replaces site_palier and bounds the rules, or None.

    acting: True or False to force, None to follow ``site_acting_tests`` of each host.
    """

    palier: int | None = None
    limit: str | None = None
    guides: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    acting: bool | None = None

    def keeps(self, rule: Rule) -> bool:
        """Return whether this rule was asked for."""
        return (
            rule.palier <= (self.palier or 3)
            and (not self.guides or rule.guide in self.guides)
            and (not self.rules or rule.id in self.rules)
        )


@dataclass(frozen=True)
class Plan:
    """The inventory, the catalogue and the selection, resolved; plain data that can be pickled."""

    inventory: Inventory
    catalogue: Catalogue
    selection: Selection
    contexts: Mapping[str, HostContext]
    evidence: SiteEvidence

    def rules_of(self, host: str) -> tuple[Rule, ...]:
        """Return the rules to verify on a host, in catalogue order."""
        context = self.contexts[host]
        return tuple(r for r in self.catalogue.rules.values() if self.selection.keeps(r) and context.carries(r))

    def hosts_of(self, rule: str) -> tuple[str, ...]:
        """Return the hosts on which a rule is to be verified, in inventory order."""
        found = self.catalogue.rules[rule]
        if not self.selection.keeps(found):
            return ()
        return tuple(name for name, context in self.contexts.items() if context.carries(found))

    def acting(self, host: str) -> bool:
        """Return whether tests that change something for a moment may run on this host."""
        if self.selection.acting is not None:
            return self.selection.acting
        return self.inventory.hosts[host].variables.get("site_acting_tests") is True

    def site(self) -> Mapping[str, Any]:
        """Return the variables that describe the site: those of the first selected host."""
        return self.inventory.hosts[self.inventory.selected[0]].variables


def make_plan(
    sources: Sequence[str],
    selection: Selection,
    extra_vars: Sequence[str] = (),
    catalogue: Catalogue | None = None,
) -> Plan:
    """Resolve everything before any host is touched; raises InvalidInput with every fault found."""
    known = load_catalogue() if catalogue is None else catalogue
    problems = [
        Problem("catalogue", "--rule", rule, "règle inconnue", "Voir « pgssi catalogue list ».")
        for rule in selection.rules
        if rule not in known.rules
    ]
    problems += [
        Problem("catalogue", "--guide", guide, "guide inconnu", f"Choisir parmi : {', '.join(known.guides())}.")
        for guide in selection.guides
        if guide not in known.guides()
    ]
    if problems:
        raise InvalidInput(problems)
    target = [json.dumps({"site_palier": selection.palier})] if selection.palier else []
    inventory = load_inventory(sources, selection.limit, [*extra_vars, *target])
    contexts = {name: _context(inventory, name) for name in inventory.selected}
    evidence = SiteEvidence.of(inventory.hosts[inventory.selected[0]].variables)
    plan = Plan(inventory, known, selection, contexts, evidence)
    if problems := list(_nothing_to_verify(plan)):
        raise InvalidInput(problems)
    return plan


def _nothing_to_verify(plan: Plan) -> Iterator[Problem]:
    """Yield what was asked for and cannot give a verdict: an empty report would say that all conforms."""
    for name in plan.selection.rules:
        rule = plan.catalogue.rules[name]
        if plan.selection.palier and rule.palier > plan.selection.palier:
            why, remedy = f"règle du palier {rule.palier}", f"Donner --palier {rule.palier}, ou ne pas donner de palier."
        elif plan.selection.guides and rule.guide not in plan.selection.guides:
            why, remedy = f"règle du guide {rule.guide}", f"Donner --guide {rule.guide}, ou ne pas donner de guide."
        elif not plan.hosts_of(name):
            why, remedy = "aucun des hôtes choisis ne porte cette règle", "Voir --limit, et les groupes de la règle au catalogue."
        else:
            continue
        yield Problem("pgssi verify", "--rule", name, why, remedy)
    if plan.selection.guides and not plan.selection.rules and not any(plan.rules_of(name) for name in plan.contexts):
        why, remedy = "aucun des hôtes choisis ne porte une règle de ce guide à ce palier", "Voir --limit et --palier."
        yield Problem("pgssi verify", "--guide", ", ".join(plan.selection.guides), why, remedy)


def _context(inventory: Inventory, name: str) -> HostContext:
    host = inventory.hosts[name]
    source = ", ".join(inventory.sources)
    try:
        context = HostContext.from_vars(name, host.groups, host.variables)
    except KeyError as error:
        remedy = "Donner cette variable du modèle de site (voir inventories/)."
        problem = Problem(source, f"{error.args[0]} ({name})", "", "n'est pas définie", remedy)
        raise InvalidInput([problem]) from error
    except (TypeError, ValueError) as error:
        problem = Problem(source, f"site_palier, site_waivers ({name})", "", str(error), "Corriger cette valeur.")
        raise InvalidInput([problem]) from error
    if not 0 <= context.palier <= 3:
        problem = Problem(source, f"site_palier ({name})", context.palier, "n'est pas un palier", "Donner 1, 2 ou 3.")
        raise InvalidInput([problem])
    return context
