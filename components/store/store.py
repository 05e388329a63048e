"""Steps that leave sealed artefacts: at-least-once execution, exactly-once effect.

State after a hard crash, by the point reached (`Store.at` names them):
- `opened`, `written`, `flushed`: a folder `store/<step>/.<fingerprint>.<random>` that nobody reads; the step's next
  holder (who holds its lock) removes it. Its scratch folder stays and is used again.
- `manifest`: the same, but what is in it is whole: where nothing is sealed, the next holder seals it.
- `renamed`: the artefact is sealed; its scratch folder may be left, and goes when the step is next met; hidden beside
  it may be the one that it replaced, until the step is done again, or `gc`.
A step that is done again although it is sealed (`force`) changes places with the old artefact in one move, so there
is always one of the two. Where the file system cannot do that (see `swap`), a crash between two renames leaves the
new one hidden and whole; the step's next holder seals it, and until then a plan says "not made yet".
Two processes on one step: a lock lets one work, the other then finds the artefact sealed.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.errors import TerminalError
from components.store import artefact as sealed
from components.store.artefact import Artefact
from components.store.files import FORGOTTEN, sync_folder
from components.store.locks import FileLock, hold
from components.store.spec import StepSpec
from components.store.swap import exchange

__all__ = ["Step", "Store"]


def _nothing(point: str) -> None:
    """Replaced by tests that die at a named commit point."""


def put_in_place(folder: Path, home: Path) -> None:
    """Make `folder` the artefact at `home`. What was there before is then in a hidden folder beside it."""
    if not os.path.lexists(home):
        os.replace(folder, home)
    elif not exchange(folder, home):
        aside = Path(tempfile.mkdtemp(prefix=f".{home.name}.", dir=home.parent))
        os.replace(home, aside / "old")
        os.replace(folder, home)
    sync_folder(home.parent)


def recover(home: Path) -> None:
    """Seal what a crash left whole beside `home`, where nothing valid is sealed. For the holder of the step's lock."""
    if sealed.load(home)[0] is not None:
        return
    for hidden in sorted(home.parent.glob(f".{home.name}.*")):
        if hidden.name.endswith(FORGOTTEN):  # being deleted, perhaps at this moment
            continue
        for folder in (hidden, hidden / "old"):
            found, _ = sealed.load_manifest(folder)
            if found is not None and found.fingerprint == home.name:
                put_in_place(folder, home)
                return


