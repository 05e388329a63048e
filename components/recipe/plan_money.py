"""Dollars and seconds of calls of a chat model, ahead of time: bounds."""

from __future__ import annotations

from components.llm import is_remote
from components.llm.params import ChatParams
from components.llm.prices import price_of
from components.llm.speeds import measured_speed, speeds_file
from components.recipe.plan_work import Seconds, Work
from components.recipe.plan_world import World

__all__ = ["chat_dollars", "chat_seconds"]

_SECONDS_AN_ANSWER = {"local/smollm2-135m-instruct": (5.0, 40.0)}
"""On 2 to 8 processors: the range where nothing was measured yet."""


def chat_dollars(chat: ChatParams, work: Work, *, fixed_tokens: int) -> tuple[float | None, float | None]:
    """At least and at most, of the calls and tokens of `work`; `fixed_tokens` of the prompts are there for certain."""
    if chat.model.startswith("fake/"):
        from components.llm.fake import FakeChat

        each = FakeChat(chat.model).estimate_usd([], 0)
        return (None, None) if each is None else (each * work.calls_at_least, each * work.calls_at_most)
    price = price_of(chat.model)
    if price is None:
        return None, None
    return (
        price.of(fixed_tokens) if work.calls_at_least else 0.0,
        price.of(work.prompt_tokens_at_most, work.completion_tokens_at_most),
    )


def chat_seconds(chat: ChatParams, least: int, most: int, world: World) -> Seconds | None:
    """Of so many calls at least and at most; None: nothing is known of the model's speed."""
    speed = measured_speed(speeds_file(world.workspace), model=chat.model, unit="answers")
    if speed is not None:
        return Seconds(speed.seconds_for(least), speed.seconds_for(most), True)
    if is_remote(chat.model) or chat.model not in _SECONDS_AN_ANSWER:
        return None
    fast, slow = _SECONDS_AN_ANSWER[chat.model]
    return Seconds(least * fast, most * slow, False)
