"""Prefect's view of the notes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prefect import task

from components.errors import is_transient
from components.sncp.params import SncpParams
from components.sncp.report import findings_rows, report_markdown
from components.sncp.steps import collect_notes
from components.store import Run
from components.store.shown import show_markdown, show_table, shows_progress

__all__ = ["collect"]


@task(name="collect notes", retries=2, retry_delay_seconds=5, retry_condition_fn=is_transient)
@shows_progress
def collect(run: Run, params: SncpParams, *, persona_files: Sequence[Path], local: Sequence[str] = ()) -> str:
    """Read the notes; returns the artefact's id."""
    notes = collect_notes(run, params, persona_files=persona_files, local=local)
    report = notes.read_json("report.json")
    show_markdown(run, "notes", report_markdown(report), description="Notes that were read")
    if rows := findings_rows(report):
        show_table(run, "secrets", rows, description="Secrets and personal data in the notes, masked")
    return notes.id
