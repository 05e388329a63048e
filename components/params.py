"""What every room's section of a recipe has in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Params", "RecipePath"]

RecipePath = Annotated[Path, Field(strict=False)]
"""A path in a recipe: relative to the file that names it; absolute once the recipe is loaded."""


class Params(BaseModel):
    """A section of a recipe: closed keys, no silent conversion, never the value in an error text."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, validate_default=True
    )
