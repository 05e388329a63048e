"""Where a curated row comes from, who rated it and who reviewed it: read, and checked (G1, G2)."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.dataset.conversation import MISSING, Conversation
from components.dataset.findings import Hit

__all__ = ["KINDS", "STAGES", "Provenance", "is_curated", "provenance_hits", "provenance_of", "stage_of"]

STAGES = ("foundation", "expansion", "refinement")
KINDS = ("hand", "log", "generated")
"""Written by a person, taken from a real conversation, written by a model from a note."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_STATUSES = ("accepted", "edited", "rejected")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Key `provenance` of a row; what it lacks, or has in another type, is None."""

    kind: str | None = None
    note: str | None = None
    """Path of the source note, as `components.sncp` names it: relative to the notes, or `@persona/NAME.md`."""
    note_sha256: str | None = None
    """`content_hash` of that document when the row was written: SHA-256 of its text as collected (secrets masked,
    characters mended), without trailing blanks."""
    author: str | None = None
    licence: str | None = None
    model: str | None = None
    prompt_version: str | None = None
    created: str | None = None

    @classmethod
    def read(cls, value: Any) -> Provenance:
        """From any JSON value."""
        value = value if isinstance(value, Mapping) else {}
        return cls(**{name: _text(value.get(name)) for name in cls.__slots__})


def is_curated(conversation: Conversation) -> bool:
    """Whether the row is one of this project's: it has the key `stage` or `provenance`."""
    return "stage" in conversation.extra or "provenance" in conversation.extra


def stage_of(conversation: Conversation) -> str | None:
    """`foundation`, `expansion` or `refinement`; None: none of them."""
    stage = conversation.extra.get("stage")
    return stage if isinstance(stage, str) and stage in STAGES else None


def provenance_of(conversation: Conversation) -> Provenance:
    """Where it comes from, as far as it says."""
    return Provenance.read(conversation.extra.get("provenance"))


def provenance_hits(conversation: Conversation, *, known_notes: Mapping[str, str] | None = None) -> Iterator[Hit]:
    """What is missing about the source of a curated row (G1), and about its quality (G2). Other rows: nothing.

    An `author` is wanted for a row by hand, an author or a model for one of a log, and for a generated one the model,
    the note and its hash. An unparsable mark is told as info, apart from ratings that are wrong.

    Args:
        conversation: a row.
        known_notes: path -> `content_hash` of the notes as they were collected; None: notes are not compared.
    """
    if not is_curated(conversation):
        return
    extra = conversation.extra
    if "stage" in extra and stage_of(conversation) is None:
        yield Hit("G1", f"stage is {_shown(extra['stage'])}, expected one of {', '.join(STAGES)}")
    found = provenance_of(conversation)
    yield from _source(extra.get("provenance", MISSING), found)
    if found.note and known_notes is not None:
        yield from _note(found, known_notes)
    yield from _rating(extra.get("rating", MISSING))
    yield from _review(extra.get("review", MISSING))
    if found.kind == "generated" and extra.get("rating") is None and extra.get("review") is None:
        yield Hit("G2", "written by a model, and neither rated nor reviewed")


def _source(value: Any, found: Provenance) -> Iterator[Hit]:
    if not isinstance(value, Mapping):
        seen = "no `provenance`" if value is MISSING or value is None else f"`provenance` is {_shown(value)}"
        yield Hit("G1", f'{seen}, expected an object such as {{"kind": "hand", "author": ...}}')
        return
    if found.kind not in KINDS:
        seen = "is missing" if value.get("kind") is None else f"is {_shown(value['kind'])}"
        yield Hit("G1", f"provenance.kind {seen}, expected one of {', '.join(KINDS)}")
    lacks: list[str] = []
    if found.kind == "generated":
        lacks = [name for name in ("model", "note", "note_sha256") if not getattr(found, name)]
    elif found.kind == "hand" and not found.author:
        lacks = ["author"]
    elif found.kind == "log" and not (found.author or found.model):
        lacks = ["author (or model)"]
    if lacks:
        yield Hit("G1", f"provenance says no {' and no '.join(lacks)}")
    if found.note_sha256 and not _SHA256.fullmatch(found.note_sha256):
        yield Hit("G1", f"provenance.note_sha256 has {len(found.note_sha256)} characters and is no SHA-256 (64 of hex)")
    elif found.note and not found.note_sha256 and found.kind != "generated":
        yield Hit("G1", "the note is named without its hash, so nobody sees when it changes", severity="info")


def _note(found: Provenance, known_notes: Mapping[str, str]) -> Iterator[Hit]:
    path = unicodedata.normalize("NFC", found.note or "")
    known = known_notes.get(path)
    if known is None:
        yield Hit("G1", f"the note {_path(path)} is not among the collected ones", fix="name a note that is there")
    elif found.note_sha256 and found.note_sha256 != known:
        yield Hit("G1", f"the note {_path(path)} changed since: look at it again",
                  fix="compare the example with the note, then write the note's present hash")  # fmt: skip


def _rating(value: Any) -> Iterator[Hit]:
    if value is MISSING or value is None:
        return
    if not isinstance(value, Mapping):
        yield Hit("G2", f'rating is {_shown(value)}, expected {{"by": ..., "score": 0 to 1}}')
        return
    if not _text(value.get("by")):
        yield Hit("G2", "a rating that does not say who gave it", fix="name the person or the model in rating.by")
    score = value.get("score")
    if value.get("unparsable") is True:
        yield Hit("G2", "what the judge answered could not be read as a mark", severity="info")
    elif isinstance(score, bool) or not isinstance(score, int | float) or not _is_mark(score):
        yield Hit("G2", f"rating.score is {_shown(score)}, expected a number from 0 to 1")


def _review(value: Any) -> Iterator[Hit]:
    if value is MISSING or value is None:
        return
    if not isinstance(value, Mapping) or value.get("status") not in _STATUSES:
        yield Hit("G2", f'review is no object with a "status" of {", ".join(_STATUSES)}')
        return
    if not _text(value.get("by")):
        yield Hit("G2", "a review that does not say whose it is", fix="name the person in review.by")
    if value["status"] == "rejected":
        yield Hit("G2", "it was rejected in review, and is still here", fix="remove it")


def _is_mark(score: float) -> bool:
    return (isinstance(score, int) or math.isfinite(score)) and 0 <= score <= 1


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _shown(value: Any) -> str:
    """A value for a message: its type, and no more than four characters of it."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, str):
        head = value.encode("utf-8", "replace").decode()
        return repr(head) if len(head) <= 4 else f"{head[:4]!r}…"
    if isinstance(value, int | float):
        return f"{value:.4g}" if isinstance(value, float) or abs(value) < 10_000 else "a large number"
    return "a list" if isinstance(value, list) else "an object" if isinstance(value, Mapping) else "no JSON value"


def _path(path: str) -> str:
    from components.sncp.redact import mask_secrets

    return mask_secrets(path.encode("utf-8", "replace").decode())[:200]
