"""Answers by request, so that a repeated question at temperature 0 costs nothing.

What a crash leaves behind: every answer that was returned before it; see cache.py for the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.llm.cache import CacheFile

if TYPE_CHECKING:
    from components.llm.chat import Reply

__all__ = ["ResponseCache"]


class ResponseCache:
    """Replies in a SQLite file, keyed by SHA-256 of everything that the answer depends on."""

    def __init__(self, path: Path) -> None:
        self._file = CacheFile(path)

    def get(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """Fields of the reply as it was made (`cost_usd` is the original one), or None."""
        key = _key(request)
        found = self._file.get([key]).get(key)
        return json.loads(found) if found else None

    def put(self, request: Mapping[str, Any], reply: Reply) -> None:
        """Keep a reply. One that was cut short is kept too: the same request would be cut again."""
        self._file.put({_key(request): json.dumps(asdict(reply), ensure_ascii=False).encode("utf-8", "replace")})


def _key(request: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True, allow_nan=False).encode()).hexdigest()
