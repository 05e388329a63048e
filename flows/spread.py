"""Where the models of a run work: `execution.runner: ray` gives it workers, and what they did is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from components.llm.spread import Workers
from components.llm.spread.lending import lend_workers
from components.recipe import load_frozen
from components.store import Run, logger

__all__ = ["spread"]


@contextmanager
def spread(run: Run) -> Iterator[None]:
    """For the block, the run's models work where its recipe says. Ray is started by the first work that there is.

    Raises:
        TerminalError: the recipe says `runner: ray`, and Ray is not installed.
    """
    recipe = load_frozen(run.folder)
    if recipe.execution.runner != "ray":
        yield
        return
    workers = Workers(
        address=recipe.execution.ray_address, most=recipe.execution.workers,
        trusted_hosts=recipe.privacy.trusted_hosts,
    )  # fmt: skip
    try:
        with workers, lend_workers(run, workers):
            yield
    finally:
        told = workers.told()
        run.update(ray=told)
        for name, done in told.items():
            logger.info("Ray: %s: %s", name, ", ".join(f"{count} {what}" for what, count in done.items()))
