"""Notes -> documents: every note found, read safely, repaired, masked, and told what it is."""

from __future__ import annotations

from components.sncp.collect import collect
from components.sncp.document import Collection, DateSource, Document, Duplicate, Finding, Notice, Skipped
from components.sncp.params import DEFAULT_SOURCES, Kind, RedactParams, SncpParams, Status

__all__ = [
    "DEFAULT_SOURCES",
    "Collection",
    "DateSource",
    "Document",
    "Duplicate",
    "Finding",
    "Kind",
    "Notice",
    "RedactParams",
    "Skipped",
    "SncpParams",
    "Status",
    "collect",
]
