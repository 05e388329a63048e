"""Steps that leave sealed artefacts: at-least-once execution, exactly-once effect.

State after a hard crash, by the point reached (`Store.at` names them):
- `opened`, `written`, `flushed`, `manifest`: a folder `store/<step>/.<fingerprint>.<random>` that nobody reads;
  the step's next holder removes it. Its scratch folder stays and is used again.
- `renamed`: the artefact is sealed; only its scratch folder may be left, and goes when the step is next met.
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
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.errors import TerminalError
from components.store import artefact as sealed
from components.store.artefact import Artefact
from components.store.files import sync_folder
from components.store.locks import hold
from components.store.spec import StepSpec

__all__ = ["Step", "Store"]


def _nothing(point: str) -> None:
    """Replaced by tests that die at a named commit point."""


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
        text = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False)
        with (self._folder / sealed.MANIFEST).open("wb") as file_:
            file_.write(text.encode("utf-8"))
            file_.flush()
            os.fsync(file_.fileno())
        sync_folder(self._folder)
        at("manifest")
        if home.exists():  # an invalid artefact, or one that `force` makes anew
            aside = Path(tempfile.mkdtemp(prefix=f".{fingerprint}.", dir=home.parent))
            os.replace(home, aside / "old")
        os.replace(self._folder, home)
        sync_folder(home.parent)
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
        folder = self._root / name
        names = [] if not folder.is_dir() else [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
        for path in sorted(names, key=lambda entry: entry.stat().st_mtime, reverse=True):
            found, _ = sealed.load(path)
            if found is not None:
                return found
        return None

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
        found = None if force else self.find(spec)
        if found is not None:
            shutil.rmtree(scratch, ignore_errors=True)
            yield Step(spec, folder=home, scratch=scratch, found=found)
            return
        home.parent.mkdir(parents=True, exist_ok=True)
        lock = self.workspace / "locks" / f"{spec.name}.{spec.fingerprint[:16]}"
        with hold(lock, what=spec.name, timeout_seconds=3600, waiting=self._waiting):
            found = None if force else self.find(spec)  # another process may have done it while we waited
            if found is not None:
                yield Step(spec, folder=home, scratch=scratch, found=found)
                return
            for leftover in home.parent.glob(f".{spec.fingerprint}.*"):
                shutil.rmtree(leftover, ignore_errors=True)
            folder = Path(tempfile.mkdtemp(prefix=f".{spec.fingerprint}.", dir=home.parent))
            self._at("opened")
            started = time.monotonic()
            step = Step(spec, folder=folder, scratch=scratch, found=None)
            try:
                yield step
                step._seal(home, self._at, started)
            finally:
                for leftover in home.parent.glob(f".{spec.fingerprint}.*"):
                    shutil.rmtree(leftover, ignore_errors=True)
            shutil.rmtree(scratch, ignore_errors=True)
