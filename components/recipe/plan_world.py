"""What a workspace will hold once the runs planned so far are done: what is published, what was embedded, how fast."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from components.errors import TerminalError
from components.index import IndexParams
from components.index import steps as index
from components.index.published import Published, read_published
from components.llm.counting import counter_of, embedder_id
from components.llm.lookup import embedded_before
from components.llm.prices import price_of
from components.llm.speeds import measured_speed, speeds_file
from components.recipe.model import Recipe
from components.recipe.plan_steps import Planner
from components.recipe.plan_work import NOTHING, Seconds, Work
from components.sncp import Collection
from components.sncp import steps as sncp
from components.store import Artefact, StepSpec, canonical_json

__all__ = ["ModelOfIndex", "World"]

T = TypeVar("T")

_TEXTS_A_SECOND = {"local/multilingual-e5-small": (10.0, 120.0), "local/usem3": (40.0, 600.0)}
"""Of a chunk of 200 tokens, on 2 to 8 processors: the range where nothing was measured yet."""


class World:
    """Begins as the workspace is, and is told what each planned run will change."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self._planned: dict[Path, str] = {}  # folder of an index -> what a planned run will publish there
        self._notes: dict[bytes, Collection] = {}
        self._shared: dict[object, Any] = {}
        self._embedded: set[tuple[str, str, str]] = set()

    def read_notes(self, recipe: Recipe) -> Collection:
        """The notes of a recipe, read once for all recipes that read the same."""
        files, local = recipe.persona.files, recipe.privacy.local
        key = canonical_json([recipe.sncp.model_dump(mode="json"), [str(file) for file in files], local])
        if key not in self._notes:
            self._notes[key] = sncp.read_notes(
                recipe.sncp, persona_files=files, local=local, workspace=recipe.workspace
            )
        return self._notes[key]

    def shared(self, key: object, make: Callable[[], T]) -> T:
        """What was made for this key before, or now: several combinations of a matrix share it."""
        if key not in self._shared:
            self._shared[key] = make()
        found: T = self._shared[key]
        return found

    def why_not_published(self, params: IndexParams, built: Artefact) -> str | None:
        """Why a sealed `index.build` has to be done again; None: what it tells of is published, and untouched."""
        digest, uri = built.read_json("index.json")["digest"], index.index_uri(params, workspace=self.workspace)
        if uri in self._planned:
            return None if self._planned[uri] == digest else "another index is published"
        published = self.published(params)
        if published is None:
            return "nothing is published"
        if published != digest:
            return "another index is published"
        if not index.is_published(built, uri=uri):
            return "the published table was changed by another hand"
        return index.why_another_embedder(built, params, guess=True) or None

    def published(self, params: IndexParams) -> str | None:
        """Digest of what will be published; None: nothing."""
        uri = index.index_uri(params, workspace=self.workspace)
        if uri in self._planned:
            return self._planned[uri]
        live = self.live(params)
        return live.now.digest if live else None

    def live(self, params: IndexParams) -> Published | None:
        """What is published now, with its history; None: nothing, or a damaged file, which a run puts aside."""
        try:
            return read_published(index.index_uri(params, workspace=self.workspace))
        except TerminalError:
            return None

    def is_done(self, planner: Planner, params: IndexParams, spec: StepSpec) -> bool:
        """Whether an index is sealed, published, untouched, and nobody wants it done again."""
        found, _ = planner.past.look(spec)
        return found is not None and spec.name not in planner.force and not self.why_not_published(params, found)

    def publish(self, params: IndexParams, digest: str) -> None:
        """A planned run will publish this."""
        self._planned[index.index_uri(params, workspace=self.workspace)] = digest

    def to_embed(self, embedder: str, texts: Iterable[str], *, role: str) -> list[str]:
        """Those of `texts` that no cache will know by then, each once. From now on they count as known."""
        wanted = [text for text in dict.fromkeys(texts) if (embedder, role, text) not in self._embedded]
        cache = self.workspace / "cache" / "embeddings.sqlite"
        known = embedded_before(cache, embedder=embedder, texts=wanted, role="query" if role == "query" else "passage")
        missing = [text for text in wanted if text not in known]
        self._embedded |= {(embedder, role, text) for text in missing}
        return missing


class ModelOfIndex:
    """The embedder of a recipe, as far as it is known without loading it."""

    def __init__(self, params: IndexParams, world: World) -> None:
        self._model = params.embedding.model
        self._params = params.embedding
        self.counted: dict[str, int] = {}
        """Tokens of texts that were counted already."""
        self._world = world

    @cached_property
    def id(self) -> str | None:
        """`Embedder.id`; None: there is none, full text alone."""
        return embedder_id(
            model=self._model, dimensions=self._params.dimensions, api_base=self._params.api_base, guess=True
        )

    def count_tokens(self, text: str) -> int:
        """As the model counts, or as words are counted where there is none. A text is counted once."""
        if text not in self.counted:
            self.counted[text] = self._count(text)
        return self.counted[text]

    @cached_property
    def _count(self) -> Callable[[str], int]:
        return index.count_words if self.id is None else counter_of(self._model)

    def work(self, texts: Iterable[str], *, role: str) -> Work:
        """What embedding these texts takes, without those that a cache knows."""
        if self.id is None:
            return NOTHING
        missing = self._world.to_embed(self.id, texts, role=role)
        if not missing:
            return NOTHING
        tokens = sum(map(self.count_tokens, missing))
        price = price_of(self._model)
        usd = None if price is None else price.of(tokens)
        return Work(texts=len(missing), tokens=tokens, usd_at_least=usd, usd_at_most=usd, seconds=self._time(missing))

    def _time(self, texts: list[str]) -> Seconds | None:
        characters = sum(map(len, texts))
        speed = measured_speed(speeds_file(self._world.workspace), model=str(self.id), unit="characters")
        if speed is not None:
            seconds = speed.seconds_for(characters)
            return Seconds(seconds, seconds, True)
        if self._model not in _TEXTS_A_SECOND:
            return None
        slow, fast = _TEXTS_A_SECOND[self._model]
        return Seconds(len(texts) / fast, len(texts) / slow, False)
