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
from components.store import seldom_collecting

__all__ = ["CutByTwo", "Later"]

T = TypeVar("T")
_MUCH = 200_000  # characters: to cut less than this takes no longer than a child
_SHARES = (0.4, 0.6)  # of this process, which seals the notes meanwhile, and of the child


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


class CutByTwo:
    """All notes cut by two processes. The child begins at once, with the larger part; the rest is cut by `get`."""

    def __init__(
        self, documents: Sequence[Document], *, max_tokens: int, breadcrumbs: bool, count_tokens: Callable[[str], int]
    ) -> None:
        """Nothing is begun where it is not worth it."""
        self.counted: dict[str, int] = {}
        """Tokens of texts, as the cutter has counted them."""
        self._count = count_tokens
        self._cutter = Cutter(max_tokens=max_tokens, breadcrumbs=breadcrumbs, count_tokens=self._counting)
        self._mine, theirs = _split(documents)
        self._other = Later(lambda: self._cut(theirs)) if theirs else None

    def get(self) -> dict[str, list[Chunk]]:
        """Document id -> its chunks; empty where nothing was begun."""
        if self._other is None:
            return {}
        mine, _ = self._cut(self._mine)
        theirs, counted = self._other.get()
        self.counted |= counted
        return mine | theirs

    def _counting(self, text: str) -> int:
        if text not in self.counted:
            self.counted[text] = self._count(text)
        return self.counted[text]

    @seldom_collecting()
    def _cut(self, documents: Sequence[Document]) -> tuple[dict[str, list[Chunk]], dict[str, int]]:
        found = {document.doc_id: self._cutter(document) for document in documents}
        texts = {chunk.embed_text for chunks in found.values() for chunk in chunks}
        return found, {text: self._counting(text) for text in texts}


def _split(documents: Sequence[Document]) -> tuple[list[Document], list[Document]]:
    """What this process cuts, and what the child does, by length; nothing for the child where that is too little."""
    if sum(len(document.text) for document in documents) < _MUCH:
        return list(documents), []
    parts: tuple[list[Document], list[Document]] = ([], [])
    load = [0.0, 0.0]
    for document in sorted(documents, key=lambda document: len(document.text), reverse=True):
        part = load.index(min(load))
        parts[part].append(document)
        load[part] += len(document.text) / _SHARES[part]
    return parts
