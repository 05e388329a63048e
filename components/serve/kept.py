"""Which answers of the endpoint are kept as examples, and in which form.

Kept are answers that were found in the notes. **Not kept**: one that was made with a note that must not leave this
machine, since examples go where a model is trained; nor what goes on from an answer that is not kept.

**Not covered**: what an answer took from the prompt or the session context rather than from a note.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from components.serve.desk import Served, Wanted
from components.serve.masked import masked
from components.usage.conversations import Conversations

if TYPE_CHECKING:
    from components.llm import Message

__all__ = ["keep_turn"]


def keep_turn(file: Conversations, wanted: Wanted, served: Served) -> bool:
    """Keep question and answer, secrets and personal data masked; False: they are not."""
    answer, before = served.asked.answer, _turns(wanted.history)
    if not answer.found or before is None or any(source.local for source in answer.sources):
        return False
    sources = [path for source in answer.sources for path in (source.path, *source.paths)]
    return file.keep(
        whose=wanted.key, said=[*before, (wanted.question, answer.text)], question=masked(wanted.question),
        answer=masked(answer.text), sources=sources,
        model=answer.reply.model if answer.reply else None, request=wanted.id,
    )  # fmt: skip


def _turns(history: Sequence[Message]) -> list[tuple[str, str]] | None:
    """Question and answer of each turn; None: they do not alternate."""
    roles, texts = [one["role"] for one in history], [one["content"] for one in history]
    if roles != ["user", "assistant"] * (len(roles) // 2):
        return None
    return list(zip(texts[::2], texts[1::2], strict=True))
