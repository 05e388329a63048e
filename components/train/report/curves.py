"""Curves of a training drawn as SVG: loss, held-out loss with its best checkpoint, learning rate. No script, no font.

Read by eye in light and dark, by a screen reader as a sentence, and by people who see no colours: the lines differ in
their markers and widths too. A drawing comes in two shapes, since text must not shrink on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

__all__ = ["CURVE_STYLE", "Curves", "Point", "draw_curves", "nice_ticks", "read_curves"]

Point = tuple[int, float]
"""(step, value)"""

_MOST_POINTS = 500
_MOST_LOSS = 1e6  # what is beyond has no place on any paper
CURVE_STYLE = """
.curves text { font: 12px system-ui, sans-serif; fill: var(--ink); } .curves .soft { fill: var(--soft); }
.curves .grid { stroke: var(--line); stroke-width: 1; } .curves .epoch { stroke-dasharray: 2 4; }
.curves polyline { fill: none; stroke-linejoin: round; } .curves .train { stroke: var(--soft); stroke-width: 1.2; }
.curves .held { stroke: var(--bar); stroke-width: 2.4; } .curves circle.held { fill: var(--card); }
.curves .best { fill: var(--good); stroke: var(--card); stroke-width: 1.5; }
.curves .rate { stroke: var(--warning); stroke-width: 1.6; }
.curves .dot { fill: var(--soft); stroke: none; } .curves rect.ground { fill: var(--card); }
"""
_ALONE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5a636e; --line: #d8dde3; --card: #fff; --bar: #4a6fa5;
  --warning: #8a5a00; --good: #1f6f43; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --soft: #a4adb7; --line: #363c43; --card: #1d2125;
  --bar: #7fa3d8; --warning: #f0bd5f; --good: #7fd1a3; } }
"""


@dataclass(frozen=True)
class Curves:
    """What a training logged, each step once: that of the sitting that did it last.

    Attributes:
        train: loss of the training examples of a step.
        held_out: loss of the held-out examples; step 0 is the base, where the trainer asked it first.
        rate: learning rate.
        epochs: (number, step) where a new pass over the examples begins.
        best: lowest held-out loss after step 0: the checkpoint that is kept.
        sittings: how often the trainer was started.
    """

    train: tuple[Point, ...]
    held_out: tuple[Point, ...]
    rate: tuple[Point, ...]
    epochs: tuple[tuple[int, int], ...]
    best: Point | None
    sittings: int

    @property
    def before(self) -> Point | None:
        """Held-out loss of the base: that of step 0."""
        return self.held_out[0] if self.held_out and self.held_out[0][0] == 0 else None


def read_curves(events: Iterable[Mapping[str, Any]], *, best_step: int | None = None) -> Curves:
    """The curves of the events of progress.jsonl; numbers that are none are left out.

    Steps that a killed sitting had done after its last checkpoint were done again: the later ones count. `best_step`:
    of the checkpoint that was kept; None: the one with the lowest held-out loss.
    """
    found: dict[str, dict[int, float]] = {"loss": {}, "eval_loss": {}, "learning_rate": {}, "epoch": {}}
    sittings = 0
    for event in events:
        step = event.get("step")
        if not isinstance(step, int):
            continue
        if event.get("event") == "begin":
            sittings += 1
            for points in found.values():
                for later in [one for one in points if one > step]:
                    del points[later]
        for name, points in found.items():
            value = event.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                points[step] = min(max(float(value), -_MOST_LOSS), _MOST_LOSS)
    held_out = tuple(sorted(found["eval_loss"].items()))
    after = [point for point in held_out if point[0] > 0]
    best = next((point for point in after if point[0] == best_step), None)
    return Curves(
        train=tuple(sorted(found["loss"].items())),
        held_out=held_out,
        rate=tuple(sorted(found["learning_rate"].items())),
        epochs=tuple(_epochs(sorted(found["epoch"].items()))),
        best=best or min(after, key=lambda point: point[1], default=None),
        sittings=sittings,
    )


def _epochs(points: Sequence[Point]) -> Iterator[tuple[int, int]]:
    """Where epoch 2, 3, ... begin: at the first step that is in it."""
    begun = 1
    for (step, before), (_, after) in zip(points, points[1:], strict=False):
        if math.floor(after - 1e-9) > math.floor(before - 1e-9):
            begun = math.floor(after - 1e-9) + 1
            yield begun, step


