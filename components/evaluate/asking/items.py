"""What a recipe asks of a candidate beside the golden questions, and the rules that answers are held against."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from components.evaluate.params import EvaluateParams
from components.evaluate.said import Item
from components.evaluate.suite import (
    Checklist,
    TaskSuite,
    Wording,
    choose_items,
    load_checklist,
    load_prompts,
    load_task_suite,
    wordings_asked,
)
from components.store import file_digest

__all__ = ["Asked", "asked_items"]


@dataclass(frozen=True)
class Asked:
    """Prompts of personality, then tasks. `control`, `champion`: whether these are asked too."""

    items: tuple[Item, ...] = ()
    checklist: Checklist | None = None
    tasks: TaskSuite | None = None
    control: bool = False
    champion: bool = False

    @property
    def of_control(self) -> tuple[Item, ...]:
        """What the control is asked: it is there to be told from her, not to do her tasks."""
        return tuple(item for item in self.items if item.part == "personality")

    def wordings(self, *, name: str) -> frozenset[Wording]:
        """What a judge is asked of the answers. `name`: of the partner."""
        return wordings_asked(self.items, checklist=self.checklist, tasks=self.tasks, name=name)


@dataclass(frozen=True)
class _Request:
    """What is read: equal where the recipe says the same and the files hold the same."""

    params: EvaluateParams = field(compare=False)
    patterns: bool
    said: str
    digests: tuple[str, ...]


def asked_items(params: EvaluateParams, *, patterns: bool = True) -> Asked:
    """Read the files that `evaluate` names. Raises InputError with all faults of a file at their places.

    `patterns` False: regular expressions in rules are not tried, and nothing heavy is imported. Files that hold the
    same as before are not read again: several tasks of a run ask for them.
    """
    personality = params.personality
    files = [*([personality.prompts, personality.checklist] if personality else ()), *filter(None, [params.tasks])]
    try:
        digests = tuple(file_digest(file) for file in files if file.is_file())
    except OSError:
        digests = ()
    if len(digests) < len(files):  # reading it says what is wrong
        return _read(params, patterns)
    said = params.model_dump_json(include={"personality", "tasks", "seed"})
    return _read_once(_Request(params, patterns, said, digests))


@lru_cache(maxsize=4)
def _read_once(request: _Request) -> Asked:
    return _read(request.params, request.patterns)


def _read(params: EvaluateParams, patterns: bool) -> Asked:
    personality, items = params.personality, list[Item]()
    checklist = tasks = None
    if personality is not None:
        prompts = load_prompts(personality.prompts)
        checklist = load_checklist(personality.checklist, kinds={item.kind for item in prompts}, patterns=patterns)
        items += choose_items(prompts, personality.ask or len(prompts), params.seed)
    if params.tasks is not None:
        tasks = load_task_suite(params.tasks, patterns=patterns)
        items += [task.item for task in tasks.tasks]
    return Asked(
        tuple(items), checklist, tasks, control=bool(personality and personality.control),
        champion=bool(personality and personality.champion),
    )  # fmt: skip
