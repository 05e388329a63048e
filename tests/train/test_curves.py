"""Curves of a training: what is read from its events, and how it is drawn."""

from __future__ import annotations

import math
import re
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.train.report.curves import Curves, draw_curves, nice_ticks, read_curves, told_curves
from tests.train.reports import events

SVG = "{http://www.w3.org/2000/svg}"


def drawn(curves: Curves, **options: Any) -> ElementTree.Element:
    """The drawing, read as the XML that a file of its own must be."""
    return ElementTree.fromstring(str(draw_curves(curves, standalone=True, **options)))  # noqa: S314 - our own


def lines(svg: ElementTree.Element, kind: str) -> list[list[tuple[float, float]]]:
    found = [one for one in svg.iter(f"{SVG}polyline") if one.get("class") == kind]
    return [[tuple(map(float, pair.split(","))) for pair in str(one.get("points")).split()] for one in found]  # type: ignore[misc]


def words(svg: ElementTree.Element) -> list[str]:
    return [str(one.text) for one in svg.iter(f"{SVG}text")]


def test_every_step_is_read_once() -> None:
    curves = read_curves(events())
    assert [step for step, _ in curves.train] == list(range(1, 204))
    assert [step for step, _ in curves.held_out] == [0, *range(17, 204, 17), 203]
    assert curves.before == (0, 2.5)
    assert [number for number, _ in curves.epochs] == [2, 3]
    assert curves.sittings == 1


def test_steps_that_a_killed_sitting_did_are_those_of_the_one_that_did_them_again() -> None:
    told = [
        {"event": "begin", "step": 0}, *({"event": "log", "step": step, "loss": 9.0} for step in range(1, 8)),
        {"event": "eval", "step": 6, "eval_loss": 1.0},
        {"event": "begin", "step": 4}, {"event": "log", "step": 5, "loss": 2.0},
        {"event": "eval", "step": 5, "eval_loss": 3.0},
    ]  # fmt: skip
    curves = read_curves(told)
    assert curves.train == ((1, 9.0), (2, 9.0), (3, 9.0), (4, 9.0), (5, 2.0))
    assert curves.held_out == ((5, 3.0),)
    assert (curves.best, curves.sittings) == ((5, 3.0), 2)


def test_the_best_is_the_step_that_was_kept_and_never_the_base() -> None:
    told = [{"event": "eval", "step": step, "eval_loss": loss} for step, loss in ((0, 1.0), (5, 2.0), (9, 1.5))]
    assert read_curves(told).best == (9, 1.5)
    assert read_curves(told, best_step=5).best == (5, 2.0)
    assert read_curves(told[:1]).best is None


def test_what_is_no_number_is_left_out() -> None:
    odd = (math.nan, math.inf, None, "1.0", True, [1.0])
    assert read_curves({"event": "log", "step": 1, "loss": one} for one in odd).train == ()
    assert read_curves([{"event": "log", "step": "1", "loss": 1.0}, {"loss": 1.0}]).train == ()


@pytest.mark.parametrize("wide", [True, False], ids=["wide", "narrow"])
def test_the_lines_lie_where_the_axes_say(wide: bool) -> None:
    curves = read_curves(events())
    svg = drawn(curves, wide=wide)
    _, _, width, height = map(float, str(svg.get("viewBox")).split())
    (train,), (held,), (rate,) = lines(svg, "train")[:1], lines(svg, "held")[:1], lines(svg, "rate")
    assert len(train) == 203
    assert [x for x, _ in held] == sorted(x for x, _ in held)
    for kind in ("train", "held", "rate"):
        assert all(0 <= x <= width and 0 <= y <= height for line in lines(svg, kind) for x, y in line)
    # a higher loss is drawn higher, the learning rate in a place of its own below
    assert held[0][1] < held[5][1]
    assert max(y for _, y in held + train) < min(y for _, y in rate)
    assert "optimizer step" in words(svg)
    best = f"kept: {curves.best[1]:.3f} at step {curves.best[0]}" if curves.best else ""
    assert best in words(svg)
    assert "epoch 2" in words(svg)


