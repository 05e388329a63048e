"""The steps of the index: `index.chunk` (pure) and `index.build`, which publishes the table and seals the evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import TerminalError
from components.index.chunk import Chunk, chunk_documents
from components.index.index import Index
from components.index.params import IndexParams
from components.index.rows import chunks_digest
from components.index.table import NO_EMBEDDER, read_pointer
from components.llm import load_embedder
from components.sncp.steps import read_documents
from components.store import Artefact, Run, Step, StepSpec, Store, progress_of, recorded_step

if TYPE_CHECKING:
    from components.llm import Budget, CachedEmbedder
    from components.sncp import Document

__all__ = [
    "build_index",
    "build_spec",
    "chunk_notes",
    "chunk_spec",
    "count_words",
    "index_uri",
    "open_embedder",
    "open_index",
    "published_digest",
    "read_chunks",
    "write_chunks",
    "write_index",
]


def index_uri(params: IndexParams, *, workspace: Path) -> Path:
    """Folder of the tables."""
    return params.uri or workspace / "index"


def open_embedder(params: IndexParams, *, workspace: Path, budget: Budget | None = None) -> CachedEmbedder | None:
    """The recipe's embedder, with the workspace's cache of vectors; none for `none`."""
    values = params.embedding.model_dump()
    return load_embedder(**values, cache=workspace / "cache" / "embeddings.sqlite", budget=budget)


def chunk_spec(params: IndexParams, *, notes: str, leave_out_local: bool = False) -> StepSpec:
    """Identity of the chunks; `notes` is the digest of `sncp.collect`. The embedder's tokenizer measures them."""
    values = params.chunk.model_dump(mode="json") | {"tokenizer": params.embedding.model}
    values["leave_out_local"] = leave_out_local
    return StepSpec("index.chunk", 2, values, {"notes": notes})


def build_spec(params: IndexParams, *, chunks: str) -> StepSpec:
    """Identity of the index; `chunks` is the digest of `index.chunk`."""
    values = params.embedding.model_dump(mode="json", include={"model", "dimensions", "api_base"})
    return StepSpec("index.build", 2, values, {"chunks": chunks})


def chunk_notes(run: Run, params: IndexParams, *, notes: Artefact, leave_out_local: bool = False) -> Artefact:
    """Cut the notes; seals `chunks.jsonl`. `leave_out_local`: without what must not leave this machine."""
    with recorded_step(run, chunk_spec(params, notes=notes.digest, leave_out_local=leave_out_local)) as step:
        if not step.sealed:
            embedder = open_embedder(params, workspace=run.workspace)
            write_chunks(
                step, params, read_documents(notes),
                count_tokens=embedder.count_tokens if embedder else count_words, leave_out_local=leave_out_local,
            )  # fmt: skip
    return step.artefact


def write_chunks(
    step: Step,
    params: IndexParams,
    documents: Sequence[Document],
    *,
    count_tokens: Callable[[str], int],
    leave_out_local: bool = False,
) -> list[Chunk]:
    """Cut the documents and write `chunks.jsonl`; a plan does it too, into a step that keeps nothing."""
    chunks = chunk_documents(
        documents,
        max_tokens=params.chunk.max_tokens,
        breadcrumbs=params.chunk.breadcrumbs,
        count_tokens=count_tokens,
    )
    kept = [chunk for chunk in chunks if not (leave_out_local and chunk.local)]
    step.write_jsonl("chunks.jsonl", (chunk.to_dict() for chunk in kept))
    step.note(chunks=len(kept))
    if len(kept) < len(chunks):
        step.note(local_chunks_left_out=len(chunks) - len(kept))
    return kept


def count_words(text: str) -> int:
    """Tokens of a text where there is no embedder: four for three words, as in Italian prose."""
    return len(text.split()) * 4 // 3


def read_chunks(chunks: Artefact) -> list[Chunk]:
    """The chunks of a sealed `index.chunk`."""
    return [Chunk.from_dict(value) for value in chunks.read_jsonl("chunks.jsonl")]


def build_index(
    run: Run, params: IndexParams, *, chunks: Artefact, root: Path | None = None, budget: Budget | None = None
) -> Artefact:
    """Make the published table equal to the chunks; seals `index.json`. `root`: the folder that the notes are from.

    The table is mutable: a sealed step is only skipped when the table still says what the step said, so a table that
    was deleted, rolled back or moved on by another run is brought back, mostly without a single embedding.
    """
    uri = index_uri(params, workspace=run.workspace)
    spec = build_spec(params, chunks=chunks.digest)
    embedder = open_embedder(params, workspace=run.workspace, budget=budget)
    wanted = read_chunks(chunks)
    digest = chunks_digest(wanted, embedder.id if embedder else NO_EMBEDDER)
    # Only what is sealed can be stale; what another run is building at this moment is waited for, not built twice.
    sealed = Store(run.workspace).find(spec) is not None
    stale = sealed and Index.open(uri, embedder).live_digest() != digest
    with recorded_step(run, spec, force=stale) as step:
        if not step.sealed:
            report = Index.open(uri, embedder).sync(
                wanted,
                max_removed_share=params.max_removed_share,
                progress=progress_of("index.build"),
                root=str(root) if root else None,
            )
            write_index(step, wanted, embedder_id=embedder.id if embedder else NO_EMBEDDER)
            step.note(
                chunks=len(wanted), added=report.added, updated=report.updated, removed=report.removed,
                embedded=embedder.texts_embedded if embedder else 0, version=report.version,
            )  # fmt: skip
    return step.artefact


def write_index(step: Step, chunks: Sequence[Chunk], *, embedder_id: str) -> None:
    """Write `index.json`: the evidence of an index of exactly these chunks. A plan does it too, as with chunks."""
    step.write_json(
        "index.json",
        {
            "digest": chunks_digest(chunks, embedder_id),
            "chunks": len(chunks),
            "notes": len({chunk.doc_id for chunk in chunks}),
            "embedder": embedder_id,
            "degraded": embedder_id == NO_EMBEDDER,
        },
    )


def published_digest(params: IndexParams, *, workspace: Path) -> str | None:
    """Digest of the published chunks, without opening the table; none when nothing is published."""
    pointer = read_pointer(index_uri(params, workspace=workspace))
    return None if pointer is None else pointer.get("digest")


def open_index(params: IndexParams, *, workspace: Path, built: Artefact | None = None) -> Index:
    """The published index, for searching.

    Args:
        params: section `index`.
        workspace: of the recipe.
        built: the `index.build` that it must be, so that a score is never of another index.

    Raises:
        TerminalError: nothing is published yet, or something else is.
    """
    index = Index.open(index_uri(params, workspace=workspace), open_embedder(params, workspace=workspace))
    live = index.live_digest()
    if live is None:
        raise TerminalError("nothing is published yet; first: cervella reindex RECIPE (or cervella run RECIPE)")
    if built is not None and live != built.read_json("index.json")["digest"]:
        raise TerminalError("the published index was changed by another run meanwhile; run this one again")
    return index
