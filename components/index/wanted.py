"""The rows that an index shall have, told by the lines of `chunks.jsonl` without parsing each of them.

Of 50,000 chunks a reindex usually needs the text of five: the others are only compared, by the hash of their line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from functools import cached_property

from components.errors import InputError
from components.index.chunk import Chunk
from components.index.rows import chunk_line, line_hashes, rows_digest

__all__ = ["Wanted"]

_HEAD = re.compile(rb'\{"chunk_id": "([0-9a-f]{64})", "doc_id": "([^"\\]+)", ')


class Wanted:
    """Chunks by id; each is parsed when it is asked for."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        """`lines`: JSON objects as `chunk_line` writes them. Raises InputError unless ids are distinct digests."""
        self._lines: dict[str, bytes] = {}
        self._notes: dict[bytes, str] = {}  # note -> its first chunk
        self._hashes: dict[str, dict[str, str]] = {}
        self._digests: dict[str, str] = {}
        count = 0
        for line in lines:
            head = _HEAD.match(line)
            if head is None:
                raise InputError("chunk ids must be distinct SHA-256 hex digests, as `chunk_documents` makes them")
            key = head[1].decode()
            self._lines[key] = line
            self._notes.setdefault(head[2], key)
            count += 1
        if len(self._lines) != count:
            raise InputError("chunk ids must be distinct SHA-256 hex digests, as `chunk_documents` makes them")

    @classmethod
    def of_chunks(cls, chunks: Iterable[Chunk]) -> Wanted:
        """From chunks in memory."""
        return cls(chunk_line(chunk) for chunk in chunks)

    def __len__(self) -> int:
        return len(self._lines)

    def __contains__(self, key: object) -> bool:
        return key in self._lines

    @property
    def notes(self) -> int:
        """How many notes they are from."""
        return len(self._notes)

    @cached_property
    def paths(self) -> frozenset[str]:
        """All paths of all notes, exact duplicates included."""
        return frozenset(path for key in self._notes.values() for path in json.loads(self._lines[key])["paths"])

    def chunk(self, key: str) -> Chunk:
        """One chunk."""
        return Chunk.from_dict(json.loads(self._lines[key]))

    def chunks(self, keys: Collection[str]) -> list[Chunk]:
        """Some chunks, in the order of `keys`."""
        return [self.chunk(key) for key in keys]

    def hashes(self, embedder_id: str) -> dict[str, str]:
        """Chunk id -> row hash."""
        if embedder_id not in self._hashes:
            self._hashes[embedder_id] = line_hashes(self._lines, embedder_id)
        return self._hashes[embedder_id]

    def digest(self, embedder_id: str) -> str:
        """The digest of an index of exactly these chunks."""
        if embedder_id not in self._digests:
            self._digests[embedder_id] = rows_digest(self.hashes(embedder_id))
        return self._digests[embedder_id]
