"""Tells when notes change: by the system's own notices of a folder, and by a look at every file now and then.

What decides is the look (size, times and inode of each file), never a notice: so an editor that saves by renaming, a
folder that appears with a hundred notes, and files that no glob asks for need no rules of their own.

Not noticed: a change that leaves size, times and inode of a file as they were. Where the system gives no notices (most
network folders, some of containers and virtual machines) a change is noticed by the next look, within LOOK_SECONDS.
Nothing is kept: a crash leaves nothing behind.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

from components.errors import InputError
from components.sncp.discover import discover
from components.sncp.params import SncpParams

__all__ = ["LOOK_SECONDS", "Look", "Notices", "look_at", "settled", "stamps_of"]

LOOK_SECONDS = 60.0
"""Between two looks at every file while nothing is noticed."""
_BLIND_SECONDS = 5.0  # the same, where the system gives no notices
_TICK_SECONDS = 0.5

Stamp = tuple[int, int, int, int]
Look = Mapping[str, Stamp | str]
"""File -> size, modified, changed (both in ns) and inode; a text where there is something else to be told."""


def stamps_of(files: Iterable[Path]) -> dict[str, Stamp | str]:
    """What files look like now; `missing` for one that is not there."""
    found: dict[str, Stamp | str] = {}
    for file in files:
        try:
            about = os.stat(file)
            found[str(file)] = (about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino)
        except OSError:
            found[str(file)] = "missing"
    return found


def look_at(params: SncpParams, *, workspace: Path) -> dict[str, Stamp | str]:
    """What the notes look like now, by their paths in the SNCP; and that there are none, under the name of the root."""
    try:
        notes, skipped = discover(
            root=params.root, sources=params.sources, include=params.include, exclude=params.exclude,
            leave_out=workspace,
        )  # fmt: skip
    except InputError as error:
        return {str(params.root): str(error)}
    found: dict[str, Stamp | str] = {one.path: one.reason for one in skipped}
    stamps = stamps_of(Path(note.file) for note in notes)
    found.update({note.path: stamps[note.file] for note in notes})
    return found


class Notices:
    """Notices of the system that something changed below a folder. Those that come while nobody waits are kept.

    Where there are none (`blind`: a limit of the system, a folder that is not there), only time passes.
    """

    def __init__(self, folder: Path, *, ignored: Path, say: Callable[[str], None]) -> None:
        """`ignored`: a folder below it of which nothing is told. `say`: called with why there are no notices."""
        self.folder, self.ignored, self.say = folder, ignored.resolve(), say
        self.blind = True
        self._told = ""
        self._identity: tuple[int, int] | None = None
        self._stream: Generator[set[Any], None, None] | None = None

    def tick(self) -> bool:
        """Wait half a second at most; whether something may have changed."""
        if self._is_another():
            self._begin()
            return True
        if self._stream is None:
            time.sleep(_TICK_SECONDS)
            return False
        try:
            changes = next(self._stream)
        except StopIteration:
            self._stream, self._identity = None, None
            return True
        return any(not Path(path).is_relative_to(self.ignored) for _, path in changes)

    def close(self) -> None:
        """Ask the system for no more of them."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _is_another(self) -> bool:
        """Whether the folder is not the one that is watched: a disk that is mounted, a clone in its place."""
        try:
            about = os.stat(self.folder)
            identity = (about.st_dev, about.st_ino)
        except OSError:
            return False
        return identity != self._identity

    def _begin(self) -> None:
        from watchfiles import watch

        self.close()
        about = os.stat(self.folder)
        self._identity, self.blind = (about.st_dev, about.st_ino), False
        try:
            self._stream = watch(
                self.folder.resolve(), watch_filter=None, debounce=500, step=100,
                rust_timeout=int(_TICK_SECONDS * 1000), yield_on_timeout=True, ignore_permission_denied=True,
            )  # fmt: skip
            next(self._stream)
        except (OSError, RuntimeError) as error:  # such as: no more watches are left
            self._stream, self.blind = None, True
            if self._told != str(error):
                self.say(
                    f"the system gives no notices of changes below {self.folder} ({error}): "
                    f"the notes are looked at every {_BLIND_SECONDS:g} s instead"
                )
            self._told = str(error)


def settled(
    look: Callable[[], Look], before: Look, *, notices: Notices, quiet_seconds: float, longest_seconds: float = 30.0,
    until: Callable[[], bool] = lambda: False, small: Callable[[], Look] = dict,
) -> Look:  # fmt: skip
    """Wait until something is different from `before` and stays as it is for a while; what it looks like then.

    Args:
        look: looks at everything.
        before: what the last reindex began with.
        notices: of the folder of the notes.
        quiet_seconds: how long nothing may change, so that an editor that saves often causes one reindex.
        longest_seconds: a writer that never pauses is not waited for any longer.
        until: asked twice a second; true ends the wait, whatever there is to see.
        small: the part of a look at few files elsewhere (of the recipe), of which the system gives no notices; cheap.
    """
    at = time.monotonic()
    while True:
        noticed = notices.tick() or any(before.get(name) != stamp for name, stamp in small().items())
        waited = time.monotonic() - at
        if noticed or waited >= (_BLIND_SECONDS if notices.blind else LOOK_SECONDS):
            seen, at = look(), time.monotonic()
            if seen != before:
                return _quiet(look, seen, quiet_seconds, longest_seconds)
        if until():
            return look()


def _quiet(look: Callable[[], Look], seen: Look, quiet_seconds: float, longest_seconds: float) -> Look:
    deadline = time.monotonic() + longest_seconds
    while True:
        time.sleep(min(quiet_seconds, max(0.0, deadline - time.monotonic())))
        now = look()
        if now == seen or time.monotonic() >= deadline:
            return now
        seen = now
