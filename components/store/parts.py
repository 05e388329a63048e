"""An output in parts: what an older artefact holds already is linked or copied, never made again.

An output NAME is a list of items with an id; each item is some lines of JSON and what is to be known about them.
The lines lie in `NAME.jsonl`, what is known about them in `NAME.items.json`. From 256 items on there are several of
both (`NAME.0a.jsonl`, ...), about 128 items each, so that a change in one of 10,000 notes writes one part and not
100 MB. A part that is the same as in the older artefact is a hard link to it: no bytes written, no room taken.

Which items are the same is for the caller to say. The older artefact is used only if its seal holds (`former`), and
reading a part checks again that the lines are as long as the items say.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from components.errors import TerminalError
from components.store.artefact import MANIFEST, Artefact
from components.store.digests import link_file
from components.store.spec import StepSpec
from components.store.store import Step, Store

__all__ = ["Entry", "Parts", "former", "write_parts"]

_ITEMS = 128  # of a part, at least; at most twice as many


@dataclass(frozen=True)
class Entry:
    """Where the lines of one item are, and what is known about them."""

    part: str
    start: int
    size: int
    about: Any


class Parts:
    """The output `name` of a sealed artefact, read item by item."""

    def __init__(self, artefact: Artefact, name: str) -> None:
        self.artefact = artefact
        self.name = name
        self._read: dict[str, bytes] = {}

    @cached_property
    def parts(self) -> list[str]:
        """Names of the parts, in order. Raises TerminalError when the artefact has no such output."""
        head, tail = f"{self.name}.", ".jsonl"
        names = sorted(name for name in self.artefact.manifest["outputs"] if name.startswith(head))
        found = [name.removesuffix(tail) for name in names if name.endswith(tail)]
        if not found:
            raise TerminalError(f"{self.artefact.id} has no output {self.name!r}")
        return found

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """Id -> where its lines are, part by part."""
        from pydantic_core import from_json  # several times faster than json here

        found: dict[str, Entry] = {}
        for part in self.parts:
            at = 0
            for key, size, about in from_json(self.artefact.file(f"{part}.items.json").read_bytes()):
                found[key] = Entry(part, at, size, about)
                at += size
        return found

    @cached_property
    def by_part(self) -> Mapping[str, list[str]]:
        """Part -> the ids of its items, in order."""
        found: dict[str, list[str]] = {part: [] for part in self.parts}
        for key, entry in self.entries.items():
            found[entry.part].append(key)
        return found

    def lines(self, key: str) -> bytes:
        """The lines of one item, as they are in the file. Two parts are kept in memory: ask in the order of parts."""
        entry = self.entries[key]
        if entry.part not in self._read:
            while len(self._read) > 1:
                self._read.pop(next(iter(self._read)))
            self._read[entry.part] = self.artefact.file(f"{entry.part}.jsonl").read_bytes()
        found = self._read[entry.part][entry.start : entry.start + entry.size]
        if len(found) != entry.size or (found and not found.endswith(b"\n")):
            raise TerminalError(f"{self.artefact.id}: {entry.part}.jsonl does not hold what its items say")
        return found

    def values(self, key: str) -> list[Any]:
        """The lines of one item as JSON values."""
        from pydantic_core import from_json

        return [from_json(line) for line in self.lines(key).splitlines()]

    def all_values(self) -> Iterator[Any]:
        """Every line as a JSON value, part by part."""
        from pydantic_core import from_json

        for part in self.parts:
            with self.artefact.file(f"{part}.jsonl").open("rb") as file:
                for line in file:
                    yield from_json(line)


def former(store: Store, spec: StepSpec, name: str, *, same: Collection[str]) -> Parts | None:
    """Output `name` of the newest artefact of this step, made by this version of its code, whose seal holds.

    Args:
        store: of the workspace.
        spec: the step that is about to be done.
        name: the output.
        same: names of those parameters that must be equal for an item of the one to serve the other.
    """
    folder = store.home(spec).parent
    if not folder.is_dir():
        return None
    found = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    for path in sorted(found, key=lambda entry: entry.stat().st_mtime_ns, reverse=True):
        try:  # the manifest alone first: to check the seal costs reading everything
            manifest = json.loads((path / MANIFEST).read_bytes())
            params = manifest["params"]
            fits = manifest["version"] == spec.version and all(params[key] == spec.params[key] for key in same)
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if fits:
            try:
                parts = Parts(store.open(f"{spec.name}/{path.name}"), name)
                _ = parts.entries
            except (TerminalError, ValueError, TypeError):  # damaged: an older one may be whole
                continue
            return parts
    return None


def write_parts(
    step: Step,
    name: str,
    ids: Sequence[str],
    make: Callable[[str], tuple[bytes, Any]],
    *,
    kept: Collection[str] = frozenset(),
    before: Parts | None = None,
) -> None:
    """Write output `name` of `step`.

    Args:
        step: at work.
        name: of the output.
        ids: of the items, hex digests, in the order that they shall have within a part.
        make: id -> its lines (JSON, each ended by a newline) and what is to be known about them (JSON).
        kept: ids whose item in `before` is what `make` would make.
        before: the same output of an older artefact.
    """
    count = _count(len(ids))
    parts: list[list[str]] = [[] for _ in range(count)]
    for key in ids:
        parts[int(key[:8], 16) % count].append(key)
    for number, keys in enumerate(parts):
        part = name if count == 1 else f"{name}.{number:0{len(f'{count - 1:x}')}x}"
        if not (before and kept and _link(step, part, keys, kept, before)):
            _write(step, part, keys, make, kept, before)


def _count(items: int) -> int:
    """How many parts: a power of two, so that it seldom changes."""
    return 1 << max(0, (items // _ITEMS).bit_length() - 1)


def _link(step: Step, part: str, keys: list[str], kept: Collection[str], before: Parts) -> bool:
    """Take over a whole part, when it holds exactly these items in this order."""
    held = before.by_part.get(part)
    if held != keys or not all(key in kept for key in keys):
        return False
    for name in (f"{part}.jsonl", f"{part}.items.json"):
        source, target = before.artefact.file(name), step.path(name)
        try:
            link_file(source, target)
        except OSError:  # a file system without hard links, or with too many on this file
            shutil.copyfile(source, target)
    return True


def _write(
    step: Step,
    part: str,
    keys: list[str],
    make: Callable[[str], tuple[bytes, Any]],
    kept: Collection[str],
    before: Parts | None,
) -> None:
    items = []
    with step.path(f"{part}.jsonl").open("wb") as file:
        for key in keys:
            if before and key in kept:
                lines, about = before.lines(key), before.entries[key].about
            else:
                lines, about = make(key)
            file.write(lines)
            items.append([key, len(lines), about])
    text = json.dumps(items, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    step.path(f"{part}.items.json").write_bytes(text.encode())
