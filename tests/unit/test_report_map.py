"""The map of the flows and their register in the report."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from report_builder import make_catalogue, make_results

from pgssi.report import write
from pgssi.report.cartography import cartography
from pgssi.report.flows import network_values

TODAY = "2026-11-22"
HOSTILE = "<script>alert(1)</script>\"'&\u202e]]>"
SVG = "{http://www.w3.org/2000/svg}"


def make_zone(name: str, trust: str = "medium", **more: Any) -> dict[str, Any]:
    return {"name": name, "title": name, "cidr4": "10.0.0.0/24", "cidr6": "fd00::/64", "vlan": 10, "trust": trust,
            "owner": "dsi", "use": [], **more}  # fmt: skip


def make_flow(name: str, source: str, target: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "from": [source], "to": [target], "from_zones": [source], "to_zones": [target], "services": ["https"],
            "purpose": "Consulter", "technical_owner": "dsi", "business_owner": "dim", "availability": 3, "confidentiality": 4,
            "category": "standard", "expires": "2027-06-30", "rate": "", **more}  # fmt: skip


def make_network(zones: int = 4, flows: int = 6, **more: Any) -> dict[str, Any]:
    names = [f"zone-{number}" for number in range(zones)]
    return {
        "zones": [make_zone(name, ("none", "low", "medium", "high")[number % 4]) for number, name in enumerate(names)],
        "endpoints": [
            {"name": f"host{n}", "kind": ("host", "gateway", "equipment")[n % 3], "title": "", "zones": [name],
             "addresses": [], "owner": ""} for n, name in enumerate(names)
        ],
        "services": {"https": ["tcp/443"]},
        "flows": [make_flow(f"flow{n}", names[n % zones], names[(n * 7 + 1) % zones]) for n in range(flows)],
        **more,
    }  # fmt: skip


def parse(drawing: object) -> ElementTree.Element:
    return ElementTree.fromstring(str(drawing).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def test_map_names_zones_hosts_and_services() -> None:
    """Each zone is a box, each host inside it a chip, each flow an arrow with its services."""
    drawing = parse(cartography(make_network(), TODAY))
    words = [text.text or "" for text in drawing.iter(f"{SVG}text")]
    assert {"zone-0", "zone-3", "host0", "host3"} <= set(words)
    assert sum("https" in word for word in words) == 6


def test_zones_stand_by_trust() -> None:
    """The least trusted zone is on the left."""
    drawing = parse(cartography(make_network(4, 0), TODAY))
    places = {text.text: float(text.get("x", 0)) for text in drawing.iter(f"{SVG}text") if text.get("class") == "zname"}
    assert sorted(places, key=lambda name: places[name]) == ["zone-0", "zone-1", "zone-2", "zone-3"]


@pytest.mark.parametrize(("zones", "flows"), [(9, 40), (14, 90), (1, 3), (3, 0)])
def test_labels_never_overlap(zones: int, flows: int) -> None:
    """No two labels share a row, and none leaves the picture."""
    drawing = parse(cartography(make_network(zones, flows), TODAY))
    width = float(drawing.get("viewBox", "").split()[2])
    labels = [text for text in drawing.iter(f"{SVG}text") if text.get("class") == "flabel"]
    assert len(labels) == flows
    heights = sorted(float(label.get("y", 0)) for label in labels)
    assert all(second - first >= 14 for first, second in pairwise(heights))
    for label in labels:
        left = float(label.get("x", -1))
        assert left >= 0
        assert left + 6 * len(label.text or "") <= width


def test_many_zones_become_a_table() -> None:
    """Thirty zones and two hundred flows are a table whose cells hold the number of flows, none lost."""
    drawing = parse(cartography(make_network(30, 200), TODAY))
    cells = [group for group in drawing.iter(f"{SVG}g") if (group.get("class") or "").startswith("cell")]
    assert len(cells) == 900
    assert sum(int(cell.findtext(f"{SVG}text") or 0) for cell in cells) == 200


@pytest.mark.parametrize("zones", [3, 20])
def test_hostile_names_stay_text(zones: int) -> None:
    """Names from the inventory are shown as text, whatever they hold, and the drawing stays well formed."""
    network = make_network(zones, 0)
    network["zones"][0].update(name=HOSTILE, title=HOSTILE, owner=HOSTILE, cidr4=HOSTILE)
    network["endpoints"][0].update(name=HOSTILE, zones=[HOSTILE])
    network["flows"] = [make_flow(HOSTILE, HOSTILE, "zone-1", purpose=HOSTILE, services=[HOSTILE], category="standard")]
    drawing = str(cartography(network, TODAY))
    parse(drawing)
    assert "<script" not in drawing
    assert "\u202e" not in drawing


def test_expired_flows_stand_out() -> None:
    """A flow whose last day is over is drawn as such, and comes first in the register, with a warning."""
    network = make_network(3, 0)
    network["flows"] = [
        make_flow("fine", "zone-0", "zone-1"),
        make_flow("soon", "zone-0", "zone-1", expires="2026-12-01"),
        make_flow("late", "zone-0", "zone-1", expires="2026-11-21"),
    ]
    assert str(cartography(network, TODAY)).count("k-late") == 1
    values = network_values(network, date.fromisoformat(TODAY))
    assert [(row.flow["id"], row.state) for row in values["flow_rows"]] == [("late", "void"), ("soon", "soon"), ("fine", "valid")]
    assert (values["flows_late"], values["flows_soon"]) == (1, 1)


def test_report_shows_the_register(tmp_path: Path) -> None:
    """The page has the map and every field of a flow; without a network it has neither."""
    catalogue = make_catalogue()
    results = make_results(catalogue)
    assert 'id="flows"' not in write(results, tmp_path, catalogue).read_text("utf-8")
    flow = make_flow("consult", "zone-0", "zone-1", rate="10 Go par nuit", business_owner="Département <DIM>")
    network = {**make_network(3, 0), "flows": [flow]}
    page = write({**results, "network": network}, tmp_path, catalogue).read_text("utf-8")
    for text in (
        "consult",
        "Consulter",
        "tcp/443",
        "Département &lt;DIM&gt;",
        "10 Go par nuit",
        "Flow register",
        "Registre des flux",
    ):
        assert text in page
