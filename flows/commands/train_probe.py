"""How fast this machine trains: train probe."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import click

from flows.commands.options import json_option, recipe_options
from flows.commands.train_ready import ready


@click.command("probe")
@recipe_options
@json_option
def probe_command(recipe: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Train three steps of RECIPE on its longest examples, keep how fast they were, and say what the whole would take.

    What is trained is thrown away. From then on `plan` counts with the measured speed.
    """
    from components.train.environments import find_environment
    from components.train.estimate import estimate, remember_speed, speeds_file
    from components.train.estimate.probe import STEPS, probe
    from components.train.machine import check_machine
    from components.train.running.process import Progress

    def tell(progress: Progress) -> None:
        if progress.event == "starting":
            click.echo("the trainer starts; loading takes longer than the steps", err=True)
        elif progress.event == "log":
            click.echo(f"step {progress.step} of {STEPS}", err=True)

    with ready(recipe, overrides) as found:
        params = found.loaded.recipe.train
        check_machine(params)
        work = found.run.folder / "probe"
        try:
            speed = probe(
                work, params, prepared=found.prepared.path, model=found.model,
                python=find_environment(params.trainer).python, tell=tell,
            )  # fmt: skip
        finally:
            shutil.rmtree(work, ignore_errors=True)
        file: Path = speeds_file(found.loaded.recipe.workspace)
        remember_speed(file, speed)
        counts = found.prepared.read_json("counts.json")
        own, held = counts["train"], counts["validation"]
        told = estimate(
            params, rows=own["rows"], tokens=own["tokens"], longest=max(own["longest"], held["longest"]),
            validation_tokens=held["tokens"], measured=speed,
        )  # fmt: skip
    if as_json:
        click.echo(json.dumps({"speed": asdict(speed), "estimate": told.to_dict()}, indent=1, ensure_ascii=False))
        return
    memory = f", {speed.peak_gib:.1f} GiB at the most" if speed.peak_gib else ""
    click.echo(
        f"{speed.tokens_per_second:,.0f} tokens a second in batches of {speed.batch_tokens:,.0f} tokens{memory}; "
        f"kept in {file}\n"
    )
    for note in told.notes:
        click.echo(note)
