"""What a run teaches about the speed of this machine, kept for plans."""

from __future__ import annotations

from typing import Any

from components.errors import CervellaError
from components.llm.speeds import remember_speed, speeds_file
from components.recipe.model import Recipe
from components.store import Run, Store

__all__ = ["remember_speeds", "try_to_remember"]

_ENOUGH = 8  # texts: fewer measure the start of a model, not its speed


def remember_speeds(run: Run, recipe: Recipe) -> None:
    """Keep how fast the models of a finished run were, and how long the rest of it took.

    Answers from the cache and steps that were skipped measure nothing. A run that only skipped is not counted either,
    nor one whose models worked on a Ray cluster: it says nothing of this machine.
    """
    if recipe.execution.runner == "ray":
        return
    state = run.read()
    steps: dict[str, dict[str, Any]] = {step["name"]: step for step in state["steps"]}
    done = {name for name, step in steps.items() if step.get("status") == "done"}
    file, store = speeds_file(run.workspace), Store(run.workspace)
    models = 0.0
    if "index.build" in done:
        facts = steps["index.build"].get("facts", {})
        speed = facts.get("speed", {})
        models += float(speed.get("seconds", 0.0))
        if facts.get("embedded", 0) >= _ENOUGH:
            remember_speed(
                file, model=store.open(steps["index.build"]["artefact"]).read_json("index.json")["embedder"],
                unit="characters", work=speed["characters"], seconds=speed["seconds"],
            )  # fmt: skip
    if "evaluate.answers" in done:
        answers = list(store.open(steps["evaluate.answers"]["artefact"]).read_jsonl("answers.jsonl"))
        timed = [row["seconds"] for row in answers if row["error"] is None and not row["cached"] and row["seconds"]]
        models += sum(timed)
        remember_speed(file, model=recipe.llm.chat.model, unit="answers", work=len(timed), seconds=sum(timed))
    if done & {"index.build", "evaluate.answers"}:
        rest = sum(float(step.get("seconds", 0.0)) for step in steps.values()) - models
        remember_speed(file, model=recipe.phase, unit="runs", work=1, seconds=max(rest, 0.001))


def try_to_remember(run: Run, recipe: Recipe) -> None:
    """As `remember_speeds`; a measurement that cannot be kept is no reason to fail."""
    try:
        remember_speeds(run, recipe)
    except (CervellaError, OSError, KeyError, TypeError, ValueError):
        return