@pytest.mark.parametrize("wide", [True, False], ids=["wide", "narrow"])
def test_texts_do_not_lie_on_each_other(wide: bool) -> None:
    svg = drawn(read_curves(events(steps=2000, eval_steps=50)), wide=wide)
    boxes = []
    for one in svg.iter(f"{SVG}text"):
        size = 7.2 * len(str(one.text))  # of 12 px letters
        x, y = float(str(one.get("x"))), float(str(one.get("y")))
        left = x - {"start": 0.0, "middle": size / 2, "end": size}[str(one.get("text-anchor"))]
        boxes.append((left, y - 10, left + size, y, str(one.text)))
    for number, (left, top, right, bottom, text) in enumerate(boxes):
        for other in boxes[number + 1 :]:
            apart = right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
            assert apart, f"{text!r} lies on {other[4]!r}"


def test_a_long_training_is_thinned_without_losing_a_peak() -> None:
    told = [{"event": "log", "step": step, "loss": 50.0 if step == 7777 else 1.0} for step in range(1, 20_001)]
    (line,) = lines(drawn(read_curves(told)), "train")[:1]
    assert len(line) <= 600
    peak = min(line, key=lambda point: point[1])
    assert peak[1] < max(y for _, y in line) - 200


@pytest.mark.parametrize(
    "told",
    [[], [{"event": "log", "step": 1, "loss": 1.0}], [{"event": "eval", "step": 0, "eval_loss": 0.0}],
     [{"event": "log", "step": n, "loss": 2.0, "learning_rate": 0.0} for n in range(3)]],
    ids=["nothing", "one step", "only the base", "all the same"],
)  # fmt: skip
def test_little_is_drawn_too(told: list[dict[str, Any]]) -> None:
    svg = drawn(read_curves(told))
    assert ("No loss was logged." in words(svg)) == (not told)
    for one in svg.iter():
        assert "nan" not in " ".join(one.attrib.values())


@settings(deadline=None)
@given(
    told=st.lists(
        st.fixed_dictionaries(
            {"event": st.sampled_from(["begin", "log", "eval"]), "step": st.integers(0, 10**7)},
            optional={name: st.floats() for name in ("loss", "eval_loss", "learning_rate", "epoch")},
        ),
        max_size=12,
    )
)
def test_any_numbers_give_a_drawing(told: list[dict[str, Any]]) -> None:
    for wide in (True, False):
        svg = drawn(read_curves(told), wide=wide)
        numbers = [value for one in svg.iter() for name, value in one.attrib.items() if name in ("x", "y", "cx", "cy")]
        assert all(math.isfinite(float(number)) for number in numbers)


@settings(deadline=None)
@given(low=st.floats(-1e6, 1e6), more=st.floats(0, 1e6), most=st.integers(3, 12))
def test_ticks_are_round_and_hold_the_values(low: float, more: float, most: int) -> None:
    ticks = nice_ticks(low, low + more, most)
    size = ticks[1] - ticks[0]
    assert 2 <= len(ticks) <= most + 3
    assert ticks[0] <= low + size * 1e-6
    assert ticks[-1] >= low + more - size * 1e-6


def test_a_file_of_its_own_has_its_style_and_a_page_does_not() -> None:
    alone, inside = str(draw_curves(read_curves(events()), standalone=True)), str(draw_curves(read_curves(events())))
    assert "<style>" in alone
    assert "prefers-color-scheme: dark" in alone
    assert "<style>" not in inside
    assert not re.search(r"(href|src|url\()", alone)


def test_who_cannot_see_it_is_told() -> None:
    curves = read_curves(events())
    assert told_curves(curves).startswith("Training loss from 2.")
    assert "held-out loss from 2.500 at step 0 to " in told_curves(curves)
    assert told_curves(read_curves([])) == "No loss was logged."
