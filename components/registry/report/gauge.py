"""Small drawings of scores as SVG: an interval against its threshold, and shares of a whole. Text stands beside them.

Read by eye in light and dark, and by a screen reader as a sentence. A verdict is told by words too, never by colour
alone; where no bound is known the line is dashed to the end.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from components.page import visible
from components.registry.report.reading import Measured
from components.registry.report.words import Kind

__all__ = ["GAUGE_STYLE", "draw_interval", "draw_shares"]

GAUGE_STYLE = """
.gauge { min-width: 130px; max-width: 420px; }
.gauge .line { stroke: var(--line); stroke-width: 2; } .gauge .open { stroke-width: 2; stroke-dasharray: 3 3; }
.gauge .side { fill: var(--good); opacity: 0.12; } .gauge .limit { stroke: var(--ink); stroke-width: 2; }
.gauge .tip { fill: var(--ink); } .gauge .dot { fill: var(--card); stroke-width: 2.5; }
.gauge .go { fill: var(--good); stroke: var(--good); } .gauge .no { fill: var(--error); stroke: var(--error); }
.gauge .may { fill: var(--warning); stroke: var(--warning); } .gauge .bar { fill: var(--bar); stroke: var(--bar); }
.gauge rect.go, .gauge rect.no, .gauge rect.may, .gauge rect.bar { stroke: none; opacity: 0.55; }
.gauge circle.dot { fill: var(--card); }
.shares .first { fill: var(--good); } .shares .second { fill: var(--line); } .shares .third { fill: var(--error); }
.shares .fourth { fill: none; stroke: var(--line); }
"""
_WIDTH, _HEIGHT, _EDGE = 240, 28, 6
_MIDDLE = 17
_COLOURS = {"GO": "go", "NO-GO": "no", "INCONCLUSIVE": "may"}
_CLASSES = ("first", "second", "third", "fourth")


def draw_interval(
    found: Measured | None, *, threshold: float | None, at_least: bool, kind: Kind, verdict: str, told: str, name: str,
    most: float | None = None,
) -> Markup:  # fmt: skip
    """An interval on a line, its value as a dot, the threshold as a mark, the good side shaded.

    Args:
        found: the score; None: only the threshold is drawn.
        threshold: None: there is none.
        at_least: whether the good side is above.
        kind: shares and scores are drawn from 0 to 1, all others from 0 to a little beyond the largest number.
        verdict: GO, NO-GO, INCONCLUSIVE, or anything else.
        told: the same in a sentence.
        name: unique on the page.
        most: where the line ends; None: as `kind` says.
    """
    value, low, high = (found.value, found.low, found.high) if found else (None, None, None)
    numbers = [one for one in (value, low, high, threshold) if one is not None]
    begin = min(0.0, *numbers) if numbers else 0.0
    end = most or (1.0 if kind in ("share", "score") else 1.15 * max([0.0, *numbers]))
    end = max([end, *numbers]) if max([end, *numbers]) > begin else begin + 1.0

    def at(one: float) -> float:
        return round(_EDGE + (one - begin) / (end - begin) * (_WIDTH - 2 * _EDGE), 1)

    colour = _COLOURS.get(verdict, "bar")
    drawn = [_line("line", _EDGE, _WIDTH - _EDGE)]
    if threshold is not None:
        left, right = (at(threshold), _WIDTH - _EDGE) if at_least else (_EDGE, at(threshold))
        drawn.insert(0, _rect("side", left, right, height=_HEIGHT - 8, top=7))
    if value is not None:
        drawn.append(_rect(colour, at(value if low is None else low), at(value if high is None else high)))
        if low is None and high is not None:
            drawn.append(_line(f"open {colour}", _EDGE, at(value)))
        if high is None and low is not None:
            drawn.append(_line(f"open {colour}", at(value), _WIDTH - _EDGE))
        drawn.append(Markup('<circle class="dot {}" cx="{}" cy="{}" r="4"/>').format(colour, at(value), _MIDDLE))
    if threshold is not None:
        drawn.append(
            Markup(
                '<path class="tip" d="M{x} 7l-4-6h8z"/><line class="limit" x1="{x}" x2="{x}" y1="6" y2="27"/>'
            ).format(x=at(threshold))
        )
    return _svg("gauge", _HEIGHT, Markup("").join(drawn), told=told, name=name)


def draw_shares(counts: Sequence[int], *, told: str, name: str) -> Markup:
    """Up to four counts as parts of one bar: good, neither, bad, unknown."""
    total, left, drawn = sum(counts), float(_EDGE), []
    for css, count in zip(_CLASSES, counts, strict=False):
        width = (_WIDTH - 2 * _EDGE) * count / total if total else 0.0
        if width:
            drawn.append(_rect(css, round(left, 1), round(left + width, 1), height=14, top=2))
        left += width
    return _svg("gauge shares", 18, Markup("").join(drawn), told=told, name=name)


def _svg(css: str, height: int, drawn: Markup, *, told: str, name: str) -> Markup:
    return Markup(
        '<svg class="{css}" viewBox="0 0 {width} {height}" role="img" aria-labelledby="{name}">'
        '<title id="{name}">{told}</title>{drawn}</svg>'
    ).format(css=css, width=_WIDTH, height=height, name=name, told=visible(told), drawn=drawn)


def _line(css: str, left: float, right: float) -> Markup:
    return Markup('<line class="{}" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(css, left, right, y=_MIDDLE)


def _rect(css: str, left: float, right: float, *, height: int = 10, top: int = _MIDDLE - 5) -> Markup:
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="2"/>').format(
        css, left, top, round(max(right - left, 1.5), 1), height
    )
