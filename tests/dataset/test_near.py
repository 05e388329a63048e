"""Folding, near-duplicates on real and made-up texts, and crowds that cost in proportion."""

from __future__ import annotations

import json
import random
import re
import unicodedata
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.dataset.corpus import near
from components.dataset.corpus.folded import fold, windows
from components.dataset.corpus.near import ALIKE, Texts, clusters
from components.sncp import minhash

LETTERS = st.text(alphabet=st.characters(codec=None), max_size=30)


def plainly(text: str) -> str:
    """What `fold` promises, a character at a time."""
    text = unicodedata.normalize("NFC", text).casefold()
    return " ".join("".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in text).split(" "))


def folded(text: str) -> str:
    return "".join(map(chr, fold([text]).codes_of(0).tolist()))


def parts(text: str) -> set[str]:
    text = folded(text)
    return {text[at : at + 5] for at in range(len(text) - 4)}


def jaccard(one: set[str], other: set[str]) -> float:
    return len(one & other) / len(one | other) if one | other else 0.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Perché?  NO: «sì»…\n", "perché no sì"),
        ("Perche\u0301", "perché"),
        ("STRASSE straße", "strasse strasse"),
        ("snake_case + 1", "snake case 1"),
        ("你好，世界", "你好 世界"),
        ("हिन्दी", "हिन्दी"),
        ("🙂 !!", ""),
        ("", ""),
        ("\ud800x\x00y", "x y"),
    ],
)
def test_what_folding_leaves(text: str, expected: str) -> None:
    assert folded(text) == expected


@given(st.lists(LETTERS, max_size=6))
def test_many_texts_are_folded_as_each_alone(texts: list[str]) -> None:
    many = fold(texts)
    for at, text in enumerate(texts):
        found = "".join(map(chr, many.codes_of(at).tolist()))
        assert found == re.sub(" +", " ", plainly(text)).strip(" ") == folded(text)
    start, end = many.span(0, len(texts))
    assert "".join(map(chr, many.codes[start:end].tolist())) == folded("\n".join(texts))


def test_marks_out_of_order_cost_no_more_than_their_number() -> None:
    """NFC sorts them by exchanging neighbours: 400,000 at once would take minutes."""
    text = "a" + "\u0301\u0323" * 200_000
    assert len(fold([text]).codes_of(0)) >= 300_000


@given(st.text(max_size=40))
def test_there_is_a_window_for_each_five_letters_and_equal_ones_are_equal(text: str) -> None:
    codes = fold([text]).codes_of(0)
    found = windows(codes).tolist()
    fives = [tuple(codes[at : at + 5].tolist()) for at in range(len(codes) - 4)]
    assert len(found) == len(fives) and len(set(found)) == len(set(fives))


@pytest.fixture(scope="module")
def glaive(shared: Path) -> list[str]:
    rows = json.loads((shared / "data" / "sharegpt" / "glaive_toolcall_en_demo.json").read_text(encoding="utf-8"))
    return ["\n".join(turn["value"] for turn in row["conversations"]) for row in rows]


def test_the_real_file_has_38_equal_and_68_near_pairs_and_52_rows_go(glaive: list[str]) -> None:
    texts = Texts()
    firsts = texts.add_all(glaive)
    assert sum(first != at for at, first in enumerate(firsts)) == 38
    near_to: dict[int | None, set[int | None]] = {}
    for pair in texts.pairs():
        assert pair.similarity == pytest.approx(jaccard(parts(glaive[pair.one]), parts(glaive[pair.other])))
        near_to.setdefault(pair.one, set()).add(pair.other)
        near_to.setdefault(pair.other, set()).add(pair.one)
    pairs = [
        (one, other)
        for one, other in combinations(range(len(glaive)), 2)
        if firsts[one] == firsts[other] or firsts[one] in near_to.get(firsts[other], ())
    ]
    assert len(pairs) == 68
    assert len({other for _, other in pairs}) == 52


def prose(seed: int, words: int) -> list[str]:
    chosen = random.Random(seed)  # noqa: S311
    return ["".join(chosen.choices("abcdefghilmnopqrstuvz", k=chosen.randint(2, 9))) for _ in range(words)]


@pytest.mark.parametrize("words", [8, 30, 120])
def test_pairs_are_those_of_all_with_all(words: int) -> None:
    texts = [" ".join(prose(n, words)) for n in range(150)]
    chosen = random.Random(1)  # noqa: S311
    for text in texts[:100]:
        texts.append(text[: round(len(text) * (1 - 0.3 * chosen.random()))].upper())
    table = Texts()
    firsts = table.add_all(texts)
    found = {(pair.one, pair.other) for pair in table.pairs()}
    distinct = [at for at, first in enumerate(firsts) if at == first]
    sets = [parts(text) for text in texts]
    true = {pair for pair in combinations(distinct, 2) if jaccard(sets[pair[0]], sets[pair[1]]) >= ALIKE}
    assert found <= true
    assert len(true) >= 40
    assert len(found) >= 0.97 * len(true)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(alphabet="ab ", max_size=60), max_size=12), st.integers(0, 4))
def test_any_texts_end_in_pairs_that_are_alike(texts: list[str], apart: int) -> None:
    table = Texts()
    firsts = table.add_all(texts)
    for at, first in enumerate(firsts):
        expected = next((before for before in range(at + 1) if folded(texts[before]) == folded(texts[at])), None)
        assert first == (expected if folded(texts[at]) else None)
    pairs = table.pairs(apart=apart)
    for one, other, similarity in pairs:
        assert one < other >= apart
        assert similarity == pytest.approx(jaccard(parts(texts[one]), parts(texts[other]))) and similarity >= ALIKE
    assert pairs == table.pairs(apart=apart), "it can be asked again"


def test_what_does_not_fit_into_memory_is_read_back_from_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "_IN_MEMORY", 1_000)
    texts = [" ".join(prose(n, 100)) + " 世界 𝔘𝔫𝔦"[: 2 * (n % 4)] for n in range(40)]
    texts += [text + " ancora" for text in texts]
    table = Texts()
    table.add_all(texts)
    assert [(pair.one, pair.other) for pair in table.pairs()] == [(n, 40 + n) for n in range(40)]
    table.close()


@pytest.mark.parametrize("common", [0.95, 0.7], ids=["nearly equal", "not quite"])
def test_a_crowd_is_measured_in_proportion(common: float, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = prose(0, 100)
    texts = [" ".join(frame[: int(100 * common)] + prose(n, 100 - int(100 * common))) for n in range(1, 1001)]
    measured: list[float] = []

    def counted(*pair: Any, **limit: Any) -> float:
        measured.append(minhash.jaccard(*pair, **limit))
        return measured[-1]

    monkeypatch.setattr("components.dataset.corpus.near.jaccard", counted)
    table = Texts()
    table.add_all(texts)
    alike = {pair.other for pair in table.pairs()}
    assert len(alike) == (999 if common > ALIKE else 0)
    assert len(measured) <= 6 * len(texts)


def test_clusters_go_through_others() -> None:
    assert clusters(7, [(1, 2), (5, 4), (2, 5)]) == [0, 1, 1, 3, 1, 1, 6]
