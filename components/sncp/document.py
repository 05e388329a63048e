"""What collecting leaves behind: documents, and everything worth telling about the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, get_args

from components.sncp.params import Kind, Status

if TYPE_CHECKING:
    from components.sncp.note import Note
    from components.store.parts import Parts

__all__ = ["Collection", "DateSource", "Document", "Duplicate", "Finding", "Notice", "Skipped"]

DateSource = Literal["front matter", "header", "file name", "file time"]
"""Where a note's date was found, from the most to the least to be trusted."""


@dataclass(frozen=True)
class Document:
    """One note (or one set of exact duplicates), cleaned, with the line numbers of its file.

    One that comes from a sealed artefact reads its text when it is first asked for.
    """

    doc_id: str
    """SHA-256 (hex) of `path`."""
    path: str
    """POSIX, relative to the root, accents composed (NFC); `@persona/NAME.md` outside of the root."""
    paths: tuple[str, ...]
    """Every file with this very text: `path` first, the others in order."""
    kind: Kind
    project: str | None
    title: str
    date: str | None
    """ISO day."""
    date_source: DateSource | None
    status: Status
    supersedes: tuple[str, ...]
    """What the note says it replaces: paths of collected notes where exactly one fits, else as written."""
    superseded_by: tuple[str, ...]
    """What replaces it, by its own words or by those of the note that does."""
    content_hash: str
    """SHA-256 (hex) of `text` without trailing blanks: equal for exact duplicates."""
    text: str
    """Line n of the text is line n of the file."""
    local: bool = False
    """Whether it must not leave this machine: one of the files with this text is marked so."""

    if not TYPE_CHECKING:  # a checker would take any name for an attribute

        def __getattr__(self, name: str) -> str:
            """Called for what is not there yet: the text of a `stored` document."""
            if name != "text" or "_load" not in self.__dict__:
                raise AttributeError(f"Document has no {name}")
            self.__dict__["text"] = self._load()
            return self.text

    @classmethod
    def stored(cls, facts: Mapping[str, Any], load: Callable[[], str]) -> Document:
        """The document with these `facts`, whose text `load` reads. Raises ValueError as `from_dict` does."""
        _check(facts)
        made = cls.__new__(cls)  # not by __init__, which would want the text
        values = made.__dict__
        values.update((name, facts[name]) for name in _FACTS)
        values.update((name, tuple(facts[name])) for name in _LISTS)
        values["_load"], values["_text_sha256"], values["_facts"] = load, facts["text_sha256"], dict(facts)
        return made

    @property
    def text_sha256(self) -> str:
        """SHA-256 (hex) of `text`, without reading it where that is not needed."""
        if "_text_sha256" not in self.__dict__:
            self.__dict__["_text_sha256"] = sha256(self.text.encode()).hexdigest()
        known: str = self.__dict__["_text_sha256"]
        return known

    def facts(self) -> dict[str, Any]:
        """All but the text, as JSON values, with `text_sha256`: what tells two documents apart."""
        if "_facts" in self.__dict__:
            return dict(self.__dict__["_facts"])
        values = {name: getattr(self, name) for name in _FACTS}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()} | {
            "text_sha256": self.text_sha256
        }

    @property
    def key(self) -> str:
        """SHA-256 (hex) of `facts`: equal for equal documents."""
        from pydantic_core import to_json  # several times faster than json here

        values = self.facts()
        return sha256(to_json([values[name] for name in _TOLD])).hexdigest()

    def but(self, **facts: Any) -> Document:
        """The same document with other facts; its text is not read for that."""
        if "text" in facts or not _NAMES.issuperset(facts):
            return replace(self, **facts)
        if all(self.__dict__[name] == value for name, value in facts.items()):
            return self
        made = Document.__new__(Document)  # a third of the time of `replace`, for 10,000 notes several times
        made.__dict__.update(self.__dict__, **facts)
        made.__dict__.pop("_facts", None)
        return made

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Document:
        """The inverse of `to_dict`. Raises ValueError for a kind or status that is none."""
        _check(value)
        lists = {name: tuple(value[name]) for name in _LISTS}
        return cls(**{**value, **lists})


