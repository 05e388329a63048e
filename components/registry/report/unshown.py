"""What the page does not show, said on the page, so that nobody takes it for shown."""

from __future__ import annotations

from collections.abc import Iterator

from components.registry.report.facts import RunReport
from components.registry.report.reading import mapping, part, whole

__all__ = ["unshown"]


def unshown(report: RunReport) -> Iterator[str]:
    """A line each."""
    card = report.scorecard
    yield "Whether an answer is true: checks and judge look at form, voice and rules; sources are there to be read."
    yield (
        "Whether the questions are like those that people will ask: all scores are of the golden questions, the "
        "prompts and the tasks of the recipe."
    )
    yield (
        "Luck across criteria: each interval is a 95% interval of its own. Of twenty criteria that are all just good "
        "enough, one is expected to look bad by chance."
    )
    expected = whole(part(card, "answers").get("expected"))
    asked = len(report.questions)
    if expected is not None and expected < asked:
        yield f"Answers to {asked - expected:,} of {asked:,} golden questions: they were only searched."
    judge = part(card, "judge")
    groups = [mapping(one) for one in part(judge, "agreement").values()]
    if judge and not groups:
        yield "How far the judge can be believed: nobody has labelled answers (`cervella label`)."
    if part(card, "answers").get("cached"):
        yield "Times of today for answers from the cache: they are those of when the answer was first given."
    if report.champion is None:
        yield "A comparison with a champion: there is none, or its scores are gone."
    if report.previous is None:
        yield "A comparison with an earlier run: no other run of this recipe was scored, or its scores are gone."
    yield "Secrets and personal data with a form of their own: they are masked. Names and addresses are not."
