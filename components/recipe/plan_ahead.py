"""Work of a first plan that another process does at the same time, where there is another processor.

A plan that nothing was made for yet has to cut all notes and compile the persona: seconds of pure Python, which threads
would not share. The child is a fork, and knows all that this process knows at that moment. Where forking is not safe
(other threads are at work) or not possible, and where the child fails, the work is done here.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from components.index.chunk import Chunk, Cutter
from components.llm.machine import usable_cpus
from components.sncp import Document

__all__ = ["Later", "cut_by_two"]

T = TypeVar("T")
_MUCH = 200_000  # characters: to cut less than this takes no longer than a child


class Later(Generic[T]):
    """The result of a function, computed by a child while this process goes on."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._pid, self._pipe = 0, -1
        if not hasattr(os, "fork") or threading.active_count() > 1 or usable_cpus() < 2:
            return
        self._pipe, writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _child(function, writing)
        os.close(writing)

    def get(self) -> T:
        """The result; waits for it. What the function raises is raised here, by doing it again."""
        data = b""
        if self._pid:
            with os.fdopen(self._pipe, "rb") as pipe:
                data = pipe.read()
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._pid = 0
        if not data:
            return self._function()
        result: T = pickle.loads(data)  # noqa: S301 - of our own child, by a pipe that nobody else has
        return result


def _child(function: Callable[[], object], writing: int) -> None:
    """The life of the child. It ends here in any case: nothing of its parent's is undone or said twice by it."""
    try:
        data = pickle.dumps(function(), protocol=pickle.HIGHEST_PROTOCOL)
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(data)
    finally:
        os._exit(0)


def cut_by_two(
    documents: Sequence[Document],
    *,
    max_tokens: int,
    breadcrumbs: bool,
    count_tokens: Callable[[str], int],
    counted: dict[str, int],
) -> dict[str, list[Chunk]]:
    """Document id -> its chunks: half of them cut by a child. Empty where it is not worth it.

    `counted` gets the tokens of the texts that are embedded, as the cutter has counted them.
    """
    if sum(len(document.text) for document in documents) < _MUCH:
        return {}
    halves: tuple[list[Document], list[Document]] = ([], [])
    sizes = [0, 0]
    for document in sorted(documents, key=lambda document: len(document.text), reverse=True):
        half = sizes.index(min(sizes))
        halves[half].append(document)
        sizes[half] += len(document.text)
    counts: dict[str, int] = {}

    def count(text: str) -> int:
        if text not in counts:
            counts[text] = count_tokens(text)
        return counts[text]

    cutter = Cutter(max_tokens=max_tokens, breadcrumbs=breadcrumbs, count_tokens=count)

    def cut(half: int) -> tuple[dict[str, list[Chunk]], dict[str, int]]:
        found = {document.doc_id: cutter(document) for document in halves[half]}
        return found, {chunk.embed_text: count(chunk.embed_text) for chunks in found.values() for chunk in chunks}

    other = Later(lambda: cut(1))
    chunks: dict[str, list[Chunk]] = {}
    for found, tokens in (cut(0), other.get()):
        chunks |= found
        counted |= tokens
    return chunks
