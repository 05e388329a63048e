"""Phase optimize: phase mvp with an adapter that was trained on the examples. From notes to a registered release."""

from __future__ import annotations

from components.dataset.reports.suite import load_suite
from components.dataset.tasks import audit, check, gather, generate, split
from components.evaluate import load_golden
from components.evaluate.probe import golden_probe
from components.evaluate.tasks import can_be_judged
from components.index.tasks import build_index, chunk, share_index
from components.persona.tasks import compile_persona
from components.recipe import open_run
from components.recipe.privacy import index_without_local, prompts_without_local
from components.roadmap.costs_file import load_costs
from components.roadmap.tasks import decide_training
from components.sncp.tasks import collect
from components.train.machine import can_train
from components.train.tasks import export_model, measure_losses, prepare, recover_base, train
from flows.phase import phase
from flows.scoring import Adapter, score_release

__all__ = ["optimize"]


@phase("optimize")
def optimize(run_dir: str) -> int | None:
    """Run phase optimize for the frozen recipe in `run_dir`; returns the version of the registered release."""
    run, recipe = open_run(run_dir)
    golden = load_golden(recipe.evaluate.golden, known_paths=None) if recipe.evaluate.golden else []
    if recipe.dataset.check.suite:
        load_suite(recipe.dataset.check.suite)  # a fault of it is told before anything is paid for
    can_be_judged(recipe.evaluate, recipe.llm)
    load_costs(recipe.roadmap.costs)
    can_train(run.workspace, recipe.train)  # so is a machine that cannot do it
    without_local, hosts = prompts_without_local(recipe), recipe.privacy.trusted_hosts

    notes = collect(run, recipe.sncp, persona_files=recipe.persona.files, local=recipe.privacy.local)
    chunks = chunk(run, recipe.index, notes=notes, leave_out_local=index_without_local(recipe))
    index = build_index(
        run, recipe.index, recipe.llm.budget, root=recipe.sncp.root, notes=notes, chunks=chunks, trusted_hosts=hosts,
        probe=golden_probe(recipe.evaluate, recipe.index.search, must_be_good=True), settings_are_judged=True,
    )  # fmt: skip
    prompt = compile_persona(run, recipe.persona, root=recipe.sncp.root, notes=notes)

    decide_training(run, recipe.roadmap, prompt=prompt)

    generated = generate(
        run, recipe.dataset, recipe.llm, notes=notes, prompt=prompt, leave_out_local=without_local, trusted_hosts=hosts
    )
    examples = gather(run, recipe.dataset, generated=generated)
    checked = check(run, recipe.dataset, examples=examples, notes=notes, golden=golden)
    parts = split(run, recipe.dataset, examples=examples, check=checked)
    audited = audit(
        run, recipe.dataset, name=recipe.name, examples=examples, check=checked, split=parts, notes=notes,
        golden=golden, generated=generated,
    )  # fmt: skip

    prepared = prepare(run, recipe.train, recipe.dataset, split=parts, audit=audited)
    base = recover_base(run, recipe.train)
    trained = train(run, recipe.train, recipe.registry, prepared=prepared, base=base)
    losses = measure_losses(run, recipe.train, trained=trained)
    exported = export_model(run, recipe.train, trained=trained, base=base)

    adapter = Adapter(split=parts, audit=audited, training=trained, losses=losses, export=exported)
    version = score_release(run, recipe, notes=notes, index=index, prompt=prompt, adapter=adapter)
    share_index(run, recipe.index, trusted_hosts=recipe.privacy.trusted_hosts)
    return version
