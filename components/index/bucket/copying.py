"""Copy the published index to a bucket: what is new first, `published.json` last.

State after a hard crash: before `published.json` is replaced, readers have the state before, and what was uploaded is
used by the next copy; afterwards they have the new one. Objects that nothing needs go an hour after they were needed
last. Not covered: two machines that write to one address, which is refused by the name of the writer, not by a lock.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from components.errors import TerminalError, TransientError
from components.index.bucket.objects import Bucket, Changed, Missing, with_each
from components.index.bucket.state import POINTER, State, StoredFile, object_name
from components.index.published import LIVE_FILE, Published, read_published, seal_of
from components.index.purge import without_local
from components.store import file_digest, hold, logger

__all__ = ["GRACE", "CopyReport", "copy_index", "look_at_copy", "read_state", "withdraw"]

GRACE = timedelta(hours=1)
"""How long objects stay that are of no published state any more: who is bringing them has time to end."""


@dataclass(frozen=True)
class CopyReport:
    """What a copy did: publication and chunks that the bucket now has, objects and bytes uploaded, objects removed.

    `old_versions`: whether the bucket keeps what was removed; only looked at where it was to be removed at once.
    """

    publication: int
    chunks: int
    uploaded: int
    bytes: int
    removed: int
    old_versions: bool = False


def writer_name(uri: Path) -> str:
    """Which index this is: host and folder."""
    return f"{socket.gethostname()}:{uri}"


def read_state(bucket: Bucket, *, unless: str | None = None) -> tuple[State | None, str | None]:
    """What is published in a bucket, and its ETag; no state: it is still that of the ETag `unless`.

    Raises:
        Missing: nothing is published.
    """
    found = bucket.read(POINTER, unless=unless)
    if found is None:
        return None, unless
    return State.parse(found[0], where=bucket.address), found[1]


def copy_index(
    uri: Path,
    address: str,
    *,
    trusted_hosts: Collection[str] = (),
    anew: bool = False,
    grace: timedelta = GRACE,
    progress: Callable[[int, int], None] | None = None,
    lock_seconds: float = 60.0,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> CopyReport:
    """Let the bucket hold what is published in the folder `uri`. Nothing is uploaded twice.

    To storage that is not on this machine go no files in which a row marked `local` ever was: the published table is
    written anew before, see `without_local`.

    Args:
        uri: folder of the tables.
        address: `s3://BUCKET/PREFIX`, for this index alone.
        trusted_hosts: hosts of the storage's endpoint that count as this machine.
        anew: upload every object again, and take the address over from another writer.
        grace: how long objects of no published state stay; zero: no longer than this takes.
        progress: called with (objects uploaded, objects to upload).
        lock_seconds: how long to wait for a writer of the index.
        clock: the time, UTC.

    Raises:
        TerminalError: nothing is published; it holds notes that must not leave this machine, and the storage is not
            on it; another index is copied there; the bucket refuses.
        TransientError: it cannot be reached now. What is published in the folder stays as it is in both cases.
    """
    with hold(uri / ".lock", what="index copy", timeout_seconds=lock_seconds, waiting=_tell_waiting):
        published = read_published(uri)
        if published is None:
            raise TerminalError(f"nothing is published in {uri} yet, so there is nothing to copy: run a reindex first")
        bucket = Bucket(address, trusted_hosts=trusted_hosts)
        if not bucket.is_here:
            published = without_local(uri, published, goes_to=address)
        before, tag = _before(bucket, uri, anew=anew)
        now = clock()
        due = _due(before, now, grace)
        if before and not anew and not due and grace and _is_same(uri, published, before):
            return CopyReport(published.now.number, published.now.chunks, 0, 0, 0)
        files = _files(uri, published.now.table)
        state = State(files, writer_name(uri), now.isoformat(), asdict(published.now))
        there = {name.rpartition("/")[2]: size for name, size in bucket.sizes("objects").items()}
        uploaded = _upload(bucket, uri, state, {} if anew else there, progress)
        kept = state.digests.keys() | (before.digests.keys() if before else set())
        gone = [sha for sha in due if sha in there and sha not in kept]
        bucket.remove([object_name(sha) for sha in gone])
        loose = [sha for sha in there if sha not in state.digests and sha not in gone]
        if grace:
            known = before.unneeded if before else {}
            state = replace(state, unneeded={sha: known.get(sha, now.isoformat()) for sha in loose})
        try:
            bucket.replace(POINTER, state.to_bytes(), instead_of=tag)
        except Changed as error:
            raise TransientError(f"{error}; the copy has to be made again") from error
        old_versions = False
        if not grace:
            old_versions = bucket.keeps_versions()
            bucket.remove([object_name(sha) for sha in loose])
            gone += loose
        sizes = state.digests
        total = sum(sizes[sha] for sha in uploaded)
        return CopyReport(published.now.number, published.now.chunks, len(uploaded), total, len(gone), old_versions)


def _tell_waiting(holder: str) -> None:
    logger.info("index copy: waiting for %s", holder)


def _before(bucket: Bucket, uri: Path, *, anew: bool) -> tuple[State | None, str | None]:
    """What is in the bucket, if it is ours."""
    try:
        found = bucket.read(POINTER)
    except Missing:
        return None, None
    data, tag = found if found is not None else (b"", "")
    try:
        state = State.parse(data, where=bucket.address)
    except TerminalError:
        if anew:
            return None, tag
        raise
    if state.writer != writer_name(uri) and not anew:
        raise TerminalError(
            f"{bucket.address} is a copy of the index {state.writer}, made on {state.at[:16].replace('T', ' ')} UTC, "
            f"not of {writer_name(uri)}: name another address in index.copy_to, or take this one over with "
            "`cervella index copy RECIPE --anew`"
        )
    return state, tag


def _due(before: State | None, now: datetime, grace: timedelta) -> list[str]:
    """Digests of objects that no published state has needed for long enough."""
    unneeded: Mapping[str, str] = before.unneeded if before else {}
    return [sha for sha, since in unneeded.items() if now - datetime.fromisoformat(since) >= grace]


def _is_same(uri: Path, published: Published, state: State) -> bool:
    """Whether the bucket has what is published, told by `live.json`, which tells of all other files."""
    return file_digest(uri / LIVE_FILE) == state.live and published.seal == seal_of(uri, published.now.table)


def _files(uri: Path, table: str) -> dict[str, StoredFile]:
    """Every file of the published table, and `live.json`."""
    paths = [uri / LIVE_FILE, *(path for path in sorted((uri / f"{table}.lance").rglob("*")) if path.is_file())]
    return {
        path.relative_to(uri).as_posix(): StoredFile(file_digest(path), path.stat().st_size) for path in paths
    }  # fmt: skip


def _upload(
    bucket: Bucket, uri: Path, state: State, there: Mapping[str, int], progress: Callable[[int, int], None] | None
) -> list[str]:
    """Upload the objects of a state that are not there; their digests."""
    missing = {
        one.sha256: uri / name for name, one in state.files.items() if there.get(one.sha256) != one.size
    }  # fmt: skip
    with_each(
        sorted(missing), lambda sha: bucket.put_file(object_name(sha), missing[sha], sha256=sha), progress=progress
    )
    return list(missing)


def withdraw(uri: Path, address: str, *, trusted_hosts: Collection[str] = ()) -> bool:
    """Take the copy of an index away, `published.json` first; whether the bucket keeps it as an older version.

    Raises as `copy_index`.
    """
    bucket = Bucket(address, trusted_hosts=trusted_hosts)
    _before(bucket, uri, anew=False)
    bucket.remove([POINTER])
    bucket.remove(list(bucket.sizes("objects")))
    return bucket.keeps_versions()


def look_at_copy(uri: Path, address: str, *, trusted_hosts: Collection[str] = ()) -> dict[str, Any]:
    """How the copy stands to what is published in the folder `uri`, for people; nothing is changed.

    Returns:
        `address`, `publication` (number; none: nothing is there), `at`, `writer`, `ours`, `is_newest`, `missing`
        (objects that are not there, or not as long as they should be), `unneeded` (objects that will be removed).

    Raises as `copy_index`.
    """
    bucket, published = Bucket(address, trusted_hosts=trusted_hosts), read_published(uri)
    try:
        state, _ = read_state(bucket)
    except Missing:
        state = None
    if state is None:
        return {
            "address": address, "publication": None, "at": None, "writer": None, "ours": True, "is_newest": False,
            "missing": 0, "unneeded": 0,
        }  # fmt: skip
    there = {name.rpartition("/")[2]: size for name, size in bucket.sizes("objects").items()}
    return {
        "address": address, "publication": state.publication.get("number"), "at": state.at, "writer": state.writer,
        "ours": state.writer == writer_name(uri),
        "is_newest": published is not None and file_digest(uri / LIVE_FILE) == state.live,
        "missing": sum(there.get(sha) != size for sha, size in state.digests.items()),
        "unneeded": sum(sha not in state.digests for sha in there),
    }  # fmt: skip
