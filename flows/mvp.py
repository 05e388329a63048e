"""Phase mvp: system prompt + RAG over the notes. Tasks hand each other ids of sealed artefacts, not data."""

from __future__ import annotations

from components.evaluate.probe import golden_probe
from components.evaluate.tasks import can_be_judged
from components.index.tasks import build_index, chunk, share_index
from components.persona.tasks import compile_persona
from components.recipe import open_run
from components.recipe.privacy import index_without_local
from components.roadmap.costs_file import load_costs
from components.sncp.tasks import collect
from flows.phase import phase
from flows.scoring import score_release

__all__ = ["mvp"]


@phase("mvp")
def mvp(run_dir: str) -> int | None:
    """Run phase mvp for the frozen recipe in `run_dir`; returns the version of the registered release."""
    run, recipe = open_run(run_dir)
    can_be_judged(recipe.evaluate, recipe.llm)  # a fault of a file is told before anything is paid for
    load_costs(recipe.roadmap.costs)
    notes = collect(run, recipe.sncp, persona_files=recipe.persona.files, local=recipe.privacy.local)
    chunks = chunk(run, recipe.index, notes=notes, leave_out_local=index_without_local(recipe))
    index = build_index(
        run, recipe.index, recipe.llm.budget, root=recipe.sncp.root, notes=notes, chunks=chunks,
        trusted_hosts=recipe.privacy.trusted_hosts,
        probe=golden_probe(recipe.evaluate, recipe.index.search, must_be_good=True), settings_are_judged=True,
    )  # fmt: skip
    prompt = compile_persona(run, recipe.persona, root=recipe.sncp.root, notes=notes)
    version = score_release(run, recipe, notes=notes, index=index, prompt=prompt)
    share_index(run, recipe.index, trusted_hosts=recipe.privacy.trusted_hosts)
    return version
