"""Scores of what was said beside the golden questions: personality, rules, tasks; the candidate and those beside it.

What nobody asked has no score: its metric is there, unknown, and `undecided` says why. So has what a judge said that is
not to be trusted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from components.evaluate.against import contestant_scores, control_warning, pair_scores
from components.evaluate.intervals import Measure
from components.evaluate.judged import Judged, Pair
from components.evaluate.personality import rule_rows, score_sounds, worst_rule
from components.evaluate.said import CONTESTANTS, Contestant, Item, Part, Said
from components.evaluate.suite import Checklist, TaskSuite, code_verdicts, judge_questions, suite_result
from components.evaluate.verdicts import judge_report, untrusted

if TYPE_CHECKING:
    from components.store import Artefact

__all__ = ["Evaluated", "SaidScores", "read_evaluated", "score_said"]

_UNKNOWN = Measure(None, None, None, 0)
_NOT_ASKED = {
    "sounds_like_her": "not asked: set evaluate.personality",
    "constitution": "not asked: set evaluate.personality",
    "tasks_passed": "not asked: set evaluate.tasks",
}


@dataclass(frozen=True)
class Evaluated:
    """What was asked, said and judged.

    Attributes:
        items: asked of all contestants.
        said: by each contestant that was asked; the candidate among them.
        judged: verdicts of the judge, and those of code if they were kept.
        pairs: candidate and champion.
        about: who the judge is, as its step sealed it.
        agreement: groups of `agreement.json`; None: nobody has checked the judge.
        checklist: None: no personality is asked.
        suite: None: no tasks are asked.
    """

    items: Sequence[Item] = ()
    said: Mapping[Contestant, Sequence[Said]] = field(default_factory=dict)
    judged: Sequence[Judged] = ()
    pairs: Sequence[Pair] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    agreement: Mapping[str, Any] | None = None
    checklist: Checklist | None = None
    suite: TaskSuite | None = None

    @property
    def verdicts(self) -> list[Judged]:
        """On the candidate, of code and of the judge: one for each answer and question."""
        own = [one for one in self.judged if one.contestant == "candidate"]
        by_code = code_verdicts(
            self.said.get("candidate", ()), contestant="candidate", checklist=self.checklist, tasks=self.suite
        )
        return list({(one.item, one.question): one for one in (*own, *by_code)}.values())


@dataclass(frozen=True)
class SaidScores:
    """Metrics, reasons for those that are undecided, metrics of groups, and the other keys of the scorecard."""

    metrics: Mapping[str, Measure]
    undecided: Mapping[str, str]
    groups: Mapping[str, Mapping[str, Measure]]
    told: Mapping[str, Any]


def score_said(found: Evaluated, *, samples: int, seed: int) -> SaidScores:
    """All scores of what was said.

    - sounds_like_her: share of the candidate's answers to prompts of personality that sound like her
    - constitution: share of answers that keep the worst rule of the checklist
    - tasks_passed: `low` tasks passed for certain, `high` at most, `value` is `low`, `n` tasks in all

    `told`: `asked`, `judge`, `rules`, `contestants`, `pairs`, `tasks`, `warnings` of the scorecard.
    """
    metrics, undecided = dict.fromkeys(_NOT_ASKED, _UNKNOWN), dict(_NOT_ASKED)
    told: dict[str, Any] = {
        "asked": {part: _counts(found, part) for part in ("personality", "task")}, "judge": None, "rules": [],
        "contestants": {}, "pairs": pair_scores(found.pairs, samples=samples, seed=seed), "tasks": None, "warnings": [],
    }  # fmt: skip
    groups: dict[str, dict[str, Measure]] = {}
    answers, verdicts = found.said.get("candidate", ()), found.verdicts
    questions = judge_questions(answers, contestant="candidate", checklist=found.checklist, tasks=found.suite)
    judged = [one for one in found.judged if one.by == "judge"]
    if questions or judged:
        expected = {(one.item.key, one.question) for one in questions}
        told["judge"] = judge_report(judged, expected=expected, about=found.about, agreement=found.agreement)
    if found.checklist is not None:
        spoken = [item for item in found.items if item.part == "personality"]
        sounds = score_sounds(spoken, verdicts, found.agreement)
        rules, open_rules = rule_rows(found.checklist, verdicts, found.agreement)
        worst, why = worst_rule(rules, open_rules)
        metrics |= {"sounds_like_her": sounds.measure, "constitution": worst}
        undecided = _with(undecided, sounds_like_her=sounds.why, constitution=why)
        groups = {label: {"sounds_like_her": measure} for label, measure in sounds.groups.items()}
        told["rules"] = rules
        if told["judge"] is not None:
            told["judge"]["sounds_raw"] = sounds.raw.to_dict()
        scores = contestant_scores(found.said, judged, found.agreement, samples=samples, seed=seed)
        told["contestants"] = {
            name: {metric: measure.to_dict() for metric, measure in measures.items()}
            for name, measures in scores.items()
        }
        told["warnings"] += [warning for warning in (control_warning(scores),) if warning]
    if found.suite is not None:
        tasks, why = _tasks(found, verdicts)
        low, high = tasks["passed"]
        metrics["tasks_passed"] = Measure(low, low, high, tasks["of"])
        undecided = _with(undecided, tasks_passed=why)
        told["tasks"] = tasks
    told["warnings"] += _failed_beside(found)
    return SaidScores(metrics, undecided, groups, told)


def read_evaluated(
    said: Mapping[Contestant, Artefact], *, judge: Artefact | None, agreement: Artefact | None,
    checklist: Checklist | None, suite: TaskSuite | None,
) -> Evaluated:  # fmt: skip
    """What the steps `evaluate.candidate`, `.champion`, `.control`, `.judge` and `.agreement` sealed."""
    from components.evaluate.asking.steps import read_items, read_said

    return Evaluated(
        items=list(read_items(said["candidate"])) if "candidate" in said else (),
        said={name: list(read_said(said[name])) for name in CONTESTANTS if name in said},
        judged=[Judged.from_dict(row) for row in judge.read_jsonl("verdicts.jsonl")] if judge else (),
        pairs=[Pair.from_dict(row) for row in judge.read_jsonl("pairs.jsonl")] if judge else (),
        about=judge.read_json("judge.json") if judge else {},
        agreement=agreement.read_json("agreement.json")["groups"] if agreement else None,
        checklist=checklist, suite=suite,
    )  # fmt: skip


def _counts(found: Evaluated, part: Part, contestant: Contestant = "candidate") -> dict[str, Any]:
    """Answers of a contestant: those that never came count as failed."""
    expected = {item.key for item in found.items if item.part == part}
    came = [one for one in found.said.get(contestant, ()) if one.item.part == part and one.item.key in expected]
    scored = {one.item.key for one in came if one.error is None}
    return {
        "expected": len(expected), "scored": len(scored), "failed": len(expected) - len(scored),
        "errors": [{"id": one.item.id, "error": one.error} for one in came if one.error is not None],
    }  # fmt: skip


def _tasks(found: Evaluated, verdicts: Sequence[Judged]) -> tuple[dict[str, Any], str | None]:
    """The scorecard's `tasks`, and why they are undecided."""
    assert found.suite is not None  # noqa: S101 - for the type checker
    why = untrusted(found.agreement, "tasks")
    scored = {one.item.key for one in found.said.get("candidate", ()) if one.error is None}
    failed = {task.item.id for task in found.suite.tasks if task.item.key not in scored}
    tasks = suite_result(verdicts, found.suite, trusted=why is None, failed=failed)
    low, high = tasks["passed"]
    if tasks["verdict"] != "UNDECIDED":
        return tasks, None
    return (
        tasks,
        f"{low} to {high} of {tasks['of']} tasks passed: {why or 'the judge came to no verdict on the others'}",
    )


def _with(reasons: Mapping[str, str], **changes: str | None) -> dict[str, str]:
    """The reasons with others in their place; None takes one away."""
    return {name: why for name, why in {**reasons, **changes}.items() if why is not None}


def _failed_beside(found: Evaluated) -> list[str]:
    warnings = []
    for name in CONTESTANTS[1:]:
        counts = _counts(found, "personality", name)
        if name in found.said and counts["failed"]:
            warnings.append(f"{counts['failed']} of {counts['expected']} answers of the {name} failed")
    return warnings
