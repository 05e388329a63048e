"""Texts that are kept of questions and answers: secrets and personal data masked, and not longer than an answer is.

**Not covered**: names, addresses and what else no rule of `components.sncp.redact` knows.
"""

from __future__ import annotations

from typing import get_args

from components.sncp.params import PersonalData
from components.sncp.redact import redact

__all__ = ["masked"]

_LONGEST = 20_000  # characters


def masked(text: str) -> str:
    """The text as it may be kept, in characters that SQLite and JSON take."""
    kept = redact(text, path="", personal_data=get_args(PersonalData))[0]
    return kept[:_LONGEST].encode("utf-8", "replace").decode()
