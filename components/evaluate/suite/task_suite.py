"""The task suite: YAML of what the partner must be able to do, what earns points, and how many tasks are enough."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.answer.messages import check_question
from components.errors import InputError
from components.evaluate.said import Item
from components.evaluate.suite.model import Task, TaskRule, TaskSuite
from components.evaluate.suite.reading import Reader, near
from components.sncp.redact import mask_secrets

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node

__all__ = ["POINTS", "load_task_suite"]

POINTS = 5
"""Of each task."""
_FILE = ("passing", "needed", "go", "conditional", "tasks")
_NEEDED = ("passing", "go", "conditional", "tasks")
_TASK = ("id", "name", "tier", "lang", "project", "prompt", "rules")
_RULE = ("points", "what", "ask", "code")


def load_task_suite(path: Path, *, patterns: bool = True) -> TaskSuite:
    """Read a task suite; a task's name is its item's kind. Secrets in prompts are masked as they are in the notes.

    `patterns` False: regular expressions are not tried, and nothing heavy is imported.

    Raises:
        InputError: it cannot be read, or every fault in it, each at its file:line:col.
    """
    suite: TaskSuite = Reader(path, "task suite", patterns=patterns).read(_suite)
    return suite


def _suite(reader: Reader, root: Node | None) -> TaskSuite:
    keys = reader.mapping(root, "the file", _FILE, _NEEDED)
    passing = _tiers(reader, keys.get("passing"), "passing")
    needed = _tiers(reader, keys.get("needed"), "needed")
    taken: dict[str, int] = {}
    tasks: list[Task] = []
    sizes = dict.fromkeys(passing, 0)
    for node in reader.entries(keys["tasks"], "tasks") if "tasks" in keys else ():
        task = _task(reader, node, taken)
        tier = task.item.tier
        if tier in sizes:
            sizes[tier] += 1
        elif tier and "passing" in keys:
            known = near(tier, list(passing)) if passing else "expected it in 'passing'"
            reader.fault(node, f"no points are said to pass the tier {tier[:40]!r}; {known}")
        tasks.append(task)
    for tier, points in passing.items():
        if points > POINTS:
            reader.fault(keys["passing"], f"passing: {tier} needs {points} points; a task has {POINTS}")
    for tier, number in needed.items():
        if number > sizes.get(tier, 0):
            reader.fault(
                keys["needed"], f"needed: {number} of the tier {tier[:40]!r} must pass; it has {sizes.get(tier, 0)}"
            )
    go, conditional = (reader.number(keys[key], key, least=1) if key in keys else 0 for key in ("go", "conditional"))
    if conditional > go and "go" in keys:
        reader.fault(keys["conditional"], f"conditional: {conditional} is more than the {go} of go")
    if go > len(tasks) and "tasks" in keys:
        reader.fault(keys["go"], f"go: {go} tasks must pass; there are {len(tasks)}")
    return TaskSuite(
        tasks=tuple(tasks), passing=passing, needed=needed, go=go, conditional=conditional, digest=reader.digest
    )


def _tiers(reader: Reader, node: Node | None, what: str) -> dict[str, int]:
    from ruamel.yaml.nodes import MappingNode

    if node is None:
        return {}
    if not isinstance(node, MappingNode) or not node.value:
        reader.fault(node, f"{what}: expected tiers and numbers, such as {{simple: 4}}")
        return {}
    names = [reader.text(key, what) for key, _ in node.value]
    found = reader.mapping(node, what, [name for name in names if name], ())
    return {tier: reader.number(value, f"{what}.{tier[:40]}", least=1) for tier, value in found.items()}


def _task(reader: Reader, node: Node, taken: dict[str, int]) -> Task:
    keys = reader.mapping(node, "a task", _TASK, tuple(key for key in _TASK if key != "project"))
    said = {key: reader.text(keys[key], key).strip() for key in _TASK[1:-1] if key in keys}
    if said.get("prompt"):
        try:
            check_question(said["prompt"])
        except InputError as error:
            reader.fault(keys["prompt"], f"prompt: {error}")
    before = len(reader.faults)
    rules = tuple(_rule(reader, entry) for entry in reader.entries(keys["rules"], "rules")) if "rules" in keys else ()
    points = sum(rule.points for rule in rules)
    if rules and points != POINTS and len(reader.faults) == before:
        reader.fault(keys["rules"], f"the points of the rules add up to {points}; expected {POINTS}")
    item = Item(
        part="task",
        id=reader.name(keys["id"], "id", taken) if "id" in keys else "",
        prompt=mask_secrets(said.get("prompt", "")),
        lang=said.get("lang", ""),
        kind=said.get("name", ""),
        project=said.get("project", ""),
        tier=said.get("tier", ""),
    )
    return Task(item=item, rules=rules)


def _rule(reader: Reader, node: Node) -> TaskRule:
    keys = reader.mapping(node, "a rule", _RULE, ("points", "what"))
    ask, code = reader.decision(node, keys) if keys else (None, None)
    return TaskRule(
        points=reader.number(keys["points"], "points", least=1) if "points" in keys else 0,
        what=reader.text(keys["what"], "what").strip() if "what" in keys else "",
        ask=ask, code=code,
    )  # fmt: skip
