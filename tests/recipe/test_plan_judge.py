"""What the plan says of judging is what it takes: never more at least than is paid, whatever was judged before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from components.evaluate.instrument.labels import LabelLog
from components.evaluate.judged import SOUNDS
from components.evaluate.said import Item
from components.evaluate.suite import JudgeQuestion
from components.recipe.plan import Plan
from components.recipe.plan_work import Work
from tests.recipe.plan_house import House

PROMPTS = """
{"id": "a", "prompt": "Chi sei?", "lang": "it", "kind": "identity"}
{"id": "b", "prompt": "Quando si accende il forno?", "lang": "it", "kind": "everyday"}
"""
CHECKLIST = """
rules:
  - {id: feminine, rule: Parla al femminile., code: {check: feminine}}
  - {id: owns, rule: Dice di chi è la decisione., ask: Dice di chi è la decisione?}
"""
REPEATS = 3


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House.make(tmp_path)
    (tmp_path / "prompts.jsonl").write_text(PROMPTS.lstrip(), encoding="utf-8")
    (tmp_path / "checklist.yaml").write_text(CHECKLIST, encoding="utf-8")
    house.overrides += [
        f"evaluate.personality.prompts={tmp_path / 'prompts.jsonl'}",
        f"evaluate.personality.checklist={tmp_path / 'checklist.yaml'}",
        "evaluate.personality.ask=0", f"evaluate.judge.repeats={REPEATS}",
        f"evaluate.judge.labels={tmp_path / 'labels.jsonl'}",
        "llm.judge.model=fake/chat?mode=judge&cost=0.002", "llm.judge.temperature=0.7",
    ]  # fmt: skip
    return house


def judging(plan: Plan, step: str = "evaluate.judge") -> Work:
    assert not plan.problems
    return next(one.work for one in plan.steps if one.name == step)


def label(house: House, number: int, ask: str = "Suona come Cervella?") -> None:
    item = Item("personality", f"l{number}", f"Come va, {number}?", "it", "identity")
    standard = "Voce, modi e valori della risposta sono quelli di Cervella."
    question = JudgeQuestion("candidate", item, SOUNDS, ask, standard, "Bene.")
    LabelLog(house.folder / "labels.jsonl").add(question, "yes", by="Bianca")


def test_judging_is_asked_for_certain_only_where_nothing_was_paid_for_before(house: House) -> None:
    plan = house.plan()
    work = judging(plan)
    # Of the candidate two questions on each answer; the control may say the same, and is asked how it sounds alone.
    assert (work.calls_at_least, work.calls_at_most) == (2 * 2 * REPEATS, (2 * 2 + 2) * REPEATS)
    _, counted = house.run()
    assert plan.work.calls_at_least <= counted.calls <= plan.work.calls_at_most
    other = judging(house.plan("answer.max_context_tokens=300"))  # other answers, or the same
    assert other.calls_at_least == 0 and other.calls_at_most == work.calls_at_most
    for step in ("evaluate.judge", "evaluate.agreement"):
        shutil.rmtree(house.workspace / "store" / step)
    again = house.plan()
    assert judging(again).calls_at_least == work.calls_at_least
    (fingerprint,) = (one.fingerprint for one in again.steps if one.name == "evaluate.judge")
    assert fingerprint
    (house.workspace / "scratch" / fingerprint).mkdir(parents=True)  # as a run leaves it that was killed
    assert judging(house.plan()).calls_at_least == 0


def test_labels_of_other_questions_are_not_asked(house: House) -> None:
    label(house, 0)
    label(house, 1)
    label(house, 2, ask="Sembra Cervella?")
    work = judging(house.plan(), "evaluate.agreement")
    assert (work.calls_at_least, work.calls_at_most) == (2 * REPEATS, 2 * REPEATS)
    assert judging(house.plan()).calls_at_least == 0  # it may have been asked the very same to check it
    plan = house.plan()
    _, counted = house.run()
    assert plan.work.calls_at_least <= counted.calls <= plan.work.calls_at_most
    label(house, 3)
    assert judging(house.plan(), "evaluate.agreement").calls_at_least == 0
