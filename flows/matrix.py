"""All combinations of a matrix, one after the other, and which of them is best."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from components.llm.spread.lending import lend_workers, workers_of
from components.recipe import load_frozen, open_run, start_combination
from components.recipe.measured import try_to_remember
from components.registry.tasks import compare
from components.store import Run, logger
from flows.mvp import mvp
from flows.optimize import optimize
from flows.phase import phase

__all__ = ["matrix"]

PHASES: dict[str, Callable[..., Any]] = {"mvp": mvp, "optimize": optimize}


@phase("matrix")
def matrix(run_dir: str) -> str | None:
    """Run every combination of the frozen recipe in `run_dir`; returns the name of the best.

    One that fails does not keep the others from running, unless the run was started to stop at the first.
    """
    run, recipe = open_run(run_dir)
    recipes = []
    for number, told in enumerate(run.read()["combinations"]):
        recipes.append(load_frozen(run.folder / "combinations" / str(number)))
        stopped = run.read().get("fail_fast") and any(one.get("error") for one in run.read()["combinations"])
        if not stopped:
            logger.info("combination %s", told["name"])
            _run_one(run, number)
    return compare(run, recipe.registry, axes=recipe.matrix or {}, recipes=recipes)


def _run_one(matrix_run: Run, number: int) -> None:
    one = start_combination(matrix_run, number)
    _tell(matrix_run, number, {"run": one.id})
    try:
        with lend_workers(one, workers_of(matrix_run)):
            state = PHASES[one.read()["phase"]](str(one.folder), return_state=True)
        error = None if state.is_completed() else state.result(raise_on_failure=False)
    except BaseException as raised:  # an interruption ends all of it, and this one is not left as running
        one.update(status="interrupted" if isinstance(raised, KeyboardInterrupt) else "failed", error=str(raised))
        raise
    reason = None if error is None else str(error) or type(error).__name__
    status = "done" if reason is None else "failed"
    one.update(status=status, prefect_flow_run=str(state.state_details.flow_run_id), error=reason)
    if reason is None:
        try_to_remember(one, load_frozen(one.folder))
    else:
        logger.warning("combination %s failed: %s", one.read()["matrix"]["combination"], reason)
    verdict = (one.read().get("gate") or {}).get("verdict")
    _tell(matrix_run, number, {"status": status, "error": reason, "verdict": verdict})


def _tell(run: Run, number: int, values: dict[str, Any]) -> None:
    told = run.read()["combinations"]
    told[number] |= values
    run.update(combinations=told)
