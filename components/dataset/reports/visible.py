"""Texts of a dataset as people may see them: secrets and personal data masked, any value as text."""

from __future__ import annotations

import json
from typing import Any, get_args

from components.dataset.params import PersonalDatum
from components.sncp.redact import redact

__all__ = ["as_text", "masked"]

_LONGEST = 20_000
"""Characters that are looked at for secrets: far more than are ever shown, so that none is cut in two."""


def masked(text: str, *, longest: int) -> tuple[str, int]:
    """The begin of a text without secrets and personal data, and how many characters are left out.

    What is not caught is listed in `components.sncp.redact`: names and addresses, above all.
    """
    looked_at = text[:_LONGEST]
    clean = redact(looked_at, path="", personal_data=get_args(PersonalDatum))[0]
    if len(clean) <= longest:
        return clean, len(text) - len(looked_at)
    return clean[:longest], len(clean) - longest + len(text) - len(looked_at)


def as_text(value: Any) -> str:
    """Any value of a row as text: text as it is, the rest as JSON."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)[:_LONGEST]
    except (TypeError, ValueError, RecursionError):  # MISSING; a number of thousands of digits; lists without end
        return f"({type(value).__name__.strip('_').lower()})"
