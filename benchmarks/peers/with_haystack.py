"""Haystack's standard indexing pipeline: convert, clean, split, embed, write with OVERWRITE. It has no "update".

No `from __future__ import annotations` here: Haystack reads the types of a component from its signature.
"""

# Its packages are in an environment of their own, where no type checker looks.
# mypy: disable-error-code="import-not-found,misc,untyped-decorator"

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.peers.embedder import HashedEmbedder
from benchmarks.peers.reading import files

WORDS = {"usual": 200, "half": 100}  # of a chunk


class Adapter:
    """One run over all notes. The store is Haystack's own, kept in a file of its own."""

    def __init__(self, notes: Path, state: Path, size: str, embedder: HashedEmbedder) -> None:
        from haystack import Document, Pipeline, component
        from haystack.components.converters import TextFileToDocument
        from haystack.components.preprocessors import DocumentCleaner, DocumentSplitter
        from haystack.components.writers import DocumentWriter
        from haystack.document_stores.in_memory import InMemoryDocumentStore
        from haystack.document_stores.types import DuplicatePolicy

        @component
        class Shared:
            @component.output_types(documents=list[Document])
            def run(self, documents: list[Document]) -> dict[str, Any]:
                vectors = embedder.embed([document.content or "" for document in documents])
                made = zip(documents, vectors, strict=True)
                return {"documents": [replace(document, embedding=vector.tolist()) for document, vector in made]}

        self._notes, self._file = notes, state / "documents.json"
        self._store: Any = (
            InMemoryDocumentStore.load_from_disk(str(self._file)) if self._file.exists() else InMemoryDocumentStore()
        )
        self._split = Pipeline()
        self._all = Pipeline()
        for pipeline in (self._split, self._all):
            pipeline.add_component("convert", TextFileToDocument())
            pipeline.add_component("clean", DocumentCleaner())
            pipeline.add_component("split", DocumentSplitter(split_by="word", split_length=WORDS[size]))
            pipeline.connect("convert", "clean")
            pipeline.connect("clean", "split")
        self._all.add_component("embed", Shared())
        self._all.add_component("write", DocumentWriter(document_store=self._store, policy=DuplicatePolicy.OVERWRITE))
        self._all.connect("split", "embed")
        self._all.connect("embed", "write")

    def index(self) -> None:
        """Write all of them again."""
        self._all.run(self._input())

    def save(self) -> None:
        """Keep the store for the next process."""
        self._store.save_to_disk(str(self._file))

    def rows(self) -> Iterator[tuple[str, str]]:
        """What the store holds: source and text of each row."""
        for document in self._store.filter_documents():
            yield document.meta["source"], document.content or ""

    def wanted(self) -> Iterator[tuple[str, str]]:
        """What its own splitter makes of the files as they are now."""
        for document in self._split.run(self._input())["split"]["documents"]:
            yield document.meta["source"], document.content or ""

    def _input(self) -> dict[str, Any]:
        paths = files(self._notes)
        about = [{"source": path.relative_to(self._notes).as_posix()} for path in paths]
        return {"convert": {"sources": paths, "meta": about}}
