"""From a recipe's sections to a partner that can be asked."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from components.answer.params import AnswerParams
from components.answer.partner import Partner
from components.index.params import SearchParams
from components.llm import Budget, load_chat
from components.llm.params import LlmParams

if TYPE_CHECKING:
    from components.index import Index
    from components.llm.chat import Backend
    from components.llm.spread import Workers
    from components.persona import Prompt, Session

__all__ = ["open_partner"]


def open_partner(
    *,
    workspace: Path,
    index: Index,
    search: SearchParams,
    prompt: Prompt,
    session: Session | None,
    llm: LlmParams,
    answer: AnswerParams,
    budget: Budget | None = None,
    leave_out_local: bool = False,
    trusted_hosts: Collection[str] = (),
    adapter: Path | None = None,
    workers: Workers | None = None,
    backend: Backend | None = None,
) -> Partner:
    """The partner of a recipe, on an index that is open. Its responses are cached under `workspace`.

    `budget`: what a run has left; none: the recipe's, for one question or one scoring from the terminal.
    `leave_out_local`: give the model nothing that must not leave this machine. `trusted_hosts`: of `api_base`, count as
    this machine. `adapter`: of a model `local/...`, as GGUF. `workers`: answer in the place of this process.
    `backend`: a server on this machine that answers in the place of the model that `llm.chat` names.
    """
    budget = budget or Budget(per_run_usd=llm.budget.per_run_usd, per_query_usd=llm.budget.per_query_usd)
    chat = load_chat(
        **llm.chat.model_dump() | ({"retries": 0} if backend else {}),  # it says at once when it is down
        budget=budget,
        trusted_hosts=trusted_hosts,
        cache=workspace / "cache" / "responses.sqlite" if llm.cache else None,
        adapter=adapter,
        workers=workers,
        backend=backend,
    )
    return Partner(
        index=index, search=search, prompt=prompt, session=session, chat=chat, params=answer, budget=budget,
        leave_out_local=leave_out_local,
    )  # fmt: skip
