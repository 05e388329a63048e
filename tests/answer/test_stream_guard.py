"""The guard on an answer in pieces gives what the guard on the whole gives, whatever the text and the pieces."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import components.answer.stream_guard as stream_guard
from components.answer import guard as whole_guard
from components.answer.guard import clean_answer
from components.answer.stream_guard import StreamGuard

MARKER = "0123456789abcdef"
KNOWN = "vedi https://esempio.it/a?b=c"
PARTS = [
    " ", "a", "b c", "parola", "d w z", "\n", "\n\n", "\n\n\n", "\t", "\r", "\x1b", "\u200b", "\xa0", "x", "1", "ff",
    "<", ">", "<|", "|>", "|", "<|im_start|>", "</s>", "[INST]", "<!--", "-->", "<think>", "</think>", "<s", "<x <y ",
    "<img ", "<img", "alt='x'", "<a href=", "'", "=", "<script>", "<b>", "<//x.y>", "<mailto:", "＜｜", "｜＞", "［",
    "］", ".",
    "![", "![a]", "![a](", "](", "(", ")", "[", "]", "[r]", "\n[r]: ", "[x](http://e.v", "[x]( ", "!", "http://e.v)",
    "https://x.y/a", "https://esempio.it/a?b=c", "www.e.v", "javascript:x", "e.it/?a=b", "/", "http:", "//",
    "<<<", "<<<NOTA ", ">>>", "FINE>>>", " FINE>>>", MARKER, MARKER[:7], MARKER[7:], "01234567", "<<SYS>>",
    "[1]", " [1]", " [9]", "[1, 2]", "[1,", " 2]", "[1]: ", "[1](", "`", "``", "```", "```\n",
    "Fonti:", "\nFonti:", "\nFonti:\n[1] a.md\n", "\n- [1] x", "\n[2] b", "\n**Fonti**", "\nnote", "lette", "-", "*",
    "\n## ", "###", "\n### Response:", " Response:", "\nHuman:", "[|user|]", "[|us", "er|]", "]~b]", "#",
]  # fmt: skip
HOSTILE = {
    "plain": "La caparra è di 50 euro [1]. Si paga entro maggio [2].",
    "an unclosed image": "![[ a b c\nd ](https://e.v/x) e poi",
    "an image whose address is on another line": "ecco ![a\nb](\n https://e.v/x) e poi",
    "wide brackets": "a ［｜us er｜］ b c",
    "a thought": "<think>penso a lungo</think>Ecco la risposta [1].",
    "a thought without an end": "Ecco <think>penso a lungo",
    "a comment in a token": "<|im_<!-- a b c -->start|> e poi",
    "a link over blanks": "vedi [la nota lunga](https://e.v/a?d=segreto 'titolo') e poi",
    "a link with a blank in its brackets": "vedi [la nota]( https://e.v/a) e poi",
    "brackets too deep for an image": "![a [b [c d] e] f g](https://e.v/x) e poi",
    "an image over lines": "ecco ![una [bella] foto\ndel mare](https://e.v/x) e poi",
    "a tag over words": "ecco <a title=x href='https://e.v/a'>qui</a> e poi",
    "a definition": "vedi [qui][r]\n\n[r]: https://e.v/a e poi",
    "a fence": f"ecco\n<<<NOTA {MARKER}\ncitazione lunga\n{MARKER} FINE>>>\ne poi",
    "the end of another fence": "citazione 89abcdef01 FINE>>> e poi",
    "the end of another fence, in brackets": "citazione (89abcdef01 FINE>>> e poi",
    "a marker that was cut": "ecco la risposta 0123456",
    "own sources": "Ecco [1].\n\n**Fonti:**\n- [1] a.md\n- [2] b c.md\n",
    "own sources with a mark": "Ecco [1].\n\n- Fonti:\n[1] a.md",
    "own sources of two words": "Ecco [1].\nNote lette:\n[1] a.md",
    "no own sources after all": "Ecco [1].\n\nFonti:\n[1] a.md\n\nE poi altro.",
    "numbers of no note": "Ecco [9] e [1, 9] e poi [7]/x.",
    "numbers in code": "Così:\n```\nx = a [9] + b [8]\ny = 2\n```\ne [9] poi `b [9] c` fine",
    "an address": "vai su https://e.v/a?d=segreto e su https://esempio.it/a?b=c ora",
    "a heading that opens a turn": "a\n### Response: \nb c\n## Human x",
}


def streamed(text: str, seed: int) -> tuple[str, str]:
    """All that comes, and what of it came before the end; the pieces have 1 to 9 characters."""
    dice, guard, place, shown = random.Random(seed), StreamGuard(marker=MARKER, known=KNOWN, notes=3), 0, ""  # noqa: S311
    while place < len(text):
        length = dice.randint(1, 9)
        shown += guard.feed(text[place : place + length])
        place += length
    whole = shown + guard.end()
    assert whole == guard.text
    return whole, shown


def cleaned(text: str) -> str:
    return clean_answer(text, marker=MARKER, known=KNOWN, notes=3)


@pytest.mark.parametrize("rounds", [1, 2, whole_guard.ROUNDS])
@settings(max_examples=400, deadline=None)
@given(parts=st.lists(st.sampled_from(PARTS), max_size=25), seed=st.integers(0, 9))
def test_the_pieces_are_the_clean_answer(rounds: int, parts: list[str], seed: int) -> None:
    """With few rounds too, where nearly every text is too deep: what was shown before stays, the rest is disarmed."""
    text = "".join(parts)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(whole_guard, "ROUNDS", rounds)
        patched.setattr(stream_guard, "ROUNDS", rounds)
        assert streamed(text, seed)[0] == cleaned(text)


@pytest.mark.parametrize(
    "deep",
    ["<!-" * 20 + "<!-- -->" + "- -->" * 20, "[x](http:" * 30, "<a " * 30 + "href=//e.v", "[" * 40 + "a](b:c)" * 40],
    ids=["comments", "links", "tags", "brackets"],
)
def test_what_is_too_deep_is_disarmed_and_what_was_shown_before_stays(deep: str) -> None:
    text = f"La caparra è di <b>50</b> euro [1] e basta. {deep} E poi <b>altro</b> [2]."
    assert {streamed(text, seed)[0] for seed in range(30)} == {cleaned(text)}
    assert cleaned(text).startswith("La caparra è di <b>50</b> euro [1] e basta.")
    assert not set("<[") & set(cleaned(text).partition("basta.")[2])


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_it_is_the_same_for_texts_that_are_made_to_slip_through(text: str) -> None:
    assert {streamed(text, seed)[0] for seed in range(30)} == {cleaned(text)}


def rules(name: str) -> list[str]:
    """The alternatives of one of the patterns for what may have begun."""
    pattern, found, depth, place, in_class = getattr(stream_guard, name).pattern, [""], 0, 0, False
    while place < len(pattern):
        sign = pattern[place : place + 2] if pattern[place] == "\\" else pattern[place]
        depth += (sign == "(") - (sign == ")") if not in_class else 0
        in_class = sign != "]" if in_class else sign == "["
        found = [*found, ""] if sign == "|" and not depth and not in_class else [*found[:-1], found[-1] + sign]
        place += len(sign)
    return found


NAMED = [(name, number) for name in ("_BEGUN", "_BEGUN_LAST") for number in range(len(rules(name)))]


@pytest.mark.parametrize(("name", "number"), NAMED, ids=[f"{name} {number}" for name, number in NAMED])
def test_no_rule_is_there_for_nothing(name: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it some text comes out otherwise: so the tests above see a rule that is missing."""
    others = [rule for place, rule in enumerate(rules(name)) if place != number]
    flags = getattr(stream_guard, name).flags
    monkeypatch.setattr(stream_guard, name, re.compile("|".join(others), flags))
    assert [how for how, text in HOSTILE.items() if {streamed(text, n)[0] for n in range(30)} != {cleaned(text)}]


