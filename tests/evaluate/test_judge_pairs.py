"""Candidate against champion: who wins in one order only has not won."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.evaluate.asking.paid import PaidLog
from components.evaluate.judge.ask import Tally
from components.evaluate.judge.opening import open_judge
from components.evaluate.judge.pairs import Duel, duels, judge_pairs
from components.evaluate.judge.summary import judge_summary
from components.evaluate.judged import Pair
from components.evaluate.params import JudgeParams
from tests.evaluate.judging import counted_judge, item, llm, said


def fight(tmp_path: Path, *answers: tuple[str, str], options: str = "", **changes: Any) -> list[Pair]:
    judge, _ = counted_judge(tmp_path, options)
    pairs = [Duel(item(number), candidate, champion) for number, (candidate, champion) in enumerate(answers)]
    return list(
        judge_pairs(
            pairs, judge=judge, log=PaidLog(tmp_path / "paid.jsonl"), at_once=1, persona="Sono Cervella.",
            progress=lambda done, total: None, **changes,
        )
    )  # fmt: skip


def test_the_better_answer_wins_wherever_it_stands(tmp_path: Path) -> None:
    pairs = fight(tmp_path, ("[[good]]", "[[bad]]"), ("[[bad]]", "[[good]]"), ("[[good]] una", "[[good]] due"))
    assert [pair.outcome for pair in pairs] == ["candidate", "champion", "tie"]
    assert all(pair.first == pair.second == pair.outcome for pair in pairs)


@pytest.mark.parametrize("place", ["first", "second"])
def test_a_judge_that_looks_at_the_place_finds_ties(tmp_path: Path, place: str) -> None:
    pairs = fight(tmp_path, ("[[good]]", "[[bad]]"), ("[[bad]]", "[[good]]"), options=f"&favours={place}")
    assert [pair.outcome for pair in pairs] == ["tie", "tie"]
    winners = ("candidate", "champion") if place == "first" else ("champion", "candidate")
    assert all((pair.first, pair.second) == winners for pair in pairs)


def test_what_cannot_be_read_has_no_outcome(tmp_path: Path) -> None:
    (pair,) = fight(tmp_path, ("Una.", "Due."), options="&unparsable=1")
    assert (pair.first, pair.second, pair.outcome, pair.errors) == (None, None, None, ())


def test_one_order_alone_decides_nothing(tmp_path: Path) -> None:
    answers = [(f"[[good]] {number}", f"[[bad]] {number}") for number in range(40)]
    pairs = fight(tmp_path, *answers, options="&unparsable=0.3")
    half = [pair for pair in pairs if (pair.first is None) != (pair.second is None)]
    assert half and all(pair.outcome is None for pair in half)


def test_an_error_stands_in_its_place(tmp_path: Path) -> None:
    answers = [(f"[[good]] {number}", f"[[bad]] {number}") for number in range(20)]
    pairs = fight(tmp_path, *answers, options="&fail_prob=0.3")
    failed = [pair for pair in pairs if pair.errors]
    assert 0 < len(failed) < 20
    assert all(pair.outcome is None for pair in failed)
    assert all(pair.outcome == "candidate" for pair in pairs if not pair.errors)


def test_equal_answers_are_a_tie_that_costs_nothing(tmp_path: Path) -> None:
    tally = Tally()
    (pair,) = fight(tmp_path, ("[[bad]]\n", "[[bad]]"), options="&favours=first", tally=tally)
    assert (pair.outcome, tally.replies) == ("tie", 0)


def test_words_of_both_are_kept(tmp_path: Path) -> None:
    assert fight(tmp_path, ("uno due tre", "uno"))[0].words == (3, 1)


def test_local_notes_of_either_reach_no_judge_elsewhere(tmp_path: Path) -> None:
    judge = open_judge(JudgeParams(), llm("openai/gpt-4o-mini", api_key_env="NO_SUCH_KEY"), workspace=tmp_path)
    (pair,) = judge_pairs(
        [Duel(item(1), "Una.", "Due.")], judge=judge, log=PaidLog(tmp_path / "other.jsonl"), at_once=1, persona="",
        progress=lambda done, total: None, local_notes={("champion", "personality/p001"): ["diario.md"]},
    )  # fmt: skip
    assert pair.outcome is None and "diario.md" in pair.errors[0]


def test_what_only_one_answered_is_no_pair() -> None:
    candidate = [said(0, "a"), said(1, "b"), said(2, "", error="no answer")]
    champion = [said(1, "c"), said(2, "d"), said(3, "e")]
    assert duels(candidate, champion) == [Duel(item(1), "b", "c")]


def test_how_often_the_order_decides_is_told(tmp_path: Path) -> None:
    answers = [(f"[[good]] {number}", f"[[bad]] {number}") for number in range(10)]
    judge, _ = counted_judge(tmp_path)
    for options, share in (("", 0.0), ("&favours=first", 1.0)):
        pairs = fight(tmp_path / f"{share}", *answers, options=options)
        summary = judge_summary(
            [], pairs, tally=Tally(), settings=judge.settings, repeats=1, candidate="fake/chat", base=None
        )
        assert summary["pairs"]["order_decides"]["value"] == share
