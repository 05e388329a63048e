"""What an answer took, of the candidate or of the release in service, and what that comes to.

No text of a question, an answer or a note is kept here, and no path: nothing that `forget` would have to find.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from components.evaluate.intervals import percentile_measure
from components.evaluate.judged import Outcome
from components.serve.compare.records import Comparisons, comparisons_file

__all__ = ["SIDES", "Answered", "Numbers", "Side", "numbers_of", "recorded_answers"]

Side = Literal["candidate", "champion"]
SIDES: tuple[Side, Side] = ("candidate", "champion")
Origin = Literal["asked", "shadow", "ab", "probation"]


@dataclass(frozen=True)
class Answered:
    """An answer, or the error in its place.

    Attributes:
        question: id of the question; in a shadow both sides have the same.
        side: who answered.
        origin: asked: by this run; shadow, ab: by an endpoint, as it recorded; probation: over HTTP.
        seconds: question to answer; None: no answer.
        first_token_seconds: until the first piece; None: not measured.
        cost_usd: US dollars; None: unknown, or no answer.
        found: whether it was in the notes.
        cited: notes that the text names.
        confidence: see `components.serve.router.confidence`.
        model: that answered.
        error: kind of the error; None: there is an answer.
        preferred: of the candidate's: whose answer the judge prefers; None: it was not asked, or came to no verdict.
    """

    question: str
    side: Side
    origin: Origin
    seconds: float | None = None
    first_token_seconds: float | None = None
    cost_usd: float | None = None
    found: bool = False
    cited: int = 0
    confidence: float | None = None
    model: str = ""
    error: str | None = None
    preferred: Outcome | None = None

    @property
    def with_sources(self) -> bool:
        """Whether it was found in the notes, and the text names one."""
        return self.error is None and self.found and self.cited > 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON; `Answered(**...)` reads it back."""
        return asdict(self)


@dataclass(frozen=True)
class Numbers:
    """What the answers of one side come to: a column of the report.

    Attributes:
        asked: questions.
        errors: of them without an answer.
        p50_seconds, p95_seconds: question to answer; None: nothing was answered.
        first_token_seconds: median; None: not measured.
        usd_per_query: mean; None: the price of a model is unknown, or nothing was answered.
        with_sources: answers that name a note.
        model: that answered most.
    """

    asked: int
    errors: int
    p50_seconds: float | None
    p95_seconds: float | None
    first_token_seconds: float | None
    usd_per_query: float | None
    with_sources: int
    model: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON; `Numbers(**...)` reads it back."""
        return asdict(self)


def numbers_of(answers: Iterable[Answered]) -> Numbers:
    """The numbers of these answers."""
    rows = list(answers)
    given = [row for row in rows if row.error is None]
    costs = [row.cost_usd for row in given]
    known = [cost for cost in costs if cost is not None]
    models = [row.model for row in given if row.model]
    return Numbers(
        asked=len(rows),
        errors=len(rows) - len(given),
        p50_seconds=_percentile([row.seconds for row in given], 0.5),
        p95_seconds=_percentile([row.seconds for row in given], 0.95),
        first_token_seconds=_percentile([row.first_token_seconds for row in given], 0.5),
        usd_per_query=math.fsum(known) / len(known) if known and len(known) == len(costs) else None,
        with_sources=sum(row.with_sources for row in given),
        model=max(sorted(set(models)), key=models.count, default=""),
    )


def recorded_answers(workspace: Path, *, candidate: str, champion: str | None) -> list[Answered]:
    """What an endpoint has recorded of this candidate beside this champion (`serve.compare`), the oldest first.

    Args:
        workspace: of the endpoint.
        candidate: digest of its release.
        champion: digest of the release in service; what another one answered is left out. None: nothing is in service.
    """
    file = comparisons_file(workspace)
    if not file.is_file():
        return []
    records = Comparisons(file)
    try:
        told = records.answers(candidate)
    finally:
        records.close()
    sides: Mapping[str, Side] = {"A": "champion", "B": "candidate"}
    return [
        Answered(
            question=one.request, side=sides[one.side], origin=one.mode, seconds=one.seconds, cost_usd=one.cost_usd,
            found=bool(one.found), cited=len(one.cited), confidence=one.confidence, model=one.model or "",
            error=one.error,
        )
        for one in told
        if one.side == "B" or (champion is not None and one.release == champion)
    ]  # fmt: skip


def _percentile(values: Sequence[float | None], share: float) -> float | None:
    return percentile_measure([value for value in values if value is not None], share).value
