"""E4, one conversation at a time: what is held out (golden questions, validation) and stands in training data as well.

A **golden question** leaks where a user turn asks it, word for word or nearly (0.8 of the shingles), alone or within a
longer turn; and where its answer or its evidence stands word for word in the answer to a question that is like it. An
example that comes from the note that answers a golden question is **not** a leak: to teach the notes is what examples
are for. The answer of a golden question under another question is told as a warning: somebody wrote it for the golden
set.

A **held-out conversation** leaks where a conversation of the training data begins with the same question or nearly,
comes from the same note, or is nearly the same as a whole (told by `corpus`, found by `near`). What is
shorter than `SHORT` letters is a greeting or says nothing by itself, and is no question here.

**Not caught**: questions in other words or another language; answers and evidence below 25 letters, or with a word
changed. What is held out never changes: train shrinks.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from components.dataset.checks.provenance import provenance_of
from components.dataset.conversation import Conversation
from components.dataset.corpus.folded import SIZE, Folded, fold, windows
from components.dataset.corpus.near import ALIKE, shingles
from components.dataset.findings import Hit, Severity
from components.sncp.minhash import mixed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SHORT", "Golden", "Leaks", "Said", "source_note"]

SHORT = 16
"""Letters of a folded question from which on it says enough to be compared: above `buongiorno`, below `come ti chiami?
e quanti anni hai?`."""
_LONG = SIZE * SIZE
"""Letters of a text that is looked for within others; as many as two rounds of `windows` cover."""
_SAME_QUESTION = 0.4
"""Share of the shingles of the shorter one from which on two questions are taken to ask for the same."""
_BITS = 1 << 21


class Golden(Protocol):
    """A golden question, as `components.evaluate` reads it."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def question(self) -> str:
        """As a person asks it."""

    @property
    def evidence(self) -> str:
        """What a note says, or nothing."""

    @property
    def answer(self) -> str:
        """As a person would answer, or nothing."""


class Said(NamedTuple):
    """A turn of a batch of conversations."""

    row: int
    """Position of the conversation in the batch."""
    turn: int
    """Position of the turn in the conversation."""
    user: bool
    first: bool
    """The first that the user says."""
    at: int
    """Position of its text in `Folded`."""


@dataclass
class _Known:
    """A question that is held out. `label`: how it is told. `anywhere`: not only where it begins a conversation."""

    label: str
    codes: NDArray[np.uint32]
    shingles: NDArray[np.uint64]
    anywhere: bool


@dataclass
class _Needle:
    """A text that is looked for within others. `question`: position of the golden question that it belongs to."""

    what: str
    question: int
    codes: NDArray[np.uint32]


