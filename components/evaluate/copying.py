"""Answers that repeat a training answer word by word: a model that was trained for too long recites.

Verbatim overlap with training data is how memorisation is measured (Carlini et al., "Quantifying Memorization Across
Neural Language Models", ICLR 2023); the least length is ours. An answer counts as copied when `LEAST_WORDS` words in a
row stand in one training answer, or a whole training answer of `SHORTEST` words or more, and not in what it was asked.
Words are compared without case and punctuation.

Not covered: what was learnt by heart and is said with a word changed; shorter recitations; training answers below
`SHORTEST` words. What the persona and the retrieved notes say is not known here: an answer that quotes a note which a
training answer quotes too counts as copied, though it may have been read and not remembered.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.evaluate.intervals import Measure, rate_measure

if TYPE_CHECKING:
    from components.store import Artefact

__all__ = ["LEAST_WORDS", "SHORTEST", "Answered", "Copied", "copied_answers", "copied_measure", "training_answers"]

LEAST_WORDS = 12
"""Words in a row that nobody says twice by chance."""
SHORTEST = 6
"""Words of the shortest training answer that counts: below are greetings and thanks."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Answered:
    """An answer of the candidate. `key`: `part/id`; `asked`: all that the person said."""

    key: str
    asked: str
    text: str


@dataclass(frozen=True)
class Copied:
    """An answer that repeats a training answer. `run`: the longest words in a row that were found, without case."""

    key: str
    run: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON: `{key, run}`."""
        return {"key": self.key, "run": self.run}


def copied_answers(answers: Sequence[Answered], training: Iterable[str]) -> list[Copied]:
    """Those of `answers` that repeat one of the `training` answers, in their order.

    `training` is read once and never held as a whole; memory grows with the answers alone.
    """
    said = [words_of(answer.text) for answer in answers]
    asked = [f" {' '.join(words_of(answer.asked))} " for answer in answers]
    places: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for number, words in enumerate(said):
        for at in range(len(words) - SHORTEST + 1):
            places.setdefault(tuple(words[at : at + SHORTEST]), []).append((number, at))
    longest: dict[int, list[str]] = {}
    for text in training if places else ():
        trained = words_of(text)
        least = min(LEAST_WORDS, len(trained))
        for start in range(len(trained) - least + 1 if least >= SHORTEST else 0):
            for number, at in places.get(tuple(trained[start : start + SHORTEST]), ()):
                if at and start and said[number][at - 1] == trained[start - 1]:
                    continue  # part of a run that began a word before
                run = _run(said[number], at, trained, start)
                if len(run) < least or len(run) <= len(longest.get(number, ())):
                    continue
                if f" {' '.join(run)} " not in asked[number]:
                    longest[number] = run
    return [Copied(answers[number].key, " ".join(longest[number])) for number in sorted(longest)]


def copied_measure(copied: Sequence[Copied], answers: Sequence[Answered]) -> Measure:
    """Share of `answers` that are copied, with its Wilson interval."""
    keys = {one.key for one in copied}
    return rate_measure([answer.key in keys for answer in answers])


def training_answers(split: Artefact) -> Iterable[str]:
    """What the assistant says in the training rows of a sealed `dataset.split`, one text a turn."""
    from components.dataset.steps import read_rows

    for row in read_rows(split.file(str(split.read_json("split.json")["files"]["train"]))):
        yield from (turn.value for turn in row.turns or () if turn.role == "gpt" and isinstance(turn.value, str))


def words_of(text: str) -> list[str]:
    """Words without case and punctuation; accents composed, as files differ in how they write them."""
    return _WORD.findall(unicodedata.normalize("NFC", text).casefold())


def _run(said: list[str], at: int, trained: list[str], start: int) -> list[str]:
    """The words from these places on for as long as both say the same."""
    length = 0
    while at + length < len(said) and start + length < len(trained) and said[at + length] == trained[start + length]:
        length += 1
    return said[at : at + length]
