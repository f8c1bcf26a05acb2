"""The drawings of the report, as inline SVG: the stairs of the trajectory and the radar of the guides."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from math import cos, pi, sin

from markupsafe import Markup

from pgssi.catalogue import PALIERS
from pgssi.report.words import Pair, both, clean
from pgssi.scoring import GuideScore, Level, Tally

# Drawn from the centre outwards; what is left of a ring is what was found non-conforming.
BANDS = ("conforme", "derogation", "non_verifie", "non_conforme")
RADIUS, HOLE = 150.0, 18.0


def stairs(level: Level | None, target: int, captions: Mapping[int, Markup]) -> Markup:
    """Draw the three paliers as steps; proven ones are solid, unknown ones hatched, refuted ones empty.

    captions: what stands under each step (date and state), already marked up as SVG text content.
    """
    proven, possible = (level.proven, level.possible) if level else (0, PALIERS[-1])
    parts = []
    for palier in PALIERS:
        x, height = (palier - 1) * 150, 40 + (palier - 1) * 46
        top = 150 - height
        state = "proven" if palier <= proven else "open" if palier <= possible else "refuted"
        parts.append(
            Markup('<rect class="step {}" x="{}" y="{}" width="144" height="{}" rx="3"/>').format(state, x + 3, top, height)
        )
        mark = {"proven": "i-conforme", "open": "i-non_verifie", "refuted": "i-non_conforme"}[state]
        parts.append(
            Markup('<use class="mark {}" href="#{}" x="{}" y="{}" width="22" height="22"/>').format(state, mark, x + 14, top + 9)
        )
        parts.append(Markup('<text class="name {}" x="{}" y="{}">Palier {}</text>').format(state, x + 43, top + 26, palier))
        parts.append(Markup('<text class="caption" x="{}" y="172">{}</text>').format(x + 6, captions.get(palier, Markup(""))))
        if palier == target:
            parts.append(
                Markup(
                    '<g class="flag" transform="translate({} {})"><path d="M0 0V-34M0-34h52l-7 8 7 8H0"/>'
                    '<text x="5" y="-21">{}</text></g>'
                ).format(x + 80, top, svg_both(("cible", "target")))
            )
    return Markup('<svg class="stairs" viewBox="0 -12 456 212">{}</svg>').format(Markup("").join(parts))


def radar(guides: Mapping[str, GuideScore], names: Mapping[str, Pair]) -> Markup:
    """Draw one sector per guide and one ring per palier; each ring is filled by the share of each verdict."""
    parts: list[Markup] = []
    count = max(len(guides), 1)
    for position, (guide, whole) in enumerate(guides.items()):
        start = position / count * 2 * pi - pi / 2
        end = start + 2 * pi / count
        gap = 0.03 if count > 1 else 0.0
        for palier in PALIERS:
            parts += _ring(whole.by_palier[palier], palier, start + gap, end - gap)
        parts += _label(names[guide], whole.tally, (start + end) / 2)
    width = (RADIUS - HOLE) / len(PALIERS)
    for palier in PALIERS:
        radius = HOLE + width * palier
        parts.append(Markup('<circle class="ring" r="{:.1f}"/>').format(radius))
        parts.append(Markup('<text class="ringname" y="{:.1f}">P{}</text>').format(-radius + 11, palier))
    side, top = RADIUS + 128, RADIUS + (8 if count <= 2 else 62)
    return Markup('<svg class="radar" viewBox="{:.0f} {:.0f} {:.0f} {:.0f}" aria-hidden="true">{}</svg>').format(
        -side, -top, 2 * side, 2 * top, Markup("").join(parts)
    )


def _ring(tally: Tally, palier: int, start: float, end: float) -> Iterator[Markup]:
    width = (RADIUS - HOLE) / len(PALIERS)
    inner = HOLE + width * (palier - 1)
    if not tally.applicable:
        yield Markup('<path class="band empty" d="{}"/>').format(_sector(inner, inner + width, start, end))
        return
    for verdict in BANDS:
        outer = inner + width * tally[verdict] / tally.applicable
        if tally[verdict]:
            yield Markup('<path class="band b-{}" d="{}"/>').format(verdict, _sector(inner, outer, start, end))
        inner = outer


def _sector(inner: float, outer: float, start: float, end: float) -> str:
    """Return the path of a ring segment; a full circle is drawn as two halves, as SVG arcs need."""
    middle = (start + end) / 2

    def point(radius: float, angle: float) -> str:
        return f"{radius * cos(angle):.2f} {radius * sin(angle):.2f}"

    def arc(radius: float, angle: float, sweep: int) -> str:
        return f"A{radius:.2f} {radius:.2f} 0 0 {sweep} {point(radius, angle)}"

    return (
        f"M{point(inner, start)}L{point(outer, start)}{arc(outer, middle, 1)}{arc(outer, end, 1)}"
        f"L{point(inner, end)}{arc(inner, middle, 0)}{arc(inner, start, 0)}Z"
    )


def _label(name: Pair, tally: Tally, angle: float) -> Iterator[Markup]:
    x, y = (RADIUS + 16) * cos(angle), (RADIUS + 16) * sin(angle)
    anchor = "middle" if abs(x) < 20 else "start" if x > 0 else "end"
    share = "–" if tally.share is None else f"{int(tally.share * 100)} %"
    for language, words in zip(("fr", "en"), name, strict=True):
        lines: Sequence[str] = textwrap.wrap(clean(words), 14, break_long_words=False) or [""]
        spans = Markup("").join(
            Markup('<tspan x="{:.1f}" dy="{}">{}</tspan>').format(x, 0 if number == 0 else 14, line)
            for number, line in enumerate(lines)
        )
        yield Markup('<text lang="{}" class="axis" text-anchor="{}" y="{:.1f}">{}{}</text>').format(
            language,
            anchor,
            y - 7 * len(lines) + 4 + sin(angle) * 7 * (len(lines) + 1),
            spans,
            Markup('<tspan class="share" x="{:.1f}" dy="16">{}</tspan>').format(x, share),
        )


def svg_both(pair: Pair) -> Markup:
    """Return both languages inside an SVG text."""
    return Markup(str(both(*pair)).replace("<span", "<tspan").replace("</span", "</tspan"))
