"""Questions put to a judge: every repeat and error counted, and no reply paid for twice."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError
from components.evaluate.asking.paid import PaidLog
from components.evaluate.judge.ask import Tally, judge_all, majority
from components.evaluate.judge.opening import Judge, check_judge, open_judge
from components.evaluate.judge.summary import flip_rate
from components.evaluate.judged import Judged
from components.evaluate.params import JudgeParams
from components.evaluate.suite.model import JudgeQuestion
from components.llm.params import ChatParams
from tests.evaluate.judging import counted_judge, llm, question

QUESTIONS = [question(number, mark) for number in range(20) for mark in ("[[good]]", "[[bad]]")]


def ask(tmp_path: Path, judge: Judge, questions: list[JudgeQuestion], **changes: Any) -> list[Judged]:
    options = {
        "log": PaidLog(tmp_path / "paid.jsonl"), "at_once": 1, "persona": "Sono Cervella.",
        "progress": lambda done, total: None,
    }  # fmt: skip
    return list(judge_all(questions, judge=judge, **{**options, **changes}))


def test_a_judge_without_errors_says_the_truth(tmp_path: Path) -> None:
    judge, _ = counted_judge(tmp_path)
    judged = ask(tmp_path, judge, QUESTIONS)
    assert [one.verdict for one in judged] == ["yes", "no"] * 20
    assert [one.item for one in judged] == [one.item.key for one in QUESTIONS]
    assert {(one.by, one.model, one.question) for one in judged} == {("judge", "fake/chat", "sounds")}
    assert all(one.rationale for one in judged)


def test_what_cannot_be_read_is_undecided_and_no_error(tmp_path: Path) -> None:
    judge, _ = counted_judge(tmp_path, "&unparsable=1")
    tally = Tally()
    judged = ask(tmp_path, judge, QUESTIONS[:3], tally=tally)
    assert [(one.verdict, one.verdicts, one.errors) for one in judged] == [(None, (None,), ())] * 3
    assert (tally.replies, tally.unparsable, tally.cut) == (3, 3, 0)


def test_a_reply_that_was_cut_is_told_apart(tmp_path: Path) -> None:
    judge, _ = counted_judge(tmp_path, max_tokens=2)
    tally = Tally()
    ask(tmp_path, judge, QUESTIONS[:3], tally=tally)
    assert (tally.unparsable, tally.cut) == (3, 3)


def test_an_error_stands_in_its_place_and_the_others_are_judged(tmp_path: Path) -> None:
    judge, _ = counted_judge(tmp_path, "&fail_prob=0.4&seed=3")
    judged = ask(tmp_path, judge, QUESTIONS)
    failed = [one for one in judged if one.errors]
    assert 0 < len(failed) < len(judged)
    assert all(one.verdict is None and "as it was told to" in one.errors[0] for one in failed)
    assert all(one.verdict for one in judged if not one.errors)


def test_an_error_that_all_questions_meet_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    judge = open_judge(JudgeParams(), llm("openai/gpt-4o-mini"), workspace=tmp_path)
    local = {("candidate", one.item.key): ["diario.md"] for one in QUESTIONS}
    judged = ask(tmp_path, judge, QUESTIONS[:9], at_once=3, persona="", local_notes=local)
    assert all("diario.md" in one.errors[0] for one in judged)
    assert caplog.text.count("no verdict on") == 1


def test_what_failed_alone_is_asked_again(tmp_path: Path) -> None:
    failing, _ = counted_judge(tmp_path, "&fail_prob=0.4&seed=3")
    lost = sum(bool(one.errors) for one in ask(tmp_path, failing, QUESTIONS))
    judge, (chat,) = counted_judge(tmp_path / "another", "&seed=3")
    judged = ask(tmp_path, Judge((chat,), failing.settings), QUESTIONS)
    assert len(chat.asked) == lost
    assert all(one.verdict for one in judged)


def test_the_log_answers_the_same_question_only(tmp_path: Path) -> None:
    judge, (chat,) = counted_judge(tmp_path, temperature=0.5)
    first = ask(tmp_path, judge, QUESTIONS[:4])
    assert ask(tmp_path, judge, QUESTIONS[:4]) == first
    assert len(chat.asked) == 4
    ask(tmp_path, judge, QUESTIONS[:4], persona="Sono un'altra.")
    ask(tmp_path, judge, [question(0, name="rule:x")])
    ask(tmp_path, Judge(judge.chats, {**judge.settings, "max_tokens": 7}), QUESTIONS[:1])
    assert len(chat.asked) == 10


def test_whose_answer_it_is_reaches_neither_request_nor_log(tmp_path: Path) -> None:
    judge, (chat,) = counted_judge(tmp_path, temperature=0.5)
    one, other = ask(tmp_path, judge, [question(1), question(1, contestant="champion")])
    assert len(chat.asked) == 1
    assert (one.contestant, other.contestant) == ("candidate", "champion")
    assert one.verdict == other.verdict


def test_repeats_draw_anew_and_the_majority_counts(tmp_path: Path) -> None:
    judge, chats = counted_judge(tmp_path, "&tpr=0.8", repeats=3)
    judged = ask(tmp_path, judge, [question(number) for number in range(200)])
    assert [len(chat.asked) for chat in chats] == [200] * 3
    # 1 - 0.8^3 - 0.2^3 = 0.48 of the questions flip; the majority of three errs in 0.104 of them.
    flips = flip_rate(judged)
    assert flips.n == 200 and flips.low is not None and flips.high is not None and flips.low < 0.48 < flips.high
    assert sum(one.verdict == "no" for one in judged) / 200 == pytest.approx(0.104, abs=0.06)
    assert all(one.verdict == majority(one.verdicts) for one in judged)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [(["yes"], "yes"), (["yes", "no"], None), (["no", "no", "yes"], "no"), ([None, "yes", None], "yes"), ([None], None),
     (["yes", "no", None], None), ([], None)],
)  # fmt: skip
def test_majority(verdicts: list[Any], expected: str | None) -> None:
    assert majority(verdicts) == expected


def test_repeats_of_one_and_the_same_request_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"llm\.judge\.temperature above 0"):
        open_judge(JudgeParams(repeats=3), llm("fake/chat?mode=judge"), workspace=tmp_path)
    check_judge(JudgeParams(repeats=3), ChatParams(temperature=0.7))
    check_judge(JudgeParams(repeats=1), ChatParams(temperature=0))


def test_local_notes_reach_no_judge_elsewhere(tmp_path: Path) -> None:
    section = llm("openai/gpt-4o-mini", api_key_env="NO_SUCH_KEY")
    judge = open_judge(JudgeParams(), section, workspace=tmp_path)
    (judged,) = ask(
        tmp_path, judge, QUESTIONS[:1], persona="", local_notes={("candidate", "personality/p000"): ["diario.md"]}
    )
    assert judged.verdict is None
    assert "diario.md" in judged.errors[0] and "Nothing was sent" in judged.errors[0]


def test_questions_on_one_answer_are_asked_one_after_the_other(tmp_path: Path) -> None:
    judge, (chat,) = counted_judge(tmp_path, "&delay=0.01")
    questions = [question(number, name=f"rule:{rule}") for number in range(6) for rule in "abc"]
    seen: list[int] = []
    judged = ask(tmp_path, judge, questions, at_once=4, progress=lambda done, total: seen.append(done))
    assert [(one.item, one.question) for one in judged] == [(one.item.key, one.question) for one in questions]
    assert seen == sorted(seen) and seen[-1] == len(questions)
    for number in range(6):
        order = [text for messages in chat.asked if f"[[good]] {number}\n" in (text := messages[1]["content"])]
        assert [text.split("È rule:")[1][0] for text in order] == ["a", "b", "c"]


_KILLED = """
import sys
from pathlib import Path
from components.evaluate.asking.paid import PaidLog
from components.evaluate.judge.ask import judge_all
from tests.evaluate.judging import counted_judge
from tests.evaluate.test_judge_ask import QUESTIONS
folder = Path(sys.argv[1])
judge, _ = counted_judge(folder / "killed", "&die_at=%d", temperature=0.5)
list(judge_all(QUESTIONS, judge=judge, log=PaidLog(folder / "paid.jsonl"), at_once=%d, persona="Sono Cervella.",
               progress=lambda done, total: None))
