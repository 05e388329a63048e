"""The text of a training: what the page says, in a dozen lines of Markdown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.train.report.facts import TrainingReport
from components.train.report.text import duration, headline, training_markdown, what_was_done
from tests.train.reports import JOB, finished_job


class Trained:
    """As much of a sealed artefact as its text needs."""

    def __init__(self, folder: Path, files: dict[str, Any]) -> None:
        self.path, self.files = folder, files
        self.manifest = {"outputs": dict.fromkeys(files)}

    def read_json(self, name: str) -> Any:
        return self.files[name]


def test_the_text_says_the_same_in_a_dozen_lines(report: TrainingReport, tmp_path: Path, told: Any) -> None:
    audits = finished_job(tmp_path, told=told)
    files = {
        "job.json": JOB.to_dict(), "result.json": report.outcome.to_dict(),
        "masks.json": {side: audit.to_dict() for side, audit in audits.items()},
    }  # fmt: skip
    text = training_markdown(Trained(tmp_path, files))  # type: ignore[arg-type]
    assert text.startswith(f"## {headline(report.outcome)}\n")
    assert "| examples | 540 to train on, 60 held out |" in text
    assert "| masks | 3 training examples: token by token as audited |" in text
    assert "perplexity, measured on the saved adapter" in text
    assert len(text.splitlines()) <= 20
    assert all(line.count("|") - line.count("\\|") in (0, 3) for line in text.splitlines())


def test_foreign_text_cannot_leave_its_cell(report: TrainingReport, tmp_path: Path) -> None:
    hostile = replace(report.outcome, trainer_version="1 | <script> `x` [a](b)\n\n# no")
    files = {"job.json": JOB.to_dict(), "result.json": hostile.to_dict()}
    text = training_markdown(Trained(tmp_path, files))  # type: ignore[arg-type]
    assert "\n# no" not in text
    assert "<script>" not in text


@pytest.mark.parametrize(
    ("seconds", "said"), [(7.4, "7 s"), (99, "99 s"), (100, "2 min"), (4069, "68 min"), (5400, "1 h 30 min")]
)
def test_times_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_what_was_done_names_the_kind_of_training(report: TrainingReport) -> None:
    assert "with LoRA (r 16)" in what_was_done(JOB, report.outcome)
    stopped = replace(report.outcome, stopped_early=True, steps=120)
    assert "120 steps of 203 in" in what_was_done(JOB, stopped)
