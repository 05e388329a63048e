"""What is in service, opened from a recipe: when it is another one, and how the next is opened beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.recipe import LoadedRecipe
from components.serve.desk import NotInServiceError, Opened
from flows.commands.partners import in_service, open_release, partner_of

if TYPE_CHECKING:
    from components.answer.partner import Partner
    from components.registry.champion import Champion
    from components.serve.live import InService
    from flows.backends import Backends, Serving

__all__ = ["InRecipe", "told_of"]


@dataclass
class _Served(Opened):
    """With a model that a server of ours serves for it, where `serve.backend` says so."""

    serving: Serving | None = None
    let_go: Callable[[], None] = lambda: None

    def close(self) -> None:
        """The server need not serve it any more."""
        self.let_go()


class InRecipe:
    """What a recipe has in service: for `InService`.

    The money of `llm.budget.per_run_usd` is counted over all that is opened, so for as long as the endpoint is up.

    `backends`: what serves the own model; None: it is asked as `llm.chat` says.
    """

    def __init__(self, loaded: LoadedRecipe, *, backends: Backends | None = None) -> None:
        self._loaded, self._backends = loaded, backends
        self._seen: tuple[tuple[object, ...], str] | None = None

    def look(self) -> str:
        """Who is in service on which publication. Files are read only when they are not those of the last look."""
        from components.index.steps import index_uri
        from components.registry.champion.record import champion_file

        recipe = self._loaded.recipe
        live = index_uri(recipe.index, workspace=recipe.workspace) / "live.json"
        files = (
            [live, champion_file(recipe.workspace)] if recipe.serve.answers == "champion"
            else [live, self._loaded.path, *recipe.persona.files]
        )  # fmt: skip
        stats = tuple(map(_stat, files))
        if self._seen is None or self._seen[0] != stats:
            self._seen = (stats, self._mark(stats))
        return self._seen[1]

    def _mark(self, stats: Sequence[object]) -> str:
        published = self._published()
        if self._loaded.recipe.serve.answers == "champion":
            return f"{in_service(self._loaded).digest} {published}"
        return f"{stats[2:]} {published}"

    def _published(self) -> str | None:
        from components.index.steps import published_digest

        return published_digest(self._loaded.recipe.index, workspace=self._loaded.recipe.workspace)

    def open_now(self, before: Opened | None) -> Opened:
        """Open what is in service.

        The index and its embedder, and what may still be spent, are taken over from `before`; a model of this process
        stays loaded.

        Raises:
            NotInServiceError: nothing is in service.
            TerminalError: it cannot be asked on this index; nothing is published; InputError: a note or file is wrong.
        """
        index = self._published() or ""  # before it is opened: at most too old a name, which the next look mends
        kept = before.partner if before else None
        with ExitStack() as held:
            serves = self._backends.serving(held) if self._backends else None
            if self._loaded.recipe.serve.answers == "recipe":
                champion = None
                partner = partner_of(self._loaded, before=kept, serves=serves)
            else:
                champion = in_service(self._loaded)
                partner = open_release(self._loaded, champion.release, before=kept, serves=serves)
            return _Served(
                partner=partner, release=champion.digest if champion else None, index=index,
                about=self._about(partner, champion), serving=serves, let_go=held.pop_all().close,
            )  # fmt: skip

    def _about(self, partner: Partner, champion: Champion | None = None) -> dict[str, str]:
        told = {"recipe": self._loaded.recipe.name, "model": partner.chat.model}
        if champion:
            told |= {"since": champion.at, "version": str(champion.version or "unknown"), "run": champion.run}
        return told


def told_of(live: InService, backends: Backends | None) -> dict[str, Any]:
    """What `/health` tells: what is in service, and the servers of the own model.

    Without a router nobody answers while the server of what is in service is down: then it is not ready.
    """
    told: dict[str, Any] = live.told()
    if backends is None:
        return told
    told["backend"] = backends.told()
    with suppress(NotInServiceError), live.use() as opened:
        up = not isinstance(opened, _Served) or opened.serving is None or opened.serving.is_up()
        told["ready"] = up or backends.has_helper
    return told


def _stat(path: Path) -> object:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
