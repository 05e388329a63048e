"""What is in service, opened from a recipe: when it is another one, and how the next is opened beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import TerminalError
from components.recipe import LoadedRecipe
from components.serve.desk import NotInServiceError, Opened
from flows.backends import Backends, Holding
from flows.commands.partners import in_service, open_release, partner_of

if TYPE_CHECKING:
    from components.answer.partner import Partner
    from components.index import Index
    from components.registry.champion import Champion
    from components.serve.live import InService

__all__ = ["InRecipe", "told_of"]


class InRecipe:
    """What a recipe has in service: for `InService`.

    The money of `llm.budget.per_run_usd` is counted over all that is opened, so for as long as the endpoint is up.

    Args:
        loaded: the recipe, whose section `serve`, workspace and index hold to the end.
        reload: reads it anew where `serve.answers` is recipe, so that an edit is followed; None: it is read once.
        backends: what serves the own model; None: it is asked as `llm.chat` says.
    """

    def __init__(
        self, loaded: LoadedRecipe, *, reload: Callable[[], LoadedRecipe] | None = None,
        backends: Backends | None = None,
    ) -> None:  # fmt: skip
        self._loaded = self._now = loaded
        self._reload, self._backends = reload, backends
        self._seen: tuple[tuple[object, ...], str] | None = None
        self._index: Index | None = None

    def look(self) -> str:
        """Who is in service on which publication. Files are read only when they are not those of the last look.

        Rows of an index that is published no more go out of memory then, also where the next one cannot be opened.
        """
        from components.index.published import LIVE_FILE
        from components.index.steps import index_uri
        from components.registry.champion.record import champion_file

        recipe = self._loaded.recipe
        live = index_uri(recipe.index, workspace=recipe.workspace) / LIVE_FILE
        files = (
            [live, champion_file(recipe.workspace)] if recipe.serve.answers == "champion"
            else [live, *_files(self._now), *self._now.recipe.persona.files]
        )  # fmt: skip
        stats = tuple(map(_stat, files))
        if self._seen is None or self._seen[0] != stats:
            if self._index is not None:
                self._index.let_go_of_old()
            self._seen = (stats, self._mark(stats))
        return self._seen[1]

    def _mark(self, stats: Sequence[object]) -> str:
        published = self._published()
        if self._loaded.recipe.serve.answers == "champion":
            return f"{in_service(self._loaded).digest} {published}"
        return f"{stats[1:]} {published}"

    def _published(self) -> str | None:
        from components.index.steps import published_digest

        return published_digest(self._loaded.recipe.index, workspace=self._loaded.recipe.workspace)

    def open_now(self, before: Opened | None) -> Opened:
        """Open what is in service.

        The index and its embedder, and what may still be spent, are taken over from `before`; a model of this process
        stays loaded.

        Raises:
            NotInServiceError: nothing is in service.
            TerminalError: it cannot be asked on this index; its model cannot be loaded; nothing is published.
            InputError: a note or file is wrong.
        """
        index = self._published() or ""  # before it is opened: at most too old a name, which the next look mends
        kept = before.partner if before else None
        of_recipe = self._loaded.recipe.serve.answers == "recipe"
        now = self._read() if of_recipe else self._loaded
        with ExitStack() as held:
            serves = self._backends.serving(now, held) if self._backends else None
            champion = None if of_recipe else in_service(now)
            if champion:
                partner = open_release(now, champion.release, before=kept, serves=serves)
            else:
                partner = partner_of(now, before=kept, serves=serves)
            partner.chat.warm()  # else the first question waits for it; what cannot be loaded is not taken
            self._now, self._index = now, partner.index
            return Holding(
                partner=partner, release=champion.digest if champion else None, index=index,
                about=self._about(partner, champion), serving=serves, let_go=held.pop_all().close,
            )  # fmt: skip

    def _read(self) -> LoadedRecipe:
        """The recipe as it is written now."""
        if self._reload is None:
            return self._loaded
        now, begun = self._reload(), self._loaded.recipe
        of_start = (begun.workspace, begun.index.uri, begun.index.embedding)
        if (now.recipe.workspace, now.recipe.index.uri, now.recipe.index.embedding) != of_start:
            raise TerminalError(
                f"{now.path}: workspace, index.uri or index.embedding is another than at the start: start it again"
            )
        return now

    def _about(self, partner: Partner, champion: Champion | None = None) -> dict[str, str]:
        told = {"recipe": self._now.recipe.name, "model": partner.chat.model}
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
        told["ready"] = backends.has_helper or not isinstance(opened, Holding) or opened.is_up()
    return told


def _files(loaded: LoadedRecipe) -> list[Path]:
    """The recipe's own, and those that it extends and has a value from."""
    named = {Path(os.path.abspath(one.file)) for one in loaded.origins.values() if one.file}
    return sorted({loaded.path, *named})


def _stat(path: Path) -> object:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
