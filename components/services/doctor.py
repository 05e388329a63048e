"""What one look at an installation, a machine, a workspace or an index says: a line, and how to mend what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from components.errors import CervellaError

__all__ = ["Check", "Level", "looked"]

Level = Literal["ok", "warning", "problem"]
"""problem: a command will fail, or not do what it says. warning: it will work, but worse or not for long."""


@dataclass(frozen=True)
class Check:
    """One finding. `name`: what was looked at; `says`: what was found; `mend`: what to do, none when all is well."""

    name: str
    level: Level
    says: str
    mend: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return asdict(self)


def looked(name: str, look: Callable[[], Iterable[Check]]) -> list[Check]:
    """The findings of one look. What the machine refuses meanwhile is a finding too: a doctor never gives up."""
    try:
        return list(look())
    except (OSError, CervellaError, ValueError) as error:
        where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        told = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        return [Check(name, "problem", f"could not be looked at: {where}{told}", "mend this first, then look again")]
