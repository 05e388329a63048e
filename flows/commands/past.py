"""The past: runs, show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from components.errors import CervellaError, InputError
from components.store import Run, list_runs, read_runs
from flows.commands.options import json_option

workspace_option = click.option(
    "-w", "--workspace", default=".cervella", type=click.Path(path_type=Path), help="folder of the workspace"
)


@click.command("runs")
@workspace_option
@json_option
def runs_command(workspace: Path, as_json: bool) -> None:
    """List the runs of a workspace, newest first."""
    states = read_runs(workspace)
    if as_json:
        click.echo(json.dumps(states, indent=1, ensure_ascii=False))
        return
    if not states:
        click.echo(f"no runs in {workspace} yet; cervella run RECIPE makes one")
    for state in states:
        gate = (state.get("gate") or {}).get("verdict") or best_verdict(state) or "-"
        name = (state.get("matrix") or {}).get("combination", "")
        click.echo(f"{state['run']:<40}  {state['phase']:<8}  {state['status']:<9}  {gate:<12}  {name}".rstrip())


@click.command("show")
@click.argument("run")
@workspace_option
@json_option
def show_command(run: str, workspace: Path, as_json: bool) -> None:
    """Show RUN (its id, or the beginning of it)."""
    matches = [found for found in list_runs(workspace) if found.id.startswith(run)]
    if len(matches) != 1:
        which = "no run" if not matches else f"{len(matches)} runs"
        raise InputError(f"{which} in {workspace} begin with {run!r}; `cervella runs` lists them")
    print_run(matches[0], as_json=as_json)


def best_verdict(state: Mapping[str, Any]) -> str | None:
    """The verdict of the best combination of a matrix; None for any other run."""
    found = [one.get("verdict") for one in state.get("combinations", []) if one["name"] == state.get("best")]
    return found[0] if found else None


def print_run(run: Run, *, as_json: bool) -> None:
    """Print what became of a run."""
    from components.dataset.reports.card import verdict_text
    from components.evaluate import render_scorecard
    from components.registry import GateReport, render_gate
    from components.scale.render import scale_text

    state = run.read()
    if as_json:
        click.echo(json.dumps(state, indent=1, ensure_ascii=False))
        return
    click.echo(f"{state['run']}  {state['phase']}  {state['status']}")
    for step in state["steps"]:
        click.echo(
            f"  {step['name']:<20} {step['status']:<8} {step.get('seconds', 0):8.1f} s  {step.get('artefact', '')[:40]}"
        )
    if state.get("combinations"):
        click.echo("\n" + comparison(run))
    if state.get("error"):
        click.echo(f"\nended with: {state['error']}")
    if state.get("dataset"):
        click.echo("\n" + verdict_text(state["dataset"]))
    if state.get("training"):
        click.echo("\n" + training_lines(state["training"]))
    if state.get("scorecard"):
        click.echo("\n" + render_scorecard(state["scorecard"]))
    if state.get("gate"):
        click.echo("\n" + render_gate(GateReport.from_dict(state["gate"])))
    if state.get("scale"):
        click.echo("\n" + scale_text(state["scale"]))


def training_lines(told: Mapping[str, Any]) -> str:
    """What was trained, and how it went; `told`: of `components.train.steps.training_facts`."""
    early = ", stopped early" if told["stopped_early"] else f" of {told['steps_asked']}"
    before = told["base_eval_loss"]
    fell = f"{before:.3f} -> {told['best_eval_loss']:.3f}" if before is not None else f"{told['best_eval_loss']:.3f}"
    lines = [
        f"Trained {told['base']} with {told['trainer']} {told['trainer_version']} on {told['train_rows']} examples "
        f"({told['validation_rows']} held out): {told['steps']} steps{early}, {told['seconds'] / 60:.1f} min",
        f"  held-out loss {fell} (step {told['best_step']}), training loss {told['mean_last_epoch_loss']:.3f} in the "
        f"last epoch, {told['trainable_parameters']:,} parameters",
        f"  The page: {told['page']}",
    ]
    return "\n".join(lines)


def comparison(run: Run) -> str:
    """The combinations of a matrix side by side, and how the best is taken into service."""
    from components.registry.compare import Candidate, render_comparison

    state = run.read()
    candidates = []
    for told in state["combinations"]:
        try:
            one = Run(run.folder.parent / str(told.get("run"))).read()
            candidates.append(Candidate(told["name"], one["gate"]["verdict"], one["scorecard"]["metrics"]))
        except (CervellaError, KeyError, TypeError):
            candidates.append(Candidate(told["name"], error=told.get("error") or "was not run"))
    lines = [render_comparison(candidates)]
    best = next((told for told in state["combinations"] if told["name"] == state.get("best")), None)
    if best is not None:
        values = "".join(f" -o {key}={json.dumps(value)}" for key, value in best["values"].items())
        lines.append(f"take it into service: cervella run {state['recipe_file']} -o matrix=null{values}")
    return "\n".join(lines)
