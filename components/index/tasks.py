"""Prefect's view of the index."""

from __future__ import annotations

from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact

from components.errors import is_transient
from components.index import steps
from components.index.params import IndexParams
from components.llm.params import BudgetParams
from components.llm.spending import run_budget
from components.store import Run, Store

__all__ = ["build_index", "chunk"]


@task(name="cut into chunks", retries=2, retry_delay_seconds=5, retry_condition_fn=is_transient)
def chunk(run: Run, params: IndexParams, *, notes: str) -> str:
    """Cut the notes; returns the artefact's id."""
    return steps.chunk_notes(run, params, notes=Store(run.workspace).open(notes)).id


@task(name="build index", retries=2, retry_delay_seconds=10, retry_condition_fn=is_transient)
def build_index(run: Run, params: IndexParams, budget: BudgetParams, *, root: Path, chunks: str) -> str:
    """Embed what is new, publish the index; returns the artefact's id."""
    with run_budget(run, budget) as left:
        built = steps.build_index(run, params, chunks=Store(run.workspace).open(chunks), root=root, budget=left)
    facts, told = built.facts, built.read_json("index.json")
    create_markdown_artifact(
        key="index",
        description="The published index",
        markdown=(
            f"# {told['chunks']} chunks of {told['notes']} notes\n\n"
            f"| added | updated | removed | texts embedded |\n| --- | --- | --- | --- |\n"
            f"| {facts.get('added')} | {facts.get('updated')} | {facts.get('removed')} | {facts.get('embedded')} |\n\n"
            f"Embedder: {told['embedder']}"
            + ("\n\nDegraded: full-text search only." if told["degraded"] else "")
            + "\n"
        ),
    )
    return built.id
