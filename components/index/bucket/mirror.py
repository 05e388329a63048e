"""The copy that a reader keeps on its own disk of what is published in a bucket; it is searched as any index is.

Why not on the bucket itself: vectors are compared one by one, so each question would bring all of them (measured:
docs/index-in-a-bucket.md). Under the folder lie `states/ID`, one folder for each state, whole or not there, in which
files that states share are links to one; `half/`, objects of a state that is not whole yet; and `known.json`, which
names the newest state.

State after a hard crash: the state before is still named; what had come is used when it is asked for again.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from components.errors import TerminalError, TransientError
from components.index.bucket.copying import read_state
from components.index.bucket.objects import Bucket, Missing, with_each
from components.index.bucket.state import State, object_name
from components.store import hold, logger, sha256_hex, sync_folder, write_atomic

__all__ = ["FRESH_SECONDS", "Mirror"]

FRESH_SECONDS = 10.0
"""How long a process does not ask the bucket again whether there is something newer."""
KEEP = timedelta(minutes=30)
"""How long a state that is not the newest stays for processes that read it."""
_WAIT_SECONDS = 600.0  # for another process that is bringing the same
_TURNS = 5  # states that may be replaced while they are being brought
_STATE = ".state.json"


class Mirror:
    """What this workspace has of the index in a bucket. May be used by several threads and processes."""

    def __init__(self, address: str, *, workspace: Path) -> None:
        self.address = address
        self.folder = workspace / "cache" / "bucket" / sha256_hex(address.encode())[:16]
        self._bucket: Bucket | None = None
        self._asked = -FRESH_SECONDS
        self._told_unreachable = False

    @property
    def uri(self) -> Path:
        """Folder of the newest state that was brought, asking nobody; one that is not there when none was."""
        known = self._known()
        return self.folder / "states" / (str(known["state"]) if known else "none")

    def newest(self, *, progress: Callable[[int, int], None] | None = None) -> Path:
        """Folder of the newest state: brought now when it is not here yet.

        A bucket that cannot be reached is told once, and what is here is used.

        Args:
            progress: called with (objects brought, objects to bring).

        Raises:
            TerminalError: nothing is published there, it is damaged, or the bucket refuses.
            TransientError: it cannot be reached, and nothing is here yet.
        """
        if time.monotonic() - self._asked < FRESH_SECONDS and _is_whole(here := self.uri):
            return here
        try:
            found = self._bring(progress)
        except TransientError as error:
            here = self.uri
            if not _is_whole(here):
                raise
            if not self._told_unreachable:
                logger.warning("index: %s. The answer is from the copy that is here, %s", error, _described(here))
            self._told_unreachable, found = True, here
        else:
            self._told_unreachable = False
        self._asked = time.monotonic()
        os.utime(found)  # in use
        self._tidy(found)
        return found

    def remove(self) -> None:
        """Take all of it away; the next question brings it anew."""
        if self.folder.is_dir():
            with hold(self.folder / ".lock", what="forget"):
                for path in (self.folder / "known.json", self.folder / "half", self.folder / "states"):
                    _remove(path)

    def _bring(self, progress: Callable[[int, int], None] | None) -> Path:
        if self._bucket is None:
            self._bucket = Bucket(self.address)
        known, here = self._known(), self.uri
        tag = str(known["tag"]) if known and _is_whole(here) else None
        if self._read(tag)[0] is None:
            return here
        with hold(self.folder / ".lock", what="bringing the index", timeout_seconds=_WAIT_SECONDS, waiting=_tell):
            for _ in range(_TURNS):
                state, tag = self._read(None)
                assert state is not None  # noqa: S101 - without a tag there always is one
                try:
                    return self._take(state, str(tag), progress)
                except Missing as error:  # replaced meanwhile, and what only it needed is gone
                    missing = error
                    if self._read(tag)[0] is None:
                        raise TerminalError(
                            f"{missing}, though it is published. On the machine that writes it: "
                            "`cervella index copy RECIPE --anew`"
                        ) from missing
        raise TransientError(f"{self.address} is written faster than it can be brought; try again")

    def _read(self, tag: str | None) -> tuple[State | None, str | None]:
        assert self._bucket is not None  # noqa: S101
        try:
            return read_state(self._bucket, unless=tag)
        except Missing:
            raise TerminalError(
                f"nothing is published in {self.address} yet: on the machine that has the notes, name it in "
                "index.copy_to and run a reindex"
            ) from None

    def _take(self, state: State, tag: str, progress: Callable[[int, int], None] | None) -> Path:
        """Make the folder of a state out of what is here and what is missing, and name it."""
        folder = self.folder / "states" / state.id
        if not _is_whole(folder):
            here = self._objects()
            half = self.folder / "half"
            half.mkdir(exist_ok=True, parents=True, mode=0o700)
            here |= {path.name: path for path in half.iterdir() if not path.name.startswith(".")}
            missing = {sha: size for sha, size in state.digests.items() if sha not in here}
            here |= self._fetch(missing, half, progress)
            _assemble(folder, state, here)
        write_atomic(self.folder / "known.json", json.dumps({"state": state.id, "tag": tag}).encode())
        _remove(self.folder / "half")
        for path in (self.folder / "states").glob(".*"):  # of a kill
            shutil.rmtree(path)
        return folder

    def _fetch(
        self, missing: dict[str, int], half: Path, progress: Callable[[int, int], None] | None
    ) -> dict[str, Path]:
        with_each(sorted(missing), lambda sha: self._fetch_one(sha, half), progress=progress)
        return {sha: half / sha for sha in missing}

    def _fetch_one(self, sha: str, half: Path) -> None:
        part = half / f".{sha}.part"
        assert self._bucket is not None  # noqa: S101
        digest, size = self._bucket.fetch(object_name(sha), part)
        if digest != sha:
            part.unlink()
            raise TerminalError(
                f"{self.address}/{object_name(sha)} is damaged: its {size} bytes are not those that were published. "
                "On the machine that writes it: `cervella index copy RECIPE --anew`"
            )
        os.replace(part, half / sha)

    def _objects(self) -> dict[str, Path]:
        """Digest -> a file with these bytes, of the states that are here."""
        return {
            one.sha256: folder / name
            for folder in self._states()
            if _is_whole(folder)
            for name, one in _state_of(folder).files.items()
        }

    def _states(self) -> Iterator[Path]:
        states = self.folder / "states"
        yield from (path for path in (states.iterdir() if states.is_dir() else []) if not path.name.startswith("."))

    def _tidy(self, keep: Path) -> None:
        """Remove states that nobody has used for `KEEP`."""
        for path in self._states():
            with suppress(OSError):  # another process does it as well
                if path != keep and time.time() - path.stat().st_mtime > KEEP.total_seconds():
                    shutil.rmtree(path)

    def _known(self) -> dict[str, Any] | None:
        try:
            found = json.loads((self.folder / "known.json").read_bytes())
            return found if {"state", "tag"} <= found.keys() else None
        except (OSError, ValueError, AttributeError):
            return None


def _tell(holder: str) -> None:
    logger.info("index: waiting for %s", holder)


def _assemble(folder: Path, state: State, here: dict[str, Path]) -> None:
    """Link the files of a state into one folder, which is there when it is whole."""
    aside = folder.with_name(f".{folder.name}")
    for path in (aside, folder):  # of a kill; of a state whose files were damaged here
        _remove(path)
    aside.mkdir(parents=True, mode=0o700)
    for name, one in state.files.items():
        target = aside / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(here[one.sha256], target)
        except OSError:  # a file system without links
            shutil.copyfile(here[one.sha256], target)
    (aside / _STATE).write_bytes(state.to_bytes())
    os.replace(aside, folder)
    sync_folder(folder.parent)


def _state_of(folder: Path) -> State:
    return State.parse((folder / _STATE).read_bytes(), where=str(folder))


def _is_whole(folder: Path) -> bool:
    """Whether the files of a state are there, each as long as it should be. Not noticed: other bytes in them."""
    try:
        return all((folder / name).stat().st_size == one.size for name, one in _state_of(folder).files.items())
    except (OSError, TerminalError):
        return False


def _described(folder: Path) -> str:
    state = _state_of(folder)
    return f"publication {state.publication.get('number')} of {state.at[:16].replace('T', ' ')} UTC"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
