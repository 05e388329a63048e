"""A training at work, in words."""

from __future__ import annotations

import logging

import pytest

from components.store import progress_logger
from components.train.running.progress import Progress
from components.train.running.words import teller


def progress(event: str, step: int = 0, steps: int = 14, **values: float) -> Progress:
    known: dict[str, float | None] = {"loss": None, "eval_loss": None, "tokens_per_second": None, "seconds_left": None}
    return Progress(step=step, steps=steps, event=event, **{**known, **values})


def test_step_loss_held_out_loss_speed_and_time_left_are_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = teller("train.run")
    monkeypatch.setattr(progress_logger, "handlers", [caplog.handler])
    with caplog.at_level(logging.DEBUG, logger="cervella"):
        tell(progress("starting", steps=0))
        tell(progress("begin"))
        tell(progress("eval", eval_loss=4.155))
        tell(progress("log", 1, loss=4.3, tokens_per_second=1234.5, seconds_left=45))
        tell(progress("eval", 2, eval_loss=3.6, tokens_per_second=1200.0, seconds_left=7200))
        tell(progress("stopping", 3))
    told = [getattr(record, "told", None) for record in caplog.records if record.levelno == logging.DEBUG]
    assert told[2] == "loss 4.300, held-out 4.155, 1,234 tokens/s, 45 s left"
    assert told[3] == "loss 4.300, held-out 3.600, 1,200 tokens/s, 2 h 00 min left"
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert lines == [
        "train.run: held-out loss 4.155 at step 0", "train.run: held-out loss 3.600 at step 2, 4.155 before",
        "train.run saves a checkpoint and stops",
    ]  # fmt: skip


def test_a_training_that_goes_on_says_from_where(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="cervella"):
        teller("train.run")(progress("begin", 6))
    assert [record.getMessage() for record in caplog.records] == ["train.run goes on from step 6"]
