"""Phase reindex: bring the index up to date with the notes, nothing else."""

from __future__ import annotations

from components.evaluate.probe import golden_probe
from components.index.tasks import build_index, chunk, share_index
from components.recipe import open_run
from components.recipe.privacy import index_without_local
from components.sncp.tasks import collect
from flows.phase import phase

__all__ = ["reindex"]


@phase("reindex")
def reindex(run_dir: str) -> str:
    """Reindex for the frozen recipe in `run_dir`; returns the artefact id of the published index."""
    run, recipe = open_run(run_dir)
    notes = collect(run, recipe.sncp, persona_files=recipe.persona.files, local=recipe.privacy.local)
    chunks = chunk(run, recipe.index, notes=notes, leave_out_local=index_without_local(recipe))
    index = build_index(
        run, recipe.index, recipe.llm.budget, root=recipe.sncp.root, notes=notes, chunks=chunks,
        trusted_hosts=recipe.privacy.trusted_hosts,
        probe=golden_probe(recipe.evaluate, recipe.index.search, must_be_good=False),
    )  # fmt: skip
    share_index(run, recipe.index, trusted_hosts=recipe.privacy.trusted_hosts)
    return index
