"""Splits: complete, the same whatever the order, nothing shared between the sides, and next to nothing moves."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from components.dataset.conversation import Conversation, Turn
from components.dataset.corpus.corpus import Corpus
from components.dataset.corpus.leaks import source_note
from components.dataset.corpus.splits import split

STAGES = ["foundation", "expansion", "refinement", None]
KINDS = ["hand", "log", "generated", None]


def example(seed: int, *, note: int | None = None, stage: str | None = None, kind: str | None = None) -> Conversation:
    """An example that is like no other with another seed."""
    chosen = random.Random(seed)  # noqa: S311
    text = ["".join(chosen.choices("abcdefghilmnopqrstuvz", k=6)) for _ in range(24)]
    extra: dict[str, Any] = {"provenance": {"kind": kind, "note": None if note is None else f"note/{note}.md"}}
    extra |= {} if stage is None else {"stage": stage}
    turns = (Turn("human", " ".join(text[:8])), Turn("gpt", " ".join(text[8:])))
    return Conversation(index=seed, line=seed + 1, turns=turns, extra=extra)


def held_out(examples: Sequence[Conversation], *, share: float = 0.2, seed: int = 13) -> set[int]:
    return {examples[row].index for row in split(examples, share=share, seed=seed).validation}


EXAMPLES = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(0, 8)),
        st.sampled_from(STAGES),
        st.sampled_from(KINDS),
    ),
    max_size=40,
).map(lambda some: [example(at, note=note, stage=stage, kind=kind) for at, (note, stage, kind) in enumerate(some)])


@settings(max_examples=60, deadline=None)
@given(EXAMPLES, st.floats(0, 0.9, exclude_max=True), st.integers(0, 3), st.randoms(use_true_random=False))
def test_sides_are_complete_apart_and_the_same_in_any_order(
    examples: list[Conversation], share: float, seed: int, order: random.Random
) -> None:
    found = split(examples, share=share, seed=seed)
    assert sorted(chain(found.train, found.validation)) == list(range(len(examples)))
    sides = [{source_note(examples[row]) for row in side} - {None} for side in (found.train, found.validation)]
    assert not sides[0] & sides[1]
    report = found.report
    assert (report["rows"], report["train"], report["validation"]) == (
        len(examples), len(found.train), len(found.validation),
    )  # fmt: skip
    assert sum(stratum["rows"] for stratum in report["strata"].values()) == len(examples)
    assert sum(stratum["got"] for stratum in report["strata"].values()) == len(found.validation)
    if len(examples) >= 10 and share > 0 and report["groups"] > 1:
        assert found.validation
    if examples:
        assert found.train
    shuffled = list(examples)
    order.shuffle(shuffled)
    assert held_out(shuffled, share=share, seed=seed) == held_out(examples, share=share, seed=seed)


@settings(max_examples=60, deadline=None)
@given(EXAMPLES, st.integers(0, 3), st.sampled_from(STAGES), st.one_of(st.none(), st.integers(0, 20)))
def test_of_an_added_example_only_its_own_stratum_moves_and_little_of_it(
    examples: list[Conversation], seed: int, stage: str | None, note: int | None
) -> None:
    examples = [example(one.index, note=None if note is None else one.index % 7, kind="hand") for one in examples]
    others = [example(1000 + at, stage="refinement", kind="log") for at in range(30)]
    before = split([*examples, *others], share=0.2, seed=seed)
    grown = [*examples, *others, example(999, note=note, kind="hand")]
    moved = held_out([*examples, *others], seed=seed) ^ held_out(grown, seed=seed) - {999}
    if len(examples) >= 10:
        assert not {index for index in moved if index >= 1000}
    after = split(grown, share=0.2, seed=seed)
    assert len(moved) <= 2 * max(before.report["largest_group"], after.report["largest_group"]) + 2


def test_without_notes_one_example_more_moves_at_most_two_of_600() -> None:
    examples = [example(at, stage=STAGES[at % 3], kind="hand") for at in range(600)]
    before = held_out(examples, share=0.1)
    assert 57 <= len(before) <= 63
    for more in range(600, 606):
        assert len(held_out([*examples, example(more, stage="expansion", kind="hand")], share=0.1) ^ before) <= 2


def test_strata_get_their_share_each() -> None:
    examples = [
        example(at, note=at // 2, stage=STAGES[at % 6 // 2], kind="hand" if at < 300 else "log") for at in range(600)
    ]
    report = split(examples, share=0.1, seed=1).report
    assert set(report["strata"]) == {f"{stage}/{kind}" for stage in STAGES[:3] for kind in ("hand", "log")}
    for stratum in report["strata"].values():
        assert stratum["rows"] == 100 and stratum["groups"] == 50 and stratum["wanted"] == 10
        assert stratum["got"] == 10
    assert held_out(examples, share=0.1, seed=1) != held_out(examples, share=0.1, seed=2)


def test_equal_near_and_same_questions_stay_together_also_through_others() -> None:
    base = [example(at) for at in range(40)]

    def turn(conversation: Conversation, at: int) -> str:
        return (conversation.turns or ())[at].text

    linked = []
    for at, one in enumerate(base):
        near = Conversation(100 + at, 1, (Turn("human", turn(one, 0)), Turn("gpt", turn(one, 1) + " e poi")))
        asked = Conversation(200 + at, 1, (Turn("human", turn(one, 0).upper() + "?"), Turn("gpt", f"Altro {at}.")))
        noted = example(300 + at, note=at)
        same = Conversation(400 + at, 1, noted.turns)
        linked += [near, asked, noted, same, Conversation(500 + at, 1, one.turns, extra=noted.extra)]
    out = held_out([*base, *linked], share=0.3)
    assert out
    for at in range(40):
        assert len({index in out for index in (at, 100 + at, 200 + at, 300 + at, 400 + at, 500 + at)}) == 1


def test_a_group_that_is_too_large_stays_in_training_and_the_report_says_so() -> None:
    examples = [example(at, note=0) for at in range(15)] + [example(50)]
    found = split(examples, share=0.1, seed=0)
    assert found.validation == (15,) and found.report["largest_group"] == 15
    assert split(examples[:15], share=0.1, seed=0).validation == ()


def test_the_training_side_of_a_real_file_has_no_leak_of_the_other(shared: Path) -> None:
    rows = json.loads((shared / "data" / "sharegpt" / "glaive_toolcall_en_demo.json").read_text(encoding="utf-8"))
    examples = [
        Conversation(at, at + 1, tuple(Turn(turn["from"], turn["value"]) for turn in row["conversations"]))
        for at, row in enumerate(rows)
    ]
    found = split(examples, share=0.1, seed=13)
    assert 25 <= len(found.validation) <= 31

    def leaks(train: Sequence[int]) -> int:
        corpus = Corpus(held_out=[("validation.jsonl", examples[row]) for row in found.validation])
        for row in train:
            corpus.add(examples[row])
        return sum(hit.rule == "E4" for *_, hit in corpus.finish())

    assert leaks(found.train) == 0
    assert leaks([*found.train, found.validation[0]]) >= 1
