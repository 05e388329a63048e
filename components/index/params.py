"""Section `index` of a recipe: chunks, embeddings, the LanceDB table and how it is searched."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from components.params import Params, RecipePath

__all__ = ["ChunkParams", "EmbeddingParams", "IndexParams", "SearchParams"]


class EmbeddingParams(Params):
    """The model that turns texts into vectors."""

    model: str = Field(
        default="local/multilingual-e5-small",
        description="local/NAME, fake/NAME, none (full text only) or a litellm model",
    )
    dimensions: int | None = Field(
        default=None, gt=0, description="length of a vector, where the model lets one choose"
    )
    api_key_env: str | None = Field(
        default=None, pattern=r"^[A-Z_][A-Z0-9_]*$", description="NAME of the environment variable that holds the key"
    )
    api_base: str | None = Field(default=None, description="URL of an OpenAI-compatible endpoint")
    batch_size: int = Field(default=32, gt=0, description="texts per call; a kill loses at most one batch")
    timeout_seconds: float = Field(default=60.0, gt=0, description="for one call")


class ChunkParams(Params):
    """How a note is cut. Larger chunks give more context, smaller ones rank more sharply."""

    max_tokens: int = Field(
        default=200, ge=32, le=8192, description="longest chunk, breadcrumb included (tokens of the embedder)"
    )
    breadcrumbs: bool = Field(
        default=True, description="put title and headings before the text that is embedded and searched"
    )


class SearchParams(Params):
    """How chunks are found and ranked."""

    fusion: Literal["minmax", "rrf"] = Field(default="minmax", description="how full-text and vector scores are joined")
    dense_weight: float | None = Field(
        default=None, ge=0, le=1, description="share of the vector score in minmax; none: the embedder's own"
    )
    candidates: int = Field(default=50, gt=0, le=1000, description="taken from each leg before fusion")
    k: int = Field(default=8, gt=0, le=200, description="chunks returned")


class IndexParams(Params):
    """The index of the notes."""

    uri: RecipePath | None = Field(default=None, description="folder of the LanceDB tables; none: WORKSPACE/index")
    embedding: EmbeddingParams = EmbeddingParams()
    chunk: ChunkParams = ChunkParams()
    search: SearchParams = SearchParams()
    max_removed_share: float = Field(
        default=0.5, gt=0, le=1, description="a reindex that removes a larger share of the notes is not published"
    )
    max_recall_drop: float = Field(
        default=0.0, ge=0, le=1,
        description="a reindex after which the golden questions' recall at 5 is lower by more is not published",
    )  # fmt: skip
