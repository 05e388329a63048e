"""The double that judges: the error rates in its name are those of its verdicts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.errors import InputError
from components.llm import load_chat

CALLS = 400
OPTIONS: dict[str, Any] = {"max_tokens": 99, "context_tokens": 999, "timeout_seconds": 9.0, "retries": 0}


def verdicts(model: str, *prompts: str, temperature: float = 0.0, seed: int = 1) -> list[str | None]:
    chat = load_chat(model=model, temperature=temperature, seed=seed, **OPTIONS)
    replies = [chat.chat([{"role": "user", "content": prompt}], local_notes=()).text for prompt in prompts]
    return [json.loads(reply)["verdict"] if reply.startswith("{") else None for reply in replies]


def answers(mark: str, count: int = CALLS) -> list[str]:
    return [f"<<<ANSWER ab12\nNumber {number}. {mark}\nab12 END>>>\nIs it good?" for number in range(count)]


def pair(first: str, second: str, number: int = 0) -> str:
    return f"<<<ANSWER_A ab\n{first} {number}\nab END>>>\n\n<<<ANSWER_B ab\n{second} {number}\nab END>>>\nWhich?"


def test_errors_come_as_often_as_its_name_says() -> None:
    model = "fake/chat?mode=judge&tpr=0.9&tnr=0.7"
    assert verdicts(model, *answers("[[good]]")).count("yes") / CALLS == pytest.approx(0.9, abs=0.05)
    assert verdicts(model, *answers("[[bad]]")).count("no") / CALLS == pytest.approx(0.7, abs=0.07)
    assert verdicts("fake/chat?mode=judge&unparsable=0.2", *answers("")).count(None) / CALLS == pytest.approx(
        0.2, abs=0.06
    )


def test_without_errors_it_says_the_truth() -> None:
    assert verdicts("fake/chat?mode=judge", *answers("[[good]]", 9), *answers("", 9)) == ["yes"] * 18
    assert verdicts("fake/chat?mode=judge", *answers("[[bad]]", 9)) == ["no"] * 9


def test_a_mark_outside_of_the_answer_says_nothing() -> None:
    assert verdicts("fake/chat?mode=judge", "[[bad]] <<<RISPOSTA ab12\nCiao.\nab12 FINE>>>\nva bene?") == ["yes"]


def test_the_same_request_has_the_same_errors_and_another_seed_has_others() -> None:
    def said(**changes: Any) -> list[str | None]:
        return verdicts("fake/chat?mode=judge&tpr=0.5", *answers("", 50), **changes)

    assert said() == said() == said(seed=2)
    assert said(temperature=0.7) == said(temperature=0.7) != said(temperature=0.7, seed=2)


def test_of_a_pair_the_better_is_named_wherever_it_stands() -> None:
    prompts = (
        pair("[[good]]", "[[bad]]"),
        pair("[[bad]]", "[[good]]"),
        pair("Ciao", "Salve"),
        pair("[[bad]]", "[[bad]]"),
    )
    assert verdicts("fake/chat?mode=judge", *prompts) == ["A", "B", "tie", "tie"]


def test_of_a_pair_a_place_is_favoured() -> None:
    prompts = [pair("[[bad]]", "[[good]]", number) for number in range(CALLS)]
    assert verdicts("fake/chat?mode=judge&favours=first", *prompts) == ["A"] * CALLS
    some = verdicts("fake/chat?mode=judge&favours=first&favour_prob=0.3", *prompts)
    assert some.count("A") / CALLS == pytest.approx(0.3, abs=0.08)


def test_faulty_favour() -> None:
    with pytest.raises(InputError, match="first or second"):
        verdicts("fake/chat?mode=judge&favours=longest", "Ciao")
