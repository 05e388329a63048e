"""Training flags of turns (`train`, `weight`, `train_detail`): what they say, and whether they can be read (B16)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from components.dataset.conversation import ASSISTANT_ROLES, Turn
from components.dataset.findings import Hit

__all__ = ["FLAGS", "Part", "flag_hits", "is_trained", "trained_parts"]

FLAGS = frozenset({"train", "weight", "train_detail"})
"""Keys of a turn, as Axolotl names them (`train`, `train_detail`) and as OpenAI does (`weight`: 0 or 1)."""


class Part(NamedTuple):
    """A part of a turn's text, from its first to its last character, both counted from 0."""

    begin: int
    end: int
    train: bool


def is_trained(turn: Turn) -> bool:
    """Whether the turn carries loss: what its flags say, else whether it is the assistant's."""
    extra = turn.extra
    if extra:
        flag = extra.get("train")
        if isinstance(flag, bool):
            return flag
        weight = extra.get("weight")
        if _is_weight(weight):
            return bool(weight)
        if extra.get("train_detail") is not None:
            return bool(trained_parts(turn))
    return isinstance(turn.role, str) and turn.role in ASSISTANT_ROLES


def trained_parts(turn: Turn) -> tuple[Part, ...]:
    """The parts that `train_detail` names, those that cannot be read left out; empty: the turn as a whole."""
    details = turn.extra.get("train_detail")
    if not isinstance(details, list):
        return ()
    return tuple(part for part in map(_part, details) if part is not None)


def flag_hits(turns: Sequence[Turn]) -> Iterator[Hit]:
    """Flags that cannot be read, parts outside the text, and a conversation of which no turn is trained."""
    broken = False
    for place, turn in enumerate(turns):
        for hit in _turn_hits(place, turn):
            broken = broken or hit.severity is None
            yield hit
    answers = [turn for turn in turns if isinstance(turn.role, str) and turn.role in ASSISTANT_ROLES]
    if not broken and answers and not any(is_trained(turn) for turn in answers):
        yield Hit("B16", "no gpt turn is trained: the flags of all of them say not to")


def _turn_hits(place: int, turn: Turn) -> Iterator[Hit]:
    train, weight, details = (turn.extra.get(key) for key in ("train", "weight", "train_detail"))
    if train is not None and not isinstance(train, bool):
        yield Hit("B16", "`train` is neither true nor false", turn=place)
    if weight is not None and not _is_weight(weight):
        yield Hit("B16", "`weight` is neither 0 nor 1", turn=place)
    if details is not None:
        yield from _detail_hits(place, turn, details)
    if turn.role in ("human", "observation", "system") and is_trained(turn):
        message = f"a {turn.role} turn is to be trained: the model learns to speak for it"
        yield Hit("B16", message, turn=place, severity="warning")


def _detail_hits(place: int, turn: Turn, details: Any) -> Iterator[Hit]:
    if not isinstance(details, list):
        yield Hit("B16", "`train_detail` is no list of parts", turn=place)
        return
    size = len(turn.text)
    for number, detail in enumerate(details):
        part = _part(detail)
        if part is None:
            yield Hit("B16", f"part {number} of `train_detail` has no begin_offset, end_offset and train", turn=place)
        # Axolotl counts the last character in; who counts it out means the same part.
        elif not 0 <= part.begin <= part.end <= size or part.begin >= size:
            yield Hit("B16", f"part {number} of `train_detail` is outside the text of {size} characters", turn=place)


def _part(detail: Any) -> Part | None:
    if not isinstance(detail, Mapping):
        return None
    begin, end, train = (detail.get(key) for key in ("begin_offset", "end_offset", "train"))
    if type(begin) is not int or type(end) is not int or not isinstance(train, bool):
        return None
    return Part(begin, end, train)


def _is_weight(value: Any) -> bool:
    return isinstance(value, int | float) and value in (0, 1)
