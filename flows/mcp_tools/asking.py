"""Search and answers for an agent program: opened at the first call, then followed.

The program's own model is taken to be elsewhere, so notes that must not leave this machine are left out, unless whoever
starts the server says otherwise. Not covered: what a model of this machine tells of such a note in an answer's own
words, because it was trained on it.
"""

from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from components.errors import TerminalError
from components.recipe import LoadedRecipe
from components.recipe.forget import asking_in
from components.serve.desk import Opened
from components.serve.live import InService
from components.sncp.redact import mask_secrets
from components.usage import UsageLog, usage_file
from flows.commands.ask import taken
from flows.mcp_tools.results import Answered, Found, answered, found
from flows.serving import InRecipe

if TYPE_CHECKING:
    from components.answer.partner import Asked
    from components.index import Index

__all__ = ["Asking", "StoppedError"]

_BEAT_SECONDS = 0.5  # how long work goes on, at most, that nobody waits for any more


class StoppedError(Exception):
    """Nobody waits for the answer any more."""


class Asking:
    """What `search` and `ask` do, on one index. Several threads may call it.

    Texts and vectors of what is published no more leave the memory within `serve.look_seconds`; where it is in a
    bucket, with the next search.

    Args:
        loaded: the recipe.
        with_local: give notes that must not leave this machine too, because who asks is on it.
    """

    def __init__(self, loaded: LoadedRecipe, *, with_local: bool) -> None:
        self._loaded, self._with_local = loaded, with_local
        source = InRecipe(loaded)
        self._live = InService(look=source.look, open_now=lambda before: self._guarded(source.open_now(before)))
        self._index: Index | None = None
        self._opening = threading.Lock()  # one thread opens it
        self._end = threading.Event()
        threading.Thread(target=self._let_go_of_old, name="old rows", daemon=True).start()

    def search(self, question: str, *, k: int | None, **filters: Any) -> tuple[Found, str]:
        """The passages for a question, secrets in it masked, as `cervella search` finds them.

        Raises as `Index.search`.
        """
        recipe = self._loaded.recipe
        params, wanted = recipe.index.search, k or recipe.index.search.k
        hits = self._opened_index().search(
            mask_secrets(question), k=2 * wanted, fusion=params.fusion, dense_weight=params.dense_weight,
            candidates=max(params.candidates, 2 * wanted), **filters,
        )  # fmt: skip
        given = [hit for hit in hits if self._with_local or not hit.local]
        left_out = set() if self._with_local else {hit.path for hit in hits[:wanted] if hit.local}
        return found(given[:wanted], root=str(recipe.sncp.root), left_out=len(left_out))

    def ask(self, question: str, *, stop: threading.Event) -> tuple[Answered, str]:
        """The partner's answer. The work ends, soon, once `stop` is set.

        Raises:
            CervellaError: nothing is in service, or nobody could answer.
            StoppedError: `stop` was set.
        """
        workspace, started = self._loaded.recipe.workspace, time.perf_counter()
        log = UsageLog(usage_file(workspace)) if workspace.is_dir() else None
        told: dict[str, Any] = {"door": "mcp", "recipe": self._loaded.recipe.name, "question": question}
        try:
            with asking_in(workspace):
                self._live.look(strict=not self._live.told()["ready"])
                with self._live.use() as opened:
                    self._index = opened.partner.index  # one in memory is enough
                    told["release"] = opened.release
                    asked = self._asked(opened, question, stop)
        except Exception as error:
            if log:
                log.record(**told, seconds=time.perf_counter() - started, error=type(error).__name__)
            raise
        else:
            if log:
                log.record(**told, **taken(asked))
        finally:
            if log:
                log.close()
        return answered(asked, release=told["release"])

    def close(self) -> None:
        """Let go of what is open."""
        self._end.set()
        self._live.close()

    def _opened_index(self) -> Index:
        from components.index.steps import open_index

        recipe, index = self._loaded.recipe, self._index
        if index is None or index.live_digest() is None:
            with self._opening:
                if self._index is None or self._index is index:  # no other thread was quicker
                    self._index = open_index(recipe.index, workspace=recipe.workspace, keep_questions=False)
                return self._index
        return index

    def _let_go_of_old(self) -> None:
        while not self._end.wait(self._loaded.recipe.serve.look_seconds):
            if self._index is not None:
                self._index.let_go_of_old()

    def _asked(self, opened: Opened, question: str, stop: threading.Event) -> Asked:
        pieces = opened.partner.stream(
            question, beat_seconds=_BEAT_SECONDS, max_chars=self._loaded.recipe.serve.limits.question_chars,
        )  # fmt: skip
        with closing(pieces):
            for piece in pieces:
                if stop.is_set():
                    break
                if not isinstance(piece, str):
                    return piece
        raise StoppedError

    def _guarded(self, opened: Opened) -> Opened:
        if self._with_local:
            return opened
        partner = opened.partner
        if partner.prompt.local_notes:
            raise TerminalError(
                f"{', '.join(partner.prompt.local_notes)} must not leave this machine, and is part of the persona, so "
                "an answer may repeat it. If the program that asks, and its model, are on this machine, start "
                "cervella mcp with --with-local; search works without"
            )
        return replace(opened, partner=replace(partner, leave_out_local=True))