@dataclass
class Leaks:
    """All that is held out, ready to be looked for."""

    golden: Sequence[Golden] = ()
    held_out: Iterable[tuple[str, Conversation]] = ()
    """(name of its file, conversation)"""
    _known: list[_Known] = field(default_factory=list, init=False)
    _exact: dict[bytes, list[int]] = field(default_factory=dict, init=False)
    _needles: dict[int, list[_Needle]] = field(default_factory=dict, init=False)
    _notes: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        import numpy as np

        needles: list[tuple[str, int, str]] = []
        for golden in self.golden:
            number = len(self._known)
            self._know(f"golden question {golden.id}", golden.question, anywhere=True, least=1)
            if len(self._known) > number:
                needles += [("question", number, golden.question), ("answer", number, golden.answer)]
                needles += [("evidence", number, golden.evidence)]
        for name, conversation in self.held_out:
            place = f"{name}:{conversation.line}"
            self._know(f"question of {place}", conversation.first_user_text(), anywhere=False, least=SHORT)
            note = source_note(conversation)
            if note is not None:
                self._notes.setdefault(note, place)
        for what, number, text in needles:
            codes = fold([text]).codes_of(0)
            if len(codes) >= _LONG:
                anchor = int(_anchors(codes)[0])
                self._needles.setdefault(anchor, []).append(_Needle(what, number, codes))
        self._likely = np.zeros(_BITS, dtype=bool)
        for known in self._known:
            self._likely[(known.shingles % np.uint64(_BITS)).astype(np.int64)] = True
        self._members = np.concatenate([np.empty(0, np.uint64), *(known.shingles for known in self._known)])
        self._owners = np.repeat(np.arange(len(self._known)), [len(known.shingles) for known in self._known])
        order = np.argsort(self._members, kind="stable")
        self._members, self._owners = self._members[order], self._owners[order]
        self._anchored = np.zeros(_BITS, dtype=bool)
        self._anchored[[anchor % _BITS for anchor in self._needles]] = True

    def _know(self, label: str, question: str, *, anywhere: bool, least: int) -> None:
        codes = fold([question]).codes_of(0)
        if len(codes) >= least:
            self._exact.setdefault(codes.tobytes(), []).append(len(self._known))
            self._known.append(_Known(label, codes, shingles(codes), anywhere))

    def note_hit(self, conversation: Conversation) -> Hit | None:
        """A hit where the conversation comes from a note that a held-out one comes from."""
        note = source_note(conversation) if self._notes else None
        if note is None or note not in self._notes:
            return None
        return Hit("E4", f"comes from the note {note}, as the held-out {self._notes[note]} does")

    def hits(self, folded: Folded, said: Sequence[Said], hashes: NDArray[np.uint64]) -> Iterator[tuple[int, Hit]]:
        """(conversation of the batch, hit) for a batch of turns. `hashes`: `mixed(windows(folded.codes))`."""
        if not self._known:
            return
        told: set[tuple[int, int]] = set()
        found = sorted(self._found(folded, said, hashes), key=lambda one: one[-1] is not None)  # the worst first
        for row, turn, number, what, severity in found:
            if (row, number) not in told:
                told.add((row, number))
                yield row, Hit("E4", f"{what} {self._known[number].label}", turn, severity=severity)

    def _found(
        self, folded: Folded, said: Sequence[Said], hashes: NDArray[np.uint64]
    ) -> Iterator[tuple[int, int, int, str, Severity | None]]:
        import numpy as np

        likely = np.append(0, np.cumsum(self._likely[(hashes % np.uint64(_BITS)).astype(np.int64)]))
        for one in said:
            start, end = folded.starts[one.at], folded.ends[one.at]
            if not one.user or start == end:
                continue
            equal = self._exact.get(folded.codes_of(one.at).tobytes(), ())
            for number in equal:
                if one.first or self._known[number].anywhere:
                    yield one.row, one.turn, number, "is the", None
            size = end - start - SIZE + 1
            if size > 0 and likely[end - SIZE + 1] - likely[start] >= size / 2:
                for number, similarity in self._alike(folded.codes_of(one.at)):
                    if similarity >= ALIKE and (one.first or self._known[number].anywhere):
                        yield one.row, one.turn, number, f"is to {similarity:.0%} the", None
        if self._needles:
            yield from self._verbatim(folded, said, hashes)

    def _alike(self, codes: NDArray[np.uint32], *, of_shorter: bool = False) -> Iterator[tuple[int, float]]:
        """(question, similarity) of each that has a shingle in common with the text."""
        import numpy as np

        own = shingles(codes)
        first = np.searchsorted(self._members, own, side="left")
        last = np.searchsorted(self._members, own, side="right")
        hit = first < last
        owners = [self._owners[start:end] for start, end in zip(first[hit], last[hit], strict=True)]
        common = np.bincount(np.concatenate(owners), minlength=0) if owners else np.empty(0, np.int64)
        for number in np.flatnonzero(common).tolist():
            size, both = len(self._known[number].shingles), int(common[number])
            yield number, both / (min(size, len(own)) if of_shorter else size + len(own) - both)

    def _verbatim(
        self, folded: Folded, said: Sequence[Said], hashes: NDArray[np.uint64]
    ) -> Iterator[tuple[int, int, int, str, Severity | None]]:
        import numpy as np

        anchors = mixed(windows(hashes, step=SIZE))
        places = np.flatnonzero(self._anchored[(anchors % np.uint64(_BITS)).astype(np.int64)])
        if not len(places):
            return
        ends = np.array([folded.ends[one.at] for one in said], dtype=np.int64)
        seen: set[tuple[int, int]] = set()  # (turn, needle): once is enough, however often it stands there
        for place in places.tolist():
            for needle in self._needles.get(int(anchors[place]), ()):
                index = int(np.searchsorted(ends, place, side="right"))
                one = said[index] if index < len(said) else None
                if one is None or (index, id(needle)) in seen or not _stands(folded, one.at, place, needle.codes):
                    continue
                seen.add((index, id(needle)))
                if needle.what == "question" and one.user:
                    yield one.row, one.turn, needle.question, "asks, within a longer turn, the", None
                elif needle.what != "question" and not one.user:
                    asked = self._asked(folded, said, index, needle.question)
                    if asked or needle.what == "answer":
                        how = "to a question that is like it" if asked else "to another question"
                        said_so = f"answers, {how}, with the {needle.what}, word for word, of the"
                        yield one.row, one.turn, needle.question, said_so, None if asked else "warning"

    def _asked(self, folded: Folded, said: Sequence[Said], index: int, number: int) -> bool:
        """Whether the user turn before this turn asks for what the golden question asks for."""
        row = said[index].row
        while index >= 0 and said[index].row == row:
            if said[index].user:
                alike = dict(self._alike(folded.codes_of(said[index].at), of_shorter=True))
                return alike.get(number, 0.0) >= _SAME_QUESTION
            index -= 1
        return False


def source_note(conversation: Conversation) -> str | None:
    """Path of the note that a conversation comes from, or None."""
    note = provenance_of(conversation).note if "provenance" in conversation.extra else None
    return unicodedata.normalize("NFC", note.strip()) or None if note else None


def _anchors(codes: NDArray[np.uint32]) -> NDArray[np.uint64]:
    return mixed(windows(mixed(windows(codes)), step=SIZE))


def _stands(folded: Folded, at: int, place: int, needle: NDArray[np.uint32]) -> bool:
    """Whether the text stands there, whole words, within the turn."""
    start, end = folded.starts[at], folded.ends[at]
    stop = place + len(needle)
    if place < start or stop > end or (folded.codes[place:stop] != needle).any():
        return False
    return (place == start or folded.codes[place - 1] == 32) and (stop == end or folded.codes[stop] == 32)
