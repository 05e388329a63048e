"""Section `index` of a recipe: chunks, embeddings, the LanceDB table and how it is searched."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from components.params import Params, RecipePath

__all__ = ["BucketAddress", "ChunkParams", "EmbeddingParams", "IndexParams", "SearchParams"]

BUCKET_PATTERN = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s?#/]+)*/?$"
BucketAddress = Annotated[str, Field(pattern=BUCKET_PATTERN)]
"""`s3://BUCKET` or `s3://BUCKET/PREFIX`. Endpoint and keys are those of the environment (AWS_*)."""


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

    uri: BucketAddress | RecipePath | None = Field(
        default=None,
        description="folder of the LanceDB tables; none: WORKSPACE/index. s3://BUCKET/PREFIX: a copy that another "
        "machine keeps there (copy_to), which is only read",
    )
    copy_to: BucketAddress | None = Field(
        default=None,
        description="s3://BUCKET/PREFIX that gets a copy of what is published, for readers on other machines; keys and "
        "endpoint are those of the environment (AWS_*)",
    )
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

    @property
    def read_from(self) -> str | None:
        """Address of the bucket that the index is only read from; none: it is in a folder, and written there."""
        return self.uri if isinstance(self.uri, str) else None

    @field_validator("uri", mode="before")
    @classmethod
    def _known_address(cls, value: Any) -> Any:
        if isinstance(value, str) and "://" in value and re.fullmatch(BUCKET_PATTERN, value) is None:
            raise ValueError("is no address that an index can be read from; expected s3://BUCKET/PREFIX, or a folder")
        return value
