"""The inventory of a site, as Ansible itself resolves it: hosts, groups, fully templated variables.

Everything is turned into plain Python values, so that it can be compared, pickled and sent to workers.
Source of the order of operations: ansible.cli.CLI._play_prereqs of ansible-core 2.19.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pgssi.errors import InvalidInput, Problem
from pgssi.transport.connection import Connection, connection_from

# A fault in one of these stops everything; others may legitimately need facts, and complain when read.
NEEDED = re.compile(r"site_|ansible_(host|port|user|password|private_key_file|ssh_|become|connection|python_interpreter)")
IGNORED = {"ansible_version", "hostvars", "vars", "omit", "ansible_facts"}


@dataclass(frozen=True)
class Unresolved:
    """A variable that Ansible could not resolve; the fault is told when somebody reads it."""

    problem: Problem


class Variables(Mapping[str, Any]):
    """All variables of one host, as ``hostvars`` shows them; reading a broken one raises InvalidInput."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        """Take plain values, and Unresolved for those that could not be resolved."""
        self._values = dict(values)

    def __getitem__(self, name: str) -> Any:
        """Return a value; KeyError when the host has no such variable."""
        value = self._values[name]
        if isinstance(value, Unresolved):
            raise InvalidInput([value.problem])
        return value

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, broken ones included."""
        return iter(self._values)

    def __len__(self) -> int:
        """Count the variables."""
        return len(self._values)

    def secrets(self) -> frozenset[str]:
        """Return the values that must never be shown: strings of variables named like a secret."""
        return frozenset(_secrets(self._values))


@dataclass(frozen=True)
class InventoryHost:
    """One host. groups: every group it belongs to, parents included, without ``all``."""

    name: str
    groups: tuple[str, ...]
    variables: Variables
    connection: Connection


@dataclass(frozen=True)
class Inventory:
    """The hosts of a site by name; ``selected``: those that the limit keeps, in inventory order."""

    sources: tuple[str, ...]
    hosts: Mapping[str, InventoryHost]
    selected: tuple[str, ...]

    def members(self, name: str) -> tuple[str, ...]:
        """Return the host of that name, or the hosts of that group (``all`` for all), in inventory order."""
        if name in self.hosts:
            return (name,)
        return tuple(host.name for host in self.hosts.values() if name == "all" or name in host.groups)


def load_inventory(sources: Sequence[str], limit: str | None = None, extra_vars: Sequence[str] = ()) -> Inventory:
    """Read inventories as ``ansible-playbook -i SOURCE… -l LIMIT -e EXTRA…`` would.

    Vault identities come from ansible.cfg and ANSIBLE_VAULT_PASSWORD_FILE / ANSIBLE_VAULT_IDENTITY_LIST.
    Raises InvalidInput: no such inventory, nothing in it, unreadable vault, bad extra variable, a ``site_*``
    or connection variable that cannot be resolved on any host of the inventory, a limit without hosts.
    """
    shown = ", ".join(sources)
    for source in sources:
        if "," not in source and not Path(source).exists():
            raise _invalid(source, "inventory", "n'existe pas", "Donner un inventaire Ansible (-i).")
    from ansible.errors import AnsibleError

    try:
        manager, raw, groups = _read(sources, extra_vars)
        if limit:
            manager.subset(limit)
        selected = tuple(str(host.name) for host in manager.list_hosts("all"))
    except AnsibleError as error:
        file, _ = error_place(error)
        raise _invalid(file or shown, "inventory", error_message(error), _remedy(error)) from error
    if not raw:
        raise _invalid(shown, "inventory", "ne contient aucun hôte", "Vérifier le fichier d'hôtes.")
    if not selected:
        raise _invalid(shown, "--limit", f"« {limit} » ne désigne aucun hôte", "Donner un hôte ou un groupe.")
    variables = {name: _resolve(name, values, shown) for name, values in raw.items()}
    _refuse(variables)
    hosts = {
        name: InventoryHost(name, groups[name], values, connection_from(name, values, shown))
        for name, values in variables.items()
    }
    return Inventory(tuple(sources), hosts, selected)


