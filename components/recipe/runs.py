"""A run of a recipe: frozen when it starts, read back by its flow."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from components.errors import InputError
from components.index.place import check_place
from components.recipe.frozen import freeze, load_frozen
from components.recipe.load import LoadedRecipe
from components.recipe.model import Recipe
from components.recipe.privacy import check_notes
from components.store import Run, write_atomic

__all__ = ["MATRIX", "STEPS", "check_steps", "open_run", "start_combination", "start_run"]

_INDEXING = ("sncp.collect", "index.chunk", "index.build")
_DATASET = ("dataset.generate", "dataset.gather", "dataset.check", "dataset.split", "dataset.audit")
_SCORING = (
    "evaluate.retrieval", "evaluate.answers", "evaluate.candidate", "evaluate.champion", "evaluate.control",
    "evaluate.agreement", "evaluate.judge", "evaluate.score", "registry.gate", "registry.release", "registry.report",
    "registry.register",
)  # fmt: skip
_TOLD = {
    "index.copy": "every run looks whether the bucket has what is published; cervella index copy RECIPE --anew uploads "
    "all of it again",
    "registry.register": "MLflow is asked by every run, and what it has is never made twice: there is nothing to "
    "force. To score again, force evaluate.retrieval or evaluate.answers",
    "scale.shadow": "both are asked by every run, whatever is sealed: there is nothing to force",
    "scale.promote": "what is in service is looked at by every run; scale.force is a reason to go on without gate GO",
    "scale.switch": "a promotion is put on probation once: cervella rollback, and run it again",
    "roadmap.triggers": "the triggers are measured by every run; roadmap.force gives a reason to go on without them",
}
STEPS: dict[str, tuple[str, ...]] = {
    "mvp": (*_INDEXING, "persona.compile", *_SCORING),
    "reindex": _INDEXING,
    "dataset": ("sncp.collect", "persona.compile", *_DATASET),
    "optimize": (
        *_INDEXING, "persona.compile", "roadmap.triggers", *_DATASET, "train.prepare", "train.base", "train.run",
        "train.losses", "train.export", *_SCORING,
    ),
    "scale": ("scale.candidate", "scale.shadow", "scale.gate", "scale.promote", "scale.switch"),
}  # fmt: skip
"""Phase -> its steps, in order."""
MATRIX = "matrix"
"""In the place of the phase, in the record of a run of all combinations of a matrix."""


def check_steps(phase: str, names: Sequence[str]) -> list[str]:
    """Names of steps to force. Raises InputError for one that the phase does not have, with the nearest."""
    for name in names:
        if name in _TOLD:
            raise InputError(f"--force {name}: {_TOLD[name]}")
        if name not in STEPS[phase]:
            near = difflib.get_close_matches(name, STEPS[phase], n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(STEPS[phase])}"
            raise InputError(f"--force {name}: phase {phase} has no such step; {hint}")
    return list(names)


def start_run(
    loaded: LoadedRecipe, *, force: Sequence[str] = (), planned: Mapping[str, Mapping[str, str]] | None = None
) -> Run:
    """Begin a run of `loaded`: its folder, with the frozen recipe. A recipe with a matrix begins a run of all of it.

    Args:
        loaded: the recipe.
        force: steps to do again although they are sealed.
        planned: combination ("" without a matrix) -> step -> the fingerprint that it must have, from a plan.

    Raises InputError for a step that is none, or an index that is only read; TerminalError when notes that must stay
    here would leave this machine.
    """
    recipe = loaded.recipe
    forced = check_steps(recipe.phase, force)
    for one in [combination.loaded.recipe for combination in loaded.combinations] or [recipe]:
        check_place(one.index, phase=one.phase)
    for one in [recipe, *(combination.loaded.recipe for combination in loaded.combinations)]:
        check_notes(one)
    phase = MATRIX if loaded.combinations else recipe.phase
    run = Run.create(recipe.workspace, recipe=recipe.name, phase=phase)
    freeze(loaded, run.folder)
    for number, combination in enumerate(loaded.combinations):
        freeze(combination.loaded, run.folder / "combinations" / str(number))
    wanted = planned or {}
    run.update(
        force=forced, recipe_file=str(loaded.path), recipe_digest=loaded.digest, planned=dict(wanted.get("", {})),
        combinations=[
            {"name": one.name, "values": one.values, "planned": dict(wanted.get(one.name, {}))}
            for one in loaded.combinations
        ],
    )  # fmt: skip
    return run


def start_combination(matrix: Run, number: int) -> Run:
    """Begin the run of one combination of a matrix that has begun."""
    state = matrix.read()
    told, source = state["combinations"][number], matrix.folder / "combinations" / str(number)
    recipe = load_frozen(source)
    run = Run.create(recipe.workspace, recipe=recipe.name, phase=recipe.phase)
    for name in ("origins.json", "recipe.yaml"):
        write_atomic(run.folder / name, (source / name).read_bytes())
    run.update(
        force=state.get("force", []), recipe_file=state.get("recipe_file"), planned=told.get("planned", {}),
        matrix={"run": matrix.id, "combination": told["name"], "values": told["values"]},
    )  # fmt: skip
    return run


def open_run(run_dir: str) -> tuple[Run, Recipe]:
    """The run in folder `run_dir` and its frozen recipe. Raises InputError when there is none."""
    return Run(Path(run_dir)), load_frozen(Path(run_dir))
