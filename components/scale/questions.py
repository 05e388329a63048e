"""What a candidate and the release in service are asked: what people asked first, then what the recipe asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from components.answer.messages import check_question
from components.errors import InputError
from components.evaluate.asking.items import asked_items
from components.evaluate.golden import load_golden
from components.evaluate.params import EvaluateParams
from components.store import canonical_json, sha256_hex
from components.usage.conversations import conversations_file, read_conversations

__all__ = ["Question", "choose_questions", "questions_digest"]


@dataclass(frozen=True)
class Question:
    """A question. `id`: where it is from and its name there; unique."""

    id: str
    text: str


def choose_questions(workspace: Path, params: EvaluateParams, *, most: int, max_chars: int) -> list[Question]:
    """The first `most` of: first questions of kept conversations (newest first), golden ones, prompts, tasks.

    Args:
        workspace: where conversations are kept, if they are.
        params: section `evaluate`.
        most: how many.
        max_chars: what is longer is left out, as the endpoint would refuse it; so is what has nothing to be read.

    Raises:
        InputError: with all faults of a file at their places.
        TerminalError: the kept conversations cannot be read.
    """
    found: dict[str, Question] = {}
    for question in _all(workspace, params):
        text = question.text.strip()
        if text not in found and _is_taken(text, max_chars=max_chars):
            found[text] = Question(question.id, text)
        if len(found) == most:
            break
    return list(found.values())


def questions_digest(questions: list[Question]) -> str:
    """SHA-256 (hex) of what is asked, in this order."""
    return sha256_hex(canonical_json([[question.id, question.text] for question in questions]))


def _is_taken(text: str, *, max_chars: int) -> bool:
    try:
        check_question(text, max_chars=max_chars)
    except InputError:
        return False
    return True


def _all(workspace: Path, params: EvaluateParams) -> Iterator[Question]:
    kept = conversations_file(workspace)
    if kept.is_file():
        for conversation in reversed(list(read_conversations(kept))):
            yield Question(f"kept/{conversation.id}", conversation.turns[0][0])
    if params.golden is not None:
        for golden in load_golden(params.golden, known_paths=None):
            yield Question(f"golden/{golden.id}", golden.question)
    for item in asked_items(params, patterns=False).items:
        yield Question(item.key, item.prompt)
