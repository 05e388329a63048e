"""The page of a training: what was trained, what came of it, what differs, and what was not checked."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.train.estimate.estimate import Estimate
from components.train.job import EFFECTIVE
from components.train.report.facts import TrainingReport
from components.train.report.page import page, run_page
from components.train.report.text import size
from tests.pages import Outline, section
from tests.train.reports import ENVIRONMENT, JOB, finished_job, outcome_of


def test_the_head_says_what_was_trained_on_what_how_long_and_what_came_of_it(report: TrainingReport) -> None:
    text = page(report)
    head = Outline(text.partition("</header>")[0]).text
    best = report.outcome.best_eval_loss
    assert f"Held-out loss fell: 2.500 to {best:.3f}, perplexity 12.18 to " in head
    assert "Qwen/Qwen3-4B with LoRA (r 16) on 540 examples, 203 steps in 68 min with axolotl 0.19.0." in head
    assert "in 2 sittings" in head
    assert 'class="good"' in text
    assert ENVIRONMENT["folder"] not in text  # no path of this machine


def test_a_training_that_did_not_help_is_told_in_red(report: TrainingReport) -> None:
    worse = replace(report, outcome=replace(report.outcome, base_eval_loss=0.5))
    text = page(worse)
    assert '<h1 class="bad">Held-out loss did not fall: 0.500 to ' in text
    assert "no better than its base" in Outline(text).text
    unknown = page(replace(report, outcome=replace(report.outcome, base_eval_loss=None)))
    assert '<h1 class="">Held-out loss ' in unknown
    assert "the trainer did not evaluate it" in section(unknown, "unchecked")


def test_a_setting_that_differs_comes_first_in_red(tmp_path: Path, told: list[dict[str, Any]]) -> None:
    audits = finished_job(tmp_path, told=told)
    effective = json.loads((tmp_path / EFFECTIVE).read_text())
    effective["peft"]["r"] = 8
    effective["arguments"]["learning_rate"] = 1e-3
    (tmp_path / EFFECTIVE).write_text(json.dumps(effective))
    text = run_page(tmp_path, JOB, outcome=outcome_of(told), environment=ENVIRONMENT, audits=audits)
    settings_ = section(text, "settings")
    assert "2 of 40 settings are not as asked." in settings_
    assert "train.lora.r (differs) 16 8 peft.r" in settings_
    assert text.index("train.learning_rate (differs)") < text.index("All 40 settings")
    assert "asked 16, the trainer uses 8 (peft.r)" in Outline(text).text
    assert '<h1 class="bad">' in text


def test_data_environment_and_files_have_their_digests(report: TrainingReport) -> None:
    text = page(report)
    for name, count, digest in report.files + report.data:
        assert name in text
        assert digest in text
        assert size(count) in text
    assert "adapter_model.safetensors" in section(text, "files")
    assert "torch 2.13.0+cpu, transformers 5.16.1" in section(text, "environment")
    assert ENVIRONMENT["lock"] in section(text, "environment")
    assert "training 540 249 165 190" in section(text, "data")


def test_the_estimate_is_held_against_what_it_took(report: TrainingReport) -> None:
    assert isinstance(report.estimate, Estimate)
    found = replace(report.estimate, hours=(0.5, 2.0), memory_gib=(10.0, 12.0), usd=(0.2, 0.9))
    words = section(page(replace(report, estimate=found)), "estimate")
    assert "hours 0.5 to 2 h 1.13 h yes" in words
    assert "8.57 GiB" in words
    assert "below" in words
    assert "$0.20 to $0.90" in words
    assert "There is no estimate" in section(page(replace(report, estimate=None)), "estimate")


def test_what_was_not_checked_is_said(report: TrainingReport) -> None:
    words = section(page(report), "unchecked")
    assert "The masks of 537 training examples: 3 of 540 were looked at" in words
    assert "train.base.revision names no commit" in words
    assert "4 bit" not in words
    assert "only counted" in section(page(replace(report, audits={})), "unchecked")


def test_headings_and_landmarks_are_in_order(report: TrainingReport) -> None:
    outline = Outline(page(report))
    levels = [int(tag[1]) for tag in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    assert {"header", "nav", "main", "footer"} <= set(outline.tags)
    ids = [value for _, name, value in outline.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    labels = [value for _, name, value in outline.attributes if name == "aria-labelledby"]
    assert {label for value in labels for label in str(value).split()} <= set(ids)


def test_the_same_report_gives_the_same_page(report: TrainingReport) -> None:
    assert page(report) == page(report)
