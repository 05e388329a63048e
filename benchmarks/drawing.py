"""Figures as plain SVG: lines over notes, bars beside each other. No script, no font, no file besides."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

OURS, OTHERS, AXIS, GRID, INK = "#b03a2e", "#5d7a99", "#999999", "#bbbbbb", "#333333"
COLOURS = (OURS, "#1f618d", "#7d6608", "#1e8449")
WIDTH = 640


class Line(NamedTuple):
    """A line with a dot at each of its points, (x, y)."""

    name: str
    points: Sequence[tuple[float, float]]


class Bar(NamedTuple):
    """A bar: what stands before it, how long it is, what stands after it, and whether it is this program's."""

    label: str
    value: float
    told: str
    ours: bool = False


def lines(drawn: Sequence[Line], *, unit: str, about: str, straight: bool = True) -> str:
    """Lines over a common axis, from 0.

    Args:
        drawn: at least one line; all have the same x, each above 0.
        unit: written behind the marks of the upright axis.
        about: what the axes mean, written below.
        straight: also a straight line through the first and last point of the first one.
    """
    height, left, low = 360, 60, 310
    xs = [x for x, _ in drawn[0].points]
    most = max(xs)
    top = max(y for line in drawn for _, y in line.points) * 1.15 or 1.0

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x / most * (WIDTH - left - 30), low - y / top * (low - 30)

    parts = [f'<path d="M{left} 20V{low}H{WIDTH - 20}" fill="none" stroke="{AXIS}"/>']
    if straight:
        ends = [at(*drawn[0].points[0]), at(*drawn[0].points[-1])]
        parts.append(f'<polyline points="{_path(ends)}" fill="none" stroke="{GRID}" stroke-dasharray="5 4"/>')
    for number, line in enumerate(drawn):
        colour = COLOURS[number % len(COLOURS)]
        places = [at(*point) for point in line.points]
        parts.append(f'<polyline points="{_path(places)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in places]
        parts.append(_text(left + 14, 36 + 16 * number, line.name, colour=colour))
    shown = _apart([at(x, 0)[0] for x in xs])
    parts += [_text(at(xs[n], 0)[0], low + 18, f"{xs[n]:,.0f}", anchor="middle") for n in shown]
    step = _step(top)
    for number in range(int(top / step) + 1):
        parts.append(_text(left - 8, at(0, number * step)[1] + 4, f"{number * step:g} {unit}", anchor="end"))
    parts.append(_text((left + WIDTH) / 2, height - 12, about, anchor="middle"))
    return _svg(height, parts)


def bars(drawn: Sequence[Bar], *, about: str) -> str:
    """Bars below each other, the longest as long as there is room; ours in another colour. `about` stands below."""
    left, right, row, top = 190, 90, 30, 14
    most = max((bar.value for bar in drawn), default=0.0) or 1.0
    parts = []
    for number, bar in enumerate(drawn):
        y = top + number * row
        long = bar.value / most * (WIDTH - left - right)
        colour = OURS if bar.ours else OTHERS
        parts.append(_text(left - 10, y + 15, bar.label, anchor="end"))
        parts.append(f'<rect x="{left}" y="{y}" width="{max(long, 1):.1f}" height="20" fill="{colour}"/>')
        parts.append(_text(left + max(long, 1) + 8, y + 15, bar.told))
    height = top + len(drawn) * row + 34
    parts.append(_text(WIDTH / 2, height - 12, about, anchor="middle"))
    return _svg(height, parts)


def _svg(height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="12" fill="{INK}"><rect width="{WIDTH}" height="{height}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = INK) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _apart(places: Sequence[float], least: float = 40.0) -> list[int]:
    """Which marks are written, so that none covers the one before it; the last one always is."""
    shown = [len(places) - 1]
    for number in range(len(places) - 2, -1, -1):
        if places[shown[0]] - places[number] >= least:
            shown.insert(0, number)
    return shown


def _step(top: float) -> float:
    """Between marks: 1, 2 or 5 times a power of ten, four to ten of them."""
    power = 1.0
    while power * 10 <= top:
        power *= 10
    while power > top:
        power /= 10
    return next((power * part for part in (0.1, 0.2, 0.5, 1.0) if top / (power * part) <= 10), power)
