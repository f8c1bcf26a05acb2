"""The map of the flows, as inline SVG: a column per zone, by trust, and an arrow per flow under them.

Each arrow has a row of its own, so no label can cover another. Beyond what a page can hold, the map is the
table of zones by zones, with the number of flows of each pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from pgssi.report.figures import svg_both
from pgssi.report.words import clean

TRUST = ("none", "low", "medium", "high")
MOST_ZONES, MOST_ROWS = 14, 90  # beyond: the table
COLUMN, GUTTER, ROW, CHIP, SIDE = 148, 12, 30, 19, 27  # px; SIDE: of a cell of the table
LETTER = 6.1  # mean width of a letter of the labels, px


@dataclass(frozen=True)
class Arrow:
    """What one row shows: zones by column number, the label, and how the line is drawn."""

    sources: tuple[int, ...]
    targets: tuple[int, ...]
    label: str
    hint: str
    style: str


def cartography(network: Mapping[str, Any], today: str) -> Markup:
    """Draw the network part of a results document; today: ISO day that expiry dates are judged at."""
    zones = sorted(network["zones"], key=lambda zone: (_trust(zone), zone["name"]))
    places = {zone["name"]: place for place, zone in enumerate(zones)}
    arrows = _arrows(network, places, today)
    if len(zones) > MOST_ZONES or len(arrows) > MOST_ROWS:
        return _table(zones, arrows)
    return _columns(network, zones, arrows)


def _trust(zone: Mapping[str, Any]) -> int:
    return TRUST.index(zone["trust"]) if zone["trust"] in TRUST else 0


def _arrows(network: Mapping[str, Any], places: Mapping[str, int], today: str) -> list[Arrow]:
    """Return an arrow per flow, in the order of the zones that they leave and reach."""
    arrows = []
    for flow in network["flows"]:
        ends = tuple(tuple(sorted({places[zone] for zone in flow[key] if zone in places})) for key in ("from_zones", "to_zones"))
        if not all(ends):
            continue
        style = "late" if flow["expires"] and flow["expires"] < today else flow["category"]
        services = ", ".join(flow["services"])
        label = f"{services} · {_some(flow['from'])} → {_some(flow['to'])}"
        hint = f"{flow['id']} : {', '.join(flow['from'])} → {', '.join(flow['to'])} : {services}. {flow['purpose']}"
        arrows.append(Arrow(ends[0], ends[1], label, hint, style))
    return sorted(arrows, key=lambda arrow: (arrow.sources, arrow.targets, arrow.label))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" +{len(names) - 3}" if len(names) > 3 else "")


def _columns(network: Mapping[str, Any], zones: Sequence[Mapping[str, Any]], arrows: Sequence[Arrow]) -> Markup:
    inside = [_inhabitants(network["endpoints"], zone["name"]) for zone in zones]
    head = 58 + CHIP * max((len(names) for names in inside), default=0) + 8
    width = len(zones) * COLUMN + GUTTER
    height = head + 26 + ROW * len(arrows) + 14
    parts: list[Markup] = []
    for place, (zone, names) in enumerate(zip(zones, inside, strict=True)):
        parts += _zone_box(zone, names, place * COLUMN + GUTTER, head, height)
    parts += [_arrow(arrow, head + 26 + ROW * (row + 1), width) for row, arrow in enumerate(arrows)]
    if not arrows:
        parts.append(_text("none", width / 2, head + 22, svg_both(("aucun flux déclaré", "no declared flow")), "middle"))
    return Markup('<svg class="carto" viewBox="0 0 {} {}" style="min-width:{}px" role="img">{}</svg>').format(
        width, height, min(width, 70 * len(zones) + 200), Markup("").join(parts)
    )


def _inhabitants(endpoints: Iterable[Mapping[str, Any]], zone: str) -> list[tuple[str, str]]:
    """Return (name, kind) of what lives in a zone; beyond ten, the rest is counted."""
    found = [(endpoint["name"], endpoint["kind"]) for endpoint in endpoints if zone in endpoint["zones"]]
    found.sort(key=lambda entry: (entry[1] != "gateway", entry[1] == "equipment", entry[0]))
    return found if len(found) <= 10 else [*found[:9], (f"+{len(found) - 9}", "more")]


def _zone_box(
    zone: Mapping[str, Any], inhabitants: Sequence[tuple[str, str]], left: int, head: int, height: int
) -> Iterable[Markup]:
    wide = COLUMN - GUTTER
    middle = left + wide / 2
    yield Markup('<path class="life" d="M{:.0f} {}V{}"/>').format(middle, head, height - 4)
    yield Markup('<g class="zone z-{}"><title>{}</title><rect x="{}" y="4" width="{}" height="{}" rx="5"/>').format(
        TRUST[_trust(zone)], clean(_about(zone)), left, wide, head - 4
    )
    yield _text("zname", middle, 22, _fit(zone["name"], wide - 10, 7.6), "middle")
    vlan = f" · VLAN {zone['vlan']}" if zone["vlan"] else ""
    yield _text("znet", middle, 36, _fit(f"{zone['cidr4'] or '–'}{vlan}", wide - 8, 5.6), "middle")
    yield _text("znet", middle, 48, _fit(zone["cidr6"] or "–", wide - 8, 5.6), "middle")
    for row, (name, kind) in enumerate(inhabitants):
        top = 56 + CHIP * row
        yield Markup('<rect class="chip c-{}" x="{}" y="{}" width="{}" height="{}" rx="{}"/>').format(
            kind, left + 7, top, wide - 14, CHIP - 4, 7 if kind == "equipment" else 2
        )
        yield _text("cname", middle, top + 11, _fit(name, wide - 22, LETTER), "middle")
    yield Markup("</g>")


def _about(zone: Mapping[str, Any]) -> str:
    parts = (zone["name"], zone["title"], f"confiance {zone['trust']}", zone["owner"], ", ".join(zone["use"]))
    return " · ".join(part for part in parts if part)


def _arrow(arrow: Arrow, y: int, width: int) -> Markup:
    """Draw a line with a dot at each zone it leaves, a head at each zone it reaches, and its label above."""
    at = [_middle(place) for place in (*arrow.sources, *arrow.targets)]
    low, high = min(at), max(at)
    marks = [Markup('<circle cx="{:.0f}" cy="{}" r="3.2"/>').format(_middle(place), y) for place in arrow.sources]
    for place in arrow.targets:
        x = _middle(place)
        if place in arrow.sources:  # inside one zone, or back to one of the zones it leaves
            marks.append(
                Markup('<path class="wire" d="M{:.0f} {}h26v-9h-17"/><path d="M{:.0f} {}l9 -4v8z"/>').format(x, y, x + 2, y - 9)
            )
        else:
            from_left = min(arrow.sources) < place
            marks.append(Markup('<path d="M{:.0f} {}l{} -4.5v9z"/>').format(x, y, -10 if from_left else 10))
    if low != high:
        marks.insert(0, Markup('<path class="wire" d="M{:.0f} {}H{:.0f}"/>').format(low, y, high))
    label = _fit(arrow.label, width - 2 * GUTTER, LETTER)
    long = len(label) * LETTER
    start = low + 8 if low != high else low + 34
    start = max(GUTTER, min(start, width - GUTTER - long))
    marks.append(_text("flabel", start, y - 5 if low != high else y - 1, label, "start"))
    return Markup('<g class="flow k-{}"><title>{}</title>{}</g>').format(arrow.style, clean(arrow.hint), Markup("").join(marks))


def _middle(place: int) -> float:
    return place * COLUMN + GUTTER + (COLUMN - GUTTER) / 2


def _table(zones: Sequence[Mapping[str, Any]], arrows: Sequence[Arrow]) -> Markup:
    """Draw zones by zones: each cell holds the number of flows; its tooltip names them."""
    said: dict[tuple[int, int], list[str]] = {}
    late: set[tuple[int, int]] = set()
    for arrow in arrows:
        for pair in ((source, target) for source in arrow.sources for target in arrow.targets):
            said.setdefault(pair, []).append(arrow.hint)
            if arrow.style == "late":
                late.add(pair)
    left = 20 + max(min(len(zone["name"]), 22) for zone in zones) * 7
    parts = [_text("axis", left - 8, left - 14, svg_both(("de ↓ · vers →", "from ↓ · to →")), "end")]
    for place, zone in enumerate(zones):
        parts += _headings(zone, place, left)
    for row in range(len(zones)):
        for column in range(len(zones)):
            hints = said.get((row, column), [])
            shade = "same" if row == column and not hints else str(min(len(hints), 4))
            style = f"cell n-{shade}" + (" late" if (row, column) in late else "")
            parts.append(_square(style, hints, left + column * SIDE, left + row * SIDE))
    size = left + len(zones) * SIDE
    return Markup('<svg class="carto table" viewBox="0 0 {} {}" style="min-width:{}px" role="img">{}</svg>').format(
        size, size, min(size, 760), Markup("").join(parts)
    )


def _headings(zone: Mapping[str, Any], place: int, left: int) -> Iterable[Markup]:
    """Name a zone before its row and, upright, above its column."""
    band = Markup('<rect class="zrow z-{}" x="0" y="{}" width="{}" height="{}"/>')
    kind, name = TRUST[_trust(zone)], _fit(zone["name"], 160, 7)
    middle = left + place * SIDE + SIDE / 2
    yield band.format(kind, left + place * SIDE, left - 3, SIDE - 1)
    yield _text("zhead", left - 8, middle + 4, name, "end")
    yield Markup('<g transform="translate({:.1f} {}) rotate(-90)">{}{}</g>').format(
        middle, left - 3, band.format(kind, -SIDE / 2, left - 3, SIDE - 1), _text("zhead", 5, 4, name, "start")
    )


def _square(style: str, hints: Sequence[str], x: int, y: int) -> Markup:
    number = str(len(hints)) if hints else ""
    return Markup('<g class="{}"><title>{}</title><rect x="{}" y="{}" width="{}" height="{}"/>{}</g>').format(
        style, "\n".join(map(clean, hints)), x, y, SIDE - 1, SIDE - 1, _text("number", x + SIDE / 2, y + 17, number, "middle")
    )


def _fit(text: str, width: float, letter: float) -> str:
    """Cut a text to a width in px."""
    shown = clean(text)
    most = max(int(width / letter), 3)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def _text(kind: str, x: float, y: float, content: str | Markup, anchor: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(kind, x, y, anchor, content)
