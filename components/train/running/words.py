"""A training at work, in words: a line that is drawn anew, and a line of the log for each evaluation."""

from __future__ import annotations

from collections.abc import Callable

from components.store import logger, tell_progress
from components.train.running.progress import Progress

__all__ = ["teller"]


def teller(step: str) -> Callable[[Progress], None]:
    """A function that tells progress of `step` as it comes: step, loss, held-out loss, tokens a second, time left."""
    loss: float | None = None
    held_out: float | None = None

    def tell(progress: Progress) -> None:
        nonlocal loss, held_out
        loss = progress.loss if progress.loss is not None else loss
        if progress.eval_loss is not None:
            fell = f", {held_out:.3f} before" if held_out is not None else ""
            held_out = progress.eval_loss
            logger.info("%s: held-out loss %.3f at step %d%s", step, held_out, progress.step, fell)
        if progress.event == "begin" and progress.step:
            logger.info("%s goes on from step %d", step, progress.step)
        if progress.event == "stopping":
            logger.info("%s saves a checkpoint and stops", step)
        if not progress.steps:
            return
        parts = [
            None if loss is None else f"loss {loss:.3f}",
            None if held_out is None else f"held-out {held_out:.3f}",
            None if progress.tokens_per_second is None else f"{progress.tokens_per_second:,.0f} tokens/s",
            None if progress.seconds_left is None else f"{_time(progress.seconds_left)} left",
        ]
        told = ", ".join(part for part in parts if part)
        tell_progress(step, progress.step, progress.steps, told)

    return tell


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
