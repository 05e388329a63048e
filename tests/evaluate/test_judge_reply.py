"""Replies of a judge: read where the verdict is clear, and nothing is guessed where it is not."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.evaluate.judge.reply import MAX_RATIONALE, read_choice, read_verdict

CLEAR = {
    "JSON": ('{"rationale": "Dice il file.", "verdict": "yes"}', "yes", "Dice il file."),
    "Italian": ('{"rationale": "Bene.", "verdict": "Sì"}', "yes", "Bene."),
    "without accent": ('{"rationale": "Bene.", "verdict": "si"}', "yes", "Bene."),
    "escaped accent": ('{"rationale": "Bene.", "verdict": "s\\u00ec"}', "yes", "Bene."),
    "boolean": ('{"rationale": "Wrong.", "verdict": false}', "no", "Wrong."),
    "boolean as text": ('{"rationale": "Wrong.", "verdict": "True"}', "yes", "Wrong."),
    "code fence": ('```json\n{"rationale": "Bad.", "verdict": "no"}\n```', "no", "Bad."),
    "prose around": ('Here it is: {"rationale": "Bad.", "verdict": "no"} I hope it helps!', "no", "Bad."),
    "a line break in a text": ('{"rationale": "One.\nTwo.", "verdict": "no"}', "no", "One. Two."),
    "single quotes": ("{'rationale': 'Bad.', 'verdict': 'no'}", "no", "Bad."),
    "single quotes and an apostrophe, prose after": (
        "{'rationale': 'L'ha detto.', 'verdict': 'yes'}\nSpero che aiuti!", "yes", "L'ha detto.",
    ),
    "quotes within the reason": ('{"rationale": "It says "no" twice", "verdict": "yes"}', "yes", 'It says "no" twice'),
    "a reason without its end": ('{"rationale": "It goes on, "verdict": "no"}', "no", "It goes on"),
    "cut behind the verdict": ('{"rationale": "Bene.", "verdict": "yes"', "yes", "Bene."),
    "a last line": ("Rationale: it is short.\nVerdict: no.", "no", "it is short."),
    "a last line in bold": ("It is short.\n**Verdict:** yes", "yes", "It is short."),
    "after thoughts": ('<think>{"verdict": "no"}?</think>{"rationale": "Ok.", "verdict": "yes"}', "yes", "Ok."),
    "said twice alike": ('{"rationale": "A.", "verdict": "no"}\n{"rationale": "B.", "verdict": "no"}', "no", "B."),
    "after the shape": (
        '{"rationale": "one sentence", "verdict": "yes or no"}\n{"rationale": "B.", "verdict": "no"}', "no", "B.",
    ),
    "a verdict quoted in a valid reason": (
        '{"rationale": "It holds {\\"verdict\\": \\"yes\\"} itself.", "verdict": "no"}', "no",
        'It holds {"verdict": "yes"} itself.',
    ),
}  # fmt: skip
UNCLEAR = {
    "nothing": "",
    "prose": "It depends on how one looks at it.",
    "a bare word": "yes",
    "the shape": '{"rationale": "one sentence", "verdict": "yes or no"}',
    "both": '{"rationale": "Hm.", "verdict": "yes/no"}',
    "two that contradict": '{"rationale": "A.", "verdict": "yes"} {"rationale": "B.", "verdict": "no"}',
    "two under one name": '{"verdict": "yes", "rationale": "A.", "verdict": "no"}',
    "prose against JSON": 'Verdict: no\n{"rationale": "B.", "verdict": "yes"}',
    "another word": '{"rationale": "A.", "verdict": "maybe"}',
    "a number": '{"rationale": "A.", "verdict": 1}',
    "null": '{"rationale": "A.", "verdict": null}',
    "a word that begins alike": "verdict: no doubt it is good",
    "cut before the verdict": '{"rationale": "It says that',
    "cut within the verdict": '{"rationale": "Bene.", "verdict": "ye',
    "cut in a reason that quotes a verdict": '{"rationale": "It holds {"verdict": "yes"} and asks me to',
    "thoughts without an end": '<think>I would say {"rationale": "A.", "verdict": "yes"}',
}


@pytest.mark.parametrize("name", CLEAR)
def test_a_clear_verdict_is_read_with_its_reason(name: str) -> None:
    reply, verdict, reason = CLEAR[name]
    assert read_verdict(reply) == (verdict, reason)


@pytest.mark.parametrize("name", UNCLEAR)
def test_what_is_no_clear_verdict_is_none(name: str) -> None:
    assert read_verdict(UNCLEAR[name]) == (None, "")


@pytest.mark.parametrize(
    ("said", "choice"),
    [("A", "A"), ("b", "B"), ("tie", "tie"), ("pari", "tie"), ("Risposta B", "B"), ("C", None), ("A, B or tie", None),
     ("yes", None)],
)  # fmt: skip
def test_a_choice_is_read(said: str, choice: str | None) -> None:
    assert read_choice(json.dumps({"rationale": "x", "verdict": said}))[0] == choice


def test_a_reason_is_cut_and_cannot_act_where_it_is_shown() -> None:
    verdict, reason = read_verdict(
        json.dumps({"rationale": "<|im_start|> \x1b[31m ![x](https://a.b/?c) " + "a" * 900, "verdict": "no"})
    )
    assert verdict == "no"
    assert len(reason) == MAX_RATIONALE
    assert "<|im_start|>" not in reason and "\x1b" not in reason and "![" not in reason


def test_a_deep_or_endless_reply_is_read_in_no_time() -> None:
    started = time.perf_counter()
    for reply in ("{" * 100_000, '{"a":' * 50_000, '{"verdict": ' * 30_000, "verdict:" + " " * 100_000 + "yes" * 9):
        assert read_verdict(reply)[0] is None
    assert time.perf_counter() - started < 5


_PIECES = st.sampled_from([
    "{", "}", '"', "'", ":", ",", "\n", "```json", "<think>", "</think>", "verdict", "rationale", "yes", "no", "or",
    "sì", "true", '{"verdict": "yes"}', '"verdict": "no"', "\\", "é", "\ud800",
])  # fmt: skip


@given(st.one_of(st.text(), st.lists(_PIECES, max_size=30).map("".join)))
def test_any_text_has_a_verdict_or_none(reply: str) -> None:
    for read in (read_verdict, read_choice):
        said, reason = read(reply)
        assert said in ("yes", "no", "A", "B", "tie", None)
        assert "\n" not in reason and len(reason) <= MAX_RATIONALE


@given(
    rationale=st.text(max_size=200), verdict=st.sampled_from(["yes", "no"]), indent=st.sampled_from([None, 2]),
    ascii_only=st.booleans(),
)  # fmt: skip
def test_valid_json_is_read_whatever_the_reason_says(rationale: str, verdict: str, **form: Any) -> None:
    reply = json.dumps(
        {"rationale": rationale, "verdict": verdict}, indent=form["indent"], ensure_ascii=form["ascii_only"]
    )
    # A reason may hold the mark of thoughts, and what follows is thought then.
    assert read_verdict(reply)[0] == (None if "<think" in rationale.lower() else verdict)
