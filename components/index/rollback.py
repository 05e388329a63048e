"""The way back: publish an older state again, and keep what it took out of service out until it is changed.

Nothing but `live` is ever tagged, so an older state is made again: from its sealed chunks and the embedding cache.
"""

from __future__ import annotations

from collections.abc import Callable

from components.errors import InputError
from components.index.published import Publication, Published
from components.index.wanted import Wanted

__all__ = ["choose", "held_back"]

_NAMED = 3


def choose(published: Published, number: int | None) -> Publication:
    """The publication to go back to: that `number`, or the newest that is older than the state that readers see.

    Raises:
        InputError: there is none.
    """
    if number is not None:
        for publication in published.history:
            if publication.number == number:
                return publication
        known = ", ".join(str(publication.number) for publication in published.history)
        raise InputError(f"there is no publication {number}; the history has {known}")
    state = published.now.state
    for publication in reversed(published.history):
        if publication.state < state and publication.digest != published.now.digest:
            return publication
    raise InputError("nothing was published before what is published now, so there is nothing to go back to")


def held_back(
    published: Published | None, wanted: Wanted, *, embedder: str, read: Callable[[str], Wanted | None]
) -> str | None:
    """Why these rows must not be published: they still hold, unchanged, what a rollback took out. None: they may.

    What was taken out is the difference between the newest reindex and the state that was gone back to. It counts as
    unchanged while every row that it brought is still wanted and none that it removed is. `read`: chunks of an
    artefact, none when it is gone; then only the very same rows are held back.
    """
    undone = published.undone if published else None
    if published is None or undone is None or undone.embedder != embedder:
        return None
    hashes = wanted.hashes
    if wanted.digest(embedder) == published.now.digest:
        return None
    bad = read(undone.chunks_id) if undone.chunks_id else None
    good = read(published.now.chunks_id) if published.now.chunks_id else None
    named = ""
    if bad is None or good is None:
        if wanted.digest(embedder) != undone.digest:
            return None
    else:
        bad_rows, good_rows = bad.hashes, good.hashes
        brought = {key: value for key, value in bad_rows.items() if good_rows.get(key) != value}
        removed = good_rows.keys() - bad_rows.keys()
        if any(hashes.get(key) != value for key, value in brought.items()) or removed & hashes.keys():
            return None
        notes = sorted({chunk.path for chunk in [*bad.chunks(list(brought)), *good.chunks(list(removed))]})
        named = f" ({', '.join(notes[:_NAMED])}{', ...' if len(notes) > _NAMED else ''})"
    return (
        f"publication {undone.number} was rolled back on {published.now.at[:16].replace('T', ' ')} UTC, and the notes "
        f"still hold what it brought{named}. Publication {published.now.state} stays published. Change the notes, or "
        "publish them as they are with --force index.build"
    )
