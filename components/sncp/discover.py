"""Finds the notes under a root, and says which files it leaves alone and why."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.errors import InputError
from components.sncp.document import Skipped
from components.sncp.globs import Glob
from components.sncp.kinds import kind_from_path
from components.sncp.params import Kind
from components.sncp.redact import mask_secrets

__all__ = ["NEVER_ENTERED", "NOTE_SUFFIXES", "Candidate", "discover"]

NOTE_SUFFIXES = (".md", ".markdown", ".txt")
NEVER_ENTERED = frozenset(
    {".git", ".hg", ".svn", ".obsidian", ".trash", ".Trash", "node_modules", ".venv", "__pycache__", ".cervella"}
)
"""Folders that no wildcard enters: a glob must spell the name out."""


@dataclass(frozen=True)
class Candidate:
    """A file to read."""

    path: str
    """POSIX, relative to the root, NFC."""
    file: str
    """As the disk spells it, resolved."""
    kind: Kind


_States = tuple[tuple[int, frozenset[int]], ...]
"""(number of the glob, its states), of those alone that can still match"""


@dataclass(frozen=True)
class _Folder:
    file: str
    path: str
    states: _States


class _Walk:
    """One walk over one root. Kept in an object because every step adds to `found` and `skipped`."""

    def __init__(
        self,
        root: Path,
        sources: Mapping[Kind, Sequence[str]],
        include: Sequence[str],
        exclude: Sequence[str],
        leave_out: Path | None,
    ) -> None:
        self.root = root
        self.leave_out = str(leave_out.resolve()) if leave_out else None
        self.globs: list[tuple[Kind | None, Glob]] = []
        self.globs += [(kind, Glob.parse(text)) for kind, texts in sources.items() for text in texts]
        self.globs += [(None, Glob.parse(text)) for text in include]
        self.exclude = [Glob.parse(text) for text in exclude]
        self.named = {part for _, glob in self.globs for part in glob.text.split("/")}
        self.found: dict[str, Candidate] = {}
        self.skipped: list[Skipped] = []

    def run(self) -> None:
        folders = [_Folder(str(self.root), "", tuple((at, glob.start()) for at, (_, glob) in enumerate(self.globs)))]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(folder.file) as entries:
                    listed = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                if not folder.path:
                    raise InputError(
                        f"The root of the notes cannot be opened: {self.root} ({error.strerror}). "
                        "Give yourself the right to read it, or name another `sncp.root`."
                    ) from None
                self._skip(folder.path, f"folder cannot be opened: {error.strerror}")
                continue
            for entry in listed:
                if below := self._entry(folder, entry):
                    folders.append(below)

    def _skip(self, path: str, reason: str) -> None:
        self.skipped.append(Skipped(path=path.encode("utf-8", "backslashreplace").decode(), reason=reason))

    def _entry(self, folder: _Folder, entry: os.DirEntry[str]) -> _Folder | None:
        name = unicodedata.normalize("NFC", entry.name)
        states = tuple((at, now) for at, before in folder.states if (now := self.globs[at][1].step(before, name)))
        path = f"{folder.path}/{name}" if folder.path else name
        kind = self._kind(states, path, name) if states else None
        try:
            linked, is_folder = entry.is_symlink(), entry.is_dir(follow_symlinks=False)
        except OSError as error:
            if states:
                self._skip(path, f"cannot be looked at: {error.strerror}")
            return None
        enters = (linked or is_folder) and self._enters(states, name)
        if linked:
            self._link(path, Path(entry.path), kind, enters)
        elif is_folder and enters and not self._excluded(f"{path}/", below=True):
            return None if entry.path == self.leave_out else _Folder(entry.path, path, states)
        elif not is_folder and kind and not self._excluded(path):
            self._file(path, entry.path, kind)
        return None

    def _enters(self, states: _States, name: str) -> bool:
        """Whether a folder is worth entering."""
        below = any(self.globs[at][1].may_match_below(now) for at, now in states)
        return below and (name not in NEVER_ENTERED or name in self.named)

    def _kind(self, states: _States, path: str, name: str) -> Kind | None:
        """Kind by the first glob that matches, or None if none does."""
        for at, now in states:
            kind, glob = self.globs[at]
            if glob.accepts(now):
                if not name.lower().endswith(NOTE_SUFFIXES):
                    if glob.literal:
                        self._skip(path, f"not a note: {', '.join(NOTE_SUFFIXES)} expected")
                    continue
                return kind or kind_from_path(path)
        return None

    def _excluded(self, path: str, below: bool = False) -> bool:
        if below:
            # A folder is passed over only when the glob takes all of it: any name at any depth.
            return any(glob.parts[-1] is None and glob.matches(f"{path}x") for glob in self.exclude)
        return any(glob.matches(path) for glob in self.exclude)

    def _link(self, path: str, file: Path, kind: Kind | None, enters: bool) -> None:
        if self._excluded(path):
            return
        try:
            target = file.resolve(strict=True)
            mode = target.stat().st_mode
        except (OSError, RuntimeError):  # RuntimeError: a loop, before Python 3.13
            if kind:
                self._skip(path, "link that leads nowhere, or in a circle")
            return
        if not target.is_relative_to(self.root):
            if kind or (enters and stat.S_ISDIR(mode)):
                self._skip(path, "link that leads out of the root: not followed")
        elif stat.S_ISDIR(mode):
            if enters:
                self._skip(path, f"link to the folder {target.relative_to(self.root).as_posix()}: not followed")
        elif kind:
            self._file(path, str(target), kind)

    def _file(self, path: str, file: str, kind: Kind) -> None:
        try:
            path.encode("utf-8")
        except UnicodeEncodeError:
            self._skip(path, "the file name is not UTF-8: rename it")
            return
        if not path.isprintable() and any(unicodedata.category(letter) in ("Cc", "Cf") for letter in path):
            self._skip(repr(path)[1:-1], "the path holds control or invisible characters: rename it")
        elif path in self.found:
            self._skip(path, "two files have this name, written with composed and with separate accents: one is read")
        else:
            self.found[path] = Candidate(path=path, file=file, kind=kind)


def _top_level(root: Path) -> str:
    names = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in os.scandir(root))
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    return shown or "nothing at all"


def discover(
    *,
    root: Path,
    sources: Mapping[Kind, Sequence[str]],
    include: Sequence[str],
    exclude: Sequence[str],
    leave_out: Path | None = None,
) -> tuple[list[Candidate], list[Skipped]]:
    """Notes under `root` that the globs ask for, and what was passed over, both in order of their paths.

    `leave_out` is a folder within the root that is never entered, whatever the globs say: what runs write is no note.
    Links are followed only from a file to a file inside the root. Not caught: a hard link to a file
    elsewhere looks like any other file.

    Raises:
        InputError: the root is missing, no folder or unreadable; a glob is faulty; nothing matches.
    """
    if not root.exists():
        near = next((parent for parent in root.parents if parent.exists()), root)
        raise InputError(
            f"The root of the notes does not exist: {root} (the path is good as far as {near}). "
            "Name the folder that holds NORD.md and .sncp/ as `sncp.root`."
        )
    if not root.is_dir():
        raise InputError(f"The root of the notes is a file, a folder is expected: {root}. Name its folder instead.")
    walk = _Walk(root.resolve(), sources, include, exclude, leave_out)
    walk.run()
    if not walk.found:
        globs = ", ".join(glob.text for _, glob in walk.globs) or "no glob at all"
        left_out = f" Left out by `exclude`: {', '.join(exclude)}." if exclude else ""
        passed = "".join(f"\n  {item.path}: {item.reason}" for item in walk.skipped[:10])
        raise InputError(
            f"No note matches in {root}.\nLooked for ({', '.join(NOTE_SUFFIXES)}): {globs}.{left_out}\n"
            f"The folder holds: {mask_secrets(_top_level(root) + '.' + passed)}\n"
            "Name the right `sncp.root`, or globs that fit in `sncp.sources` or `sncp.include` "
            "(include: ['**/*.md'] takes every note)."
        )
    return [walk.found[path] for path in sorted(walk.found)], sorted(walk.skipped, key=lambda item: item.path)
