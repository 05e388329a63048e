"""What a candidate said to prompts of personality and tasks, judged: as many yes as one asks for."""

from __future__ import annotations

from typing import Any

from components.evaluate.judged import SOUNDS, Judged, rule_id
from components.evaluate.said import Item, Said
from components.evaluate.said_scores import Evaluated, SaidScores, score_said
from components.evaluate.suite import Checklist, CodeRule, Rule, Task, TaskRule, TaskSuite

CHECKLIST = Checklist(
    (
        Rule("feminine", "She speaks of herself in the feminine.", code=CodeRule("never", ["pronto"])),
        Rule("calm", "She stays calm.", ask="Is it calm?"),
    ),
    "c" * 64,
)
SUITE = TaskSuite(
    tuple(
        Task(
            Item("task", f"t{n}", f"Task {n}", "it", f"task {n}", tier="simple"),
            (TaskRule(5, "it is done", code=CodeRule("all_of", ["fatto"])),),
        )
        for n in range(20)
    ),
    passing={"simple": 4}, needed={"simple": 8}, digest="d" * 64,
)  # fmt: skip
TRUSTED: dict[str, Any] = {
    part: {"trusted": True, "why": "", "counts": {"tp": 600, "fn": 6, "tn": 594, "fp": 6}}
    for part in ("sounds", "constitution", "tasks")
}
DOUBTED: dict[str, Any] = {
    part: {**group, "trusted": False, "why": "kappa is 0.10; it takes 0.60"} for part, group in TRUSTED.items()
}


def evaluated(
    *, prompts: int = 200, sounds: int = 200, calm: int = 200, feminine: int = 200, tasks: int = 20, failed: int = 0,
    agreement: Any = TRUSTED, lang: str = "it",
) -> Evaluated:  # fmt: skip
    """`sounds` of `prompts` sound like her, `calm` and `feminine` keep a rule, `tasks` of 20 pass, `failed` fail."""
    items = [Item("personality", f"p{n}", f"Come stai? {n}", lang, "daily", project="casa") for n in range(prompts)]
    said = [
        Said(item, error="no network") if n < failed else Said(item, "Sono pronta." if n < feminine else "Sono pronto.")
        for n, item in enumerate(items)
    ]
    said += [Said(task.item, "fatto" if n < tasks else "no") for n, task in enumerate(SUITE.tasks)]
    judged = [
        verdict(item, question, n < yes)
        for n, item in enumerate(items) if n >= failed
        for question, yes in ((SOUNDS, sounds), (rule_id("calm"), calm))
    ]  # fmt: skip
    return Evaluated(
        items=[*items, *(task.item for task in SUITE.tasks)], said={"candidate": said}, judged=judged,
        about={"model": "fake/judge", "repeats": 1}, agreement=agreement, checklist=CHECKLIST, suite=SUITE,
    )  # fmt: skip


def verdict(item: Item, question: str, yes: bool) -> Judged:
    """A verdict of the judge on the candidate."""
    told = "yes" if yes else "no"
    return Judged("candidate", item.key, question, "judge", (told,), told, model="fake/judge")


def said_scores(**changes: Any) -> SaidScores:
    """Scores of `evaluated`."""
    return score_said(evaluated(**changes), samples=1000, seed=13)