def _check(value: Mapping[str, Any]) -> None:
    if value["kind"] not in _KINDS or value["status"] not in _STATUSES:
        raise ValueError(f"{value['path']}: kind {value['kind']!r} or status {value['status']!r} is not known")


_FACTS = tuple(item.name for item in fields(Document) if item.name != "text")
_LISTS = ("paths", "supersedes", "superseded_by")
_TOLD = (*_FACTS, "text_sha256")
_NAMES = frozenset(_FACTS)
_KINDS = frozenset(get_args(Kind))
_STATUSES = frozenset(get_args(Status))


@dataclass(frozen=True)
class Skipped:
    """A file that was left out, and why, in words."""

    path: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Skipped:
        """The inverse of `to_dict`."""
        return cls(**value)


@dataclass(frozen=True)
class Finding:
    """A secret that was found. `masked` (`sk-a…(51)`, or just a length) never gives it away."""

    rule: str
    path: str
    line: int
    """1-based."""
    masked: str

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Finding:
        """The inverse of `to_dict`."""
        return cls(**value)


@dataclass(frozen=True)
class Duplicate:
    """A file whose text is exactly that of another: indexed once, under `of`."""

    path: str
    of: str

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Duplicate:
        """The inverse of `to_dict`."""
        return cls(**value)


@dataclass(frozen=True)
class Notice:
    """Something that was mended or passed over in a note that was kept."""

    path: str
    line: int
    """1-based, the first line concerned."""
    message: str

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Notice:
        """The inverse of `to_dict`."""
        return cls(**value)


@dataclass(frozen=True)
class Collection:
    """All that was read from one root, in the order of the paths."""

    documents: tuple[Document, ...]
    skipped: tuple[Skipped, ...] = ()
    findings: tuple[Finding, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()
    notices: tuple[Notice, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    """path -> SHA-256 (hex) of what was read there; see `fingerprint_inputs`."""
    notes: tuple[Note, ...] = field(default=(), compare=False)
    """What each file says by itself; only for remembering."""
    before: Parts | None = field(default=None, compare=False, repr=False)
    """The documents of the collecting before, where it was asked."""

    def fingerprint_inputs(self) -> dict[str, str]:
        """Path -> SHA-256 (hex), for the identity of the collecting step.

        It is taken from the bytes that were read, not from a look before. The day of the file time is
        hashed with them only where it became the note's date, so `touch` and a fresh clone change nothing
        else. A file that was left out counts by its reason, so that mending it changes the identity.
        """
        return dict(self.digests)

    def report(self) -> dict[str, Any]:
        """All but the documents themselves, as JSON values: counts, skipped, findings, duplicates, notices."""
        lists = {
            name: [item.to_dict() for item in getattr(self, name)]
            for name in ("skipped", "findings", "duplicates", "notices")
        }
        counts = {
            name: dict(sorted(Counter(str(getattr(item, name)) for item in self.documents).items()))
            for name in ("kind", "status", "date_source")
        }
        return {"notes": len(self.documents), "by": counts, **lists}

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        lists = {
            name: [item.to_dict() for item in getattr(self, name)]
            for name in ("documents", "skipped", "findings", "duplicates", "notices")
        }
        return {**lists, "digests": dict(self.digests)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Collection:
        """The inverse of `to_dict`."""
        return cls(
            documents=tuple(Document.from_dict(item) for item in value["documents"]),
            skipped=tuple(Skipped.from_dict(item) for item in value["skipped"]),
            findings=tuple(Finding.from_dict(item) for item in value["findings"]),
            duplicates=tuple(Duplicate.from_dict(item) for item in value["duplicates"]),
            notices=tuple(Notice.from_dict(item) for item in value["notices"]),
            digests=dict(value["digests"]),
        )
