"""From an inventory to the review of its site model, on the command line or inside a playbook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pgssi.errors import InvalidInput, Problem
from pgssi.inventory import error_message, error_place, load_inventory, plain
from pgssi.site.model import Finding, Host
from pgssi.site.origins import Origins
from pgssi.site.review import Review, review
from pgssi.site.words import say

_REMEDIES = {
    "vault": (
        "Donner le mot de passe du coffre : vault_identity_list ou ANSIBLE_VAULT_PASSWORD_FILE.",
        "Give the password of the vault: vault_identity_list or ANSIBLE_VAULT_PASSWORD_FILE.",
    ),
    "other": (
        "Vérifier ce que lit ce modèle Jinja : fichier, variable ou filtre.",
        "Look at what this Jinja template reads: file, variable or filter.",
    ),
}
READ = ("ansible_user", "ansible_host", "ansible_port", "ansible_connection")


def review_inventory(sources: Sequence[str], extra_vars: Sequence[str] = (), lang: str = "fr") -> Review:
    """Check the site model of Ansible inventories. An inventory that cannot be read is a problem too."""
    try:
        inventory = load_inventory(sources, extra_vars=extra_vars)
        hosts = [Host(host.name, frozenset(host.groups), _wanted(host.variables)) for host in inventory.hosts.values()]
        return review(hosts, sources, lang)
    except InvalidInput as error:
        return Review(tuple(_placed(error.problems, Origins(sources))), (), 0)
    except RecursionError:
        return Review((_too_deep(", ".join(sources), lang),), (), 0)


def review_hostvars(hostvars: Mapping[str, Mapping[str, Any]], roots: Iterable[str], lang: str = "fr") -> Review:
    """Check the site model that a running playbook sees: every host of the inventory, whatever its limit."""
    hosts: list[Host] = []
    broken: list[tuple[str, str, Exception]] = []
    for name in hostvars:
        try:
            whole = hostvars[name]
            names = [str(key) for key in whole]  # a vaulted file that cannot be opened fails here
            groups = frozenset(str(group) for group in whole["group_names"])
        except Exception as error:
            broken.append((str(name), "inventory", error))
            continue
        variables = {}
        for key in names:
            if key.startswith("site_") or key in READ:
                try:
                    variables[key] = plain(whole[key])
                except Exception as error:  # a lookup or a filter of the site may raise anything
                    broken.append((str(name), key, error))
        hosts.append(Host(str(name), groups, variables))
    if broken:
        return Review(tuple(_unresolved(broken, list(roots), lang)), (), len(hosts))
    try:
        return review(hosts, roots, lang)
    except RecursionError:
        return Review((_too_deep(", ".join(roots), lang),), (), len(hosts))


def _wanted(variables: Mapping[str, Any]) -> dict[str, Any]:
    return {name: variables[name] for name in variables if name.startswith("site_") or name in READ}


def _placed(problems: Iterable[Problem], origins: Origins) -> Iterator[Problem]:
    """Yield the problems of the loader with the file of their variable instead of the whole inventory."""
    for problem in problems:
        variable, _, hosts = problem.key.partition(" (")
        known = variable.startswith(("site_", "ansible_"))
        host = hosts.rstrip(")").split(",")[0]
        yield replace(problem, file=origins.place((variable,), host)) if known else problem


def _unresolved(broken: Iterable[tuple[str, str, Exception]], roots: list[str], lang: str) -> Iterator[Problem]:
    """Yield one problem for each variable that Ansible could not resolve, however many hosts have it."""
    origins, seen = Origins(roots), set()
    for host, name, error in broken:
        reason = error_message(error)
        if (name, reason) in seen:
            continue
        seen.add((name, reason))
        remedy = _REMEDIES["vault" if "vault" in reason.lower() or "decrypt" in reason.lower() else "other"]
        details = {"reason": reason, "remedy_fr": remedy[0], "remedy_en": remedy[1]}
        message, advice = say(Finding("unresolved", (name,), details=details), lang)
        place = origins.place((name,), host) if name.startswith("site_") else error_place(error)[0]
        yield Problem(place or ", ".join(roots), f"{name} ({host})", "", message, advice)


def _too_deep(shown: str, lang: str) -> Problem:
    message, remedy = say(Finding("too_deep", ("site",)), lang)
    return Problem(shown, "site_*", "", message, remedy)
