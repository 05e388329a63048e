"""What is asked of a candidate and of those beside it, and what each of them said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from components.evaluate.checks import Check

__all__ = ["CONTESTANTS", "Contestant", "Item", "Part", "Said"]

Contestant = Literal["candidate", "champion", "control"]
"""candidate: the release that is scored; champion: the one in service; control: the bare base model."""
CONTESTANTS: tuple[Contestant, ...] = get_args(Contestant)
Part = Literal["personality", "task"]


@dataclass(frozen=True)
class Item:
    """One thing that is asked. `prompt`: all that the person says, the input of a task included.

    `id` is unique within its part; `tier` is a task's (simple, medium, complex). `project` is empty for none.
    """

    part: Part
    id: str
    prompt: str
    lang: str
    kind: str
    project: str = ""
    tier: str = ""

    @property
    def key(self) -> str:
        """`part/id`: unique among all items."""
        return f"{self.part}/{self.id}"


@dataclass(frozen=True)
class Said:
    """What a contestant said to an item, or the error in its place (`error`: then `text` is empty).

    `seconds`: question to answer; None: not measured. `cost_usd`: None: unknown, local models cost 0.
    `sources`: where the notes that its model was given stand, `path:first-last`; `cited`: those of them that the text
    names. `checks`: persona checks by code (`components.evaluate.checks`); the control has none.
    """

    item: Item
    text: str = ""
    found: bool = False
    sources: tuple[str, ...] = ()
    cited: tuple[str, ...] = ()
    seconds: float | None = None
    cost_usd: float | None = None
    model: str = ""
    is_local: bool = False
    cached: bool = False
    checks: tuple[Check, ...] = ()
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Said:
        """What `to_dict` wrote."""
        return cls(
            **{
                **data, "item": Item(**data["item"]), "sources": tuple(data["sources"]),
                "cited": tuple(data.get("cited", ())),
                "checks": tuple(Check(**check) for check in data["checks"]),
            }
        )  # fmt: skip
