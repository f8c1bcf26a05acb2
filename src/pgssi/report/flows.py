"""The network part of a report: the map, and the flow register with what must soon be revalidated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from pgssi.findings import day
from pgssi.report.cartography import cartography
from pgssi.report.view import SOON
from pgssi.report.words import Pair

CATEGORIES: Mapping[str, Pair] = {  # of PSSI 4.2.2.3
    "standard": ("Courant", "Standard"),
    "administration": ("Administration", "Administration"),
    "confidential": ("Confidentiel", "Confidential"),
    "vital": ("Vital", "Vital"),
    "real_time": ("Temps réel", "Real time"),
    "bulk": ("Volumineux", "Bulk"),
    "uncontrolled": ("Origine non maîtrisée", "Uncontrolled origin"),
    "late": ("Échu", "Expired"),
}


@dataclass(frozen=True)
class FlowRow:
    """One line of the register. state: ``valid``, ``soon`` or ``void``; ports: text by service name."""

    flow: Mapping[str, Any]
    ports: Mapping[str, str]
    category: Pair
    state: str
    days: int


def network_values(network: Mapping[str, Any] | None, as_of: date) -> dict[str, Any]:
    """Return what ``network.html.j2`` shows; as_of: the day that expiry dates are judged at."""
    if not network:
        return {"network": None}
    by_end = sorted(network["flows"], key=lambda flow: (flow["expires"], flow["id"]))
    rows = [_row(flow, network, as_of) for flow in by_end]
    states = [row.state for row in rows]
    return {
        "network": network,
        "map": cartography(network, as_of.isoformat()),
        "categories": [(name, pair) for name, pair in CATEGORIES.items() if _met(name, rows)],
        "flow_rows": rows,
        "flows_late": states.count("void"),
        "flows_soon": states.count("soon"),
    }


def _row(flow: Mapping[str, Any], network: Mapping[str, Any], as_of: date) -> FlowRow:
    end = day(flow["expires"])
    left = (end - as_of).days if end else -1
    ports = {name: ", ".join(network["services"].get(name, ())) for name in flow["services"]}
    name = flow["category"]
    category = CATEGORIES.get(name, (name, name))
    return FlowRow(flow, ports, category, "void" if left < 0 else "soon" if left <= SOON.days else "valid", left)


def _met(name: str, rows: list[FlowRow]) -> bool:
    if name == "late":
        return any(row.state == "void" for row in rows)
    return any(row.flow["category"] == name for row in rows)
