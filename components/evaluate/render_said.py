"""What was said and judged, for people: rules, contestants, judge, pairs and tasks of a scorecard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.evaluate.shown import Table, interval, number

__all__ = ["said_notes", "said_tables"]

_BESIDE = (
    ("sounds_raw", "sounds, as judged"), ("sounds_like_her", "corrected"), ("persona_checks", "checks"),
    ("latency_p50_seconds", "median"), ("latency_p95_seconds", "95th"), ("cost_per_query_usd", "cost"),
)  # fmt: skip
_PARTS = {"personality": "answers to prompts of personality", "task": "answers to tasks"}
_SHOWN = 20  # tasks that did not pass


def said_tables(scorecard: Mapping[str, Any], *, in_words: bool = False) -> list[Table]:
    """The rules of the checklist (`in_words`: as the file has them) and the contestants."""
    rules = [
        (
            one["rule"] if in_words else one["id"], one["by"], f"{one['passed']} of {one['passed'] + one['failed']}",
            str(one["undecided"]), number("", one["measure"]["value"]), interval("", one["measure"]),
            number("", one["raw"]["value"]),
        )
        for one in scorecard.get("rules", ())
    ]  # fmt: skip
    beside = [
        (who, *(number(name, scores[name]["value"]) if name in scores else "" for name, _ in _BESIDE))
        for who, scores in scorecard.get("contestants", {}).items()
    ]
    return [
        Table("rules", ("rule", "by", "kept", "undecided", "share", "95 % interval", "raw"), rules),
        Table("prompts of personality", ("who", *(label for _, label in _BESIDE)), beside),
    ]


def said_notes(scorecard: Mapping[str, Any]) -> list[str]:
    """A line each: answers that were asked for, the judge and its warning, pairs, tasks, warnings."""
    notes = [
        f"{_PARTS.get(part, part)}: {counts['expected']} expected, {counts['scored']} scored, {counts['failed']} failed"
        for part, counts in scorecard.get("asked", {}).items() if counts["expected"]
    ]  # fmt: skip
    judge, pairs, tasks = (scorecard.get(key) for key in ("judge", "pairs", "tasks"))
    if judge:
        notes += _judge(judge)
    if pairs:
        notes.append(
            f"against the champion: {pairs['candidate']} won, {pairs['tie']} tied, {pairs['champion']} lost, "
            f"{pairs['unread']} without an outcome; rate {number('', pairs['rate']['value'])} "
            f"({interval('', pairs['rate'])}), above 0.5 the candidate is better; "
            f"{pairs['words'][0]:g} words against {pairs['words'][1]:g}"
        )
    if tasks:
        notes += _tasks(tasks)
    return [*notes, *(f"warning: {warning}" for warning in scorecard.get("warnings", ()))]


def _judge(judge: Mapping[str, Any]) -> list[str]:
    family = f", family {judge['family']}" if judge.get("family") else ""
    of_candidate = f" (the candidate's: {judge['candidate_family']})" if judge.get("candidate_family") else ""
    repeats = f", {judge['repeats']} times each" if (judge.get("repeats") or 1) > 1 else ""
    flips = judge["flip_rate"]
    notes = [
        f"judge: {judge['model'] or 'none'}{family}{of_candidate}; {judge['expected']} questions{repeats}: "
        f"{judge['scored']} scored, {judge['failed']} failed, {judge['unparsable']} unparsable, {judge['tied']} tied"
        + (f"; {flips['value']:.0%} change from one time to the next" if flips["value"] is not None else "")
    ]
    if judge.get("sounds_raw"):
        raw = judge["sounds_raw"]
        notes.append(f"sounds like her, as judged: {number('', raw['value'])} ({interval('', raw)}), n {raw['n']}")
    for part, group in (judge.get("agreement") or {}).items():
        notes.append(f"the judge on {part}: {'trusted' if group['trusted'] else 'not trusted'}: {group['why']}")
    return notes + ([f"warning: {judge['warning']}"] if judge.get("warning") else [])


def _tasks(tasks: Mapping[str, Any]) -> list[str]:
    tiers = [
        f"{name} {_range(tier['passed'])} of {tier['of']}" + (f" ({tier['needed']} needed)" if tier["needed"] else "")
        for name, tier in tasks["tiers"].items()
    ]
    notes = [f"tasks: {_range(tasks['passed'])} of {tasks['of']} passed: {tasks['verdict']}; {', '.join(tiers)}"]
    for outcome, words in ((False, "not passed"), (None, "undecided")):
        names = [one["id"] for one in tasks["tasks"] if one["passed"] is outcome]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        if names:
            notes.append(f"tasks {words}: {', '.join(names[:_SHOWN])}{more}")
    return notes


def _range(ends: list[int]) -> str:
    return f"{ends[0]}" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
