"""One file -> what it says by itself, whatever the other files say: the part of collecting that can be remembered."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from components.sncp.document import Document, Finding, Notice
from components.sncp.params import PersonalData
from components.sncp.read import Raw, decode

if TYPE_CHECKING:
    from components.sncp.clean import Cleaned

__all__ = ["Note", "read_note"]


@dataclass(frozen=True)
class Note:
    """What one file says by itself. Bytes, path and the settings of `read_note` determine it."""

    path: str
    sha256: str
    """Of the file's bytes (hex)."""
    document: Document | None
    """Of kind `note`, and without a date where only the time of the file could tell; None: left out."""
    skipped: str = ""
    """Why it is left out."""
    findings: tuple[Finding, ...] = ()
    notices: tuple[Notice, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON values, without the text."""
        return {
            "path": self.path,
            "sha256": self.sha256,
            "document": self.document.facts() if self.document else None,
            "skipped": self.skipped,
            "findings": [item.to_dict() for item in self.findings],
            "notices": [item.to_dict() for item in self.notices],
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], load: Callable[[], str]) -> Note:
        """The inverse of `to_dict`; `load` reads the text when it is asked for."""
        return cls(
            path=value["path"],
            sha256=value["sha256"],
            document=Document.stored(value["document"], load) if value["document"] else None,
            skipped=value["skipped"],
            findings=tuple(Finding.from_dict(item) for item in value["findings"]),
            notices=tuple(Notice.from_dict(item) for item in value["notices"]),
        )


def read_note(
    raw: Raw, *, path: str, quarantine: bool, personal_data: Collection[PersonalData] = (), allow: Sequence[str] = ()
) -> Note:
    """Clean, mask and describe the bytes of one file.

    What changes its result for equal bytes must raise the version of `sncp.collect`, or be in the step's parameters:
    notes are remembered by it.

    Raises:
        UnreadableError: the bytes are no text.
    """
    # Imported here: where every note is remembered, none of their patterns is needed.
    from components.sncp.clean import blank_comments, clean_text
    from components.sncp.metadata import find_date, find_local, front_matter, header_lines, project_of, title_of
    from components.sncp.redact import redact as redact_text
    from components.sncp.status import find_status, find_superseded_by, find_supersedes

    cleaned = clean_text(decode(raw.data))
    masked, found = redact_text(cleaned.text, path=path, personal_data=personal_data, allow=allow)
    masked, comments = blank_comments(masked)  # afterwards: a secret in a comment is to be told too
    findings = tuple(found)
    if findings and quarantine:
        where = ", ".join(f"{item.rule} in line {item.line}" for item in findings[:5])
        more = f" and {len(findings) - 5} more" if len(findings) > 5 else ""
        reason = f"quarantined: {where}{more}; `sncp.redact.mode: redact` would mask it and keep the rest"
        return Note(path, raw.digest, None, skipped=reason, findings=findings)
    if not masked.strip():
        return Note(path, raw.digest, None, skipped="empty: no text in it", findings=findings)
    matter, skip, fault = front_matter(masked)
    header = header_lines(masked, skip=skip)
    local, odd = find_local(masked, matter=matter)
    date, date_source = find_date(path=path, matter=matter, header=header, file_day="")
    document = Document(
        doc_id=_sha(path),
        path=path,
        paths=(path,),
        kind="note",
        project=project_of(path, matter=matter),
        title=title_of(masked, path=path, matter=matter, skip=skip),
        date=date or None,
        date_source=date_source,
        status=find_status(path=path, matter=matter, header=header),
        supersedes=find_supersedes(matter=matter, header=header),
        superseded_by=find_superseded_by(matter=matter, header=header),
        content_hash=_sha(masked.rstrip()),
        text=masked,
        local=local,
    )
    notices = _notices(path, cleaned, comments, fault) + ((Notice(path, 1, odd),) if odd else ())
    return Note(path, raw.digest, document, findings=findings, notices=notices)


def _sha(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _notices(path: str, cleaned: Cleaned, comments: Sequence[int], fault: str | None) -> tuple[Notice, ...]:
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
    return tuple(out)
