"""Section `persona` of a recipe: from COSTITUZIONE and DNA to a system prompt within a budget."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from components.params import Params, RecipePath

__all__ = ["PersonaParams", "SessionParams"]


class SessionParams(Params):
    """PROMPT_RIPRESA as session context, within its own budget."""

    path: str | None = Field(
        default=None,
        description="note relative to sncp.root; none: the newest current note of kind resume, if there is one",
    )
    max_tokens: int = Field(default=400, gt=0, description="of the session context (tokens of `tokenizer`)")


class PersonaParams(Params):
    """Who the partner is."""

    name: str = Field(default="Cervella", description="how the partner calls herself")
    constitution: RecipePath | None = Field(default=None, description="COSTITUZIONE: values, how the partner thinks")
    dna: RecipePath | None = Field(default=None, description="DNA: roles of the family")
    session: SessionParams | None = Field(default=None, description="none: no session context")
    max_tokens: int = Field(
        default=2000, gt=0, description="of the system prompt without session (tokens of `tokenizer`)"
    )
    tokenizer: Literal["qwen3", "smollm2", "e5"] = Field(default="qwen3", description="whose tokens are counted")
    priorities: dict[str, int] = Field(
        default={}, description="heading (case-insensitive, part of it) -> priority 0 (first in) to 100 (last in)"
    )

    @property
    def files(self) -> list[Path]:
        """The files that the persona is made of; indexed whole as kind `persona`."""
        return [file for file in (self.constitution, self.dna) if file is not None]
