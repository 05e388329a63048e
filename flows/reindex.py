"""Phase reindex: bring the index up to date with the notes, nothing else."""

from __future__ import annotations

from prefect import flow

from components.index.tasks import build_index, chunk
from components.recipe import open_run
from components.sncp.tasks import collect
from flows.names import run_name

__all__ = ["reindex"]


@flow(name="reindex", flow_run_name=run_name, validate_parameters=False)
def reindex(run_dir: str) -> str:
    """Reindex for the frozen recipe in `run_dir`; returns the artefact id of the published index."""
    run, recipe = open_run(run_dir)
    notes = collect(run, recipe.sncp, persona_files=recipe.persona.files)
    chunks = chunk(run, recipe.index, notes=notes)
    return build_index(run, recipe.index, recipe.llm.budget, root=recipe.sncp.root, chunks=chunks)
