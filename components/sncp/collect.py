"""Notes -> documents: discover, read, clean, mask, describe, join what is the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Literal

from components.errors import InputError
from components.sncp.clean import Cleaned, blank_comments, clean_text
from components.sncp.discover import Candidate, discover
from components.sncp.document import Collection, Document, Duplicate, Finding, Notice, Skipped
from components.sncp.metadata import find_date, front_matter, header_lines, project_of, title_of
from components.sncp.params import Kind
from components.sncp.persona_path import persona_path
from components.sncp.read import Raw, UnreadableError, decode, read_file
from components.sncp.redact import redact as redact_text
from components.sncp.relations import relate
from components.sncp.status import find_status, find_superseded_by, find_supersedes

__all__ = ["collect"]

Progress = Callable[[int, int], None]


class _Gathered:
    """What one collecting has put together so far."""

    def __init__(self) -> None:
        self.documents: list[Document] = []
        self.skipped: list[Skipped] = []
        self.findings: list[Finding] = []
        self.notices: list[Notice] = []
        self.digests: dict[str, str] = {}

    def skip(self, path: str, reason: str) -> None:
        self.skipped.append(Skipped(path=path, reason=reason))
        self.digests[path] = _sha(f"skipped\0{reason}")


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
    persona_files: Sequence[Path] = (),
    progress: Progress | None = None,
) -> Collection:
    """Read every note that the globs ask for. The notes themselves are never written to.

    Args:
        root: folder of the notes.
        sources: kind -> globs relative to the root; the first that matches gives the kind.
        include: more globs; the kind is told from the path.
        exclude: globs of files to leave out.
        max_bytes: larger files are skipped (bytes).
        redact: mask secrets and keep the note, or (`quarantine`) leave out the whole note.
        persona_files: read in any case, as kind `persona`; they may lie outside the root.
        progress: called with (files done, files in all).

    Returns:
        Documents in order of their paths, and what was skipped, masked, mended and joined.

    Raises:
        InputError: the root or a glob is unusable, no note could be read, or a persona file cannot be.
    """
    candidates, passed = discover(root=root, sources=sources, include=include, exclude=exclude)
    persona = _persona(persona_files, root=root.resolve())
    personal = {candidate.path for candidate in persona}
    kept = [candidate for candidate in candidates if candidate.path not in personal]
    everything = sorted([*kept, *persona], key=lambda candidate: candidate.path)
    gathered = _Gathered()
    for item in passed:
        gathered.skip(item.path, item.reason)
    for done, candidate in enumerate(everything):
        if progress:
            progress(done, len(everything))
        try:
            raw = read_file(candidate.file, max_bytes=max_bytes)
            text = decode(raw.data)
        except UnreadableError as error:
            if candidate.path in personal:
                raise InputError(
                    f"The persona file {candidate.file} is no readable note: {error}. "
                    "Mend the file, or name another one in `persona`."
                ) from None
            gathered.skip(candidate.path, str(error))
            continue
        _add(gathered, candidate, raw, text, quarantine=redact == "quarantine")
    if progress:
        progress(len(everything), len(everything))
    if kept and all(document.path in personal for document in gathered.documents):
        reasons = "".join(f"\n  {item.path}: {item.reason}" for item in gathered.skipped[:10])
        raise InputError(f"{len(kept)} notes match in {root}, but none of them could be taken:{reasons}")
    documents, duplicates = _join(gathered.documents)
    return Collection(
        documents=tuple(relate(documents)),
        skipped=tuple(sorted(gathered.skipped, key=lambda item: (item.path, item.reason))),
        findings=tuple(gathered.findings),
        duplicates=tuple(duplicates),
        notices=tuple(gathered.notices),
        digests=dict(sorted(gathered.digests.items())),
    )


def _persona(files: Sequence[Path], *, root: Path) -> list[Candidate]:
    out: dict[str, Candidate] = {}
    for file in files:
        if not file.is_file():
            raise InputError(f"The persona file {file} does not exist, or is no file. Name it in `persona`.")
        real = file.resolve()
        candidate = Candidate(path=persona_path(file, root=root), file=real, kind="persona")
        if out.setdefault(candidate.path, candidate).file != real:
            raise InputError(
                f"Two persona files outside the root are both named {file.name}: "
                f"{out[candidate.path].file} and {real}. Rename one, so that answers can say which they quote."
            )
    return list(out.values())


def _add(gathered: _Gathered, candidate: Candidate, raw: Raw, text: str, *, quarantine: bool) -> None:
    """Turn one file into a document, or say why not."""
    path = candidate.path
    cleaned = clean_text(text)
    masked, findings = redact_text(cleaned.text, path=path)
    masked, comments = blank_comments(masked)  # afterwards: a secret in a comment is to be told too
    gathered.findings += findings
    if findings and quarantine:
        where = ", ".join(f"{item.rule} in line {item.line}" for item in findings[:5])
        gathered.skip(path, f"quarantined: {len(findings)} secrets ({where}); `sncp.redact.mode: redact` masks them")
        return
    if not masked.strip():
        gathered.skip(path, "empty: no text in it")
        return
    matter, skip, fault = front_matter(masked)
    header = header_lines(masked, skip=skip)
    date, date_source = find_date(path=path, matter=matter, header=header, file_day=raw.day)
    gathered.notices += _notices(path, cleaned, comments, fault)
    gathered.digests[path] = raw.digest if date_source != "file time" else _sha(f"{raw.digest}\0{raw.day}")
    gathered.documents.append(
        Document(
            doc_id=_sha(path),
            path=path,
            paths=(path,),
            kind=candidate.kind,
            project=project_of(path, matter=matter),
            title=title_of(masked, path=path, matter=matter, skip=skip),
            date=date,
            date_source=date_source,
            status=find_status(path=path, matter=matter, header=header),
            supersedes=find_supersedes(matter=matter, header=header),
            superseded_by=find_superseded_by(matter=matter, header=header),
            content_hash=_sha(masked.rstrip()),
            text=masked,
        )
    )


def _notices(path: str, cleaned: Cleaned, comments: Sequence[int], fault: str | None) -> list[Notice]:
    out: list[Notice] = []
    if fault:
        out.append(Notice(path, 1, f"front matter not read: {fault}; the note is kept"))
    if cleaned.repaired:
        out.append(Notice(path, cleaned.repaired[0], f"garbled characters repaired in {len(cleaned.repaired)} lines"))
    if cleaned.hidden:
        count = sum(cleaned.hidden.values())
        out.append(Notice(path, min(cleaned.hidden), f"{count} invisible characters removed"))
    if comments:
        out.append(Notice(path, comments[0], f"HTML comments blanked out in {len(comments)} lines"))
    return out


def _join(documents: Sequence[Document]) -> tuple[list[Document], list[Duplicate]]:
    """One document for each text, under the best of its paths: persona, current, shortest, first."""
    by_text: dict[str, list[Document]] = {}
    for document in documents:
        by_text.setdefault(document.content_hash, []).append(document)
    joined: list[Document] = []
    duplicates: list[Duplicate] = []
    for same in by_text.values():
        first, *others = sorted(
            same, key=lambda item: (item.kind != "persona", item.status != "current", len(item.path), item.path)
        )
        rest = sorted(item.path for item in others)
        duplicates += [Duplicate(path=path, of=first.path) for path in rest]
        joined.append(replace(first, paths=(first.path, *rest)))
    return sorted(joined, key=lambda item: item.path), sorted(duplicates, key=lambda item: item.path)
