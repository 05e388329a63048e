"""Golden questions asked of an index before it is published: what an index is told about them, and no more.

The questions belong to a later room, so the index takes a `Probe` from whoever builds it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from components.index.index import Index

__all__ = ["Probe", "Probed", "lost_questions"]


@dataclass(frozen=True)
class Probed:
    """What a probe found.

    Attributes:
        golden: digest of the questions and of how they were searched: two results of one digest can be compared.
        found: id of each answerable question -> whether a note that answers it is among the first files.
        questions: id -> the question, for people.
        seconds: that asking took.
    """

    golden: str
    found: Mapping[str, bool]
    questions: Mapping[str, str]
    seconds: float

    @property
    def recall(self) -> float:
        """Share of the questions that were found (0..1); 1 when there are none."""
        return sum(self.found.values()) / len(self.found) if self.found else 1.0


class Probe(Protocol):
    """Golden questions that can be asked of an index."""

    def prepare(self, paths: Collection[str]) -> bool:
        """Read the questions; `paths`: all paths of the notes. False: there is nothing to ask.

        Raises InputError when the questions are faulty, which is before anything is embedded.
        """

    def __call__(self, index: Index) -> Probed:
        """Ask them."""


def lost_questions(before: Probed, after: Probed) -> list[str]:
    """Questions found before and not any more, as `id "question"`."""
    return [
        f'{key} "{after.questions[key]}"'
        for key, found in after.found.items()
        if not found and before.found.get(key, False)
    ]
