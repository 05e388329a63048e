"""Phase scale after a run that was ended: the next one completes it, and asks nothing twice."""

from __future__ import annotations

import shutil
import time
from typing import Any

import pytest

from components.answer.partner import Partner
from components.llm.budget import BudgetError
from tests.scale.flow_house import CITES, FEW, PLAIN, Follows, steps, told
from tests.scale.scale_house import ScaleHouse


@pytest.mark.parametrize("where", ["before promoting", "after promoting"])
def test_a_run_that_was_killed_is_completed_by_the_next(
    house: ScaleHouse, endpoint: Follows, monkeypatch: pytest.MonkeyPatch, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = house.promote()
    after = house.release(CITES)
    house.recorded(after, before)

    def killed(*arguments: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        what = "components.scale.tasks.steps.promote_candidate" if where == "before promoting" else None
        patch.setattr(what, killed) if what else patch.setattr(endpoint, "ask", killed)
        with pytest.raises(KeyboardInterrupt):
            house.run(FEW)
    assert (house.in_service() == after) == (where == "after promoting")
    assert ("its probation has not ended" in caplog.text) == (where == "after promoting")
    house.release(PLAIN, recipe="other")  # registered meanwhile: what is pending goes before it
    if where == "after promoting":
        looked, asked = house.run(FEW, "scale.promote=false"), list(endpoint.waited)
        assert "its probation has not ended; nothing was changed" in told(looked)["said"]
        assert list(steps(looked)) == ["scale.candidate"] and endpoint.waited == asked and house.in_service() == after
    run = house.run(FEW, f"scale.candidate={'house' if where == 'before promoting' else 'other'}")
    assert told(run)["switched"] is True and told(run)["candidate"]["release"] == after == house.in_service()
    if where == "after promoting":
        assert told(run)["standing"] == "pending" and list(steps(run)) == ["scale.candidate", "scale.switch"]
        assert told(house.run(FEW, "scale.candidate=other"))["standing"] == "new"


def test_a_probation_is_done_once_also_when_gc_has_removed_what_was_sealed(
    house: ScaleHouse, endpoint: Follows
) -> None:
    house.recorded(house.release(PLAIN))
    first = house.run(FEW)
    killed_late = {name: value for name, value in told(first).items() if name != "switched"}
    first.update(scale=killed_late)  # after it was sealed, before it was told
    again = house.run(FEW)
    assert (told(again)["standing"], told(again)["switched"]) == ("in service", True)
    shutil.rmtree(house.workspace / "store" / "scale.switch")
    assert told(house.run(FEW))["standing"] == "in service" and len(endpoint.waited) == 1


def test_answers_of_a_run_that_was_killed_are_not_asked_again(
    house: ScaleHouse, endpoint: Follows, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.release(PLAIN)
    asked: list[str] = []
    stream = Partner.stream

    def counted(self: Partner, question: str, **options: Any) -> Any:
        asked.append(question)
        if len(asked) == 9:
            raise KeyboardInterrupt
        return stream(self, question, **options)

    monkeypatch.setattr(Partner, "stream", counted)
    options = ("scale.promote=false", "scale.questions=20")
    with pytest.raises(KeyboardInterrupt):
        house.run(*options)
    house.run(*options)
    assert len(asked) == 9 + 1 + 20 - 7  # of the first nine, one only loaded the model, and one was not answered
    house.run(*options)
    assert len(asked) == 9 + 1 + 20 - 7 + 21


def test_the_loading_of_a_model_is_measured_in_no_answer_also_when_a_run_goes_on(
    house: ScaleHouse, endpoint: Follows, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.promote()
    house.release(CITES)
    loaded, asked = list[Partner](), list[str]()
    retrieve = Partner._retrieve

    def loads(self: Partner, question: str) -> Any:
        asked.append(question)
        if len(asked) == 7:
            raise KeyboardInterrupt
        if not any(one is self for one in loaded):
            loaded.append(self)
            time.sleep(2.5)
        return retrieve(self, question)

    monkeypatch.setattr(Partner, "_retrieve", loads)
    options = ("scale.promote=false", "scale.questions=6")
    with pytest.raises(KeyboardInterrupt):
        house.run(*options)
    numbers = told(house.run(*options))["numbers"]
    assert len(loaded) == 4
    assert max(numbers[side]["p95_seconds"] for side in ("candidate", "champion")) < 1.5  # of six: near the longest


def test_money_that_is_spent_is_no_fault_of_the_candidate_and_what_was_paid_is_kept(
    house: ScaleHouse, endpoint: Follows, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.release("fake/chat?reply=S%C3%AC.&cost=0.5")
    asked: list[str] = []
    stream = Partner.stream

    def counted(self: Partner, question: str, **options: Any) -> Any:
        asked.append(question)
        return stream(self, question, **options)

    monkeypatch.setattr(Partner, "stream", counted)
    options = ("scale.promote=false", "scale.questions=6", "llm.budget.per_query_usd=1")
    with pytest.raises(BudgetError):
        house.run(*options, "llm.budget.per_run_usd=2")
    paid = len(asked) - 1  # the last one was not sent
    assert paid == 4
    found = told(house.run(*options, "llm.budget.per_run_usd=10"))["numbers"]["candidate"]
    assert (found["asked"], found["errors"]) == (6, 0) and len(asked) == 5 + 6 - paid
