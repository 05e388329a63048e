"""LangChain as its documentation keeps a store up to date: `index(cleanup="full")` with a SQL record manager."""

# Its packages are in an environment of their own, where no type checker looks.
# mypy: disable-error-code="import-not-found,misc,untyped-decorator"

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers.embedder import HashedEmbedder
from benchmarks.peers.reading import read

CHARACTERS = {"usual": (1000, 200), "half": (500, 100)}  # of a chunk, shared with the one before


class Adapter:
    """One run over all notes. The store is LangChain's own, kept in a file of its own; the records are in SQLite."""

    def __init__(self, notes: Path, state: Path, size: str, embedder: HashedEmbedder) -> None:
        from langchain_classic.indexes import SQLRecordManager
        from langchain_core.embeddings import Embeddings
        from langchain_core.vectorstores import InMemoryVectorStore
        from langchain_text_splitters import RecursiveCharacterTextSplitter

        class Shared(Embeddings):
            def embed_documents(self, texts: list[str]) -> list[list[float]]:
                vectors: list[list[float]] = embedder.embed(texts).tolist()
                return vectors

            def embed_query(self, text: str) -> list[float]:
                return self.embed_documents([text])[0]

        length, overlap = CHARACTERS[size]
        self._notes, self._file = notes, state / "vectors.json"
        self._splitter = RecursiveCharacterTextSplitter(chunk_size=length, chunk_overlap=overlap)
        self._store: Any = (
            InMemoryVectorStore.load(str(self._file), Shared())
            if self._file.exists()
            else InMemoryVectorStore(Shared())
        )
        self._records = SQLRecordManager("notes", db_url=f"sqlite:///{state / 'records.sqlite'}")
        self._records.create_schema()

    def index(self) -> None:
        """Bring the store up to date."""
        from langchain_classic.indexes import index

        index(self._split(), self._records, self._store, cleanup="full", source_id_key="source", key_encoder="sha256")

    def save(self) -> None:
        """Keep the store for the next process."""
        self._store.dump(str(self._file))

    def rows(self) -> Iterator[tuple[str, str]]:
        """What the store holds: source and text of each row."""
        for row in self._store.store.values():
            yield row["metadata"]["source"], row["text"]

    def wanted(self) -> Iterator[tuple[str, str]]:
        """What its own splitter makes of the files as they are now."""
        for document in self._split():
            yield document.metadata["source"], document.page_content

    def _split(self) -> Any:
        from langchain_core.documents import Document

        documents = [Document(page_content=text, metadata={"source": path}) for path, text in read(self._notes)]
        return self._splitter.split_documents(documents)
