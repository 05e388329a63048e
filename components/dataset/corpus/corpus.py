"""The corpus as a whole: ids, duplicates, contradictions, leaks, shape (A7, E1-E9), in one pass and little memory.

**Exact** (E1): equal once folded (`folded`: case, punctuation and white space aside), all turns but the system's.
**Near** (E2): 0.8 of the shingles of these turns in common (`near`). **Contradiction** (E3): the same first question,
system prompt and tools, and another first answer; a question below `SHORT` letters, or below `_OPENS` where the
conversation goes on, is a greeting or opens a talk, and may be answered in many ways. **Leak** (E4): see `leaks`; of
held-out conversations also those that are the same, or nearly, as a whole.

**Not caught**: what `near` and `leaks` do not catch; contradictions between questions that differ in a word; what
stands beyond the first 200,000 letters of a turn.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from components.dataset.conversation import ASSISTANT_ROLES, Conversation
from components.dataset.corpus.folded import Folded, fold, windows
from components.dataset.corpus.leaks import SHORT, Golden, Leaks, Said
from components.dataset.corpus.near import LONGEST, Pair, Texts, spoken
from components.dataset.corpus.shape import Place, Shape
from components.dataset.findings import Hit
from components.sncp.minhash import mixed

__all__ = ["Corpus"]

_OPENS = 40
"""Letters of a first question that stands for itself though the conversation goes on: above `hi i need some help with
my taxes`."""
_BATCH, _LETTERS = 64, 500_000
_NAMED = 64  # characters of an id that is kept as it is


class Corpus:
    """Takes conversations one at a time, keeps sketches and digests, and tells at the end what they are together.

    Args:
        targets: stage -> examples that it should have; None: not looked at.
        golden: questions that no example may hold.
        held_out: (name of its file, conversation) that no example may be like.
        names: of the files, to be named in messages; else they are numbered from 1.
        origins: (file, line or None) of each conversation in the order in which they are added, where messages shall
            name another place than the file that is read.
    """

    def __init__(
        self, *, targets: Mapping[str, int] | None = None, golden: Sequence[Golden] = (),
        held_out: Iterable[tuple[str, Conversation]] = (), names: Sequence[str] = (),
        origins: Sequence[tuple[str, int | None]] | None = None,
    ) -> None:  # fmt: skip
        self._targets, self._names, self._origins = targets, names, origins
        self._shape = Shape()
        self._texts = Texts()
        held = list(held_out)
        self._leaks = Leaks(golden, held)
        self._held = [f"{name}:{conversation.line}" for name, conversation in held]
        for start in range(0, len(held), _BATCH):
            self._texts.add_all([spoken(conversation) for _, conversation in held[start : start + _BATCH]])
        # Of each row: file, line, position in the file, what its prompt and tools are.
        self._files, self._lines, self._indices, self._contexts = array("q"), array("q"), array("q"), array("q")
        self._ids: dict[tuple[int, str | int], int] = {}
        self._without_id = array("q")
        self._with_id: Counter[int] = Counter()
        self._equal: dict[int, int] = {}
        """Row -> position of the first text that is equal."""
        self._asked: dict[int, int] = {}
        self._answers = array("q")
        self._other_answer: list[tuple[int, int]] = []
        self._found: list[tuple[int, Hit]] = []
        self._waiting: list[tuple[list[str], list[str]]] = []
        """(roles, texts) of the turns"""
        self._letters = 0

    def add(
        self, conversation: Conversation, *, file: int = 0, language: str | None = None, tokens: int | None = None,
        trainable: int | None = None,
    ) -> None:  # fmt: skip
        """Take in a conversation of a file, in any state.

        Args:
            conversation: not kept beyond the next few.
            file: position of its file.
            language: code of its answers' language; None: not known.
            tokens: as the model reads it; None: not known.
            trainable: tokens that carry loss.
        """
        row = len(self._files)
        self._files.append(file)
        self._lines.append(conversation.line)
        self._indices.append(conversation.index)
        self._contexts.append(hash((conversation.system_text(), _tools(conversation))))
        self._answers.append(0)
        self._identify(row, conversation.id)
        if (hit := self._leaks.note_hit(conversation)) is not None:
            self._found.append((row, hit))
        place = Place(file, conversation.line, conversation.index)
        turns = conversation.turns or ()
        roles = [role if isinstance(role := turn.role, str) else "" for turn in turns]
        texts = [text if isinstance(text := turn.value, str) else "" for turn in turns]
        self._shape.add(
            conversation, place, roles=roles, texts=texts, language=language, tokens=tokens, trainable=trainable
        )
        self._waiting.append((roles, texts))
        self._letters += sum(map(len, texts))
        if len(self._waiting) >= _BATCH or self._letters >= _LETTERS:
            self._compare()

    def finish(self) -> Iterator[tuple[int, int | None, int | None, Hit]]:
        """(file, line, position in the file, hit), row by row, then of the corpus; once, when all are added."""
        self._compare()
        for row, hit in sorted([*self._found, *self._unnamed(), *self._same()], key=lambda found: found[0]):
            yield self._files[row], self._lines[row], self._indices[row], hit
        for place, hit in self._shape.hits(targets=self._targets):
            yield *place, hit
        self._texts.close()

    def statistics(self, *, max_tokens: int | None = None) -> dict[str, Any]:
        """Distributions as JSON values; with `max_tokens` also how they pack into sequences of so many."""
        return self._shape.statistics(max_tokens=max_tokens)

    def _identify(self, row: int, value: Any) -> None:
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            key = value if isinstance(value, int) or len(value) <= _NAMED else f"{value[:_NAMED]}{hash(value)}"
            self._with_id[self._files[row]] += 1
            first = self._ids.setdefault((self._files[row], key), row)
            if first != row:
                shown = value if isinstance(value, str) and len(value) <= _NAMED else str(key)[:_NAMED]
                self._found.append((row, Hit("A7", f"the id {shown} is that of {self._where(first, row)} as well")))
        elif value is None or value == "" or not isinstance(value, str | int | float | list | dict | bool):
            self._without_id.append(row)
        else:
            kind = {bool: "boolean", float: "number with a point", list: "list", dict: "object"}[type(value)]
            self._found.append((row, Hit("A7", f"the id is a {kind}; expected a text or a whole number")))

    def _unnamed(self) -> Iterator[tuple[int, Hit]]:
        for row in self._without_id:
            if named := self._with_id[self._files[row]]:
                yield row, Hit("A7", f"no id, though {named} other rows of the file have one")

    def _compare(self) -> None:
        """Compare the waiting conversations with all before them, and let them go."""
        texts: list[str] = []
        said: list[Said] = []
        bounds = [0]
        for at, (roles, own) in enumerate(self._waiting):
            first = True
            for turn, role in enumerate(roles):
                if role == "system":
                    continue
                if role == "human":
                    said.append(Said(at, turn, True, first, len(texts)))
                    first = False
                elif role in ASSISTANT_ROLES:
                    said.append(Said(at, turn, False, False, len(texts)))
                texts.append(own[turn][:LONGEST])
            bounds.append(len(texts))
        folded = fold(texts)
        hashes = mixed(windows(folded.codes))
        begin = len(self._files) - len(self._waiting)
        spans = [folded.span(start, end) for start, end in zip(bounds, bounds[1:], strict=False)]
        for at, equal in enumerate(self._texts.add(folded, spans, hashes)):
            if equal is not None and equal != begin + at + len(self._held):
                self._equal[begin + at] = equal
        self._found += [(begin + at, hit) for at, hit in self._leaks.hits(folded, said, hashes)]
        self._contradict(folded, said, bounds, begin)
        self._waiting, self._letters = [], 0

    def _contradict(self, folded: Folded, said: Sequence[Said], bounds: Sequence[int], begin: int) -> None:
        for at, question in enumerate(said):
            if not question.first:
                continue
            row = begin + question.row
            next_ = at + 1
            while next_ < len(said) and said[next_].row == question.row and not said[next_].user:
                next_ += 1
            following = next_ < len(said) and said[next_].row == question.row
            answer = folded.span(question.at + 1, said[next_].at if following else bounds[question.row + 1])
            start, stop = folded.starts[question.at], folded.ends[question.at]
            if stop - start < (_OPENS if following else SHORT) or answer[0] == answer[1]:
                continue
            self._answers[row] = hash(folded.digest(*answer))
            first = self._asked.setdefault(hash((folded.digest(start, stop), self._contexts[row])), row)
            if self._answers[first] != self._answers[row]:
                self._other_answer.append((row, first))

    def _same(self) -> Iterator[tuple[int, Hit]]:
        """E1 to E4 of whole conversations."""
        held = len(self._held)
        leaks: dict[int, tuple[int, float]] = {}
        best: dict[int, Pair] = {}
        near: set[tuple[int, int]] = set()
        for pair in self._texts.pairs(apart=held):
            row = pair.other - held
            if pair.one < held:
                if pair.similarity > leaks.get(row, (0, 0.0))[1]:
                    leaks[row] = pair.one, pair.similarity
                continue
            near.add((row, pair.one - held))
            if row not in best or pair.similarity > best[row].similarity:
                best[row] = pair
        for row, equal in self._equal.items():
            first = equal - held
            if first < 0:
                yield row, Hit("E4", f"is the held-out conversation {self._held[equal]}")
                continue
            near |= {(row, first)}
            if first in leaks:
                leaks[row] = leaks[first]
            but = "" if self._contexts[first] == self._contexts[row] else "; only the system prompt or the tools differ"
            yield row, Hit("E1", f"says the same as {self._where(first, row)}{but}")
        for row, (one, similarity) in leaks.items():
            yield row, Hit("E4", f"is to {_share(similarity)} the held-out conversation {self._held[one]}")
        for row, pair in best.items():
            yield row, Hit("E2", f"is to {_share(pair.similarity)} the same as {self._where(pair.one - held, row)}")
        for row, first in self._other_answer:
            if (row, first) not in near:
                yield row, Hit("E3", f"answers the first question of {self._where(first, row)} in another way")

    def _where(self, row: int, seen_from: int) -> str:
        if self._origins is not None:
            (file_name, number), (here, _) = self._origins[row], self._origins[seen_from]
            place = "one" if number is None else f"line {number}"
            return place if file_name == here and number is not None else f"{place} of {file_name}"
        file, line = self._files[row], f"line {self._lines[row]}"
        if file == self._files[seen_from]:
            return line
        return f"{line} of {self._names[file] if file < len(self._names) else f'file {file + 1}'}"


def _share(similarity: float) -> str:
    return f"{min(int(similarity * 100), 99)}%"


def _tools(conversation: Conversation) -> str:
    if isinstance(conversation.tools, str):
        return conversation.tools
    try:
        return repr(conversation.tools) if conversation.tools else ""
    except RecursionError:
        return "nested too deep"
