"""The page of a run stands what others wrote: secrets, markup and damage; it is in order, and asks nobody."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.registry.report.facts import RunReport
from components.registry.report.page import page
from tests.pages import ATTACK, Outline, section
from tests.registry.pages import PARTS, bare
from tests.registry.reports import LONG, gate_of, hostile_report, report_of, scorecard, worst


def test_secrets_and_personal_data_are_masked() -> None:
    key = "ghp_" + "a8Kd72mQzX0pLr5TvB1nYcW4sEj9HfGu3oRi"
    row = {**worst(1)[0], "text": f"usa {key}", "prompt": "scrivi a mario@azienda-vera.it"}
    text = page(report_of(worst=(row,)))
    assert key not in text
    assert "mario@" not in text
    assert "usa [REDACTED:" in text


def test_what_is_hidden_is_shown() -> None:
    row = {**worst(1)[0], "text": "a\u200bb\x07\ud800\u202e", "id": "\u202ep1"}
    text = page(report_of(worst=(row,)))
    assert "a<mark>⟨U+200B⟩</mark>b<mark>⟨U+0007⟩</mark><mark>⟨U+D800⟩</mark><mark>⟨U+202E⟩</mark>" in text
    assert "⟨U+202E⟩p1" in text
    assert 'dir="auto" translate="no"' in text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
CARD = scorecard()
GATE = gate_of(CARD)
KEYS = [(key,) for key in CARD] + [
    (key, inner) for key in ("metrics", "judge", "asked", "answers", "tasks", "pairs", "groups", "contestants")
    for inner in CARD[key]
]  # fmt: skip


@settings(deadline=None, max_examples=80)
@given(place=st.sampled_from(KEYS), value=JSON)
def test_a_damaged_scorecard_is_still_shown(place: tuple[str, ...], value: Any) -> None:
    card = scorecard()
    at: Any = card
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    text = page(report_of(card, gate=GATE, champion=None, previous=None, worst=(), curves=None))
    text.encode()
    assert "nan" not in section(text, "gate")


@settings(deadline=None, max_examples=40)
@given(value=JSON)
def test_a_damaged_gate_is_still_shown(value: Any) -> None:
    numbers = {"value": value, "threshold": value, "low": value, "n": value}
    criterion = {"name": value, "verdict": value, **numbers}
    for gate in (
        {"verdict": value, "phase": value, "criteria": [criterion, value]},
        {"verdict": "INCONCLUSIVE", "criteria": value},
        {"verdict": "GO", "criteria": [{"name": "x", "verdict": "GO", **numbers}]},
    ):
        text = page(report_of(gate=gate, worst=(), curves=None))
        text.encode()
        told = section(text, "gate")
    assert "nan" not in told.lower()


@given(numbers=st.lists(st.floats(allow_nan=True, allow_infinity=True) | st.none(), min_size=4, max_size=4))
def test_a_drawing_stays_on_its_paper(numbers: list[float | None]) -> None:
    value, low, high, threshold = numbers
    criterion = {"name": "x", "verdict": "GO", "value": value, "low": low, "high": high, "threshold": threshold, "n": 1}
    text = page(report_of(gate={"criteria": [criterion]}, worst=(), questions=(), curves=None))
    drawn = Outline(re.search(r'<svg class="gauge" [^>]*aria-labelledby="g0">.*?</svg>', text)[0])  # type: ignore[index]
    places = [float(value or 0) for _, name, value in drawn.attributes if name in ("x", "x1", "x2", "cx", "width")]
    assert all(math.isfinite(place) and 0 <= place <= 240 for place in places)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(), max_size=60) | st.just(ATTACK))
def test_no_foreign_text_becomes_markup(text: str) -> None:
    clean = Outline(page(hostile_report("innocent `x`")))
    found = page(hostile_report(text))
    found.encode()
    foreign = Outline(found)
    assert set(foreign.tags) <= set(clean.tags) | {"mark"}
    names = {(tag, name) for tag, name, _ in clean.attributes}
    assert {(tag, name) for tag, name, _ in foreign.attributes} <= names
    assert (foreign.tags.count("script"), foreign.tags.count("style")) == (0, 1)


def test_nothing_is_asked_of_anybody(whole: str) -> None:
    addresses = {value for _, name, value in Outline(whole).attributes if name in ("src", "href", "action", "data")}
    assert addresses == {"data:,", *(f"#{part}" for part in PARTS)}
    assert "url(" not in whole
    assert "@import" not in whole
    assert "script-src" not in whole
    assert 'content="default-src &#39;none&#39;; style-src' in whole


@pytest.mark.parametrize("report", [report_of(), bare(), hostile_report("x")], ids=["whole", "bare", "hostile"])
def test_headings_and_landmarks_are_in_order(report: RunReport) -> None:
    outline = Outline(page(report))
    levels = [int(tag[1]) for tag in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    assert {"header", "nav", "main", "footer"} <= set(outline.tags)
    ids = [value for _, name, value in outline.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    labels = [value for _, name, value in outline.attributes if name == "aria-labelledby"]
    assert {label for value in labels for label in str(value).split()} <= set(ids)


def test_the_same_report_gives_the_same_page(whole: str) -> None:
    assert page(report_of()) == whole


def test_a_page_of_100_prompts_is_small() -> None:
    rows = [{**row, "text": LONG * 100, "prompt": LONG * 20} for row in worst()]
    assert len(page(report_of(worst=tuple(rows))).encode()) < 300_000
