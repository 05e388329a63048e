"""Phase scale from the candidate to the verdict, on real releases, without Prefect; what is NO-GO changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import time
from typing import Any

import pytest

from components.answer.partner import Partner
from components.errors import InputError, RefusedError, TerminalError
from components.llm.budget import BudgetError
from components.scale.endpoint import Endpoint
from components.scale.probation import NotTakenOverError
from components.services.process_start import started_at
from components.store import Run
from tests.scale.scale_house import QUESTION, ScaleHouse

CITES = "fake/chat?reply=S%C3%AC+%5B1%5D."
PLAIN = "fake/chat?reply=S%C3%AC."


FEW = "scale.questions=2"
"""Where it is not the comparison that is looked at: what was recorded makes the verdict."""


class Follows:
    """Answers as what is in service at once: the double of an endpoint, for what happens around it."""

    endpoint = Endpoint(os.getpid(), started_at(os.getpid()) or "", "http://127.0.0.1:1", "double")

    def __init__(self, house: ScaleHouse, *, seconds: float = 0.1, refuses: bool = False) -> None:
        self.house, self.seconds, self.refuses, self.waited = house, seconds, refuses, list[str]()

    def wait_for(self, release: str, *, seconds: float) -> float:
        self.waited.append(release)
        if self.refuses and len(self.waited) == 1:
            raise NotTakenOverError("the endpoint cannot open it (TerminalError; its log says more)")
        assert self.house.in_service() == release
        return 0.5

    def ask(self, questions: Any, *, release: str, progress: Any) -> Any:
        from components.scale.answers import Answered

        return [Answered(one.id, "candidate", "probation", seconds=self.seconds) for one in questions]


@pytest.fixture
def endpoint(house: ScaleHouse, monkeypatch: pytest.MonkeyPatch) -> Follows:
    found = Follows(house)
    monkeypatch.setattr("flows.scale.endpoint_up", lambda run, recipe: found)
    return found


def told(run: Run) -> dict[str, Any]:
    scale: dict[str, Any] = run.read()["scale"]
    return scale


def steps(run: Run) -> dict[str, str]:
    return {step["name"]: step["status"] for step in run.read()["steps"]}


@pytest.mark.slow
def test_a_good_candidate_is_promoted_and_the_run_says_what_was_measured(house: ScaleHouse, endpoint: Follows) -> None:
    before = house.promote()
    after = house.release(CITES)
    run = house.run()
    assert house.in_service() == after and house.history()[-1].by == f"scale run {run.id}"
    assert endpoint.waited == [after]
    assert list(steps(run)) == [f"scale.{name}" for name in ("candidate", "shadow", "gate", "promote", "switch")]
    assert set(steps(run).values()) == {"done"}
    found = told(run)
    assert found["switched"] is True and found["before"]["release"] == before and found["alone"] is None
    assert found["numbers"]["candidate"]["with_sources"] == 80 and found["numbers"]["champion"]["asked"] == 80
    assert found["numbers"]["probation"]["asked"] == 8 and "passed its probation" in found["said"]
    again = house.run()
    assert told(again)["standing"] == "in service" and list(steps(again)) == ["scale.candidate"]
    assert "gate" not in again.read() and len(house.history()) == 2


@pytest.mark.parametrize("model", [CITES, PLAIN], ids=["no note was named before", "all were"])
def test_against_what_is_in_service_only_clearly_fewer_sources_are_no_go(
    house: ScaleHouse, endpoint: Follows, model: str
) -> None:
    house.release(PLAIN if model == CITES else CITES)
    before = house.promote()
    house.recorded(house.release(model), before)
    run = house.run("scale.questions=10")
    found = {one["name"]: one["verdict"] for one in run.read()["gate"]["criteria"]}
    assert found["answers_with_sources"] == ("GO" if model == CITES else "NO-GO")
    assert (house.in_service() == before) == (model == PLAIN)
    if model == PLAIN:
        assert list(steps(run))[-1] == "scale.gate" and "not promoted" in told(run)["said"] and not endpoint.waited


@pytest.mark.parametrize(
    ("model", "verdict", "options", "criterion"),
    [
        ("fake/chat?fail_prob=1", "GO", (), "errors"),
        ("fake/chat?reply=S%C3%AC.&cost=0.5", "GO", ("llm.budget.per_query_usd=1",), "cost_per_query_usd"),
        ("fake/chat?reply=S%C3%AC.", "NO-GO", (), "own_gate"),
        ("fake/chat?reply=S%C3%AC.", "GO", (), "errors"),
        ("fake/chat?reply=S%C3%AC.&delay=0.02", "GO", ("scale.max_p95_seconds=0.01",), "latency_p95_seconds"),
    ],
    ids=["errors", "cost", "own gate", "too few", "slow"],
)  # fmt: skip
def test_what_misses_a_limit_changes_nothing(
    house: ScaleHouse, endpoint: Follows, model: str, verdict: Any, options: tuple[str, ...], criterion: str
) -> None:
    before = house.promote()
    house.release(model, verdict=verdict)
    run = house.run(FEW, *options)
    missed = [one["name"] for one in run.read()["gate"]["criteria"] if one["verdict"] != "GO"]
    assert criterion in missed and run.read()["gate"]["verdict"] != "GO"
    assert house.in_service() == before and len(house.history()) == 1 and not endpoint.waited


def test_a_reason_stands_in_for_the_candidates_own_gate_and_is_recorded(house: ScaleHouse, endpoint: Follows) -> None:
    house.recorded(house.release(PLAIN, verdict="INCONCLUSIVE"))
    house.run(FEW, "scale.force=provata a mano da noi due")
    assert (house.history()[-1].reason, house.history()[-1].verdict) == ("provata a mano da noi due", "INCONCLUSIVE")


def test_to_look_only_changes_nothing(house: ScaleHouse, endpoint: Follows) -> None:
    house.recorded(house.release(PLAIN))
    run = house.run(FEW, "scale.promote=false")
    assert run.read()["gate"]["verdict"] == "GO" and not house.history()
    assert "nothing was changed" in told(run)["said"]


def test_of_a_named_recipe_the_newest(house: ScaleHouse, endpoint: Follows) -> None:
    wanted = house.release(CITES, recipe="other")
    house.release(PLAIN)
    run = house.run(FEW, "scale.candidate=other", "scale.promote=false")
    assert told(run)["candidate"]["release"] == wanted
    with pytest.raises(TerminalError, match="no run of nowhere has registered a release"):
        house.run("scale.candidate=nowhere")


def test_what_an_endpoint_has_recorded_of_this_very_candidate_counts_too(house: ScaleHouse, endpoint: Follows) -> None:
    before, after = house.promote(), house.release(CITES)
    house.recorded(after, before, n=3)
    house.recorded("c" * 64, before, n=5)  # another candidate
    house.recorded(after, "d" * 64, n=2)  # beside another release, which is no longer in service
    found = told(house.run(FEW, "scale.promote=false"))
    assert found["recorded"] == 3 + 3 + 2
    assert (found["numbers"]["candidate"]["asked"], found["numbers"]["champion"]["asked"]) == (2 + 5, 2 + 3)


@pytest.mark.parametrize("how", ["slow", "not opened"])
def test_what_fails_its_probation_is_taken_back(house: ScaleHouse, endpoint: Follows, how: str) -> None:
    before, after = house.promote(), house.release(CITES)
    house.recorded(after, before)
    endpoint.seconds, endpoint.refuses = (9.0, False) if how == "slow" else (0.1, True)
    with pytest.raises(RefusedError, match=f"release {after[:12]} failed its probation") as refused:
        house.run(FEW)
    says = "a 95th percentile of 9.00 s" if how == "slow" else "cannot open it"
    assert says in str(refused.value) and "answers as that again after 0.5 s" in str(refused.value)
    assert house.in_service() == before and endpoint.waited == [after, before]
    last = house.history()[-1]
    assert (last.what, last.by.partition(" run ")[0]) == ("rollback", "scale") and says in str(last.reason)
    assert [told(Run(folder))["switched"] for folder in house.workspace.glob("runs/*into-service*")] == [False]


@pytest.mark.parametrize("who", ["the run", "a person"])
def test_ended_after_the_rollback_nobody_is_told_to_roll_back_again(
    house: ScaleHouse, endpoint: Follows, monkeypatch: pytest.MonkeyPatch, who: str, caplog: pytest.LogCaptureFixture
) -> None:
    before, after = house.promote(), house.release(CITES)
    house.recorded(after, before)
    endpoint.seconds = 9.0

    def ended(release: str, *, seconds: float) -> float:
        if who == "a person":
            house.rollback()
        elif release == after:
            return 0.5
        raise KeyboardInterrupt

    monkeypatch.setattr(endpoint, "wait_for", ended)
    with pytest.raises(KeyboardInterrupt):
        house.run(FEW)
    assert house.in_service() == before and "takes it back" not in caplog.text
    says = "was rolled back to release" if who == "the run" else "was put into service by Anna"
    assert says in caplog.text and before[:12] in caplog.text


def test_the_first_release_cannot_be_taken_back_and_that_is_told(house: ScaleHouse, endpoint: Follows) -> None:
    digest = house.release(CITES)
    house.recorded(digest)
    endpoint.seconds = 9.0
    with pytest.raises(RefusedError, match="It stays in service, because it cannot be taken back: nothing was in"):
        house.run(FEW)
    assert house.in_service() == digest


def test_what_a_person_promotes_meanwhile_stays(
    house: ScaleHouse, endpoint: Follows, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = house.promote()
    house.recorded(house.release(CITES), before)

    def ask(*arguments: Any, **options: Any) -> Any:
        house.rollback()
        return []

    monkeypatch.setattr(endpoint, "ask", ask)
    with pytest.raises(
        RefusedError, match=f"release {before[:12]} was put into service by Anna at .*, and stays there"
    ):
        house.run(FEW)
    assert house.in_service() == before and house.history()[-1].by == "Anna"


@pytest.mark.parametrize("how", ["another", "back and forth"])
@pytest.mark.parametrize("seconds", [0.1, 9.0], ids=["fast", "slow"])
def test_what_a_person_promotes_before_the_probation_is_not_put_on_it(
    house: ScaleHouse, endpoint: Follows, monkeypatch: pytest.MonkeyPatch, how: str, seconds: float
) -> None:
    before = house.promote()
    after = house.release(CITES)
    house.recorded(after, before)
    endpoint.seconds = seconds

    from components.scale import steps as scale_steps

    promote = scale_steps.promote_candidate

    def and_then(*arguments: Any, **options: Any) -> Any:
        done = promote(*arguments, **options)
        house.rollback()
        if how == "another":
            house.release(PLAIN)
        house.promote()
        return done

    monkeypatch.setattr("components.scale.tasks.steps.promote_candidate", and_then)
    with pytest.raises(RefusedError, match="is not on probation any more: release .* was put into service by Anna"):
        house.run(FEW)
    assert (house.in_service() == after) == (how == "back and forth")
    assert not endpoint.waited and [one.what for one in house.history()][-2:] == ["rollback", "promote"]


def test_what_a_person_promotes_during_the_comparison_stays(
    house: ScaleHouse, endpoint: Follows, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = house.promote()
    after = house.release(CITES)
    house.recorded(after, before)
    from components.scale import steps as scale_steps

    decide = scale_steps.decide_gate

    def meanwhile(*arguments: Any, **options: Any) -> Any:
        house.promote()
        house.rollback()
        return decide(*arguments, **options)

    monkeypatch.setattr("components.scale.tasks.steps.decide_gate", meanwhile)
    with pytest.raises(TerminalError, match="since the comparison .* was put into service by Anna .* Run this again"):
        house.run(FEW)
    assert house.in_service() == before and house.history()[-1].by == "Anna" and not endpoint.waited


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


def test_a_key_that_is_missing_is_told_and_is_no_verdict(
    house: ScaleHouse, endpoint: Follows, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.release(PLAIN)

    def no_key(self: Partner, question: str, **options: Any) -> Any:
        raise InputError("the environment variable SOME_KEY is not set")

    monkeypatch.setattr(Partner, "stream", no_key)
    with pytest.raises(InputError, match="SOME_KEY is not set"):
        house.run(FEW)
    assert not any("gate" in Run(folder).read() for folder in house.workspace.glob("runs/*into-service*"))


def test_a_long_question_is_asked_as_the_endpoint_takes_it(house: ScaleHouse, endpoint: Follows) -> None:
    house.release(CITES)
    (house.folder / "golden.jsonl").write_text(QUESTION.replace("Quanto", "x" * 5000 + " Quanto") % (1, 1))
    found = told(house.run("scale.promote=false", "scale.questions=1"))
    assert (found["numbers"]["candidate"]["asked"], found["numbers"]["candidate"]["errors"]) == (1, 0)


def test_a_candidate_that_this_recipe_cannot_ask_is_told_before_anything(house: ScaleHouse, endpoint: Follows) -> None:
    house.release("anthropic/claude-sonnet-4-5")
    with pytest.raises(
        InputError, match=r"answered by anthropic/claude-sonnet-4-5, which is elsewhere .* Write llm\.chat"
    ):
        house.run()
    with pytest.raises(InputError, match=r"cuts notes otherwise than the published index .* Write index as"):
        house.run("index.chunk.max_tokens=100", "llm.chat.model=anthropic/claude-sonnet-4-5")
    assert not house.history()


def test_nothing_registered_says_what_to_run_first(house: ScaleHouse, endpoint: Follows) -> None:
    for file in house.workspace.glob("runs/*/run.json"):
        file.unlink()
    with pytest.raises(TerminalError, match="no run has registered a release as cervella .*: run it first"):
        house.run()


def test_no_text_and_no_path_is_kept_of_what_was_asked(house: ScaleHouse, endpoint: Follows) -> None:
    before, after = house.promote(), house.release(CITES)
    house.recorded(after, before)
    run = house.run(FEW)
    for step in run.read()["steps"]:
        if step["name"] in ("scale.shadow", "scale.switch"):
            for file in (house.workspace / "store" / step["artefact"]).iterdir():
                text = file.read_text(encoding="utf-8")
                assert "caparra" not in text and ".md" not in text, file
    assert "caparra" not in json.dumps(run.read())
