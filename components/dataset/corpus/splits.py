"""Which examples are held out: the same ones whatever their order, with nothing of what they say on the other side.

Examples belong together, directly or through others, where they come from one note, are equal or nearly (`near`), or
begin with the same question or nearly; a group is never divided. So the training side has no leak (E4) of the other.

Within each stratum (stage and kind of origin of most of a group) the groups stand in the order of a keyed hash, of
their note or else of their text, and are held out one after the other as long as they fit what the stratum owes. When
an example is added, other strata stay as they are, and in its own no more than about twice the largest group changes
side; which ones does not depend on where it was added.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from typing import Any

from components.dataset.checks.provenance import provenance_of, stage_of
from components.dataset.conversation import Conversation
from components.dataset.corpus.folded import fold
from components.dataset.corpus.leaks import SHORT, source_note
from components.dataset.corpus.near import Texts, clusters, spoken

__all__ = ["Split", "split"]

_SOME = 10
"""Examples from which on at least one is held out."""
_BATCH = 256


@dataclass(frozen=True)
class Split:
    """Positions of the examples on each side, in order. `report`: rows, groups, strata with what was wanted and got."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    report: dict[str, Any]


def split(conversations: Sequence[Conversation], *, share: float, seed: int) -> Split:
    """Divide the examples.

    Args:
        conversations: all of them; their order plays no part.
        share: of the examples that is held out, 0 to below 1. A group too large for it stays in training, so less may
            be held out than wanted; `report` says so.
        seed: another seed is another split.
    """
    groups = _groups(conversations, seed)
    owing: dict[str, list[_Group]] = defaultdict(list)
    for group in groups:
        owing[group.stratum].append(group)
    held: list[_Group] = []
    strata: dict[str, dict[str, Any]] = {}
    for stratum, members in sorted(owing.items()):
        count = sum(len(group.rows) for group in members)
        # Rounded up or down by chance, the stratum's own, so that small strata come out right together.
        left = owed = int(share * count + _uniform(stratum, seed))
        for group in sorted(members, key=lambda group: group.order):
            if share > 0 and len(group.rows) <= left:
                left -= len(group.rows)
                held.append(group)
        strata[stratum] = {"rows": count, "groups": len(members), "wanted": round(share * count, 2), "got": owed - left}
    if share > 0 and not held and len(conversations) >= _SOME and len(groups) > 1:
        held = [min(groups, key=lambda group: (len(group.rows), group.order))]
        strata[held[0].stratum]["got"] = len(held[0].rows)
    if len(held) == len(groups):
        held = []
        for counts in strata.values():
            counts["got"] = 0
    out = {row for group in held for row in group.rows}
    rows = range(len(conversations))
    return Split(
        train=tuple(row for row in rows if row not in out),
        validation=tuple(sorted(out)),
        report={
            "rows": len(conversations), "train": len(conversations) - len(out), "validation": len(out),
            "groups": len(groups), "largest_group": max((len(group.rows) for group in groups), default=0),
            "groups_held_out": len(held), "share": share, "seed": seed, "strata": strata,
        },
    )  # fmt: skip


@dataclass(frozen=True)
class _Group:
    rows: tuple[int, ...]
    stratum: str
    order: bytes


def _groups(conversations: Sequence[Conversation], seed: int) -> list[_Group]:
    """The examples that belong together."""
    digests = [blake2b(spoken(one).encode(errors="surrogatepass"), digest_size=16).digest() for one in conversations]
    notes = [source_note(one) for one in conversations]
    # Compared in an order of their own: where very many are alike, it plays a part in what is compared.
    ranked = sorted(range(len(conversations)), key=lambda row: (digests[row], notes[row] or ""))
    by_note: dict[str, int] = {}
    same_note = [
        (by_note.setdefault(note, rank), rank) for rank, row in enumerate(ranked) if (note := notes[row]) is not None
    ]
    roots = clusters(
        len(ranked),
        chain(
            same_note,
            _alike([conversations[row] for row in ranked], of_question=False),
            _alike([conversations[row] for row in ranked], of_question=True),
        ),
    )
    members: dict[int, list[int]] = defaultdict(list)
    for rank, root in enumerate(roots):
        members[root].append(ranked[rank])
    return [_group(rows, conversations, notes, digests, seed) for rows in members.values()]


def _group(
    rows: Sequence[int], conversations: Sequence[Conversation], notes: Sequence[str | None], digests: Sequence[bytes],
    seed: int,
) -> _Group:  # fmt: skip
    strata = Counter(_stratum(conversations[row]) for row in rows)
    most = min(strata, key=lambda stratum: (-strata[stratum], stratum))
    # By its note where it has one: an example more from the note moves nothing.
    named = [note.encode(errors="surrogatepass") for row in rows if (note := notes[row]) is not None]
    order = min(_keyed(name, seed) for name in named or [digests[row] for row in rows])
    return _Group(tuple(rows), most, order)


def _alike(conversations: Sequence[Conversation], *, of_question: bool) -> Iterator[tuple[int, int]]:
    """Pairs of positions that say the same or nearly, or begin with nearly the same question."""
    texts = Texts()
    firsts: list[int | None] = []
    for start in range(0, len(conversations), _BATCH):
        batch = conversations[start : start + _BATCH]
        firsts += texts.add_all([_question(one) if of_question else spoken(one) for one in batch])
    yield from ((first, at) for at, first in enumerate(firsts) if first is not None)
    yield from ((pair.one, pair.other) for pair in texts.pairs())
    texts.close()


def _question(conversation: Conversation) -> str:
    """The first question where it says enough to be compared, else nothing."""
    text = conversation.first_user_text()
    return text if len(fold([text]).codes_of(0)) >= SHORT else ""


def _stratum(conversation: Conversation) -> str:
    return f"{stage_of(conversation) or 'no stage'}/{provenance_of(conversation).kind or 'no origin'}"


def _keyed(value: bytes, seed: int) -> bytes:
    return blake2b(value, key=str(seed).encode()[:64], digest_size=16).digest()


def _uniform(name: str, seed: int) -> float:
    """0 to below 1."""
    return int.from_bytes(_keyed(name.encode(errors="surrogatepass"), seed)[:6], "big") / 2**48
