"""What no software erases (PSSI 3.1.4.12 to 3.1.4.16): an act that people answer for, checked for what it can be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pgssi.destruction.consent import Refused

KIND = "physical_destruction"
# What is done to each kind of medium; degaussing does nothing to flash memory, and a phone is reset, not shredded.
METHODS = {
    "disk": ("degaussing", "shredding", "incineration"),
    "tape": ("degaussing", "shredding", "incineration"),
    "flash": ("shredding", "incineration"),
    "optical": ("shredding", "incineration", "grinding"),
    "card": ("shredding", "incineration"),
    "phone": ("factory_reset", "shredding", "incineration"),
    "other": ("factory_reset", "shredding", "incineration"),
}
NEEDED = {"witness": "qui en répond avec l'opérateur", "contractor": "qui l'a fait"}
NEEDED_RESET = {"witness": "qui en répond avec l'opérateur", "erased_on": "date de l'effacement par les menus",
                "reset_on": "date de la réinitialisation", "procedure": "procédure du constructeur suivie"}  # fmt: skip


def fields(entry: Mapping[str, Any], done: Mapping[str, Any], operator: str) -> dict[str, Any]:
    """Return the record of a physical destruction. done: method, and what NEEDED, or NEEDED_RESET, names. Raises Refused."""
    serial, kind, method = entry["serial"], entry["kind"], str(done.get("method") or "")
    if method not in METHODS[kind]:
        raise Refused(
            f"Refusé : {method or 'aucune méthode'} ne détruit pas {serial} ({kind}). Choisir parmi : {', '.join(METHODS[kind])}."
        )
    needed = NEEDED_RESET if method == "factory_reset" else NEEDED
    for key, meaning in needed.items():
        if not str(done.get(key) or "").strip():
            raise Refused(f"Refusé : {serial} : {key} manque ({meaning}).")
    if str(done["witness"]).casefold() == operator.casefold():
        raise Refused(f"Refusé : {serial} : le témoin est une autre personne que l'opérateur, {operator}.")
    keys = ("serial", "kind", "host", "former_owner", "new_owner")
    return {
        "kind": KIND,
        "what": f"Destruction physique du support {serial}",
        "where": [str(entry.get("host") or "hors réseau")],
        "who": {"operator": operator, "witness": str(done["witness"])},
        "details": {key: entry[key] for key in keys if key in entry}
        | {"transfer": str(entry["transfer"]), "method": method}
        | {key: str(done[key]) for key in needed},
    }
