"""Checklist and tasks held against what was said: the verdicts of code, and the questions for a judge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from components.evaluate.judged import SOUNDS, Judged, Verdict, rule_id, task_rule_id
from components.evaluate.said import Contestant, Item, Said
from components.evaluate.suite.code_rules import decide_by_code
from components.evaluate.suite.model import Checklist, CodeRule, JudgeQuestion, TaskSuite, Wording
from components.sncp.redact import mask_secrets

__all__ = ["code_verdicts", "judge_questions", "wordings_asked"]


class _Held(NamedTuple):
    """A rule that an answer is held against: the name of the question, the rule in words, who decides."""

    question: str
    standard: str
    ask: str | None
    code: CodeRule | None


def code_verdicts(
    said: Sequence[Said], *, contestant: Contestant, checklist: Checklist | None, tasks: TaskSuite | None
) -> list[Judged]:
    """What code decides of answers, in their order and that of the rules; errors are no answers and get none.

    Of the checklist, a rule that does not apply to an answer gets no verdict. A task's points are fixed, so there it
    gets one that is undecided; and an answer to a task without a word in it earns nothing.
    """
    found = []
    for one in said:
        for held in _held(one, checklist, tasks):
            if held.code is None:
                continue
            holds, why = decide_by_code(held.code, one)
            is_task = one.item.part == "task"
            if is_task and not one.text.strip():
                holds, why = False, "the answer is empty"
            if holds is None and not is_task:
                continue
            verdict: Verdict | None = None if holds is None else "yes" if holds else "no"
            found.append(
                Judged(
                    contestant=contestant, item=one.item.key, question=held.question, by="code", verdicts=(verdict,),
                    verdict=verdict, rationale=mask_secrets(why),
                )
            )  # fmt: skip
    return found


def judge_questions(
    said: Sequence[Said], *, contestant: Contestant, checklist: Checklist | None, tasks: TaskSuite | None,
    name: str = "Cervella",
) -> list[JudgeQuestion]:  # fmt: skip
    """What a judge is asked of answers, in their order; errors are no answers and get no question.

    Of an answer to a prompt of personality: whether it sounds like her (`name`: how she calls herself), then the rules
    of the checklist that code cannot decide and that are asked of its kind. Of a task: its rules that code cannot
    decide.
    """
    found = []
    for one in said:
        asked = [(held.question, held.ask, held.standard) for held in _held(one, checklist, tasks) if held.ask]
        if one.item.part == "personality" and one.error is None:
            asked.insert(
                0, (SOUNDS, f"Suona come {name}?", f"Voce, modi e valori della risposta sono quelli di {name}.")
            )
        found += [
            JudgeQuestion(contestant=contestant, item=one.item, question=question, ask=ask, standard=standard,
                          text=one.text)
            for question, ask, standard in asked
        ]  # fmt: skip
    return found


def wordings_asked(
    items: Iterable[Item], *, checklist: Checklist | None, tasks: TaskSuite | None, name: str = "Cervella"
) -> frozenset[Wording]:
    """All that a judge is asked of answers to these items, whatever they are. `name`: as of `judge_questions`."""
    said = [Said(item=item) for item in items]
    asked = judge_questions(said, contestant="candidate", checklist=checklist, tasks=tasks, name=name)
    return frozenset(question.wording for question in asked)


def _held(said: Said, checklist: Checklist | None, tasks: TaskSuite | None) -> Iterator[_Held]:
    if said.error is not None:
        return
    if said.item.part == "personality":
        for rule in checklist.rules if checklist else ():
            if not rule.kinds or said.item.kind in rule.kinds:
                yield _Held(rule_id(rule.id), rule.rule, rule.ask, rule.code)
        return
    task = next((task for task in tasks.tasks if task.item.id == said.item.id), None) if tasks else None
    for number, earned in enumerate(task.rules if task else ()):
        yield _Held(task_rule_id(number), earned.what, earned.ask, earned.code)
