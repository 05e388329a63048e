"""What a sync is told, and what it tells: no work is done here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["SyncReport", "Terms"]


@dataclass(frozen=True)
class Terms:
    """What must hold before rows are published, and what is kept of the publication.

    Attributes:
        root: the folder that the notes are from; none: not known. Where the published ones are known to be from
            another folder, all of them may vanish.
        keep_root: refuse to replace notes of another folder: nobody is there who could have meant it.
        max_removed_share: of the published notes (0..1) that may vanish, once there are 10 of them.
        max_recall_drop: by how much the recall of the golden questions may fall (0..1).
        settings_are_judged: a fall that comes with other settings is only told, because a scorecard follows.
        settings: digest of what the recipe says about cutting and embedding.
        chunks_id: artefact with these chunks, for a later rollback.
        how: what this publication is.
        state: of the publication that a rollback goes back to.
        verify: read all rows, also where nothing looks changed.
    """

    root: str | None = None
    keep_root: bool = False
    max_removed_share: float = 1.0
    max_recall_drop: float = 0.0
    settings_are_judged: bool = False
    settings: str | None = None
    chunks_id: str | None = None
    how: Literal["reindex", "rollback"] = "reindex"
    state: int | None = None
    verify: bool = False


@dataclass(frozen=True)
class SyncReport:
    """What a sync did. Counts are chunks, `embedded` is texts, `seconds` wall time by stage; `recall` 0..1."""

    added: int
    updated: int
    removed: int
    unchanged: int
    embedded: int
    version: int
    live_digest: str
    degraded: bool
    seconds: dict[str, float]
    recall: float | None = None
    questions: int = 0