def _read(
    sources: Sequence[str], extra_vars: Sequence[str]
) -> tuple[Any, dict[str, Mapping[str, Any]], dict[str, tuple[str, ...]]]:
    """Return the inventory manager, the lazily templated variables and the groups of every host."""
    from ansible import constants, context
    from ansible.cli import CLI
    from ansible.inventory.manager import InventoryManager
    from ansible.module_utils.common.collections import ImmutableDict
    from ansible.parsing.dataloader import DataLoader
    from ansible.parsing.vault import VaultSecretsContext
    from ansible.plugins.loader import init_plugin_loader
    from ansible.template import trust_as_template
    from ansible.utils.collection_loader import AnsibleCollectionConfig
    from ansible.utils.vars import load_extra_vars
    from ansible.vars.hostvars import HostVars
    from ansible.vars.manager import VariableManager

    trusted = tuple(trust_as_template(text) for text in extra_vars)
    context.CLIARGS = ImmutableDict(extra_vars=trusted)
    load_extra_vars.__dict__.pop("extra_vars", None)  # it remembers the first call of the process
    if not AnsibleCollectionConfig.collection_finder:
        init_plugin_loader()
    loader = DataLoader()
    vault_secrets = CLI.setup_vault_secrets(
        loader,
        vault_ids=list(constants.DEFAULT_VAULT_IDENTITY_LIST),
        auto_prompt=False,
        initialize_context=False,
    )
    loader.set_vault_secrets(vault_secrets)
    vault = VaultSecretsContext.current(optional=True)
    if vault:
        vault.secrets = vault_secrets
    else:
        VaultSecretsContext.initialize(VaultSecretsContext(vault_secrets))
    constants.INVENTORY_ANY_UNPARSED_IS_FAILED = True  # a half-read inventory would hide hosts
    manager = InventoryManager(loader=loader, sources=list(sources))
    hostvars = HostVars(manager, VariableManager(loader=loader, inventory=manager), loader)
    groups = {
        str(name): tuple(sorted(str(g.name) for g in host.get_groups() if g.name not in ("all", "ungrouped")))
        for name, host in manager.hosts.items()
    }
    return manager, {name: hostvars[name] for name in groups}, groups


def _resolve(host: str, values: Mapping[str, Any], source: str) -> Variables:
    resolved: dict[str, Any] = {}
    for name in values:
        if name not in IGNORED:
            resolved[str(name)] = _value(values, name, host, source)
    return Variables(resolved)


def _value(values: Mapping[str, Any], name: str, host: str, source: str) -> Any:
    try:
        return plain(values[name])
    except Exception as error:  # a filter or a lookup of the site may raise anything
        file, text = error_place(error)
        return Unresolved(Problem(file or source, f"{name} ({host})", text, error_message(error), _remedy(error)))


def plain(value: Any) -> Any:
    """Return the same value without Ansible's own types: dict, list, str, int, float, bool, date, None."""
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, datetime):
        return datetime.fromisoformat(value.isoformat())
    if isinstance(value, date):
        return date(value.year, value.month, value.day)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, bytes):
        return bytes(value)
    return "".join(str(value))


def _refuse(variables: Mapping[str, Variables]) -> None:
    """Raise InvalidInput for the needed variables that are broken; one fault shared by hosts is told once."""
    faults: dict[tuple[str, str], list[str]] = {}
    first: dict[tuple[str, str], Problem] = {}
    for host, values in variables.items():
        for name, value in values._values.items():
            if isinstance(value, Unresolved) and NEEDED.match(name):
                fault = (name, value.problem.message)
                faults.setdefault(fault, []).append(host)
                first.setdefault(fault, value.problem)
    problems = []
    for (name, message), hosts in faults.items():
        where = ", ".join(hosts[:5]) + (f" et {len(hosts) - 5} autres" if len(hosts) > 5 else "")
        known = first[name, message]
        problems.append(Problem(known.file, f"{name} ({where})", known.value, message, known.remedy))
    if problems:
        raise InvalidInput(problems)


def error_message(error: Exception) -> str:
    """Return what an Ansible error says, on one line of at most 400 characters."""
    text = str(getattr(error, "message", "") or error) or type(error).__name__
    return " ".join(text.split())[:400].rstrip(".")


def error_place(error: BaseException | None) -> tuple[str, str]:
    """Return ``file:line`` and the template that Ansible could not use, as far as it says."""
    from ansible._internal._datatag._tags import Origin  # has no public name in ansible-core 2.19

    while error:
        about = getattr(error, "obj", None)
        origin = about if isinstance(about, Origin) else Origin.get_tag(about)
        if origin and origin.path:
            text = str(about)[:80] if isinstance(about, str) and "{{" in about else ""
            return origin.path + (f":{origin.line_num}" if origin.line_num else ""), text
        error = error.__cause__ or error.__context__
    return "", ""


def _remedy(error: Exception) -> str:
    text = str(error).lower()
    if "vault" in text or "decrypt" in text:
        return "Donner le mot de passe du coffre : vault_identity_list ou ANSIBLE_VAULT_PASSWORD_FILE."
    if "undefined" in text:
        return "Définir cette variable dans l'inventaire, ou la donner avec -e."
    if "lookup" in text:
        return "Vérifier que le fichier lu par cette variable existe et qu'il est lisible."
    return "Corriger ce point de l'inventaire."


def _invalid(file: str, key: str, message: str, remedy: str) -> InvalidInput:
    return InvalidInput([Problem(file, key, "", message, remedy)])


_SECRET = re.compile(r"pass(word|phrase)?$|secret|_token$|_psk$|private_key$", re.IGNORECASE)


def _secrets(value: Any, named: bool = False) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _secrets(item, named or bool(_SECRET.search(str(name))))
    elif isinstance(value, list):
        for item in value:
            yield from _secrets(item, named)
    elif named and isinstance(value, str) and len(value) >= 6:
        yield value
