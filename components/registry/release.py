"""A release: what is put into service, as one object with one digest.

It is persona + base model + adapter + index configuration. The notes, and the index version that it was scored on,
are evidence and no part of it: they keep moving under a release, so that rolling back never loses notes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.store import canonical_json, sha256_hex

__all__ = ["build_release", "release_digest"]


def build_release(
    *,
    prompt: str,
    chat: Mapping[str, Any],
    embedder: str,
    chunk: Mapping[str, Any],
    search: Mapping[str, Any],
    answer: Mapping[str, Any],
    adapter: str | None = None,
    adapted: Mapping[str, Any] | None = None,
    session: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The release as JSON values.

    `prompt`: system prompt, whole. `chat`: model and how it is sampled. `embedder`: its id (`Embedder.id`). `chunk`,
    `search`, `answer`: those sections of the recipe. `adapter`: digest of a LoRA adapter, `adapted`: the base
    model that it was trained on, as `components.train.base.base_identity` tells it. `session`: how session context is
    chosen and cut; its text is a note and no part of the release.
    """
    release: dict[str, Any] = {
        "format": 1,
        "persona": {"prompt": prompt, "session": None if session is None else dict(session)},
        "base_model": dict(chat),
        "adapter": adapter,
        "index": {"embedder": embedder, "chunk": dict(chunk), "search": dict(search)},
        "answer": dict(answer),
    }
    if adapted is not None:
        release["adapted"] = dict(adapted)
    return release


def release_digest(release: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the canonical JSON of a release. Raises TerminalError for NaN and other unstable values."""
    return sha256_hex(canonical_json(release))
