"""A plan for people: a line a step with what it takes and why, then what all of it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from components.recipe.plan_work import Seconds, Work

if TYPE_CHECKING:
    from components.recipe.plan import Plan
    from components.recipe.plan_steps import PlannedStep

__all__ = ["duration", "render_plan", "step_lines", "totals_lines"]

Paint = Callable[[str, str], str]
"""(text, action) -> the text, in a colour perhaps."""

_SIGNS = {"run": "▸ run ", "skip": "= skip", "depends": "? may "}
_WIDEST = 44  # of the column of what a step takes


def render_plan(plan: Plan, *, paint: Paint = lambda text, _: text) -> str:
    """The whole plan."""
    head = f"{plan.recipe}: phase {plan.phase}, workspace {plan.workspace}"
    return "\n".join([head, "", *step_lines(plan.steps, paint=paint), "", *totals_lines(plan)])


def step_lines(steps: Sequence[PlannedStep], *, paint: Paint = lambda text, _: text) -> list[str]:
    """A line a step, in columns."""
    takes = [_takes(step) for step in steps]
    names = max((len(step.name) for step in steps), default=0)
    width = min(_WIDEST, max(map(len, takes), default=0))
    return [
        f"  {paint(_SIGNS[step.action], step.action)}  {step.name:<{names}}  {taken:<{width}}  {step.reason}".rstrip()
        for step, taken in zip(steps, takes, strict=True)
    ]


def _takes(step: PlannedStep) -> str:
    """What a step takes or makes, in a few words."""
    work, facts = step.work, step.facts
    told = []
    if work.texts:
        told.append(f"{_many(work.texts, 'text')} to embed")
    if work.calls_at_most:
        told.append(f"{_range(work.calls_at_least, work.calls_at_most)} {_plural('call', work.calls_at_most)}")
    if not told and step.name != "registry.register":
        kinds = ("notes", "chunks", "questions", "answers", "verdicts", "tokens", "examples", "steps")
        told = [f"{facts[kind]:,} {kind}" for kind in kinds if isinstance(facts.get(kind), int)][:1]
    return ", ".join(told)


def totals_lines(plan: Plan) -> list[str]:
    """Counts, texts, calls, dollars, time, and why the run would stop."""
    counts = [
        f"{plan.count('run')} to run", f"{plan.count('skip')} to skip",
        *([f"{plan.count('depends')} that may have to run"] if plan.count("depends") else []),
    ]  # fmt: skip
    lines = [("steps", ", ".join(counts))]
    if plan.phase != "scale":  # which reads none
        lines.append(("notes", _notes(plan)))
    lines += _stages(plan)
    lines += work_lines(plan.work, models=plan.models)
    if plan.training:
        lines += [("train", note) for note in plan.training.notes]
    lines.append(("time", _time(plan)))
    lines += [("gate", line) for line in plan.too_few]
    lines += [("stops", problem) for problem in plan.problems]
    return [f"  {name:<6}  {text}" for name, text in lines]


def _stages(plan: Plan) -> list[tuple[str, str]]:
    """How far the stages of a dataset are, where the plan has one."""
    facts = next((step.facts for step in plan.steps if "stages" in step.facts), None)
    if facts is None:
        return []
    told = ", ".join(f"{stage} {count}" for stage, count in facts["stages"].items())
    waiting = f"; {_many(facts['waiting'], 'example')} waiting for a review" if facts.get("waiting") else ""
    return [("stages", told + waiting)]


def work_lines(work: Work, *, models: Sequence[str]) -> list[tuple[str, str]]:
    """What models are asked for and what that costs; `models`: of embedding and of chat."""
    embedding, chat = models
    lines = []
    if work.texts:
        lines.append(("embed", f"{_many(work.texts, 'text')}, {work.tokens:,} tokens, by {embedding}"))
    else:
        lines.append(("embed", "nothing"))
    if work.calls_at_most:
        lines.append((
            "ask",
            f"{_range(work.calls_at_least, work.calls_at_most)} {_plural('call', work.calls_at_most)} of {chat}: "
            f"at most {work.prompt_tokens_at_most:,} tokens read, {work.completion_tokens_at_most:,} written",
        ))  # fmt: skip
    lines.append(("cost", _cost(work, models)))
    return lines


def _notes(plan: Plan) -> str:
    notes = plan.notes
    if notes.added is None:
        return f"{notes.notes:,}, none of them collected before"
    return f"{notes.notes:,}; {notes.words() or 'none of them changed'}"


def _cost(work: Work, models: Sequence[str]) -> str:
    if work.usd_at_most is None or work.usd_at_least is None:
        return f"unknown: nobody lists a price for {' or '.join(models)}"
    if work.usd_at_most == 0:
        return "$0" + (": the models are on this machine" if work.texts or work.calls_at_most else "")
    if round(work.usd_at_least, 4) == round(work.usd_at_most, 4):
        return _dollars(work.usd_at_most)
    return f"at most {_dollars(work.usd_at_most)}, by litellm's list of prices"


def _dollars(usd: float) -> str:
    return f"${usd:.2f}" if usd >= 1 else f"${usd:.4f}" if usd >= 0.0001 else "less than $0.0001"


def _time(plan: Plan) -> str:
    seconds = plan.seconds
    if plan.count("skip") == len(plan.steps):
        return "nothing to do"
    if seconds is None:
        return "not measured yet on this machine; the first run measures it"
    told = duration(seconds)
    if not seconds.measured:
        return f"{told}, roughly: nothing was measured yet on this machine"
    if plan.rest is None:
        return f"{told} for the models; the rest was not measured yet on this machine"
    return f"{told}, as measured on this machine"


def duration(seconds: Seconds) -> str:
    """`about 40 s`, `2 to 6 min`."""
    low, high = seconds.at_least, seconds.at_most
    if high < 1:
        return "less than 1 s"
    unit, each = ("s", 1.0) if high < 90 else ("min", 60.0) if high < 5400 else ("h", 3600.0)
    first, last = (round(value / each, 1 if high / each < 10 else None) for value in (low, high))
    return f"about {last:g} {unit}" if first == last else f"{first:g} to {last:g} {unit}"


def _range(low: int, high: int) -> str:
    return f"{high:,}" if low == high else f"at most {high:,}"


def _many(count: int, name: str) -> str:
    return f"{count:,} {_plural(name, count)}"


def _plural(name: str, count: int) -> str:
    return name if count == 1 else f"{name}s"
