"""Phase scale after the verdict: what fails its probation is taken back, and what a person promotes stays."""

from __future__ import annotations

from typing import Any

import pytest

from components.errors import RefusedError, TerminalError
from components.store import Run
from tests.scale.flow_house import CITES, FEW, PLAIN, Follows, told
from tests.scale.scale_house import ScaleHouse


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
