"""Prefect's view of the index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact

from components.errors import is_transient
from components.index import steps
from components.index.params import IndexParams
from components.index.probe import Probe
from components.llm.params import BudgetParams
from components.llm.spending import run_budget
from components.store import Run, Store

__all__ = ["build_index", "chunk"]


@task(name="cut into chunks", retries=2, retry_delay_seconds=5, retry_condition_fn=is_transient)
def chunk(run: Run, params: IndexParams, *, notes: str, leave_out_local: bool = False) -> str:
    """Cut the notes; returns the artefact's id."""
    opened = Store(run.workspace).open(notes)
    return steps.chunk_notes(run, params, notes=opened, leave_out_local=leave_out_local).id


@task(name="build index", retries=2, retry_delay_seconds=10, retry_condition_fn=is_transient)
def build_index(
    run: Run, params: IndexParams, budget: BudgetParams, *, root: Path, chunks: str, trusted_hosts: Sequence[str] = (),
    probe: Probe | None = None, settings_are_judged: bool = False,
) -> str:  # fmt: skip
    """Embed what is new, ask the golden questions, publish the index; returns the artefact's id."""
    with run_budget(run, budget) as left:
        built = steps.build_index(
            run, params, chunks=Store(run.workspace).open(chunks), root=root, budget=left, trusted_hosts=trusted_hosts,
            probe=probe, settings_are_judged=settings_are_judged,
        )  # fmt: skip
    facts, told = built.facts, built.read_json("index.json")
    create_markdown_artifact(
        key="index",
        description="The published index",
        markdown=(
            f"# {told['chunks']} chunks of {told['notes']} notes\n\n"
            f"| added | updated | removed | texts embedded |\n| --- | --- | --- | --- |\n"
            f"| {facts.get('added')} | {facts.get('updated')} | {facts.get('removed')} | {facts.get('embedded')} |\n\n"
            f"Embedder: {told['embedder']}"
            + (f"\n\nGolden questions before publishing: {_recall(facts)}" if "recall" in facts else "")
            + ("\n\nDegraded: full-text search only." if told["degraded"] else "")
            + "\n"
        ),
    )
    return built.id


def _recall(facts: dict[str, Any]) -> str:
    return f"recall at 5 of {facts['questions']} is {facts['recall']:.3f}"
