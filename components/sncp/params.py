"""Section `sncp` of a recipe: which notes are read, and what is masked in them."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from components.params import Params, RecipePath

__all__ = ["DEFAULT_SOURCES", "Kind", "PersonalData", "RedactParams", "SncpParams", "Status"]

Kind = Literal[
    "decision", "idea", "state", "resume", "north", "research", "report", "roadmap",
    "handoff", "lesson", "session", "persona", "note",
]  # fmt: skip
"""What a note is. The first five are the owner's own sources; `persona` is COSTITUZIONE and DNA."""

Status = Literal["current", "deprecated", "archived", "template"]

PersonalData = Literal["codice_fiscale", "partita_iva", "iban", "card", "phone", "email"]
"""Kinds of personal data that can be masked; what each finds and misses is in personal_data.py."""

DEFAULT_SOURCES: dict[Kind, list[str]] = {
    "decision": [".sncp/memoria/decisioni/**/*.md"],
    "idea": [".sncp/idee/**/*.md"],
    "state": [".sncp/stato/oggi.md"],
    "resume": ["PROMPT_RIPRESA*.md", ".sncp/PROMPT_RIPRESA*.md", ".sncp/progetti/*/PROMPT_RIPRESA*.md"],
    "north": ["NORD.md"],
}


class RedactParams(Params):
    """Secrets, and personal data where it is asked for, found in a note."""

    mode: Literal["redact", "quarantine"] = Field(
        default="redact",
        description="redact: mask the secret and index the rest; quarantine: leave the whole note out",
    )
    personal_data: list[PersonalData] = Field(
        default=[],  # one's own notes are there to be asked for a number; what is sent to others is another matter
        description="kinds of personal data that are treated like secrets; credentials always are",
    )
    allow: list[str] = Field(
        default=[],
        description="findings to leave alone: exact texts or globs such as '*@example.com'; kept in the run's record",
    )

    @field_validator("allow")
    @classmethod
    def _is_narrow(cls, value: list[str]) -> list[str]:
        for name in value:
            if len(re.sub(r"[*?]|\[.*?\]", "", name)) < 4:
                raise ValueError(f"{name!r} would let too much through: at least four letters that are no wildcards")
        return value


class SncpParams(Params):
    """Notes to read. Globs are relative to `root`; `*` and `**` match dot-folders too."""

    root: RecipePath = Field(description="folder of the SNCP; read, never written")
    sources: dict[Kind, list[str]] = Field(
        default_factory=lambda: {kind: list(globs) for kind, globs in DEFAULT_SOURCES.items()},
        description="kind of note -> globs; a file takes the kind of the first glob that matches it",
    )
    include: list[str] = Field(default=[], description="more globs; the kind is told from the path")
    exclude: list[str] = Field(default=[], description="globs of files to leave out, applied last")
    max_bytes: int = Field(default=2_000_000, gt=0, description="larger files are reported and skipped (bytes)")
    redact: RedactParams = RedactParams()