@dataclass(frozen=True)
class _Shape:
    width: int
    height: int
    left: int
    right: int
    top: int
    rate: int
    """Height of the small drawing of the learning rate."""
    x_ticks: int
    y_ticks: int


_WIDE = _Shape(width=960, height=420, left=52, right=20, top=40, rate=60, x_ticks=10, y_ticks=6)
_NARROW = _Shape(width=340, height=380, left=40, right=12, top=58, rate=48, x_ticks=4, y_ticks=5)


def draw_curves(curves: Curves, *, wide: bool = True, name: str = "curves", standalone: bool = False) -> Markup:
    """The drawing as SVG. `name`: unique on its page. `standalone`: a file of its own, with its own style."""
    shape = _WIDE if wide else _NARROW
    drawn = Markup("").join(_drawn(curves, shape)) if _is_any(curves) else _nothing(shape)
    head = Markup('<svg class="curves"{xmlns} viewBox="0 0 {w} {h}" role="img" aria-labelledby="{n}-t {n}-d">').format(
        xmlns=Markup(' xmlns="http://www.w3.org/2000/svg"') if standalone else "", w=shape.width, h=shape.height, n=name
    )
    style = Markup("<style>{}</style>").format(Markup(_ALONE + CURVE_STYLE)) if standalone else ""  # noqa: S704 - ours
    ground = Markup('<rect class="ground" width="{}" height="{}"/>').format(shape.width, shape.height)
    told = Markup('<title id="{n}-t">Loss of the training</title><desc id="{n}-d">{told}</desc>').format(
        n=name, told=told_curves(curves)
    )
    return head + told + style + (ground if standalone else "") + drawn + Markup("</svg>")


def told_curves(curves: Curves) -> str:
    """The same in a sentence, for who cannot see it."""
    parts = []
    if curves.train:
        parts.append(f"training loss from {curves.train[0][1]:.3f} to {curves.train[-1][1]:.3f}")
    if curves.held_out:
        (first, begin), (last, end) = curves.held_out[0], curves.held_out[-1]
        parts.append(f"held-out loss from {begin:.3f} at step {first} to {end:.3f} at step {last}")
    if curves.best:
        parts.append(f"lowest {curves.best[1]:.3f} at step {curves.best[0]}")
    text = ", ".join(parts) or "no loss was logged"
    return f"{text[:1].upper()}{text[1:]}."


def _is_any(curves: Curves) -> bool:
    return bool(curves.train or curves.held_out)


