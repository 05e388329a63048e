"""Notes -> documents: discover, read, clean, mask, describe, join what is the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Literal

from components.errors import InputError
from components.sncp.discover import Candidate, discover
from components.sncp.document import Collection, Document, Duplicate, Finding, Notice, Skipped
from components.sncp.globs import Glob
from components.sncp.memory import Memory
from components.sncp.note import Note, read_note
from components.sncp.params import Kind, PersonalData
from components.sncp.persona_path import persona_path
from components.sncp.read import UnreadableError, read_file
from components.sncp.redact import redact_names
from components.sncp.relations import relate

__all__ = ["collect"]

Progress = Callable[[int, int], None]
_FEW = 10  # notes: of fewer, equal days say nothing


class _Gathered:
    """What one collecting has put together so far."""

    def __init__(self) -> None:
        self.documents: list[Document] = []
        self.skipped: list[Skipped] = []
        self.findings: list[Finding] = []
        self.notices: list[Notice] = []
        self.digests: dict[str, str] = {}
        self.notes: list[Note] = []
        self.days: dict[str, str] = {}

    def skip(self, path: str, reason: str) -> None:
        self.skipped.append(Skipped(path=path, reason=reason))
        self.digests[path] = _sha(f"skipped\0{reason}")

    def add(self, candidate: Candidate, note: Note, *, day: str, local: bool) -> None:
        self.notes.append(note)
        self.findings += note.findings
        self.notices += note.notices
        self.days[note.path] = day
        if note.document is None:
            self.skip(note.path, note.skipped)
            return
        self.digests[note.path] = note.sha256
        self.documents.append(note.document.but(kind=candidate.kind, local=local or note.document.local))

    def date_the_undated(self) -> None:
        """Let the time of the file be the date where nothing else tells one, unless the times tell nothing."""
        spread = _tell_something(self.days.values())
        for at, document in enumerate(self.documents):
            if document.date_source != "file time":
                continue
            if spread:
                day = self.days[document.path]
                self.documents[at] = document.but(date=day)
                self.digests[document.path] = _sha(f"{self.digests[document.path]}\0{day}")
            else:
                self.documents[at] = document.but(date_source=None)


def _tell_something(days: Iterable[str]) -> bool:
    """Whether the times of files can be those of their last change.

    A clone, a copy or an unpacked archive gives all files the day on which it was made. Dates of that kind would
    make undated notes the newest of all, and each clone another set of notes.
    """
    counts = Counter(days)
    return counts.total() < _FEW or 2 * max(counts.values()) <= counts.total()


def _sha(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def collect(
    *,
    root: Path,
    sources: Mapping[Kind, Sequence[str]],
    include: Sequence[str],
    exclude: Sequence[str],
    max_bytes: int,
    redact: Literal["redact", "quarantine"],
    personal_data: Sequence[PersonalData] = (),
    allow: Sequence[str] = (),
    persona_files: Sequence[Path] = (),
    local: Sequence[str] = (),
    workspace: Path | None = None,
    memory: Memory | None = None,
    progress: Progress | None = None,
    may_be_none: bool = False,
) -> Collection:
    """Read every note that the globs ask for. The notes themselves are never written to.

    Args:
        root: folder of the notes.
        sources: kind -> globs relative to the root; the first that matches gives the kind.
        include: more globs; the kind is told from the path.
        exclude: globs of files to leave out.
        max_bytes: larger files are skipped (bytes).
        redact: mask secrets and keep the note, or (`quarantine`) leave out the whole note. A file whose path holds a
            secret is left out in any case: paths are shown as sources, and a masked one leads nowhere.
        personal_data: kinds of personal data that are treated like secrets.
        allow: exact texts or globs of findings that are none.
        persona_files: read in any case, as kind `persona`; they may lie outside the root.
        local: globs of notes that must not leave this machine, beside those that say so in their front matter.
        workspace: a folder within the root in which nothing is a note: what runs write.
        memory: what an earlier collecting with the same settings made of the same bytes.
        progress: called with (files done, files in all).
        may_be_none: no notes, or no root, is no fault; the persona's files are read all the same.

    Returns:
        Documents in order of their paths, and what was skipped, masked, mended and joined.

    Raises:
        InputError: the root or a glob is unusable, no note could be read, or a persona file cannot be.
    """
    try:
        candidates, passed = discover(root=root, sources=sources, include=include, exclude=exclude, leave_out=workspace)
    except InputError:
        if not may_be_none:
            raise
        candidates, passed = [], []
    persona = _persona(persona_files, root=root.resolve())
    personal = {candidate.path for candidate in persona}
    kept = [candidate for candidate in candidates if candidate.path not in personal]
    everything = sorted([*kept, *persona], key=lambda candidate: candidate.path)
    gathered = _Gathered()
    kept_here = [Glob.parse(text) for text in local]
    paths = [item.path for item in everything] + [item.path for item in passed]
    paths = [path for path in paths if not (memory and memory.is_harmless(path))]
    telling = redact_names(paths, personal_data=personal_data, allow=allow)
    for item in passed:
        gathered.skip(telling.get(item.path, (item.path,))[0], item.reason)
    for done, candidate in enumerate(everything):
        if progress:
            progress(done, len(everything))
        if candidate.path in telling:
            masked, rule = telling[candidate.path]
            if candidate.path in personal:
                raise InputError(f"The path of the persona file {masked} holds a secret ({rule}). Rename the file.")
            gathered.skip(masked, f"its path holds a secret ({rule}), and paths are shown as sources; rename it")
            continue
        try:
            raw = read_file(candidate.file, max_bytes=max_bytes)
            note = memory.note(candidate.path, raw.digest) if memory else None
            note = note or read_note(
                raw, path=candidate.path, quarantine=redact == "quarantine", personal_data=personal_data, allow=allow
            )
        except UnreadableError as error:
            if candidate.path in personal:
                raise InputError(
                    f"The persona file {candidate.file} is no readable note: {error}. "
                    "Mend the file, or name another one in `persona`."
                ) from None
            gathered.skip(candidate.path, str(error))
            continue
        gathered.add(candidate, note, day=raw.day, local=any(glob.matches(candidate.path) for glob in kept_here))
    if progress:
        progress(len(everything), len(everything))
    if kept and all(document.path in personal for document in gathered.documents):
        reasons = "".join(f"\n  {item.path}: {item.reason}" for item in gathered.skipped[:10])
        raise InputError(f"{len(kept)} notes match in {root}, but none of them could be taken:{reasons}")
    gathered.date_the_undated()
    joined, duplicates = _join(gathered.documents)
    documents, told = relate(joined)
    return Collection(
        documents=tuple(documents),
        skipped=tuple(sorted(gathered.skipped, key=lambda item: (item.path, item.reason))),
        findings=tuple(gathered.findings),
        duplicates=tuple(duplicates),
        notices=(*gathered.notices, *told),
        digests=dict(sorted(gathered.digests.items())),
        notes=tuple(gathered.notes),
    )


def _persona(files: Sequence[Path], *, root: Path) -> list[Candidate]:
    out: dict[str, Candidate] = {}
    for file in files:
        if not file.is_file():
            raise InputError(f"The persona file {file} does not exist, or is no file. Name it in `persona`.")
        real = file.resolve()
        candidate = Candidate(path=persona_path(file, root=root), file=str(real), kind="persona")
        if out.setdefault(candidate.path, candidate).file != str(real):
            raise InputError(
                f"Two persona files outside the root are both named {file.name}: "
                f"{out[candidate.path].file} and {real}. Rename one, so that answers can say which they quote."
            )
    return list(out.values())


def _join(documents: Sequence[Document]) -> tuple[list[Document], list[Duplicate]]:
    """One document for each text, under the best of its paths: persona, current, shortest, first.

    It is local when one of the files is.
    """
    by_text: dict[str, list[Document]] = {}
    for document in documents:
        by_text.setdefault(document.content_hash, []).append(document)
    joined: list[Document] = []
    duplicates: list[Duplicate] = []
    for same in by_text.values():
        if len(same) == 1:
            joined.append(same[0])
            continue
        first, *others = sorted(
            same, key=lambda item: (item.kind != "persona", item.status != "current", len(item.path), item.path)
        )
        rest = sorted(item.path for item in others)
        duplicates += [Duplicate(path=path, of=first.path) for path in rest]
        joined.append(first.but(paths=(first.path, *rest), local=any(item.local for item in same)))
    return sorted(joined, key=lambda item: item.path), sorted(duplicates, key=lambda item: item.path)
