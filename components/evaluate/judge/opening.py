"""The judge of a recipe: `llm.judge`, opened once for each repeat, so that each draws anew."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import InputError
from components.evaluate.params import JudgeParams
from components.llm import load_chat
from components.llm.params import ChatParams, LlmParams

if TYPE_CHECKING:
    from components.llm import Budget, Chat
    from components.llm.spread import Workers

__all__ = ["Judge", "check_judge", "judge_chat", "open_judge"]


@dataclass(frozen=True)
class Judge:
    """A judge that can be asked.

    `chats`: one for each repeat; they differ in the seed of the sampler and in nothing else. `settings`: of
    `ChatParams.sampled`.
    """

    chats: tuple[Chat, ...]
    settings: Mapping[str, Any]

    @property
    def model(self) -> str:
        """The name that it is asked for by."""
        return self.chats[0].model


def judge_chat(llm: LlmParams) -> ChatParams:
    """The section that holds the judge's settings: `llm.judge`, or `llm.chat` where there is none."""
    return llm.judge or llm.chat


def check_judge(params: JudgeParams, chat: ChatParams) -> None:
    """Raise InputError when repeats would all be the same request. `chat`: of `judge_chat`."""
    if params.repeats > 1 and chat.temperature == 0:
        raise InputError(
            f"evaluate.judge.repeats is {params.repeats} and the judge's temperature is 0: each repeat would be the "
            "same request with the same answer, and say nothing about how sure the judge is. Set llm.judge.temperature "
            "above 0 (0.7, say), or evaluate.judge.repeats to 1"
        )


def open_judge(
    params: JudgeParams,
    llm: LlmParams,
    *,
    workspace: Path,
    budget: Budget | None = None,
    trusted_hosts: Collection[str] = (),
    workers: Workers | None = None,
) -> Judge:
    """The judge of a recipe. At temperature 0 its replies are cached under `workspace`, as all replies are.

    `budget`: what a run has left; none: no limit. `trusted_hosts`: of `api_base`, count as this machine. Where the
    recipe names no judge, it is the chat model without any adapter. `workers`: judge in the place of this process.

    Raises:
        InputError: see `check_judge`; otherwise as `load_chat`.
    """
    chat = judge_chat(llm)
    check_judge(params, chat)
    values = chat.model_dump()
    chats = tuple(
        load_chat(
            **{**values, "seed": chat.seed + repeat}, budget=budget, trusted_hosts=trusted_hosts, workers=workers,
            cache=workspace / "cache" / "responses.sqlite" if llm.cache else None,
        )
        for repeat in range(params.repeats)
    )  # fmt: skip
    return Judge(chats, chat.sampled())
