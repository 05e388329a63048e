"""Bars drawn as SVG, readable by eye, by a screen reader and without a script."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from components.page import one_line

__all__ = ["bars"]

_MOST = 12
_LABEL, _WIDTH, _ROW = 112, 320, 20  # in units of the drawing, which is as wide as the page lets it be


def bars(counts: Mapping[str, int], *, title: str, name: str, most: int = _MOST) -> Markup:
    """One bar a key, in the order given; what is beyond `most` is one bar `others`. `name`: unique on the page."""
    rows = [(one_line(key, longest=60), count) for key, count in counts.items()]
    if len(rows) > most:
        rows = [*rows[: most - 1], ("others", sum(count for _, count in rows[most - 1 :]))]
    total = sum(count for _, count in rows)
    largest = max((count for _, count in rows), default=0)
    told = "; ".join(f"{key}: {count:,}" for key, count in rows)
    drawn = Markup("").join(
        Markup(
            '<text class="key" x="{left}" y="{y}">{key}</text>'
            '<rect x="{x}" y="{top}" width="{width}" height="12" rx="2"/>'
            '<text class="value" x="{right}" y="{y}">{count}</text>'
        ).format(
            left=_LABEL - 8, y=number * _ROW + 14, key=_short(key), x=_LABEL, top=number * _ROW + 4,
            width=_length(count, largest), right=_LABEL + _length(count, largest) + 6, count=_value(count, total),
        )
        for number, (key, count) in enumerate(rows)
    )  # fmt: skip
    return Markup(
        '<svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="{name}-t {name}-d">'
        '<title id="{name}-t">{title}</title><desc id="{name}-d">{told}</desc>{drawn}</svg>'
    ).format(width=_WIDTH, height=len(rows) * _ROW + 4, name=name, title=title, told=told, drawn=drawn)


def _length(count: int, largest: int) -> float:
    """Of a bar. What is there at all can be seen."""
    return round(max(1.5 if count else 0, (_WIDTH - _LABEL - 78) * count / largest if largest else 0), 1)


def _value(count: int, total: int) -> str:
    if not count:
        return "0"
    share = count / total
    return f"{count:,} · {share:.0%}" if share >= 0.01 else f"{count:,} · <1%"


def _short(key: str) -> str:
    return key if len(key) <= 14 else key[:13] + "…"
