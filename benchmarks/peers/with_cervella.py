"""This program: collect, chunk and build as `cervella reindex` does them, on LanceDB, without Prefect."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.embedder import DIMENSIONS, HashedEmbedder
from benchmarks.peers.reading import read
from components.index import Chunk, chunk_documents, steps
from components.index.lance import lancedb
from components.index.params import ChunkParams, EmbeddingParams, IndexParams
from components.index.published import read_published
from components.index.table import connect, live_version, open_table
from components.llm import CachedEmbedder
from components.sncp import steps as sncp
from components.sncp.params import SncpParams
from components.store import Run, recorded_step

WORDS = {"usual": 200, "half": 100}  # of a chunk, its headings included


class _Shared:
    """The embedder of all contestants as one of ours. What it embeds is cached, as with any other."""

    id = f"bench/hashed?dimensions={DIMENSIONS}"
    dimensions = DIMENSIONS
    max_tokens = 512
    dense_weight = 0.5
    is_local = True

    def __init__(self, embedder: HashedEmbedder) -> None:
        self._embedder = embedder
        self.count_tokens = embedder.count_tokens

    def embed_passages(self, texts: Sequence[str], *, local_notes: Collection[str]) -> Any:
        return self._embedder.embed(texts)

    def embed_queries(self, texts: Sequence[str]) -> Any:
        return self._embedder.embed(texts)


class Adapter:
    """One run over all notes. Everything is on disk as soon as it is done, so there is nothing to load or to save."""

    def __init__(self, notes: Path, state: Path, size: str, embedder: HashedEmbedder) -> None:
        lancedb()
        self._embedder = embedder
        self._notes, self._workspace = notes, state
        self._sncp = SncpParams(root=notes, include=["**/*.md"])
        self._params = IndexParams(
            embedding=EmbeddingParams(model="fake/embedding"), chunk=ChunkParams(max_tokens=WORDS[size])
        )
        # The steps take their embedder by its name in a recipe; this one has none, so it is put in that place.
        vars(steps)["load_embedder"] = self._load_embedder

    def _load_embedder(self, *, cache: Path | None = None, **_: Any) -> CachedEmbedder:
        return CachedEmbedder(_Shared(self._embedder), cache=cache, batch_size=100)

    def index(self) -> None:
        """Bring the store up to date."""
        run = Run.create(self._workspace, recipe="bench", phase="reindex")
        collection = sncp.read_notes(self._sncp, persona_files=[], workspace=self._workspace)
        with recorded_step(run, sncp.collect_spec(self._sncp, collection)) as step:
            if not step.sealed:
                sncp.write_notes(step, collection)
        chunks = steps.chunk_notes(run, self._params, notes=step.artefact)
        steps.build_index(run, self._params, chunks=chunks, root=self._notes)

    def save(self) -> None:
        """Nothing: a publication is on disk."""

    def rows(self) -> Iterator[tuple[str, str]]:
        """What readers see in LanceDB: each path and text of each row."""
        uri = steps.index_uri(self._params, workspace=self._workspace)
        published = read_published(uri)
        if published is None:
            return
        table: Any = open_table(connect(uri), published.now.table)
        table.checkout(live_version(table))
        for row in table.search().select(["paths", "text"]).to_arrow().to_pylist():
            for path in row["paths"]:
                yield path, row["text"]

    def wanted(self) -> Iterator[tuple[str, str]]:
        """What it makes of the files as they are now, without any memory of them."""
        for chunk in self._chunks():
            for path in chunk.paths:
                yield path, chunk.text

    def _chunks(self) -> list[Chunk]:
        documents = sncp.read_notes(self._sncp, persona_files=[]).documents
        there = {path for path, _ in read(self._notes)}
        found = {path for document in documents for path in document.paths}
        if there != found:
            raise ValueError(f"not read: {sorted(there - found)[:5]}")
        chunk = self._params.chunk
        return chunk_documents(
            documents, max_tokens=chunk.max_tokens, breadcrumbs=chunk.breadcrumbs,
            count_tokens=self._embedder.count_tokens,
        )  # fmt: skip
