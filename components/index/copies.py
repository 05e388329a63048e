"""Hits that say the same: the newest current one is preferred, and copies do not fill the context.

Two hits are **alike** from 80 % of common word triples on (Jaccard), **copies** from 90 % on where their figures are
the same. Of copies one is kept in its place and the others keep a quarter of their score. Of others that are alike,
from different notes, the one that holds (current, then newer) takes the better place, unless the question has a word
or figure that only the older one has: "quanto a gennaio?" wants January's report, not the newest.

**Not caught**: the same said in other words; a short passage within a long one; false copies with a newer date, which
are preferred as true ones are (the older one stays in the results).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from typing import TypeVar

from components.index.ranking import Candidate
from components.index.shingles import Shingles, words_of

__all__ = ["copies_last"]

Key = TypeVar("Key")

_ALIKE = 0.8
_COPIES = 0.9
_COPY_KEEPS = 0.25
_LOOKED_AT = 40
"""Best hits that are compared; more than a context takes."""


def copies_last(
    scores: Mapping[Key, float], candidates: Mapping[Key, Candidate], *, asked: str, newest_first: bool = True
) -> dict[Key, float]:
    """Scores in which one of several hits that say the same stands for them.

    `asked`: the question's content words. `newest_first=False`, for a question about the past: those that are alike
    keep their order.
    """
    best_first = sorted(scores, key=lambda key: -scores[key])[:_LOOKED_AT]
    pairs = _alike({key: candidates[key].shingles for key in best_first})
    if not pairs:
        return dict(scores)
    words = {key: words_of(candidates[key].text) for pair in pairs for key in pair}
    question = set(asked.casefold().split())
    out = dict(scores)
    copy_of: dict[Key, Key] = {}
    for (one, other), similarity in sorted(pairs.items(), key=lambda item: -item[1]):
        one, other = copy_of.get(one, one), copy_of.get(other, other)
        if one == other:
            continue
        kept, left = _better(one, other, out, candidates)
        if similarity >= _COPIES and _figures(words[one]) == _figures(words[other]):
            out[kept] = max(out[kept], out[left])
            copy_of |= {key: kept for key, value in copy_of.items() if value == left}
            copy_of[left] = kept
        elif (
            newest_first
            and candidates[kept].path != candidates[left].path
            and not question & (set(words[left]) - set(words[kept]))
        ):
            best = max(out[kept], out[left])
            out[kept], out[left] = best, min(out[left], 0.99 * best)
    return out | {key: _COPY_KEEPS * scores[key] for key in copy_of}


def _alike(shingles: Mapping[Key, Shingles]) -> dict[tuple[Key, Key], float]:
    """Pairs of keys and how much they share, 0.8..1; only those are compared that may share so much."""
    places = {key: place for place, key in enumerate(shingles)}
    holders: dict[int, list[Key]] = {}
    for key, found in shingles.items():
        for triple in found.prefix(_ALIKE):
            holders.setdefault(triple, []).append(key)
    near = {pair for keys in holders.values() if len(keys) > 1 for pair in combinations(keys, 2)}
    out = {}
    for one, other in sorted(near, key=lambda pair: (places[pair[0]], places[pair[1]])):
        similarity = shingles[one].resemblance(shingles[other])
        if similarity >= _ALIKE:
            out[one, other] = similarity
    return out


def _figures(words: list[str]) -> Counter[str]:
    return Counter(word for word in words if any(letter.isdigit() for letter in word))


def _better(one: Key, other: Key, scores: Mapping[Key, float], candidates: Mapping[Key, Candidate]) -> tuple[Key, Key]:
    """The one that holds first: current, then newer, then better found."""

    def rank(key: Key) -> tuple[bool, str, float, str]:
        note = candidates[key]
        return note.status == "current", note.date or "", scores[key], note.path

    return (one, other) if rank(one) >= rank(other) else (other, one)
