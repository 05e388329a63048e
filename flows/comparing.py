"""Another release beside what is in service, as `serve.compare` says: which one, opened, asked, told."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import CervellaError, InputError
from components.serve.desk import NotInServiceError, Opened
from components.store import logger
from flows.backends import Holding
from flows.commands.partners import open_release

if TYPE_CHECKING:
    from components.answer.partner import Partner
    from components.recipe import LoadedRecipe
    from components.registry.champion.candidate import Proposed
    from components.serve.desk import Desk
    from components.serve.live import InService
    from flows.backends import Backends

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


def compared(
    loaded: LoadedRecipe, desk: Desk, live: InService, *, backends: Backends | None = None
) -> Comparing:  # fmt: skip
    """What answers, compared with another release if the recipe wants it and there is one.

    The candidate is chosen once, and opened on an index of its own, which follows what is published; its calls are
    charged to an `llm.budget.per_run_usd` of its own. Where it cannot be opened nothing is compared, and that is told.

    Args:
        loaded: the recipe.
        desk: who answers without a comparison.
        live: what is in service, opened.
        backends: what serves the model of the candidate; None: it is asked as it says.

    Raises:
        InputError: `serve.compare.run` names no run of the recipe.
    """
    compare = loaded.recipe.serve.compare
    if compare is None:
        return Comparing(desk, dict, lambda: None)
    about = {"mode": compare.mode, "share": compare.share}
    try:
        candidate = _candidate(loaded, run=compare.run)
    except InputError as error:
        raise InputError(f"serve.compare.run: {str(error).removeprefix('--run: ')}") from error
    except (CervellaError, OSError) as error:
        return _none(desk, about, error)
    if candidate.digest == live.told()["release"]:
        logger.warning("serve.compare: the release of run %s is in service: nothing is compared", candidate.run)
        return Comparing(desk, lambda: {**about, "why_not": "the candidate is in service"}, lambda: None)
    try:
        return _begun(loaded, desk, live, candidate, about, backends)
    except (CervellaError, OSError) as error:  # also where its model is not the one that this recipe serves
        return _none(desk, about, error)


def _none(desk: Desk, about: Mapping[str, Any], error: Exception) -> Comparing:
    """Nothing is compared: the candidate cannot be opened."""
    logger.warning("serve.compare: nothing is compared: %s", error)
    why = f"the candidate cannot be opened ({type(error).__name__}, see the log)"
    return Comparing(desk, lambda: {**about, "why_not": why}, lambda: None)


def _candidate(loaded: LoadedRecipe, *, run: str | None) -> Proposed:
    from components.registry.champion.candidate import proposed

    recipe = loaded.recipe  # one of phase scale registers nothing: it takes releases of others
    of = recipe.scale.candidate if recipe.phase == "scale" else recipe.name
    return proposed(recipe.workspace, recipe=of, model_name=recipe.registry.model_name, run=run)


def _begun(
    loaded: LoadedRecipe, desk: Desk, live: InService, candidate: Proposed, about: Mapping[str, Any],
    backends: Backends | None,
) -> Comparing:  # fmt: skip
    """Raises CervellaError or OSError: the candidate cannot be opened; then nothing was begun."""
    from components.index.steps import published_digest
    from components.recipe.forget import asking_in
    from components.serve.compare import AbDesk, Comparisons, ShadowDesk, comparisons_file
    from components.serve.compare.records import MAX_ROWS
    from components.serve.live import InService
    from components.serve.own_desk import OwnDesk
    from components.serve.router.hybrid import HybridDesk
    from components.store.runs import KEEP

    recipe, serve = loaded.recipe, loaded.recipe.serve
    workspace, compare, limits = recipe.workspace, serve.compare, serve.limits
    assert compare is not None  # noqa: S101 - asked by the caller

    def published() -> str:
        return published_digest(recipe.index, workspace=workspace) or ""

    def open_now(before: Opened | None) -> Opened:
        index = published()
        kept = before.partner if before else None
        with ExitStack() as held:
            serves = backends.serving(loaded, held) if backends else None
            partner: Partner = open_release(loaded, candidate.release, before=kept, serves=serves)
            partner.chat.warm()  # else its first question waits for it
            if partner.chat.leaves_to:  # a note that is local from now on may stand in what another model has answered
                partner = replace(partner, leave_out_local=True)
            return Holding(
                partner=partner, release=candidate.digest, index=index, serving=serves, let_go=held.pop_all().close
            )

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
    why_not = _WhyNot(live, beside, candidate, sealed=workspace / "store" / candidate.release)
    records = Comparisons(comparisons_file(workspace), max_rows=max(MAX_ROWS, compare.questions))
    own = OwnDesk(beside, max_chars=limits.question_chars, history_tokens=limits.history_tokens)
    routed = desk.beside(beside) if isinstance(desk, HybridDesk) else None
    asked: ShadowDesk | AbDesk
    if compare.mode == "shadow":
        asked = ShadowDesk(
            desk, own, params=compare, records=records, candidate=candidate.digest,
            keep_texts=serve.keep_conversations, gives_way=is_local, held=lambda: asking_in(workspace), since=since,
            why_not=why_not,
        )  # fmt: skip
    else:
        asked = AbDesk(
            desk, routed or own, params=compare, records=records, candidate=candidate.digest,
            max_chars=limits.question_chars, keep_texts=serve.keep_conversations, why_not=why_not,
            own_first=lambda tier: serve.router is None or getattr(serve.router, tier)[0] == "own",
        )  # fmt: skip

    def told() -> Mapping[str, Any]:
        fault, why = beside.told()["fault"], why_not()
        return {
            **about, "release": candidate.digest, "run": candidate.run, "model": model, **asked.told(),
            "fault": str(fault).partition(":")[0] if fault else None, **({"why_not": why} if why else {}),
        }  # fmt: skip

    def close() -> None:
        if isinstance(asked, ShadowDesk):
            asked.close()
        beside.close()
        records.close()

    return Comparing(asked, told, close)


class _WhyNot:
    """Why the candidate is not to be asked now, in words for people, no paths; None: it may be.

    What ends a comparison ends it until the endpoint is started again; the rest may pass.
    """

    def __init__(self, live: InService, beside: InService, candidate: Proposed, *, sealed: Path) -> None:
        self._live, self._beside, self._candidate, self._sealed = live, beside, candidate, sealed
        self._ended: str | None = None

    def __call__(self) -> str | None:
        try:
            with self._beside.use() as opened, self._live.use() as own:
                self._ended = self._ended or self._end(opened, own)
                away = opened.partner.chat.leaves_to and not own.partner.chat.leaves_to
        except NotInServiceError:
            return "the endpoint ends"
        if self._ended:
            return self._ended
        if self._beside.told()["fault"]:
            return "the candidate cannot be opened on what is published (see the log)"
        return "the model in service is here and the candidate's is elsewhere: no question goes there" if away else None

    def _end(self, opened: Opened, own: Opened) -> str | None:
        why = None
        if own.release == self._candidate.digest:
            why = "the candidate is in service"
        elif not self._sealed.is_dir():
            why = "the candidate's release is gone"
        elif opened.partner.budget.exhausted:
            why = "the llm.budget.per_run_usd of the candidate is spent"
        if why:
            logger.warning("serve.compare: the comparison with run %s has ended: %s", self._candidate.run, why)
        return why
