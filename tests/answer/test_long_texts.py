"""Long texts made to take long: what is done with each takes time in its length, whatever stands in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from components.answer import detect_language, without_sources
from components.answer.guard import clean_answer, neutralise
from components.answer.history import conversation, search_text, within
from components.answer.messages import check_question
from components.answer.stream_guard import StreamGuard
from components.errors import InputError
from components.sncp.redact import mask_secrets

GUARD: dict[str, Any] = {"marker": "0123456789abcdef", "known": "https://esempio.it/a?b=c", "notes": 3}


def guarded_in_pieces(text: str) -> None:
    guard = StreamGuard(**GUARD)
    for place in range(0, len(text), 50):
        guard.feed(text[place : place + 50])
    guard.end()


def told(text: str) -> None:
    turns: Any = [{"role": "user", "content": text}, {"role": "assistant", "content": text}]
    search_text("E poi?", within(turns, max_tokens=1000))
    conversation(within(turns, max_tokens=1000), max_tokens=1000, count_tokens=lambda text: len(text.split()))
    conversation(turns, max_tokens=1000, count_tokens=lambda text: len(text.split()))


def asked(text: str) -> None:
    with suppress(InputError):
        check_question(text)


DONE: dict[str, Callable[[str], object]] = {
    "neutralise": neutralise,
    "clean_answer": lambda text: clean_answer(text, **GUARD),
    "the guard in pieces": guarded_in_pieces,
    "the conversation": told,
    "without_sources": without_sources,
    "detect_language": detect_language,
    "check_question": asked,
    "mask_secrets": mask_secrets,
}


def around(left: str, middle: str, right: str) -> Callable[[int], str]:
    def make(length: int) -> str:
        count = length // (len(left) + len(right))
        return left * count + middle + right * count

    return make


def again(unit: str, end: str = "") -> Callable[[int], str]:
    return lambda length: unit * (length // len(unit)) + end


TEXTS = {
    "links in links": again("[x](http:"),
    "links in links, with blanks": again("[x](http:a "),
    "brackets around links": around("[", "", "a](b:c)"),
    "comments in comments": around("<!-", "<!-- -->", "- -->"),
    "tags in tags": around("<", "<s>", "s>"),
    "tokens in tokens": around("]~", "]~b]", "b]"),
    "open tags before an address": again("<a ", "href="),
    "tags in alternative texts": again("<img/alt="),
    "open images": again("!["),
    "open images and a line end": again("![", "]\n x"),
    "open images and a blank": again("![ ", "]( "),
    "images with open addresses": again("![](<)"),
    "turns on one line": again("Human:"),
    "wide tags": again("＜system "),
    "addresses without a query": again("a.bb/?"),
    "addresses without an end": again("a.bb/,"),
    "one word of hex": again("a", "g g"),
    "lists of sources": again("\nFonti:\n-"),
    "numbers": again("[1, "),
    "backticks": again("```a`"),
    "file names": again("a.m"),
    "line ends": again("\n", "b"),
    "blanks": again(" ", "b"),
    "words": again("parola "),
    "open brackets": again("["),
    "open tags": again("<"),
    "line ends in a text": lambda length: f"a{again(chr(10))(length)}b",
    "lists that are none": again("\n\nFonti:\n  [1] a\nb"),
    "words of a password": again("password "),
    "addresses with a user": again("https://a:"),
    "selectors": again("\ufe0f\u200b"),
}


def seconds(done: Callable[[str], object], text: str) -> float:
    started = time.process_time()
    done(text)
    return time.process_time() - started


@pytest.mark.parametrize("make", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("done", DONE.values(), ids=DONE.keys())
def test_it_takes_no_long_time(done: Callable[[str], object], make: Callable[[int], str]) -> None:
    assert seconds(done, make(20_000)) < 10, "with the length alone it takes a tenth of this"


@pytest.mark.slow
@pytest.mark.parametrize("make", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("done", DONE.values(), ids=DONE.keys())
def test_it_takes_time_in_the_length(done: Callable[[str], object], make: Callable[[int], str]) -> None:
    short, long = seconds(done, make(20_000)), seconds(done, make(80_000))
    assert long < max(2, 8 * short), "four times as long takes four times as long; sixteen times would be its square"
