"""Prefect's view of the index."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import task

from components.errors import CervellaError, is_transient
from components.index import steps
from components.index.params import IndexParams
from components.index.place import copy_published
from components.index.probe import Probe
from components.index.published import Published, readable
from components.index.summary import (
    AskedProbe,
    reindex_summary,
    summary_markdown,
    summary_words,
)
from components.llm.params import BudgetParams
from components.llm.places import is_here
from components.llm.spending import run_budget
from components.store import Run, Store, logger, progress_of, told_step
from components.store.shown import show_markdown, shows_progress

__all__ = ["build_index", "chunk", "share_index"]


@task(name="cut into chunks", retries=2, retry_delay_seconds=5, retry_condition_fn=is_transient)
@shows_progress
def chunk(run: Run, params: IndexParams, *, notes: str, leave_out_local: bool = False) -> str:
    """Cut the notes; returns the artefact's id."""
    opened = Store(run.workspace).open(notes)
    return steps.chunk_notes(run, params, notes=opened, leave_out_local=leave_out_local).id


@task(name="build index", retries=2, retry_delay_seconds=10, retry_condition_fn=is_transient)
@shows_progress
def build_index(
    run: Run, params: IndexParams, budget: BudgetParams, *, root: Path, notes: str, chunks: str,
    trusted_hosts: Sequence[str] = (), probe: Probe | None = None, settings_are_judged: bool = False,
) -> str:  # fmt: skip
    """Embed what is new, ask the golden questions, publish the index; returns the artefact's id.

    What became of it is shown and in the run's record (`reindex`), also where nothing was published.
    """
    store, asked = Store(run.workspace), None if probe is None else AskedProbe(probe)
    before = readable(steps.index_uri(params, workspace=run.workspace))
    try:
        with run_budget(run, budget) as left:
            built = steps.build_index(
                run, params, chunks=store.open(chunks), root=root, budget=left, trusted_hosts=trusted_hosts,
                probe=asked, settings_are_judged=settings_are_judged,
            )  # fmt: skip
    except CervellaError as error:
        _show_summary(
            run, params, before=before, notes=notes, chunks=chunks, trusted_hosts=trusted_hosts, probe=asked,
            error=error,
        )  # fmt: skip
        raise
    _show_summary(
        run, params, before=before, notes=notes, chunks=chunks, trusted_hosts=trusted_hosts, probe=asked
    )  # fmt: skip
    return built.id


def _show_summary(
    run: Run, params: IndexParams, *, before: Published | None, notes: str, chunks: str, trusted_hosts: Sequence[str],
    probe: AskedProbe | None, error: CervellaError | None = None,
) -> None:  # fmt: skip
    try:
        store = Store(run.workspace)
        step: dict[str, Any] = next((one for one in run.read()["steps"] if one["name"] == "index.build"), {})
        summary = reindex_summary(
            workspace=run.workspace, uri=steps.index_uri(params, workspace=run.workspace), before=before,
            notes=store.open(notes), chunks=store.open(chunks), step=step, probe=probe, error=error,
        )  # fmt: skip
        run.update(reindex=summary)
        server = os.environ.get("PREFECT_API_URL", "")
        # Elsewhere nobody is told the name of a note that must not leave this machine, or did not while it was there.
        page = summary_markdown(summary, names=not server or is_here(server, trusted_hosts))
        show_markdown(run, "index", page, description=f"Index: {summary_words(summary)}")
    except Exception as fault:  # the index is published, or is not for a better reason
        logger.warning("what became of the index cannot be shown: %s", str(fault) or type(fault).__name__)


def share_index(run: Run, params: IndexParams, *, trusted_hosts: Sequence[str]) -> None:
    """Copy what is published to the bucket of `index.copy_to`, where the recipe names one: the last thing of a run."""
    if params.copy_to is not None:
        _copy_index(run, params, trusted_hosts)


@task(name="copy index", retries=2, retry_delay_seconds=10, retry_condition_fn=is_transient)
@shows_progress
def _copy_index(run: Run, params: IndexParams, trusted_hosts: Sequence[str]) -> None:
    with told_step(run, "index.copy") as record:
        report = copy_published(
            params, workspace=run.workspace, trusted_hosts=trusted_hosts, progress=progress_of("index.copy")
        )
        record["facts"] = {"address": params.copy_to, **asdict(report)}
