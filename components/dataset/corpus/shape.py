"""What a corpus is as a whole: prompts, languages, lengths, stages, openings; told as info, once each (E5-E9).

These say what a person should look at, not what is wrong: a set in two languages may be meant so. They are silent below
`FEW` conversations, where shares mean nothing.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from components.dataset.checks.language import NAMES
from components.dataset.checks.provenance import stage_of
from components.dataset.conversation import ROLES, Conversation
from components.dataset.corpus.leaks import source_note
from components.dataset.findings import Hit
from components.dataset.reports.distributions import quantiles

__all__ = ["FEW", "Shape", "packed"]

FEW = 20
_SAME_OPENING = 0.2
"""Share of the answers that may begin alike."""
_ONE_SOURCE = 0.2
"""Share of the examples that may come from one note."""
_RARE = 0.02
"""Share below which a language is told row by row: so few are mostly mistakes."""
_MANY = 100_000
_BREAK = re.compile(r"[.!?:;,\n…—]")
_WORD = re.compile(r"[^\W_][\w'’]*")


class Place(NamedTuple):
    """Where a conversation stands."""

    file: int
    line: int | None
    conversation: int | None


class Shape:
    """Counts of a corpus, a conversation at a time; nothing of the conversations is kept."""

    def __init__(self) -> None:
        self._rows = 0
        self._files: set[int] = set()
        self._prompts: Counter[int] = Counter()
        self._turns: Counter[int] = Counter()
        self._exchanges: Counter[int] = Counter()
        self._roles: Counter[str] = Counter()
        self._languages: Counter[str] = Counter()
        self._rare: dict[str, list[Place]] = {}
        self._stages: Counter[str] = Counter()
        self._sources: Counter[str] = Counter()
        self._openings: Counter[str] = Counter()
        self._answers = 0
        self._letters = array("q")
        self._tokens = array("q")
        self._trainable = array("q")

    def add(
        self, conversation: Conversation, place: Place, *, roles: Sequence[str], texts: Sequence[str],
        language: str | None, tokens: int | None, trainable: int | None,
    ) -> None:  # fmt: skip
        """Count a conversation.

        Args:
            conversation: not kept.
            place: where it stands.
            roles: of its turns; empty for what is no text.
            texts: of its turns; empty for what is no text.
            language: code of its answers' language; None: not known.
            tokens: as the model reads it; None: not known.
            trainable: tokens that carry loss.
        """
        self._rows += 1
        self._files.add(place.file)
        self._prompts[hash(conversation.system_text().strip())] += 1
        self._turns[len(roles)] += 1
        self._roles.update(role if role in ROLES else "other" for role in roles)
        human, letters = roles.count("human"), 0
        for role, text in zip(roles, texts, strict=True):
            if role == "gpt" and text:
                letters += len(text)
                self._answers += 1
                self._openings[opening(text)] += 1
        if len(self._openings) > _MANY:
            self._openings = Counter({words: count for words, count in self._openings.items() if count > 1})
        self._exchanges[human] += 1
        self._letters.append(letters)
        if language is not None:
            self._languages[language] += 1
            seen = self._rare.setdefault(language, [])
            if len(seen) < FEW:
                seen.append(place)
        if (stage := stage_of(conversation)) is not None:
            self._stages[stage] += 1
        if (note := source_note(conversation)) is not None:
            self._sources[note] += 1
        if tokens is not None:
            self._tokens.append(tokens)
            self._trainable.append(trainable or 0)

    def hits(self, *, targets: Mapping[str, int] | None = None) -> Iterator[tuple[Place, Hit]]:
        """E5 to E9. `targets`: stage -> examples it should have; looked at where any row has a stage."""
        whole = Place(0, None, None)
        yield from self._languages_mixed(whole)
        for hit in (self._prompts_differ(), self._all_alike(), self._stages_short(targets), self._same_openings()):
            if hit is not None:
                yield whole, hit

    def statistics(self, *, max_tokens: int | None = None) -> dict[str, Any]:
        """Distributions, JSON values only. `max_tokens`: of a packed sequence."""
        found: dict[str, Any] = {
            "conversations": self._rows,
            "turns": {str(turns): count for turns, count in sorted(self._turns.items())[:FEW]},
            "roles": dict(self._roles.most_common()),
            "languages": dict(self._languages.most_common()),
            "stages": dict(self._stages.most_common()),
            "sources": len(self._sources),
            "largest_sources": dict(self._sources.most_common(10)),
            "system_prompts": len(self._prompts) - (self._empty_prompts() > 0),
            "without_system_prompt": self._empty_prompts(),
            "openings": dict(self._openings.most_common(10)),
            "answers": self._answers,
            "tokens": {**quantiles(self._tokens), "total": sum(self._tokens)},
            "trainable": {**quantiles(self._trainable), "total": sum(self._trainable)},
        }
        if max_tokens is not None:
            fitting = [tokens for tokens in self._tokens if tokens <= max_tokens]
            sequences = packed(fitting, max_tokens)
            found["packing"] = {
                "max_tokens": max_tokens,
                "sequences": sequences,
                "fill": round(sum(fitting) / (sequences * max_tokens), 3) if sequences else None,
                "too_long": len(self._tokens) - len(fitting),
            }
        return found

    def _empty_prompts(self) -> int:
        return self._prompts[hash("")]

    def _prompts_differ(self) -> Hit | None:
        without = self._empty_prompts()
        kinds = len(self._prompts) - (without > 0)
        if kinds < 1 or (kinds == 1 and not without):
            return None
        most = max(count for prompt, count in self._prompts.items() if prompt != hash(""))
        parts = [f"{kinds} different system prompts, the most frequent in {most} of {self._rows} conversations"]
        if kinds == 1:
            parts = [f"the same system prompt in {most} of {self._rows} conversations"]
        return Hit("E5", "; ".join([*parts, *([f"{without} have none"] if without else [])]))

    def _languages_mixed(self, whole: Place) -> Iterator[tuple[Place, Hit]]:
        total = sum(self._languages.values())
        if total < FEW or len(self._languages) < 2:
            return
        (main, most), *_ = ranked = self._languages.most_common()
        of_all = " of all files together" if len(self._files) > 1 else ""
        share = f"{most} of {total} conversations{of_all} are in {_name(main)}"
        mixed = []
        for language, count in ranked[1:]:
            if count <= max(1, _RARE * total) and count == len(self._rare[language]):
                for place in self._rare[language]:
                    yield place, Hit("E6", f"this one is in {_name(language)}; {share}")
            else:
                mixed.append(f"{count} in {_name(language)}")
        if mixed:
            yield whole, Hit("E6", f"{share}, {', '.join(mixed)}")

    def _all_alike(self) -> Hit | None:
        if self._rows < FEW:
            return None
        if len(self._exchanges) == 1:
            (exchanges,) = self._exchanges
            return Hit("E7", f"each of {self._rows} conversations has {exchanges} question" + "s" * (exchanges != 1))
        letters = sorted(self._letters)
        low, high = letters[len(letters) // 20], letters[-1 - len(letters) // 20]
        if 0 < high < 1.5 * low:
            return Hit("E7", f"nine in ten have answers of {low} to {high} characters")
        return None

    def _stages_short(self, targets: Mapping[str, int] | None) -> Hit | None:
        parts = []
        if targets and self._stages:
            parts = [
                f"{stage} has {self._stages[stage]} of {wanted}"
                for stage, wanted in targets.items()
                if self._stages[stage] < wanted
            ]
        if self._rows >= FEW and self._sources:
            note, count = self._sources.most_common(1)[0]
            if count > _ONE_SOURCE * self._rows:
                parts.append(f"{count} of {self._rows} examples come from {note}")
        return Hit("E8", "; ".join(parts)) if parts else None

    def _same_openings(self) -> Hit | None:
        if self._answers < FEW:
            return None
        often = [
            f'{count} of {self._answers} answers begin with "{words}"'
            for words, count in self._openings.most_common(5)
            if words and count > _SAME_OPENING * self._answers
        ]
        return Hit("E9", "; ".join(often)) if often else None


def _name(language: str) -> str:
    return NAMES.get(language, language)


def opening(text: str) -> str:
    """The words before the first punctuation mark, three at most, in small letters: `certo`, `la ricetta è`."""
    head = text[:200].lstrip()[:60]
    stop = _BREAK.search(head)
    words = _WORD.findall(head[: stop.start()] if stop else head)
    return " ".join(words[:3]).casefold()


def packed(lengths: Iterable[int], size: int) -> int:
    """How many sequences of `size` tokens hold texts of these lengths: the longest first, each where it fits best."""
    room: list[int] = []  # what is left in sequences that are not full: each amount once, in order
    often: Counter[int] = Counter()
    count = 0
    for length in sorted(lengths, reverse=True):
        at = bisect_left(room, length)
        if at < len(room):
            before = room[at]
            often[before] -= 1
            if not often[before]:
                del room[at]
        else:
            before = size
            count += 1
        left = before - length
        if not often[left]:
            insort(room, left)
        often[left] += 1
    return count
