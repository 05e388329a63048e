"""The rows that an index shall have, told by what was written beside the chunks; a chunk is read when it is asked for.

Of 200,000 chunks a reindex usually needs the text of five: the others are only compared, by their hashes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from components.errors import InputError, TerminalError
from components.index.chunk import Chunk
from components.index.rows import ROW_BYTES, chunk_line, parse_rows, row_of, rows_digest
from components.store.parts import Parts

if TYPE_CHECKING:
    from components.store import Artefact

__all__ = ["CHUNKS", "ROWS", "Wanted"]

CHUNKS, ROWS = "chunks", "rows"
"""Outputs of `index.chunk`, in parts of the same documents: their chunks, and the rows of these."""

_HEX = b"0123456789abcdef"


class Wanted:
    """Rows by id. `hashes`: id -> row hash; `texts`: id -> digest of what is embedded; `paths`: of all notes."""

    def __init__(
        self,
        ids: Sequence[str],
        hashes: Sequence[str],
        texts: Sequence[str],
        *,
        notes: int,
        paths: Iterable[str],
        read: Callable[[Sequence[int]], list[Chunk]],
    ) -> None:
        """Give what was written.

        Args:
            ids: of all chunks.
            hashes: their row hashes.
            texts: digests of what is embedded of them.
            notes: how many notes they are from.
            paths: of these notes, exact duplicates included.
            read: gives the chunks of some rows by their numbers, from 0, which ascend.

        Raises:
            InputError: ids that are not distinct SHA-256 hex digests.
        """
        self.hashes: Mapping[str, str] = dict(zip(ids, hashes, strict=True))
        self.texts: Mapping[str, str] = dict(zip(ids, texts, strict=True))
        self.notes = notes
        self.paths = frozenset(paths)
        self._read = read
        self._digests: dict[str, str] = {}
        if len(self.hashes) != len(ids) or not _are_digests(self.hashes):
            raise InputError("chunk ids must be distinct SHA-256 hex digests, as `chunk_documents` makes them")

    @classmethod
    def of_chunks(cls, chunks: Iterable[Chunk]) -> Wanted:
        """From chunks in memory."""
        held = list(chunks)
        rows = [row_of(chunk, chunk_line(chunk)) for chunk in held]
        return cls(
            *([row[column] for row in rows] for column in range(3)),
            notes=len({chunk.doc_id for chunk in held}),
            paths={path for chunk in held for path in chunk.paths},
            read=lambda numbers: [held[number] for number in numbers],
        )

    @classmethod
    def stored(cls, chunks: Artefact) -> Wanted:
        """From a sealed `index.chunk`; its chunks are only read when they are asked for.

        Raises:
            TerminalError: it was made by a version of the code that wrote no rows.
        """
        stored = _Stored(chunks)
        some = [entry.about for entry in stored.rows.entries.values() if entry.size]
        lines = b"".join(chunks.file(f"{part}.jsonl").read_bytes() for part in stored.rows.parts)
        return cls(
            *parse_rows(lines),
            notes=len(some),
            paths={path for paths in some for path in paths},
            read=stored.read,
        )

    def __len__(self) -> int:
        return len(self.hashes)

    def __contains__(self, key: object) -> bool:
        return key in self.hashes

    def chunks(self, keys: Collection[str]) -> list[Chunk]:
        """Some chunks, in the order of `keys`."""
        wanted = set(keys)
        numbers = [number for number, key in enumerate(self.hashes) if key in wanted]
        found = {chunk.chunk_id: chunk for chunk in self._read(numbers)}
        if found.keys() != wanted:
            raise TerminalError("the rows of an `index.chunk` are not those of its chunks; --force index.chunk")
        return [found[key] for key in keys]

    def same_texts(self, keys: Collection[str]) -> list[str]:
        """Ids of the other rows whose embedded text is that of one of `keys`."""
        texts = {self.texts[key] for key in keys}
        return [key for key, text in self.texts.items() if text in texts and key not in keys]

    def digest(self, embedder_id: str) -> str:
        """The digest of an index of exactly these chunks."""
        if embedder_id not in self._digests:
            self._digests[embedder_id] = rows_digest(self.hashes, embedder_id)
        return self._digests[embedder_id]


class _Stored:
    """Chunks of an artefact, found by the places of their rows."""

    def __init__(self, artefact: Artefact) -> None:
        self.rows, self._chunks = Parts(artefact, ROWS), Parts(artefact, CHUNKS)

    def read(self, numbers: Sequence[int]) -> list[Chunk]:
        """Chunks by the numbers of their rows, which ascend."""
        from pydantic_core import from_json

        documents = list(self.rows.entries)
        ends = list(accumulate(entry.size // ROW_BYTES for entry in self.rows.entries.values()))
        found: list[Chunk] = []
        at, lines = -1, [b""]
        for number in numbers:
            document = bisect_right(ends, number)
            if document != at:
                at, lines = document, self._chunks.lines(documents[document]).split(b"\n")[:-1]
            found.append(Chunk.from_dict(from_json(lines[number - ends[document]])))  # both end where the document does
        return found


def _are_digests(keys: Collection[str]) -> bool:
    """Whether all are SHA-256 digests, hex."""
    return {64}.issuperset(map(len, keys)) and not "".join(keys).encode().translate(None, _HEX)
