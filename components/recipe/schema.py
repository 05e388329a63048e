"""schema.json beside the recipes: editors complete and check recipes with it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from components.recipe.shape import recipe_schema

__all__ = ["schema_text", "write_schema"]


def schema_text() -> str:
    """The text of schema.json: the same for the same model."""
    return json.dumps(recipe_schema(), indent=2, ensure_ascii=False) + "\n"


def write_schema(path: Path) -> bool:
    """Write schema.json; returns whether it changed."""
    text = schema_text()
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
    return True
