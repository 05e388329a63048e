"""Documents -> chunks -> embeddings -> LanceDB -> search."""

from __future__ import annotations

from components.index.chunk import Chunk, chunk_documents
from components.index.index import Index
from components.index.params import IndexParams, SearchParams
from components.index.rows import chunks_digest
from components.index.search import Hit
from components.index.table import NO_EMBEDDER
from components.index.terms import SyncReport

__all__ = [
    "NO_EMBEDDER",
    "Chunk",
    "Hit",
    "Index",
    "IndexParams",
    "SearchParams",
    "SyncReport",
    "chunk_documents",
    "chunks_digest",
]
