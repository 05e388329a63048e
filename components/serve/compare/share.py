"""Which conversations another release is compared on: a share, chosen by id or first turn, the same after a start."""

from __future__ import annotations

import hashlib
from collections.abc import Generator

from components.serve.desk import Desk, Served, Wanted

__all__ = ["closable", "in_share"]


def in_share(wanted: Wanted, *, candidate: str, share: float) -> bool:
    """Whether the conversation of this question is one of the share.

    Args:
        wanted: a question; those without an id that begin alike are in it together, see `Wanted.talk`.
        candidate: digest of the release that is compared: each comparison has conversations of its own.
        share: of the conversations (0 to 1).
    """
    drawn = hashlib.sha256(f"{candidate}\0{wanted.talk}".encode("utf-8", "replace")).digest()[:8]
    return int.from_bytes(drawn, "big") < share * 2**64


def closable(desk: Desk, wanted: Wanted) -> Generator[str | Served]:
    """The desk's stream as a generator: closing it closes that one."""
    yield from desk.stream(wanted)
