"""A workspace, its notes and its index, through the real steps, without Prefect. Counts what the model was given."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.index import Index, IndexParams, chunks_digest
from components.index import steps as index
from components.index.params import ChunkParams, EmbeddingParams
from components.llm import fake
from components.sncp import SncpParams
from components.sncp import steps as sncp
from components.store import Artefact, Run

DOUBLE = "fake/embedding"


class House:
    """Notes in a folder of their own, which a test may change, and a workspace beside it."""

    def __init__(self, folder: Path, notes: Path, *, workspace: str = "work space", **params: Any) -> None:
        self.root = folder / "notes"
        if not self.root.exists():
            shutil.copytree(notes, self.root)
        self.workspace = folder / workspace
        self.sncp = SncpParams(root=self.root, include=["**/*.md"])
        self.params = IndexParams(embedding=EmbeddingParams(model=DOUBLE), **params)
        self.passages: list[str] = []
        """Texts that the model was given to embed."""
        self.probe: Any = None

    def using(self, *, model: str | None = None, max_tokens: int | None = None, **values: Any) -> None:
        """Change the recipe."""
        if model is not None:
            values["embedding"] = EmbeddingParams(model=model)
        if max_tokens is not None:
            values["chunk"] = ChunkParams(max_tokens=max_tokens)
        self.params = self.params.model_copy(update=values)

    @property
    def uri(self) -> Path:
        return index.index_uri(self.params, workspace=self.workspace)

    def chunks(self, run: Run) -> Artefact:
        notes = sncp.collect_notes(run, self.sncp, persona_files=[])
        return index.chunk_notes(run, self.params, notes=notes)

    def reindex(self, *, force: bool = False, judged: bool = False) -> dict[str, Any]:
        """Collect, cut, build; what `index.build` noted, with its status."""
        run = Run.create(self.workspace, recipe="test", phase="reindex")
        run.update(force=["index.build"] if force else [])
        with self.counting():
            built = index.build_index(
                run, self.params, chunks=self.chunks(run), root=self.root, probe=self.probe, settings_are_judged=judged
            )
        step = next(step for step in run.read()["steps"] if step["name"] == "index.build")
        return {**built.facts, "status": step["status"]}

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Note every text that the double embeds as a passage."""
        real = fake.FakeEmbedder.embed_passages

        def counted(model: Any, texts: Any, **marks: Any) -> Any:
            made = real(model, texts, **marks)
            self.passages.extend(texts)
            return made

        fake.FakeEmbedder.embed_passages = counted  # type: ignore[method-assign]
        queries = fake.FakeEmbedder.embed_queries
        fake.FakeEmbedder.embed_queries = lambda model, texts: real(model, texts, local_notes=())  # type: ignore[method-assign]
        try:
            yield
        finally:
            fake.FakeEmbedder.embed_passages = real  # type: ignore[method-assign]
            fake.FakeEmbedder.embed_queries = queries  # type: ignore[method-assign]

    def embedded(self) -> int:
        """Texts that the model was given since this was last asked."""
        count = len(self.passages)
        self.passages.clear()
        return count

    def opened(self) -> Index:
        return index.open_index(self.params, workspace=self.workspace)

    def paths(self) -> set[str]:
        return set(self.opened().paths())

    def found(self, words: str) -> set[str]:
        """Paths of the chunks that hold all these words, among the hits of a search for them."""
        hits = self.opened().search(words, k=200, candidates=200)
        return {path for hit in hits if all(word in hit.text for word in words.split()) for path in hit.paths}

    def wanted(self) -> tuple[set[str], str, int]:
        """Paths, digest and number of chunks as the notes are now, made in another workspace from nothing."""
        other = House(self.root.parent, self.root, workspace=f"fresh {len(list(self.root.parent.iterdir()))}")
        other.params = self.params
        run = Run.create(other.workspace, recipe="test", phase="reindex")
        cut = index.read_chunks(other.chunks(run))
        embedder = index.open_embedder(self.params, workspace=other.workspace)
        paths = {path for chunk in cut for path in chunk.paths}
        digest = chunks_digest(cut, embedder.id if embedder else "none")
        shutil.rmtree(other.workspace)
        return paths, digest, len(cut)

    def is_right(self) -> bool:
        """Whether the published index is what an index made from nothing would be: no row too many, none missing."""
        paths, digest, _ = self.wanted()
        return self.paths() == paths and self.opened().live_digest() == digest

    def bytes_of(self) -> dict[str, tuple[int, bytes]]:
        """Every file of the index: when it was written, and its bytes."""
        return {
            str(path.relative_to(self.uri)): (path.stat().st_mtime_ns, path.read_bytes())
            for path in sorted(self.uri.rglob("*"))
            if path.is_file() and path.name != ".lock"
        }
