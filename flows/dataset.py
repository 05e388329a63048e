"""Phase dataset: examples from files, logs and notes, checked, split and audited. What a trainer may be given."""

from __future__ import annotations

from components.dataset.reports.suite import load_suite
from components.dataset.tasks import audit, check, gather, generate, split
from components.evaluate import load_golden
from components.persona.tasks import compile_persona
from components.recipe import open_run
from components.recipe.privacy import prompts_without_local
from components.sncp.tasks import collect
from flows.phase import phase

__all__ = ["dataset"]


@phase("dataset")
def dataset(run_dir: str) -> str:
    """Make the dataset of the frozen recipe in `run_dir`; returns the artefact id of its audit."""
    run, recipe = open_run(run_dir)
    file = recipe.evaluate.golden
    golden = load_golden(file, known_paths=None) if file else []
    if recipe.dataset.check.suite:
        load_suite(recipe.dataset.check.suite)  # a fault of it is told before anything is paid for
    notes = collect(run, recipe.sncp, persona_files=recipe.persona.files, local=recipe.privacy.local)
    prompt = compile_persona(run, recipe.persona, root=recipe.sncp.root, notes=notes)
    generated = generate(
        run, recipe.dataset, recipe.llm, notes=notes, prompt=prompt, leave_out_local=prompts_without_local(recipe),
        trusted_hosts=recipe.privacy.trusted_hosts,
    )  # fmt: skip
    examples = gather(run, recipe.dataset, generated=generated)
    checked = check(run, recipe.dataset, examples=examples, notes=notes, golden=golden)
    parts = split(run, recipe.dataset, examples=examples, check=checked)
    return audit(
        run, recipe.dataset, name=recipe.name, examples=examples, check=checked, split=parts, notes=notes,
        golden=golden, generated=generated,
    )  # fmt: skip
