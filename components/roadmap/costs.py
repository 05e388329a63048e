"""Costs by conversations a month: a table of an API against self-hosting, where the two cross, costs of each phase.

Between two rows of the table costs go in a straight line: within it each further conversation costs the same. Outside
of the table nothing is known but that its end is not reached, or is passed; no curve is drawn on. Not covered: how long
conversations are (the rows say it, silently), and what training itself costs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

from pydantic import Field, field_validator

from components.params import Params

__all__ = ["BreakEven", "CostAt", "CostPhase", "CostRow", "Costs", "PhaseCost", "Stated", "break_even", "cost_at",
           "crossing"]  # fmt: skip

CostPhase = Literal["mvp", "optimize", "scale"]


class CostRow(Params):
    """Costs at a volume."""

    conversations: float = Field(ge=0, le=1e12, description="a month")
    api_usd: float = Field(ge=0, le=1e12, description="US dollars a month")
    self_hosted_usd: float = Field(ge=0, le=1e12, description="US dollars a month")


class Stated(Params):
    """The break-even as somebody has stated it."""

    conversations: float | None = Field(default=None, gt=0, description="a month")
    tokens: float | None = Field(default=None, gt=0, description="a month")


class PhaseCost(Params):
    """What a phase costs."""

    what: str = Field(description="in words")
    monthly_usd: list[float] = Field(min_length=2, max_length=2, description="US dollars a month: from, to")
    setup: str = Field(default="", description="in words: time, work")
    setup_usd: list[float] | None = Field(
        default=None, min_length=2, max_length=2, description="US dollars once: from, to"
    )

    @field_validator("monthly_usd", "setup_usd")
    @classmethod
    def _a_band(cls, band: list[float] | None) -> list[float] | None:
        if band is not None and not 0 <= band[0] <= band[1]:
            raise ValueError("expected [from, to], dollars, the lower one first")
        return band


class Costs(Params):
    """A file of costs."""

    date: str = Field(min_length=1, description="when the figures were written")
    source: str = Field(min_length=1, description="whose they are")
    api: str = Field(min_length=1, description="the API, as people call it")
    self_hosted: str = Field(min_length=1, description="the own model, as people call it")
    table: list[CostRow] = Field(min_length=2, max_length=1000, description="volumes, the lowest first")
    stated: Stated = Stated()
    phases: dict[CostPhase, PhaseCost] = Field(default={}, description="phase -> its costs")

    @field_validator("table")
    @classmethod
    def _rises(cls, table: list[CostRow]) -> list[CostRow]:
        for before, after in pairwise(table):
            if after.conversations <= before.conversations:
                raise ValueError(
                    f"the row of {after.conversations:,g} conversations comes after that of {before.conversations:,g}; "
                    "expected the lowest volume first, each once"
                )
        return table


@dataclass(frozen=True)
class CostAt:
    """Costs at a volume (US dollars a month). `beyond`: the volume is outside of the table; these are of its end."""

    conversations: float
    api_usd: float
    self_hosted_usd: float
    beyond: Literal["below", "above"] | None = None


def cost_at(costs: Costs, conversations: float) -> CostAt:
    """Costs at a volume, in a straight line between the rows around it."""
    table = costs.table
    if conversations < table[0].conversations:
        return CostAt(conversations, table[0].api_usd, table[0].self_hosted_usd, "below")
    if conversations > table[-1].conversations:
        return CostAt(conversations, table[-1].api_usd, table[-1].self_hosted_usd, "above")
    place = next(place for place, row in enumerate(table[1:]) if conversations <= row.conversations)
    before, after = table[place], table[place + 1]
    share = (conversations - before.conversations) / (after.conversations - before.conversations)
    api, own = (
        getattr(before, name) * (1 - share) + getattr(after, name) * share for name in ("api_usd", "self_hosted_usd")
    )
    return CostAt(conversations, api, own)


def crossing(costs: Costs) -> float | None:
    """Conversations a month from which self-hosting never costs more than the API, up to the end of the table.

    The first row's where it never did; None where the API costs less at the end.
    """
    table = costs.table
    if table[-1].self_hosted_usd > table[-1].api_usd:
        return None
    for before, after in reversed(list(pairwise(table))):
        dearer = before.self_hosted_usd - before.api_usd
        if dearer > 0:
            cheaper = after.api_usd - after.self_hosted_usd
            share = dearer / (dearer + cheaper)
            return before.conversations + share * (after.conversations - before.conversations)
    return table[0].conversations


@dataclass(frozen=True)
class BreakEven:
    """The volume that pays for an own model.

    Attributes:
        conversations: a month; None: in this table no volume does.
        source: whose number it is.
        stated: by the file; None: it states none.
        computed: where the rows of the file cross; None: they do not.
        said: all of this in words, with the difference where there is one.
    """

    conversations: float | None
    source: Literal["recipe", "stated", "computed"]
    stated: float | None
    computed: float | None
    said: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def break_even(costs: Costs, *, wished: float | None) -> BreakEven:
    """The threshold: the recipe's own (`wished`), else what the file states, else where its rows cross."""
    stated, computed = costs.stated.conversations, crossing(costs)
    crosses = (
        f"the rows of the table cross at about {_round(computed):,}"
        if computed is not None
        else "in the rows of the table self-hosting costs more up to the end"
    )
    if wished is not None:
        says = f"the file states {stated:,g}, {crosses}" if stated is not None else crosses
        return BreakEven(wished, "recipe", stated, computed, f"the recipe asks for {wished:,g}; {says}")
    if stated is None:
        return BreakEven(computed, "computed", None, computed, crosses)
    said = f"{costs.source} of {costs.date} states {stated:,g}; {crosses}"
    if computed is None or abs(computed - stated) > 0.05 * stated:
        at = cost_at(costs, stated)
        said += (
            f", and at {stated:,g} the API costs ${at.api_usd:,.0f}, self-hosting ${at.self_hosted_usd:,.0f}. The "
            "stated number counts"
        )
    return BreakEven(stated, "stated", stated, computed, said)


def _round(number: float) -> int:
    """To three digits: more would claim to know more."""
    return int(float(f"{number:.3g}"))