"""


@pytest.mark.parametrize("at_once", [1, 4])
def test_a_judge_that_was_killed_goes_on_and_pays_for_nothing_twice(root: Path, tmp_path: Path, at_once: int) -> None:
    code = _KILLED % (17, at_once)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=root, capture_output=True, text=True)  # noqa: S603
    assert done.returncode == -9, done.stderr
    kept = len(PaidLog(tmp_path / "paid.jsonl"))
    # At the call that kills, the others under way may have ended or not, and calls that came after it too.
    assert 17 - at_once <= kept <= 16 + at_once - 1
    # A double's name holds its faults, and is part of what the log knows a request by.
    judge, (chat,) = counted_judge(tmp_path / "again", "&die_at=17", temperature=0.5)
    chat.inner = counted_judge(tmp_path / "healthy", temperature=0.5)[0].chats[0]
    judged = ask(tmp_path, judge, QUESTIONS, at_once=at_once)
    assert len(chat.asked) == len(QUESTIONS) - kept
    assert [one.verdict for one in judged] == ["yes", "no"] * 20


def test_memory_does_not_grow_with_the_questions(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        judge = open_judge(JudgeParams(), llm("fake/chat?mode=judge", temperature=0.5), workspace=tmp_path)
        questions = [question(number) for number in range(count)]
        log = PaidLog(tmp_path / f"{count}.jsonl")
        tracemalloc.start()
        try:
            for _ in judge_all(
                questions, judge=judge, log=log, at_once=8, persona="Sono Cervella.\n" * 200,
                progress=lambda done, total: None,
            ):  # fmt: skip
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(500) < peak(50) + 500_000