def tidy(home: Path) -> None:
    """Remove what is hidden beside `home`. For the holder of the step's lock."""
    for leftover in home.parent.glob(f".{home.name}.*"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:  # what somebody had put in the artefact's place
            with suppress(OSError):
                leftover.unlink()


class Step:
    """A step in work. Write outputs through it; `artefact` is there once the block has ended."""

    def __init__(self, spec: StepSpec, *, folder: Path, scratch: Path, found: Artefact | None) -> None:
        self.spec = spec
        self._folder = folder
        self._scratch = scratch
        self._found = found
        self.skipped = found is not None
        self._facts: dict[str, Any] = {}

    @property
    def sealed(self) -> bool:
        """True: there is a valid artefact already, and the body has nothing to do."""
        return self._found is not None

    @property
    def artefact(self) -> Artefact:
        """The sealed artefact."""
        if self._found is None:
            raise TerminalError(f"step {self.spec.name} has not been sealed yet")
        return self._found

    @property
    def scratch(self) -> Path:
        """A folder that survives a crash of this step and is gone once it is sealed. Check what you find in it."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        return self._scratch

    def path(self, name: str) -> Path:
        """Where to write output `name` (a plain file name)."""
        if not name or Path(name).name != name or name.startswith(".") or name == sealed.MANIFEST:
            raise TerminalError(f"{name!r} cannot be the name of an output")
        return self._folder / name

    def write_text(self, name: str, text: str) -> None:
        """Write a UTF-8 text output."""
        self.path(name).write_bytes(text.encode("utf-8"))

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON output that people can read: indented, keys in the order given."""
        self.write_text(name, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    def write_jsonl(self, name: str, values: Iterable[Any]) -> None:
        """Write a JSONL output, one value a line."""
        with self.path(name).open("w", encoding="utf-8", newline="\n") as file:
            for value in values:
                file.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")

    def note(self, **facts: Any) -> None:
        """Put facts (counts, seconds) into the manifest; they are no part of the artefact's identity."""
        self._facts.update(facts)

    def _seal(self, home: Path, at: Callable[[str], None], started: float) -> Artefact:
        outputs: dict[str, dict[str, Any]] = {}
        at("written")
        for file in sorted(self._folder.iterdir()):
            with file.open("rb") as opened:
                if os.fstat(opened.fileno()).st_nlink == 1:  # else a link to what is sealed, and on disk already
                    os.fsync(opened.fileno())
            outputs[file.name] = {"sha256": sealed.file_digest(file), "bytes": file.stat().st_size}
        at("flushed")
        fingerprint = self.spec.fingerprint
        manifest = {
            "format": sealed.FORMAT,
            **self.spec.to_dict(),
            "fingerprint": fingerprint,
            "outputs": outputs,
            "digest": sealed.content_digest(fingerprint, {name: entry["sha256"] for name, entry in outputs.items()}),
            "facts": self._facts,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - started, 3),
            "python": platform.python_version(),
        }
        sealed.write_manifest(self._folder, manifest)
        at("manifest")
        put_in_place(self._folder, home)
        at("renamed")
        self._found, reason = sealed.load(home)
        if self._found is None:
            raise TerminalError(f"{self.spec.name} was written to {home}, but {reason}: is the disk failing?")
        return self._found


class Store:
    """The sealed artefacts of a workspace.

    Args:
        workspace: folder of the workspace; made when missing.
        at: called with the name of each commit point; for tests that die there.
        waiting: called with the holder's description when another process is at work on the same step.
    """

    def __init__(
        self,
        workspace: Path,
        *,
        at: Callable[[str], None] = _nothing,
        waiting: Callable[[str], None] | None = None,
    ) -> None:
        self.workspace = workspace
        self._waiting = waiting
        self._root = workspace / "store"
        self._at = at

    def home(self, spec: StepSpec) -> Path:
        """Folder of the step's artefact, whether it is there or not."""
        return self._root / spec.name / spec.fingerprint

    def find(self, spec: StepSpec) -> Artefact | None:
        """The step's artefact when it is sealed and its outputs still match, else None."""
        return self.look(spec)[0]

    def look(self, spec: StepSpec) -> tuple[Artefact | None, str]:
        """As `find`, with the reason why there is none."""
        return sealed.load(self.home(spec))

    def open(self, artefact_id: str) -> Artefact:
        """The artefact `<step>/<fingerprint>`, verified.

        Raises:
            TerminalError: when it is not there or its outputs were changed.
        """
        found, reason = sealed.load(self._root / artefact_id)
        if found is None:
            raise TerminalError(f"artefact {artefact_id}: {reason}; run the recipe again to make it")
        return found

    def latest(self, name: str) -> Artefact | None:
        """The newest sealed artefact of step `name`, for comparing a plan with what was."""
        return next(self.newest(name), None)

    def newest(self, name: str) -> Iterator[Artefact]:
        """The sealed artefacts of step `name`, the newest first; each is checked when it is reached."""
        folder = self._root / name
        names = [] if not folder.is_dir() else [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
        for path in sorted(names, key=lambda entry: entry.stat().st_mtime, reverse=True):
            found, _ = sealed.load(path)
            if found is not None:
                yield found

    @contextmanager
    def step(self, spec: StepSpec, *, force: bool = False) -> Iterator[Step]:
        """Do a step unless it is sealed already.

        The body writes its outputs through the `Step`; leaving it without an error seals them. With an error nothing
        is sealed, and what was written is removed (scratch stays).

        Args:
            spec: the step's identity.
            force: do it again although it is sealed.
        """
        home = self.home(spec)
        scratch = self.workspace / "scratch" / spec.fingerprint
        lock = self.workspace / "locks" / f"{spec.name}.{spec.fingerprint[:16]}"
        found = None if force else self.find(spec)
        if found is not None:
            _remove_scratch(scratch, lock)
            yield Step(spec, folder=home, scratch=scratch, found=found)
            return
        home.parent.mkdir(parents=True, exist_ok=True)
        with hold(lock, what=spec.name, timeout_seconds=3600, waiting=self._waiting):
            recover(home)
            tidy(home)
            found = None if force else self.find(spec)  # another process may have done it while we waited
            if found is not None:
                shutil.rmtree(scratch, ignore_errors=True)
                yield Step(spec, folder=home, scratch=scratch, found=found)
                return
            folder = Path(tempfile.mkdtemp(prefix=f".{spec.fingerprint}.", dir=home.parent))
            self._at("opened")
            started = time.monotonic()
            step = Step(spec, folder=folder, scratch=scratch, found=None)
            try:
                yield step
                step._seal(home, self._at, started)
            finally:
                tidy(home)
            shutil.rmtree(scratch, ignore_errors=True)


def _remove_scratch(scratch: Path, lock: Path) -> None:
    """Remove the scratch folder of a sealed step, unless somebody does the step again at this moment."""
    if scratch.exists():
        with suppress(OSError, TerminalError):  # a workspace that can only be read: `gc` will meet it
            holder = FileLock(lock)
            try:
                if holder.try_exclusive():
                    shutil.rmtree(scratch, ignore_errors=True)
            finally:
                holder.close()