def test_words_are_shown_while_it_goes_on() -> None:
    text = "La caparra ad agosto è di 50 euro [1], e si paga entro maggio. Così dice la nota [2], e basta."
    for seed in range(5):
        whole, shown = streamed(text, seed)
        assert whole == text and len(shown) > len(text) - 25


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ecco la cosa. <think>ma forse no, chi lo sa davvero", "Ecco la"),
        ("Ecco la cosa. ![foto di una spiaggia al mare", "Ecco la"),
        ("Ecco la cosa.\n\nFonti:\n[1] a b c.md\n[2] c d", "Ecco la"),
        ("Riga, e poi ```\ncodice [9] in più righe, che è lungo", "Riga, e poi ```\ncodice [9] in più righe, che"),
    ],
    ids=["a thought", "an image", "sources", "code"],
)  # fmt: skip
def test_what_may_still_change_is_held_back(text: str, shown: str) -> None:
    assert streamed(text, 1)[1].startswith(shown)
    assert len(streamed(text, 1)[1]) < len(shown) + 8


def test_a_long_thought_takes_no_long_time() -> None:
    """What is held back is not looked at for each piece: the work grows with the text, not with its square."""
    guard = StreamGuard(marker=MARKER, known=KNOWN, notes=3)
    looked = 0
    whole = guard._unlinked

    def counted(text: str, **rest: bool) -> str | None:
        nonlocal looked
        looked += len(text)
        return whole(text, **rest)

    guard._unlinked = counted  # type: ignore[method-assign]
    thought = "<think>" + "e poi ancora " * 1000
    for place in range(0, len(thought), 4):
        guard.feed(thought[place : place + 4])
    assert looked < 120 * len(thought) and guard.text == ""
