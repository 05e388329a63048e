"""LlamaIndex as its documentation manages documents: an IngestionPipeline with a docstore, UPSERTS_AND_DELETE."""

# Its packages are in an environment of their own, where no type checker looks.
# mypy: disable-error-code="import-not-found,misc,untyped-decorator"

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers.embedder import HashedEmbedder
from benchmarks.peers.reading import read

TOKENS = {"usual": (512, 20), "half": (256, 10)}  # of a chunk, shared with the one before
PASSAGE = "passage"


class Adapter:
    """One run over all notes. Vectors, docstore and cache are LlamaIndex's own, each kept in its file."""

    def __init__(self, notes: Path, state: Path, size: str, embedder: HashedEmbedder) -> None:
        from llama_index.core.embeddings import BaseEmbedding
        from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
        from llama_index.core.node_parser import SentenceSplitter
        from llama_index.core.schema import TransformComponent
        from llama_index.core.storage.docstore import SimpleDocumentStore
        from llama_index.core.vector_stores import SimpleVectorStore

        class Shared(BaseEmbedding):
            def _get_text_embedding(self, text: str) -> list[float]:
                return self._get_text_embeddings([text])[0]

            def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
                vectors: list[list[float]] = embedder.embed(texts).tolist()
                return vectors

            def _get_query_embedding(self, query: str) -> list[float]:
                return self._get_text_embedding(query)

            async def _aget_query_embedding(self, query: str) -> list[float]:
                return self._get_text_embedding(query)

        class KeepText(TransformComponent):
            """SimpleVectorStore keeps metadata and no text, so the text goes along as metadata, not embedded."""

            def __call__(self, nodes: Any, **_: Any) -> Any:
                for node in nodes:
                    node.metadata[PASSAGE] = node.get_content()
                    node.excluded_embed_metadata_keys = [*node.excluded_embed_metadata_keys, PASSAGE]
                return nodes

        length, overlap = TOKENS[size]
        self._notes, self._state = notes, state
        self._vectors_file = state / "vectors.json"
        self._splitter = SentenceSplitter(chunk_size=length, chunk_overlap=overlap)
        self._vectors: Any = (
            SimpleVectorStore.from_persist_path(str(self._vectors_file))
            if self._vectors_file.exists()
            else SimpleVectorStore()
        )
        self._pipeline = IngestionPipeline(
            transformations=[self._splitter, KeepText(), Shared(embed_batch_size=100)],
            vector_store=self._vectors,
            docstore=SimpleDocumentStore(),
            docstore_strategy=DocstoreStrategy.UPSERTS_AND_DELETE,
        )
        if self._vectors_file.exists():
            self._pipeline.load(str(state / "pipeline"))

    def index(self) -> None:
        """Bring the store up to date."""
        self._pipeline.run(documents=self._documents())

    def save(self) -> None:
        """Keep vectors, docstore and cache for the next process."""
        self._pipeline.persist(str(self._state / "pipeline"))
        self._vectors.persist(str(self._vectors_file))

    def rows(self) -> Iterator[tuple[str, str]]:
        """What the store holds: source and text of each row."""
        for key in self._vectors.data.embedding_dict:
            about = self._vectors.data.metadata_dict[key]
            yield about["source"], about[PASSAGE]

    def wanted(self) -> Iterator[tuple[str, str]]:
        """What its own splitter makes of the files as they are now."""
        for node in self._splitter(self._documents()):
            yield node.metadata["source"], node.get_content()

    def _documents(self) -> list[Any]:
        from llama_index.core import Document

        return [Document(text=text, id_=path, metadata={"source": path}) for path, text in read(self._notes)]
