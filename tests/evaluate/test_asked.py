"""What is asked beside golden questions, of whom, and what stops an evaluation before anything is paid for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError
from components.evaluate.asking.items import asked_items
from components.evaluate.judge.steps import questions_of
from components.evaluate.params import EvaluateParams, JudgeParams, PersonalityParams
from components.evaluate.said import CONTESTANTS, Contestant, Said
from components.llm.params import LlmParams


@pytest.fixture
def params(root: Path) -> EvaluateParams:
    folder = root / "examples" / "evaluation"
    personality = PersonalityParams(prompts=folder / "personality.jsonl", checklist=folder / "checklist.yaml")
    return EvaluateParams(personality=personality, tasks=folder / "tasks.yaml")


def said(params: EvaluateParams) -> dict[Contestant, list[Said]]:
    """An answer of everybody to all that each is asked."""
    asked = asked_items(params)
    return {
        name: [Said(item, "Eccomi.") for item in (asked.of_control if name == "control" else asked.items)]
        for name in CONTESTANTS
    }


def test_the_control_is_asked_no_tasks(params: EvaluateParams) -> None:
    asked = asked_items(params)
    assert {item.part for item in asked.items} == {"personality", "task"}
    assert asked.of_control == tuple(item for item in asked.items if item.part == "personality")


def test_the_examples_say_how_many_questions_the_judge_is_asked(params: EvaluateParams, root: Path) -> None:
    asked = asked_items(params)
    questions = questions_of(said(params), checklist=asked.checklist, tasks=asked.tasks)
    counts = {name: sum(one.contestant == name for one in questions) for name in CONTESTANTS}
    assert counts["champion"] == counts["control"] == 100
    told = (root / "examples" / "evaluation" / "README.md").read_text(encoding="utf-8")
    told = " ".join(told.split())
    assert f"{counts['candidate']:,} questions to the judge for the candidate" in told
    assert f"{2 * len(asked.items)} comparisons with the champion" in told


def test_what_a_judge_is_asked_is_known_before_anybody_answers(params: EvaluateParams) -> None:
    asked = asked_items(params)
    questions = questions_of(said(params), checklist=asked.checklist, tasks=asked.tasks, name="Ada")
    assert {one.wording for one in questions} == asked.wordings(name="Ada")
    assert asked.wordings(name="Ada") != asked.wordings(name="Cervella")


@pytest.mark.parametrize("line", ["{}", json.dumps({"digest": "0" * 64})], ids=["empty", "without words"])
def test_faulty_labels_are_told_before_anything_is_paid_for(params: EvaluateParams, tmp_path: Path, line: Any) -> None:
    from components.evaluate.tasks import can_be_judged

    labels = tmp_path / "labels.jsonl"
    judged = params.model_copy(update={"judge": JudgeParams(labels=labels)})
    can_be_judged(judged, LlmParams())  # no file yet
    labels.write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(InputError, match="labels.jsonl:1: no label"):
        can_be_judged(judged, LlmParams())
