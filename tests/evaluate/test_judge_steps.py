"""The step that judges, in a real store, with a double as judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.evaluate.judge.opening import Judge, open_judge
from components.evaluate.judge.steps import failed_verdicts, judge_answers, judge_spec, local_notes_of, questions_of
from components.evaluate.judge.summary import judge_summary
from components.evaluate.judged import Judged
from components.evaluate.params import EvaluateParams, JudgeParams
from components.evaluate.said import Contestant, Said
from components.evaluate.suite import Checklist, CodeRule, Rule
from components.llm.params import LlmParams
from components.store import Artefact, Run, StepSpec, recorded_step
from tests.evaluate.judging import counted_judge, llm, said

CHECKLIST = Checklist(
    rules=(
        Rule(id="source", rule="Dice la nota.", ask="Dice da quale nota viene?"),
        Rule(id="sorry", rule="Non si scusa.", code=CodeRule("never", ["mi scuso"])),
    ),
    digest="c" * 64,
)
SAID: dict[Contestant, list[Said]] = {
    "candidate": [said(0, "[[good]] Ecco."), said(1, "[[bad]] Mi scuso."), said(2, "", error="no answer")],
    "champion": [said(0, "[[bad]] Boh."), said(1, "[[bad]] Già."), said(2, "[[good]] Sì.")],
    "control": [said(0, "[[bad]] As an AI."), said(1, "[[bad]] No."), said(2, "[[bad]] Hm.")],
}


class House:
    """A workspace in which everybody has answered."""

    def __init__(self, folder: Path) -> None:
        self.workspace = folder
        self.opened = 0
        self.run = Run.create(folder, recipe="test", phase="mvp")
        self.said = {contestant: self._seal(contestant, answers) for contestant, answers in SAID.items()}

    def _seal(self, contestant: str, answers: list[Said]) -> Artefact:
        with recorded_step(self.run, StepSpec(f"evaluate.{contestant}", 1, {}, {})) as step:
            step.write_jsonl("said.jsonl", (one.to_dict() for one in answers))
        return step.artefact

    def judge(self, section: LlmParams, params: EvaluateParams | None = None, **changes: Any) -> Artefact:
        def opened() -> Judge:
            self.opened += 1
            return open_judge(EvaluateParams().judge, section, workspace=self.workspace)

        facts = {"said": self.said, "checklist": CHECKLIST, "tasks": None, "persona": "Sono Cervella.", "judge": opened}
        return judge_answers(self.run, params or EvaluateParams(), section, **{**facts, **changes})


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def rows(judged: Artefact) -> list[Judged]:
    return [Judged.from_dict(row) for row in judged.read_jsonl("verdicts.jsonl")]


def test_code_and_judge_decide_what_is_theirs(house: House) -> None:
    judged = house.judge(llm("fake/chat?mode=judge"))
    found = rows(judged)
    by_code = [(row.contestant, row.item[-1], row.verdict) for row in found if row.by == "code"]
    assert by_code[:2] == [("candidate", "0", "yes"), ("candidate", "1", "no")]
    asked = [(row.contestant, row.item[-1], row.question, row.verdict) for row in found if row.by == "judge"]
    assert asked[:4] == [
        ("candidate", "0", "rule:source", "yes"), ("candidate", "0", "sounds", "yes"),
        ("candidate", "1", "rule:source", "no"), ("candidate", "1", "sounds", "no"),
    ]  # fmt: skip
    assert asked == sorted(asked)
    assert [row.by for row in found] == sorted(row.by for row in found)
    beside = {(row.contestant, row.question) for row in found if row.contestant != "candidate" and row.by == "judge"}
    assert beside == {("champion", "sounds"), ("control", "sounds")}  # what the gate does not rest on is not paid for
    assert [pair["outcome"] for pair in judged.read_jsonl("pairs.jsonl")] == ["candidate", "tie"]


def test_what_is_said_of_the_judge(house: House) -> None:
    summary = house.judge(llm("fake/chat?mode=judge")).read_json("judge.json")
    counts = {name: summary[name] for name in ("expected", "scored", "failed", "unparsable", "tied", "repeats")}
    assert counts == {"expected": 10, "scored": 10, "failed": 0, "unparsable": 0, "tied": 0, "repeats": 1}
    assert summary["model"] == "fake/chat" and summary["asked_as"] == "fake/chat?mode=judge"
    assert summary["same_family"] is True and "another family" in summary["warning"]
    assert summary["flip_rate"] == {"value": None, "low": None, "high": None, "n": 0}
    assert summary["pairs"]["expected"] == summary["pairs"]["scored"] == 2


def test_it_is_done_once(house: House) -> None:
    section = llm("fake/chat?mode=judge")
    first, again = house.judge(section), house.judge(section)
    assert (first.id, house.opened) == (again.id, 1)


def test_nobody_opens_a_judge_who_has_nothing_to_ask(house: House) -> None:
    empty = house._seal("champion.empty", [said(0, "", error="down")])
    judged = house.judge(llm("fake/chat?mode=judge"), said={"candidate": empty})
    assert (house.opened, rows(judged)) == (0, [])
    assert judged.read_json("judge.json")["expected"] == 0


def test_what_failed_is_done_again_and_the_rest_is_kept(house: House) -> None:
    section = llm("fake/chat?mode=judge&fail_prob=0.4&seed=2", temperature=0.5)
    judged = house.judge(section)
    failed = failed_verdicts(judged)
    assert 0 < failed < 10
    before = {(row.contestant, row.item, row.question): row for row in rows(judged) if not row.errors}
    lost = sum(bool(row.errors) for row in rows(judged))
    lost += sum(len(pair["errors"]) for pair in judged.read_jsonl("pairs.jsonl"))
    judge, (chat,) = counted_judge(house.workspace)
    mended = Judge(judge.chats, (section.judge or section.chat).sampled())
    again = house.judge(section, judge=lambda: mended)
    assert failed_verdicts(again) == 0
    assert len(chat.asked) == lost
    found = {(row.contestant, row.item, row.question): row for row in rows(again)}
    assert all(found[place] == row for place, row in before.items())
    assert again.read_json("judge.json")["replies"]["asked"] >= 10
    assert house.judge(section).id == again.id


THRICE = EvaluateParams(judge=JudgeParams(repeats=3))


def test_of_a_question_asked_three_times_only_the_reply_that_failed_is_asked_for(house: House) -> None:
    section = llm("fake/chat?mode=judge", temperature=0.7)
    judge, chats = counted_judge(house.workspace, repeats=3)
    faulty, _ = counted_judge(house.workspace, "&fail_prob=0.5&seed=4", repeats=3)
    mixed = (judge.chats[0], faulty.chats[1], judge.chats[2])
    first = house.judge(section, THRICE, judge=lambda: Judge(mixed, judge.settings))
    chats[0].asked.clear()
    chats[2].asked.clear()
    lost = sum(len(row.errors) for row in rows(first))
    assert 2 < lost < 10
    again = house.judge(section, THRICE, judge=lambda: judge)
    assert [len(chat.asked) for chat in chats] == [0, lost, 0]
    assert failed_verdicts(again) == 0
    kept = {(row.contestant, row.item, row.question): row.verdicts for row in rows(again)}
    for row in rows(first):
        assert all(old in (None, new) for old, new in zip(row.verdicts, kept[_place(row)], strict=True))
    replies = again.read_json("judge.json")["replies"]
    assert replies["asked"] == 3 * 10 + 2 * 2 == len(list(again.read_jsonl("replies.jsonl")))


@pytest.mark.parametrize("cached", [True, False], ids=["cache", "no cache"])
def test_an_answer_that_comes_at_last_costs_its_own_questions_alone(house: House, cached: bool) -> None:
    section = llm("fake/chat?mode=judge", temperature=0.7).model_copy(update={"cache": cached})
    first = house.judge(section, THRICE, judge=lambda: counted_judge(house.workspace, repeats=3)[0])
    answers = [*SAID["candidate"][:2], said(2, "[[good]] Eccola.")]
    whole = {**house.said, "candidate": house._seal("candidate.again", answers)}
    judge, chats = counted_judge(house.workspace, repeats=3)
    again = house.judge(section, THRICE, said=whole, judge=lambda: judge)
    assert [len(chat.asked) for chat in chats] == [2 + 2, 2, 2]  # its two questions, and its pair in both orders
    assert {_place(row): row for row in rows(again)}.items() >= {_place(row): row for row in rows(first)}.items()


@pytest.mark.parametrize("change", ["other settings", "forced"])
def test_another_judge_and_a_step_that_is_forced_are_asked_everything(house: House, change: str) -> None:
    house.judge(llm("fake/chat?mode=judge", temperature=0.7))
    section = llm("fake/chat?mode=judge", temperature=0.7, max_tokens=99 if change == "other settings" else 256)
    if change == "forced":
        house.run.update(force=["evaluate.judge"])
    judge, (chat,) = counted_judge(house.workspace, temperature=0.7, max_tokens=section.judge.max_tokens)  # type: ignore[union-attr]
    house.judge(section, judge=lambda: judge)
    assert len(chat.asked) == 10 + 2 * 2


def _place(row: Judged) -> tuple[str, str, str]:
    return row.contestant, row.item, row.question


def test_its_identity_is_all_that_a_verdict_hangs_on() -> None:
    def digest(section: LlmParams | None = None, params: EvaluateParams | None = None, **changes: Any) -> str:
        facts = {"said": {"candidate": "a" * 64}, "checklist": "c" * 64, "tasks": None, "persona": "Sono Cervella."}
        return judge_spec(params or EvaluateParams(), section or llm("fake/chat"), **{**facts, **changes}).fingerprint

    same = digest()
    changed = [
        digest(llm("fake/chat", temperature=0.5)), digest(llm("fake/chat", max_tokens=9)),
        digest(llm("fake/chat", seed=9)),
        digest(params=EvaluateParams(judge=JudgeParams(repeats=3))), digest(said={"candidate": "b" * 64}),
        digest(said={"candidate": "a" * 64, "control": "a" * 64}), digest(checklist=None), digest(tasks="t" * 64),
        digest(persona="Sono un'altra."), digest(name="Ada"), digest(base="Qwen/Qwen3-4B"),
    ]  # fmt: skip
    assert len({same, *changed}) == 12
    assert same == digest(llm("fake/chat", timeout_seconds=9, retries=7, api_key_env="KEY"))
    assert same == digest(params=EvaluateParams(at_once=8, judge=JudgeParams(min_kappa=0.9)))


def test_requests_that_begin_alike_are_next_to_each_other() -> None:
    mixed = [said(0, "x"), Said(item=said(1, "").item.__class__("personality", "e", "Hi?", "en", "fact"), text="y")]
    asked = questions_of({"candidate": mixed, "champion": mixed}, checklist=CHECKLIST, tasks=None)
    languages = [one.item.lang for one in asked]
    assert languages == sorted(languages, reverse=True)
    answers = [(one.contestant, one.item.key) for one in asked]
    assert len(set(answers)) == 1 + sum(one != other for one, other in zip(answers, answers[1:], strict=False))


def test_local_notes_are_found_by_the_sources_of_an_answer() -> None:
    answers: dict[Contestant, list[Said]] = {
        "candidate": [said(0, "x", sources=("diario.md:1-9", "b.md:3-4"))], "control": [said(0, "y")],
    }  # fmt: skip
    found = local_notes_of(answers, local_paths={"diario.md"}, local_prompt=["DNA.md"])
    assert found == {
        ("candidate", "personality/p000"): ["DNA.md", "diario.md"],
        ("control", "personality/p000"): ["DNA.md"],
    }
    assert local_notes_of(answers, local_paths=())["control", "personality/p000"] == []


@pytest.mark.parametrize(
    ("judge", "candidate", "base", "same", "said_of_it"),
    [
        ("ollama/qwen3:4b", "local/smollm2-135m-instruct", None, False, ""),
        ("ollama/qwen3:4b", "openai/cervella", "Qwen/Qwen3-4B", True, "another family"),
        ("ollama/qwen3:4b", "openai/cervella", None, None, "candidate's model does not say"),
        ("openai/mine", "ollama/qwen3:4b", None, None, "judge's model does not say"),
    ],
)  # fmt: skip
def test_a_judge_of_the_candidates_family_is_told(
    judge: str, candidate: str, base: str | None, same: bool | None, said_of_it: str
) -> None:
    from components.evaluate.judge.ask import Tally

    settings = (llm(judge).judge or LlmParams().chat).sampled()
    summary = judge_summary([], [], tally=Tally(), settings=settings, repeats=1, candidate=candidate, base=base)
    assert summary["same_family"] is same
    assert said_of_it in summary["warning"] and bool(summary["warning"]) == bool(said_of_it)


def test_replies_that_were_cut_are_told_with_the_way_to_mend_it(house: House) -> None:
    summary = house.judge(llm("fake/chat?mode=judge", max_tokens=2)).read_json("judge.json")
    assert summary["unparsable"] == 10
    assert "cut at llm.judge.max_tokens (2): raise it" in summary["warning"]
