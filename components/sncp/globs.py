"""Globs in which `*` and `**` match dot-folders, and which know whether a folder is worth entering."""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property

from components.errors import InputError

__all__ = ["Glob"]

_States = frozenset[int]


@dataclass(frozen=True)
class Glob:
    """A glob, walked one path segment at a time: `states` say how much of it a path has used up."""

    text: str
    parts: tuple[re.Pattern[str] | None, ...]
    """One pattern a segment; None is `**` (any number of folders)."""

    @classmethod
    def parse(cls, text: str) -> Glob:
        """Read a glob relative to the root; `folder/` means all that is beneath it.

        Raises:
            InputError: when it is empty, absolute, or climbs with `..`.
        """
        clean = unicodedata.normalize("NFC", text.strip())
        if clean.endswith("/"):
            clean += "**"
        segments = [part for part in clean.split("/") if part != "."]
        if not clean or clean.startswith(("/", "~")) or ".." in segments or "" in segments:
            raise InputError(
                f"Glob {text!r} cannot be used: expected a path relative to the root of the notes, without '..' "
                "(such as '.sncp/idee/**/*.md'). Notes elsewhere need a root of their own."
            )
        return cls(
            text=text,
            parts=tuple(None if part == "**" else re.compile(fnmatch.translate(part)) for part in segments),
        )

    @property
    def literal(self) -> bool:
        """True if it names one file, without any wildcard."""
        return not any(mark in self.text for mark in "*?[")

    @cached_property
    def _closed(self) -> tuple[_States, ...]:
        """State -> itself and those that follow by letting `**` stand for nothing."""
        found: list[_States] = [frozenset({len(self.parts)})]
        for state in range(len(self.parts) - 1, -1, -1):
            found.append(frozenset({state}) | (found[-1] if self.parts[state] is None else frozenset()))
        return tuple(reversed(found))

    def start(self) -> _States:
        """The states of the root itself."""
        return self._closed[0]

    def step(self, states: _States, name: str) -> _States:
        """The states after one more path segment."""
        after: _States = frozenset()
        for state in states:
            if state < len(self.parts):
                part = self.parts[state]
                if part is None:
                    after |= self._closed[state]
                elif part.match(name):
                    after |= self._closed[state + 1]
        return after

    def accepts(self, states: _States) -> bool:
        """True if a path with these states matches the whole glob."""
        return len(self.parts) in states

    def may_match_below(self, states: _States) -> bool:
        """True if something beneath a folder with these states can still match."""
        return any(state < len(self.parts) for state in states)

    def matches(self, path: str) -> bool:
        """True if the POSIX path matches."""
        states = self.start()
        for name in path.split("/"):
            states = self.step(states, name)
        return self.accepts(states)
