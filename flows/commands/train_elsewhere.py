"""Training on another machine: train pack, train unpack."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from components.errors import InputError, TerminalError
from components.recipe import LoadedRecipe
from components.store import Artefact, Run, StepSpec, Store, logger, recorded_step
from flows.commands.options import load, override_option, recipe_options
from flows.commands.terminal import told_in_terminal

if TYPE_CHECKING:
    from components.train.job import Job

_FILE = click.Path(path_type=Path)
_DATASET = ("dataset.split", "dataset.audit")


@dataclass(frozen=True)
class _Ready:
    """All that a training needs, sealed, and the identity that it will have."""

    loaded: LoadedRecipe
    run: Run
    split: Artefact
    prepared: Artefact
    model: Path | None
    job: Job
    spec: StepSpec


@click.command("pack")
@recipe_options
@click.option("--out", type=_FILE, default=Path(), metavar="FOLDER", help="where the bundle goes  [default: here]")
@click.option("--with-base", is_flag=True, help="take a base model of this machine along that has more than 2 GB")
def pack_command(recipe: str, overrides: tuple[str, ...], out: Path, with_base: bool) -> None:
    """Write one file with all that the training of RECIPE needs on a machine with a GPU: Colab, Vast.ai, RunPod, any.

    The examples of the dataset are in it, and are told of before it is written; not the notes, and no key. Refused
    when an example holds words of a note that must stay on this machine. What comes back is for `train unpack`.
    """
    from components.sncp.steps import read_notes
    from components.train.bundle.leaving import check_rows_may_leave
    from components.train.bundle.pack import base_bytes, bundle_name, check_size, pack
    from components.train.estimate import estimate, measured_speed, speeds_file
    from components.train.prepare import write_job

    with _ready(recipe, overrides) as ready:
        loaded, params = ready.loaded.recipe, ready.loaded.recipe.train
        notes = read_notes(
            loaded.sncp, persona_files=loaded.persona.files, local=loaded.privacy.local, workspace=loaded.workspace
        )
        check_rows_may_leave(_rows(ready.split), notes.documents)
        counts = ready.prepared.read_json("counts.json")
        own, held = counts["train"], counts["validation"]
        told = estimate(
            params, rows=own["rows"], tokens=own["tokens"], longest=max(own["longest"], held["longest"]),
            validation_tokens=held["tokens"], measured=measured_speed(speeds_file(loaded.workspace), params),
        )  # fmt: skip
        if told.refusal:
            raise TerminalError(told.refusal)
        travels = base_bytes(ready.model)
        check_size(travels, with_base=with_base)
        base = f"the base model ({travels / 1e6:.0f} MB)" if travels else "no model"
        logger.info(
            "What leaves this machine with %s: %d examples (%d of them held out) as text, the settings of the training "
            "and %s. Not the notes themselves, no key, no path", out / bundle_name(loaded.name, ready.spec.fingerprint),
            own["rows"] + held["rows"], held["rows"], base,
        )  # fmt: skip
        folder = ready.run.folder / "bundle"
        write_job(folder, prepared=ready.prepared.path, model=ready.model)
        made = pack(
            folder, out=out, spec=ready.spec, recipe=loaded.name, version=importlib.metadata.version("cervella"),
            estimate=told.notes, disk_gb=told.disk_gb[1] if told.disk_gb else 40, with_base=with_base,
        )  # fmt: skip
        ready.run.update(bundle=made.file.name)
    for line in told.notes:
        click.echo(line)
    click.echo(
        f"\n{made.file}  {made.bytes / 1e6:.1f} MB, {made.examples} examples\n"
        f"Unzip it on a machine with a GPU and start train.py, or open its train.ipynb in Colab; its README says how.\n"
        f"Then bring back {made.result}, and here: cervella train unpack {made.result}"
    )


@click.command("unpack")
@click.argument("file", type=_FILE, metavar="FILE")
@click.option(
    "-r", "--recipe", metavar="RECIPE", help="what was packed  [default: the recipe of that name in recipes/]"
)
@override_option
def unpack_command(file: Path, recipe: str | None, overrides: tuple[str, ...]) -> None:
    """Bring home FILE, the result of a training elsewhere: check it, judge it, and seal it as if trained here.

    Refused when it is damaged, or when recipe or examples changed since it was packed. `cervella run RECIPE` goes on.
    """
    from components.train.bundle.archive import read_manifest
    from components.train.bundle.unpack import check_asked, take_home

    manifest = read_manifest(file)
    with _ready(recipe or manifest.recipe, overrides) as ready:
        check_asked(file, manifest, spec=ready.spec, job=ready.job)
        with recorded_step(ready.run, ready.spec) as step:
            there = step.sealed
            if not there:
                take_home(file, manifest, step, job=ready.job, prepared=ready.prepared, model=ready.model)
    facts = step.artefact.facts
    loss = f", held-out loss {facts['best_eval_loss']:.3f}" if facts.get("best_eval_loss") is not None else ""
    click.echo(
        f"{'It was here already' if there else 'Taken'}: {facts['steps']} steps{loss}\n"
        f"What it learnt, and how: {step.artefact.path / 'page.html'}\n"
        f"Go on with: cervella run {recipe or manifest.recipe}{''.join(f' -o {one}' for one in overrides)}"
    )


def _rows(split: Artefact) -> Iterator[tuple[str, str]]:
    """Where each example was written, and its text, as the dataset has it: with where it is from."""
    for side, name in split.read_json("split.json")["files"].items():
        origins = list(split.read_jsonl(f"{side}.origins.jsonl"))
        with (split.path / name).open(encoding="utf-8", newline="\n") as file:
            for (origin, line, place), text in zip(origins, file, strict=True):
                yield f"{Path(origin).name}:{line or f'row {place + 1}'}", text


@contextmanager
def _ready(name: str, overrides: tuple[str, ...]) -> Iterator[_Ready]:
    """Make what a training is given, in a run of its own that keeps it from `gc`: dataset, job, base model."""
    from components.recipe import start_run
    from components.train.base import base_identity
    from components.train.prepare import prepare, read_job
    from components.train.steps import model_of, recover, run_spec

    loaded = load(name, overrides)
    recipe = loaded.recipe
    if recipe.phase != "optimize":
        raise InputError(f"{loaded.path}: its phase is {recipe.phase}; only one of phase optimize trains")
    if loaded.combinations:
        one = " ".join(f"-o {key}={value}" for key, value in loaded.combinations[0].values.items())
        raise InputError(f"{loaded.path} has a matrix: choose one combination, such as -o matrix=null {one}")
    split, audit = _dataset(loaded, load(name, (*overrides, "phase=dataset")))
    run = start_run(loaded)
    try:
        with told_in_terminal():
            params = recipe.train
            prepared = prepare(run, params, split=split, audit=audit, template=recipe.dataset.check.template)
            base = recover(run, params)
            job = read_job(prepared)
            spec = run_spec(params, job=job, prepared=prepared.digest, base=base_identity(params.base))
            yield _Ready(loaded, run, split, prepared, model_of(params, base), job, spec)
    except BaseException as error:
        ended = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        run.update(status=ended, error=str(error) or type(error).__name__)
        raise
    run.update(status="done")


def _dataset(loaded: LoadedRecipe, makes_it: LoadedRecipe) -> list[Artefact]:
    """The split and its audit: as they are sealed, else made now by a run of phase dataset."""
    found = _sealed(loaded)
    if len(found) < len(_DATASET):
        from flows.commands.run import execute

        click.echo("The dataset is made first", err=True)
        execute(makes_it, force=())
        found = _sealed(loaded)
    if len(found) < len(_DATASET):
        raise TerminalError("the examples changed while their dataset was made; do it again")
    return found


def _sealed(loaded: LoadedRecipe) -> list[Artefact]:
    from components.recipe.plan import plan_run

    planned = {step.name: step for step in plan_run(loaded.recipe).steps}
    store = Store(loaded.recipe.workspace)
    return [
        store.open(f"{name}/{planned[name].fingerprint}") for name in _DATASET if planned[name].action == "skip"
    ]  # fmt: skip