def _nothing(shape: _Shape) -> Markup:
    return Markup('<text x="{}" y="{}">No loss was logged.</text>').format(shape.left, shape.height // 2)


def _drawn(curves: Curves, shape: _Shape) -> Iterator[Markup]:
    steps = [step for points in (curves.train, curves.held_out, curves.rate) for step, _ in points]
    losses = [value for points in (curves.train, curves.held_out) for _, value in points]
    last = max(1, *steps)
    with_rate = bool(curves.rate)
    bottom = shape.height - 38 - (shape.rate + 26 if with_rate else 0)
    ticks = nice_ticks(min(losses), max(losses), shape.y_ticks)
    x = _Scale(0, last, shape.left, shape.width - shape.right)
    y = _Scale(ticks[0], ticks[-1], bottom, shape.top)
    yield from _axes(curves, shape, x, y, ticks, last, bottom)
    yield _line(curves.train, x, y, "train")
    yield _line(curves.held_out, x, y, "held")
    if len(curves.held_out) <= 80:
        for step, value in curves.held_out:
            yield Markup('<circle class="held" cx="{}" cy="{}" r="3"/>').format(x.at(step), y.at(value))
    if curves.best:
        yield _diamond(x.at(curves.best[0]), y.at(curves.best[1]))
    yield from _legend(curves, shape)
    if with_rate:
        yield from _rates(curves, shape, x, last)
    yield _text(shape.width - shape.right, shape.height - 4, "optimizer step", anchor="end", soft=True)


def _axes(
    curves: Curves, shape: _Shape, x: _Scale, y: _Scale, ticks: Sequence[float], last: int, bottom: int
) -> Iterator[Markup]:
    digits = _digits(ticks)
    for tick in ticks:
        at = y.at(tick)
        yield _rule(shape.left, at, shape.width - shape.right, at)
        yield _text(shape.left - 6, at + 4, f"{tick:.{digits}f}", anchor="end", soft=True)
    for tick in nice_ticks(0, last, shape.x_ticks, whole=True):
        if tick <= last:
            yield _text(x.at(tick), shape.height - 20, f"{tick:.0f}", anchor="middle", soft=True)
    if len(curves.epochs) <= shape.x_ticks:
        for number, step in curves.epochs:
            yield _rule(x.at(step), shape.top, x.at(step), bottom, more=" epoch")
            yield _text(x.at(step) + 4, shape.top + 10, f"epoch {number}", anchor="start", soft=True)


def _legend(curves: Curves, shape: _Shape) -> Iterator[Markup]:
    entries: list[tuple[str, str]] = []
    if curves.train:
        entries.append(("train", "training loss"))
    if curves.held_out:
        entries.append(("held", "held-out loss"))
    if curves.best:
        entries.append(("best", f"kept: {curves.best[1]:.3f} at step {curves.best[0]}"))
    left, top = shape.left, 16
    for kind, words in entries:
        if kind == "best" and shape is _NARROW:
            left, top = shape.left, top + 20
        if kind == "best":
            yield _diamond(left + 10, top - 4)
        else:
            yield Markup('<polyline class="{}" points="{},{} {},{}"/>').format(kind, left, top - 4, left + 20, top - 4)
        if kind == "held":
            yield Markup('<circle class="held" cx="{}" cy="{}" r="3"/>').format(left + 10, top - 4)
        yield _text(left + 26, top, words, anchor="start")
        left += 138


def _rates(curves: Curves, shape: _Shape, x: _Scale, last: int) -> Iterator[Markup]:
    bottom = shape.height - 38
    highest = max(value for _, value in curves.rate) or 1.0
    y = _Scale(0, highest, bottom, bottom - shape.rate)
    yield _rule(shape.left, bottom, shape.width - shape.right, bottom)
    yield _text(shape.left, bottom - shape.rate - 6, f"learning rate, at most {highest:g}", anchor="start", soft=True)
    yield _line(curves.rate, x, y, "rate")


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    begin: float
    end: float

    def at(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.begin + share * (self.end - self.begin), 1)


def _line(points: Sequence[Point], x: _Scale, y: _Scale, kind: str) -> Markup:
    thin = list(_thinned(points))
    if len(thin) == 1:
        return Markup('<circle class="dot" cx="{}" cy="{}" r="2.5"/>').format(x.at(thin[0][0]), y.at(thin[0][1]))
    drawn = " ".join(f"{x.at(step)},{y.at(value)}" for step, value in thin)
    return Markup('<polyline class="{}" points="{}"/>').format(kind, drawn) if drawn else Markup("")


def _thinned(points: Sequence[Point]) -> Iterator[Point]:
    """At most about `_MOST_POINTS`: of each stretch its lowest and its highest, so that no peak is lost."""
    if len(points) <= _MOST_POINTS:
        yield from points
        return
    size = math.ceil(2 * len(points) / _MOST_POINTS)
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        ends = {min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])}
        yield from sorted(ends)


def nice_ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    """Round numbers from `low` or a little below to `high` or a little above, about `most` of them, two at least."""
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    size = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    size = max(1.0, size) if whole else size
    first, last = math.floor(low / size + 1e-9), math.ceil(high / size - 1e-9)
    return [round(number * size, 12) for number in range(first, max(last, first + 1) + 1)]


def _digits(ticks: Sequence[float]) -> int:
    size = ticks[1] - ticks[0]
    return min(6, max(0, -math.floor(math.log10(size) + 1e-9)))


def _rule(x1: float, y1: float, x2: float, y2: float, *, more: str = "") -> Markup:
    return Markup('<line class="grid{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(more, x1, y1, x2, y2)


def _diamond(x: float, y: float) -> Markup:
    return Markup('<path class="best" d="M{} {}l7 7-7 7-7-7z"/>').format(x, round(y - 7, 1))


def _text(x: float, y: float, words: str, *, anchor: str, soft: bool = False) -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="{}"{}>{}</text>').format(
        x, y, anchor, Markup(' class="soft"') if soft else "", words
    )
