"""Training on another machine: train pack, train unpack."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from components.errors import TerminalError
from components.store import Artefact, logger, recorded_step
from flows.commands.options import load, override_option, recipe_options
from flows.commands.roadmap import compiled_prompt
from flows.commands.train_ready import ready

_FILE = click.Path(path_type=Path)


@click.command("pack")
@recipe_options
@click.option("--out", type=_FILE, default=Path(), metavar="FOLDER", help="where the bundle goes  [default: here]")
@click.option("--with-base", is_flag=True, help="take a base model of this machine along that has more than 2 GB")
def pack_command(recipe: str, overrides: tuple[str, ...], out: Path, with_base: bool) -> None:
    """Write one file with all that the training of RECIPE needs on a machine with a GPU: Colab, Vast.ai, RunPod, any.

    The examples of the dataset are in it, and are told of before it is written; not the notes, and no key. Refused
    when an example holds words of a note that must stay on this machine, and, as a run is, until it is time to
    fine-tune (`cervella roadmap`) or roadmap.force says why. What comes back is for `train unpack`.
    """
    from components.sncp.steps import read_notes
    from components.train.bundle.leaving import check_rows_may_leave
    from components.train.bundle.pack import base_bytes, bundle_name, check_size, pack
    from components.train.estimate import estimate, measured_speed, speeds_file
    from components.train.prepare import write_job

    triggers = _decided(recipe, overrides)
    with ready(recipe, overrides) as found:
        found.run.update(triggers=triggers)
        loaded, params = found.loaded.recipe, found.loaded.recipe.train
        notes = read_notes(
            loaded.sncp, persona_files=loaded.persona.files, local=loaded.privacy.local, workspace=loaded.workspace
        )
        check_rows_may_leave(_rows(found.split), notes.documents)
        counts = found.prepared.read_json("counts.json")
        own, held = counts["train"], counts["validation"]
        told = estimate(
            params, rows=own["rows"], tokens=own["tokens"], longest=max(own["longest"], held["longest"]),
            validation_tokens=held["tokens"], measured=measured_speed(speeds_file(loaded.workspace), params),
        )  # fmt: skip
        if told.refusal:
            raise TerminalError(told.refusal)
        travels = base_bytes(found.model)
        check_size(travels, with_base=with_base)
        base = f"the base model ({travels / 1e6:.0f} MB)" if travels else "no model"
        logger.info(
            "What leaves this machine with %s: %d examples (%d of them held out) as text, the settings of the training "
            "and %s. Not the notes themselves, no key, no path", out / bundle_name(loaded.name, found.spec.fingerprint),
            own["rows"] + held["rows"], held["rows"], base,
        )  # fmt: skip
        folder = found.run.folder / "bundle"
        try:
            write_job(folder, prepared=found.prepared.path, model=found.model)
            made = pack(
                folder, out=out, spec=found.spec, recipe=loaded.name, version=importlib.metadata.version("cervella"),
                estimate=told.notes, disk_gb=told.disk_gb[1] if told.disk_gb else 40, with_base=with_base,
            )  # fmt: skip
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # a copy of the examples
        found.run.update(bundle=made.file.name)
    for line in told.notes:
        click.echo(line)
    click.echo(
        f"\n{made.file}  {made.bytes / 1e6:.1f} MB, {made.examples} examples\n"
        f"Unzip it on a machine with a GPU and start train.py, or open its train.ipynb in Colab; its README says how.\n"
        f"Then bring back {made.result}, and here: cervella train unpack {made.result}"
    )


def _decided(recipe: str, overrides: tuple[str, ...]) -> dict[str, Any]:
    """What a run records of the triggers of fine-tuning. Raises RefusedError as a run does."""
    from components.roadmap.triggers import refuse_without, triggers_of

    loaded = load(recipe, overrides)
    if loaded.recipe.phase != "optimize":
        return {}  # nothing is trained, as `ready` says
    params, prompt = loaded.recipe.roadmap, compiled_prompt(loaded)
    triggers = triggers_of(
        loaded.recipe.workspace, params, full_tokens=prompt.full_tokens if prompt else None,
        prompt_text=prompt.text if prompt else None, tokenizer=loaded.recipe.persona.tokenizer,
    )  # fmt: skip
    return {"forced": refuse_without(triggers, params.force), **triggers.to_dict()}


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
    from components.train.estimate.probe import remember_training

    manifest = read_manifest(file)
    with ready(recipe or manifest.recipe, overrides) as found:
        check_asked(file, manifest, spec=found.spec, job=found.job)
        with recorded_step(found.run, found.spec) as step:
            there = step.sealed
            if not there:
                take_home(file, manifest, step, job=found.job, prepared=found.prepared, model=found.model)
        if not there:
            remember_training(found.run.workspace, found.loaded.recipe.train, trained=step.artefact.path, here=False)
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
