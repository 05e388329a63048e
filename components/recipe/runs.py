"""A run of a recipe: frozen when it starts, read back by its flow."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from components.errors import InputError
from components.recipe.frozen import freeze, load_frozen
from components.recipe.load import LoadedRecipe
from components.recipe.model import Recipe
from components.recipe.privacy import check_notes
from components.store import Run

__all__ = ["STEPS", "check_steps", "open_run", "start_run"]

_INDEXING = ("sncp.collect", "index.chunk", "index.build")
STEPS: dict[str, tuple[str, ...]] = {
    "mvp": (
        *_INDEXING, "persona.compile", "evaluate.retrieval", "evaluate.answers", "evaluate.score", "registry.gate",
        "registry.register",
    ),
    "reindex": _INDEXING,
}  # fmt: skip
"""Phase -> its steps, in order."""


def check_steps(phase: str, names: Sequence[str]) -> list[str]:
    """Names of steps to force. Raises InputError for one that the phase does not have, with the nearest."""
    for name in names:
        if name not in STEPS[phase]:
            near = difflib.get_close_matches(name, STEPS[phase], n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(STEPS[phase])}"
            raise InputError(f"--force {name}: phase {phase} has no such step; {hint}")
    return list(names)


def start_run(loaded: LoadedRecipe, *, force: Sequence[str] = ()) -> Run:
    """Begin a run of `loaded`: its folder, with the frozen recipe. `force`: steps to do again although sealed.

    Raises InputError for a step that is none, TerminalError when notes that must stay here would leave this machine.
    """
    recipe = loaded.recipe
    forced = check_steps(recipe.phase, force)
    check_notes(recipe)
    run = Run.create(recipe.workspace, recipe=recipe.name, phase=recipe.phase)
    freeze(loaded, run.folder)
    run.update(force=forced, recipe_file=str(loaded.path), recipe_digest=loaded.digest)
    return run


def open_run(run_dir: str) -> tuple[Run, Recipe]:
    """The run in folder `run_dir` and its frozen recipe. Raises InputError when there is none."""
    return Run(Path(run_dir)), load_frozen(Path(run_dir))
