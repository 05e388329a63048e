"""Prefect's view of the persona."""

from __future__ import annotations

from pathlib import Path

from prefect import task

from components.errors import is_transient
from components.persona.params import PersonaParams
from components.persona.report import prompt_markdown
from components.persona.steps import compile_persona as work
from components.persona.steps import read_persona
from components.sncp.steps import read_documents
from components.store import Run, Store
from components.store.shown import show_markdown

__all__ = ["compile_persona"]


@task(name="compile system prompt", retries=2, retry_delay_seconds=5, retry_condition_fn=is_transient)
def compile_persona(run: Run, params: PersonaParams, *, root: Path, notes: str) -> str:
    """Compile the system prompt; returns the artefact's id."""
    documents = read_documents(Store(run.workspace).open(notes))
    prompt = work(run, params, root=root, documents=documents)
    show_markdown(run, "system-prompt", prompt_markdown(*read_persona(prompt)), description="Who the partner is")
    return prompt.id
