"""Another release beside what is in service, as `serve.compare` says: which one, opened, asked, told."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.errors import CervellaError, InputError
from components.serve.desk import Opened
from components.store import logger
from flows.commands.partners import open_release

if TYPE_CHECKING:
    from components.recipe import LoadedRecipe
    from components.registry.champion.candidate import Proposed
    from components.serve.desk import Desk
    from components.serve.live import InService

__all__ = ["Comparing", "compared"]


@dataclass(frozen=True)
class Comparing:
    """Who answers with a comparison around it.

    Attributes:
        desk: whom to ask.
        told: for `/health`: which release is compared and how far it is, or why none; no paths.
        close: ends it; waits for what the candidate is asked.
    """

    desk: Desk
    told: Callable[[], Mapping[str, Any]]
    close: Callable[[], None]


def compared(loaded: LoadedRecipe, desk: Desk, live: InService) -> Comparing:
    """What answers, compared with another release if the recipe wants it and there is one.

    The candidate is chosen once, and opened on an index of its own, which follows what is published; its calls are
    charged to an `llm.budget.per_run_usd` of its own. Where it cannot be opened nothing is compared, and that is told.

    Args:
        loaded: the recipe.
        desk: who answers without a comparison.
        live: what is in service, opened.

    Raises:
        InputError: `serve.compare.run` names no run of the recipe.
    """
    compare = loaded.recipe.serve.compare
    if compare is None:
        return Comparing(desk, dict, lambda: None)
    about = {"mode": compare.mode, "share": compare.share}
    try:
        candidate = _candidate(loaded, run=compare.run)
        if candidate.digest == live.told()["release"]:
            logger.warning("serve.compare: the release of run %s is in service: nothing is compared", candidate.run)
            return Comparing(desk, lambda: {**about, "why_not": "the candidate is in service"}, lambda: None)
        return _begun(loaded, desk, candidate, about)
    except InputError as error:
        raise InputError(f"serve.compare.run: {str(error).removeprefix('--run: ')}") from error
    except (CervellaError, OSError) as error:
        logger.warning("serve.compare: nothing is compared: %s", error)
        why = f"the candidate cannot be opened ({type(error).__name__}, see the log)"
        return Comparing(desk, lambda: {**about, "why_not": why}, lambda: None)


def _candidate(loaded: LoadedRecipe, *, run: str | None) -> Proposed:
    from components.registry.champion.candidate import proposed

    recipe = loaded.recipe
    return proposed(recipe.workspace, recipe=recipe.name, model_name=recipe.registry.model_name, run=run)


def _begun(loaded: LoadedRecipe, desk: Desk, candidate: Proposed, about: Mapping[str, Any]) -> Comparing:
    """Raises CervellaError or OSError: the candidate cannot be opened; then nothing was begun."""
    from components.index.steps import published_digest
    from components.recipe.forget import asking_in
    from components.serve.compare import AbDesk, Comparisons, ShadowDesk, comparisons_file
    from components.serve.live import InService
    from components.serve.own_desk import OwnDesk
    from components.store.runs import KEEP

    recipe, serve = loaded.recipe, loaded.recipe.serve
    workspace, compare = recipe.workspace, serve.compare
    assert compare is not None  # noqa: S101 - asked by the caller

    def published() -> str:
        return published_digest(recipe.index, workspace=workspace) or ""

    def open_now(before: Opened | None) -> Opened:
        index = published()
        partner = open_release(loaded, candidate.release, before=before.partner if before else None)
        return Opened(partner=partner, release=candidate.digest, index=index)

    def since() -> object:
        """Differs once gc or forget was at work."""
        try:
            found = os.stat(workspace / "locks" / KEEP)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino

    beside = InService(look=published, open_now=open_now, look_seconds=serve.look_seconds)
    beside.start()
    with beside.use() as opened:
        is_local, model = opened.partner.chat.is_local, opened.partner.chat.model
    other = OwnDesk(beside, max_chars=serve.limits.question_chars, history_tokens=serve.limits.history_tokens)
    records = Comparisons(comparisons_file(workspace))
    asked: ShadowDesk | AbDesk
    if compare.mode == "shadow":
        asked = ShadowDesk(
            desk, other, params=compare, records=records, candidate=candidate.digest,
            keep_texts=serve.keep_conversations, gives_way=is_local, held=lambda: asking_in(workspace), since=since,
        )  # fmt: skip
    else:
        asked = AbDesk(
            desk, other, params=compare, records=records, candidate=candidate.digest,
            keep_texts=serve.keep_conversations,
        )  # fmt: skip

    def told() -> Mapping[str, Any]:
        fault = beside.told()["fault"]
        return {
            **about, "release": candidate.digest, "run": candidate.run, "model": model, **asked.told(),
            "fault": str(fault).partition(":")[0] if fault else None,
        }  # fmt: skip

    def close() -> None:
        if isinstance(asked, ShadowDesk):
            asked.close()
        beside.close()
        records.close()

    return Comparing(asked, told, close)
