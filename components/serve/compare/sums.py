"""What both sides of a comparison came to, side by side, as numbers and as a table.

**Not covered**: chance; the sides of an A/B were asked different questions, and 20 answers say little of a 95th
percentile. Feedback on a shadow is of what is in service alone, since nobody read the other answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from components.evaluate.intervals import percentile_measure
from components.serve.compare.records import Compared, Mode, Side

__all__ = ["Comparison", "Sums", "compared_sums", "render_comparison"]


@dataclass(frozen=True)
class Sums:
    """One side.

    Attributes:
        asked: questions.
        answered: of these, those with an answer.
        found: of these, those whose answer was in the notes.
        errors: kind -> how many.
        seconds_p50, seconds_p95: question to answer, of those answered; None: there is none.
        prompt_tokens, completion_tokens: of all answers.
        cost_usd: of all answers whose price is known (US dollars, of a cached one when it was made).
        cost_unknown: answers whose price is not.
        good, bad: what people said of its answers.
        releases: digests of the releases that answered; None: what the files of the recipe said.
        models: that answered.
    """

    asked: int
    answered: int
    found: int
    errors: Mapping[str, int]
    seconds_p50: float | None
    seconds_p95: float | None
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    cost_unknown: int
    good: int
    bad: int
    releases: tuple[str | None, ...]
    models: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """A comparison: digest of the candidate, how, when it had its first and its last answer (ISO, UTC), both sides."""

    candidate: str
    mode: Mode
    first: str
    last: str
    sides: Mapping[Side, Sums]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def compared_sums(answers: Sequence[Compared], *, scores: Mapping[str, int]) -> Comparison:
    """Both sides of one comparison.

    Args:
        answers: of one candidate and mode, one at least, the oldest first.
        scores: id of a request -> -1 or 1, what a person said of the answer.
    """
    first, last = answers[0], answers[-1]
    sides = {side: _sums([one for one in answers if one.side == side], scores=scores) for side in get_args(Side)}
    return Comparison(first.candidate, first.mode, first.at, last.at, sides)


def _sums(answers: Sequence[Compared], *, scores: Mapping[str, int]) -> Sums:
    given = [one for one in answers if one.error is None]
    seconds = [one.seconds for one in given if one.seconds is not None]
    read = [one for one in given if not (one.mode == "shadow" and one.side == "B")]  # by a person
    said = Counter(scores.get(one.request) for one in read)
    return Sums(
        asked=len(answers), answered=len(given), found=sum(bool(one.found) for one in given),
        errors=dict(Counter(one.error for one in answers if one.error).most_common()),
        seconds_p50=percentile_measure(seconds, 0.50).value, seconds_p95=percentile_measure(seconds, 0.95).value,
        prompt_tokens=sum(one.prompt_tokens for one in given),
        completion_tokens=sum(one.completion_tokens for one in given),
        cost_usd=sum(one.cost_usd or 0.0 for one in given), cost_unknown=sum(one.cost_usd is None for one in given),
        good=said[1], bad=said[-1], releases=tuple(dict.fromkeys(one.release for one in given)),
        models=tuple(dict.fromkeys(one.model for one in given if one.model)),
    )  # fmt: skip


def _cost(side: Sums) -> str:
    return f"${side.cost_usd:.4f}" + (f" and {side.cost_unknown} of unknown price" if side.cost_unknown else "")


_LINES: Mapping[str, Callable[[Sums], str]] = {
    "release": lambda side: ", ".join(one[:12] if one else "the recipe" for one in side.releases) or "-",
    "model": lambda side: ", ".join(side.models) or "-",
    "questions": lambda side: str(side.asked),
    "answered": lambda side: str(side.answered),
    "in the notes": lambda side: f"{side.found} ({side.found / side.answered:.0%})" if side.answered else "-",
    "no answer": lambda side: ", ".join(f"{count} {kind}" for kind, count in side.errors.items()) or "0",
    "seconds, median": lambda side: "-" if side.seconds_p50 is None else f"{side.seconds_p50:.2f}",
    "seconds, 95th percentile": lambda side: "-" if side.seconds_p95 is None else f"{side.seconds_p95:.2f}",
    "tokens read, written": lambda side: f"{side.prompt_tokens}, {side.completion_tokens}",
    "cost": _cost,
    "feedback, good and bad": lambda side: f"{side.good}, {side.bad}",
}


def render_comparison(it: Comparison) -> str:
    """For a terminal: a line each, A (in service) and B (the candidate)."""
    how = "shadow: both were asked the same" if it.mode == "shadow" else "ab: each its own conversations"
    rows = [("", "A, in service", "B, the candidate")]
    rows += [(name, line(it.sides["A"]), line(it.sides["B"])) for name, line in _LINES.items()]
    wide = [max(len(row[column]) for row in rows) for column in (0, 1)]
    table = [f"  {name:<{wide[0]}}  {a:<{wide[1]}}  {b}".rstrip() for name, a, b in rows]
    return "\n".join([f"{it.candidate[:12]}, {how}, {it.first[:10]} to {it.last[:10]}", *table])
