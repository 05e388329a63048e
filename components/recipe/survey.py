"""A look at somebody's notes before there is a recipe: what is there, what a recipe should name, what stays out.

Nothing is written. Secrets are counted, never shown. What it does not see: notes in other formats than Markdown and
plain text, folders that no wildcard enters (`.git`, `node_modules` and the like), links that lead out of the root.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from components.answer.language import detect_language
from components.errors import InputError
from components.evaluate.golden import load_golden
from components.sncp import Collection, Document, Skipped
from components.sncp.discover import NEVER_ENTERED
from components.sncp.globs import Glob
from components.sncp.params import DEFAULT_SOURCES, SncpParams
from components.sncp.steps import read_notes

__all__ = ["LeftOut", "Survey", "survey"]

MAX_ENTRIES = 200_000
"""Files and folders looked at. A home folder has more: its notes are somewhere inside."""

NOT_MEMORY = frozenset(
    {"vendor", "dist", "build", "target", "site-packages", "third_party", ".github", ".pytest_cache"}
)
"""Folders of tools and of other people's code: Markdown in them is no memory of the project."""

_MARKDOWN = (".md", ".markdown")
_GROUPS = 8  # with more folders than this one glob for all is easier to read
_ODD_SIZE = 200_000  # characters; such a note is a log or an export more often than a thought
_GOLDEN = ("golden.jsonl", "questions.jsonl")


@dataclass(frozen=True)
class LeftOut:
    """What the recipe will not read, and why; `count` files."""

    what: str
    why: str
    count: int


@dataclass(frozen=True)
class Survey:
    """What was found under `root`. Paths are relative to it unless they are `Path`s."""

    root: Path
    documents: Sequence[Document]
    kinds: dict[str, int]
    languages: dict[str, int]
    characters: int
    include: list[str]
    exclude: list[str]
    constitutions: list[Path]
    """Files that look like a COSTITUZIONE, the most likely first: in the notes, then beside them."""
    dnas: list[Path]
    alike: list[Path]
    """Instructions for other tools (CLAUDE.md, AGENTS.md), which may hold what a COSTITUZIONE would say."""
    resumes: int
    golden: Path | None
    secrets: int
    secret_notes: int
    duplicates: int
    large: list[tuple[str, int]]
    """(note, characters) of those far longer than a note usually is."""
    left_out: list[LeftOut] = field(default_factory=list)

    def to_dict(self) -> dict[str, object]:
        """JSON values; no text of a note."""
        plain = ("kinds", "languages", "characters", "include", "exclude", "resumes", "secrets", "secret_notes")
        files = ("constitutions", "dnas", "alike")
        return {
            "root": str(self.root),
            "notes": len(self.documents),
            **{name: getattr(self, name) for name in (*plain, "duplicates", "large")},
            **{name: [str(path) for path in getattr(self, name)] for name in files},
            "golden": str(self.golden) if self.golden else None,
            "left_out": [vars(item) for item in self.left_out],
        }


def survey(root: Path, *, beside: Sequence[Path] = ()) -> Survey:
    """Look at the notes under `root`, reading each once.

    Args:
        root: the folder of the notes.
        beside: folders where persona files and golden questions may lie, too. Golden questions are only taken when
            every line of them holds for these notes.

    Raises:
        InputError: no such folder, no right to read it, no note in it, or far too many files for a folder of notes.
    """
    seen = _Seen(root)
    if not seen.notes and seen.other:
        held = ", ".join(f"{count} {suffix}" for suffix, count in seen.other.most_common(6))
        raise InputError(f"No notes in {root}: expected Markdown (.md) or text (.txt). It holds: {held}.")
    include, exclude = seen.globs()
    collection = read_notes(SncpParams(root=root, include=include, exclude=exclude), persona_files=[])
    documents = collection.documents
    paths = [path for document in documents for path in document.paths]
    golden, refused = _golden([root, *beside], paths)
    of_persona = _persona_files(documents, root=root, beside=beside)
    return Survey(
        root=root,
        documents=documents,
        kinds=dict(Counter(document.kind for document in documents).most_common()),
        languages=dict(Counter(detect_language(document.text[:3000]) for document in documents).most_common()),
        characters=sum(len(document.text) for document in documents),
        include=include,
        exclude=exclude,
        constitutions=of_persona["constitution"],
        dnas=of_persona["dna"],
        alike=of_persona["alike"],
        resumes=sum(document.kind == "resume" for document in documents),
        golden=golden,
        secrets=len(collection.findings),
        secret_notes=len({finding.path for finding in collection.findings}),
        duplicates=len(collection.duplicates),
        large=[(item.path, len(item.text)) for item in documents if len(item.text) > _ODD_SIZE],
        left_out=[*seen.left_out(exclude), *_skipped(collection), *refused],
    )


class _Seen:
    """The files under a root by what their names tell. Nothing is read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.notes: list[str] = []
        self.other: Counter[str] = Counter()
        self.tools: Counter[str] = Counter()  # folder of NOT_MEMORY -> notes in it
        self.closed: list[str] = []
        for folder, name in self._walk():
            path = unicodedata.normalize("NFC", f"{folder}/{name}" if folder else name)
            suffix = PurePosixPath(path).suffix
            if suffix.lower() not in (*_MARKDOWN, ".txt"):
                self.other[suffix.lower() or "without an ending"] += 1
                continue
            self.notes.append(path)
            parts = path.split("/")[:-1]
            found = next((depth for depth, part in enumerate(parts) if part in NOT_MEMORY), None)
            if found is not None:
                self.tools["/".join(parts[: found + 1])] += 1
        markdown = [path for path in self.notes if PurePosixPath(path).suffix.lower() in _MARKDOWN]
        self.texts = len(self.notes) - len(markdown) if markdown else 0
        """Plain texts beside Markdown: lists of requirements and licences more often than notes."""
        self.notes = markdown or self.notes

    def _walk(self) -> Iterator[tuple[str, str]]:
        entries = 0
        for folder, folders, files in os.walk(self.root, onerror=self._closed):
            folders[:] = sorted(name for name in folders if name not in NEVER_ENTERED)
            entries += len(folders) + len(files)
            if entries > MAX_ENTRIES:
                raise InputError(
                    f"{self.root} holds more than {MAX_ENTRIES:,} files: too many for a folder of notes. "
                    "Name the folder inside it that holds NORD.md and .sncp/, or your Markdown."
                )
            relative = Path(folder).relative_to(self.root).as_posix()
            yield from (("" if relative == "." else relative, name) for name in sorted(files))

    def _closed(self, error: OSError) -> None:
        if Path(str(error.filename)) == self.root:
            return  # told by the reading of the notes, which cannot begin
        self.closed.append(os.path.relpath(str(error.filename), self.root))

    def globs(self) -> tuple[list[str], list[str]]:
        """Globs that take every note beside the default sources, and those that leave out what is no memory."""
        known = [Glob.parse(text) for texts in DEFAULT_SOURCES.values() for text in texts]
        tools = [folder for folder, _ in self.tools.most_common()]
        mine = [path for path in self.notes if not any(path.startswith(f"{folder}/") for folder in tools)]
        extra = [path for path in mine if not any(glob.matches(path) for glob in known)]
        if not mine:
            return ["**/*.md"], []  # nothing matches: the reading says what the folder holds
        suffixes = sorted({PurePosixPath(path).suffix for path in extra})
        tops = sorted({path.split("/")[0] for path in extra if "/" in path})
        flat = [path for path in extra if "/" not in path]
        odd = any(re.search(r"[*?\[\]\\]", top) or top != top.strip() for top in tops)
        if len(extra) == len(mine) or len(tops) > _GROUPS or odd:
            include = [f"**/*{suffix}" for suffix in suffixes]
            return include, [f"{_spelled(folder)}/**" for folder in tools]
        include = [f"{top}/**/*{suffix}" for top in tops for suffix in suffixes if _has(extra, top, suffix)]
        include += [f"*{suffix}" for suffix in sorted({PurePosixPath(path).suffix for path in flat})]
        inside = [folder for folder in tools if folder.split("/")[0] in tops]
        return include, [f"{_spelled(folder)}/**" for folder in inside]

    def left_out(self, exclude: Sequence[str]) -> Iterator[LeftOut]:
        """Files that the recipe passes over on purpose."""
        for folder, count in sorted(self.tools.items()):
            yield LeftOut(f"{folder}/", "of tools, or other people's: take it out of sncp.exclude to read it", count)
        if self.texts:
            yield LeftOut("*.txt", "plain text beside Markdown: add '**/*.txt' to sncp.include to read it", self.texts)
        for suffix, count in self.other.most_common(6):
            yield LeftOut(suffix if suffix.startswith(".") else f"files {suffix}", "neither Markdown nor text", count)
        rest = sum(count for _, count in self.other.most_common()[6:])
        if rest:
            yield LeftOut("other files", "neither Markdown nor text", rest)
        for folder in self.closed:
            yield LeftOut(f"{folder}/", "a folder that you may not read", 0)


def _spelled(path: str) -> str:
    """A path as a glob that matches it alone."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def _has(paths: Sequence[str], top: str, suffix: str) -> bool:
    return any(path.startswith(f"{top}/") and path.endswith(suffix) for path in paths)


def _skipped(collection: Collection) -> Iterator[LeftOut]:
    alike: dict[str, list[Skipped]] = {}
    for item in collection.skipped:
        alike.setdefault(re.sub(r"\d[\d,]*", "N", item.reason), []).append(item)
    for items in sorted(alike.values(), key=len, reverse=True)[:10]:
        more = f" and {len(items) - 1} more" if len(items) > 1 else ""
        yield LeftOut(items[0].path + more, items[0].reason, len(items))


_ROLES = {"constitution": "COSTITUZIONE|CONSTITUTION", "dna": "DNA"}


def _persona_files(documents: Sequence[Document], *, root: Path, beside: Sequence[Path]) -> dict[str, list[Path]]:
    """Candidates, the most likely first: named just so, then beginning so; current before archived, newest first."""
    ranked: dict[str, list[tuple[tuple[int, ...], Path]]] = {role: [] for role in (*_ROLES, "alike")}
    newest = sorted(documents, key=lambda item: item.date or "", reverse=True)
    for age, document in enumerate(newest):
        stem = re.sub(r"^[\d_\-. ]+", "", PurePosixPath(document.path).stem).upper()
        old, path = int(document.status != "current"), root / document.path
        for role, names in _ROLES.items():
            if re.match(rf"({names})(?![A-Z])", stem):
                ranked[role].append(((old, int(stem not in names.split("|")), age), path))
        if stem in ("CLAUDE", "AGENTS", "GEMINI", "SYSTEM_PROMPT", "PERSONA", "SOUL"):
            ranked["alike"].append(((old, document.path.count("/"), age), path))
    for place, folder in enumerate(dict.fromkeys([*beside, *(folder / "persona" for folder in beside)])):
        for role, names in _ROLES.items():
            outside = not folder.is_relative_to(root)
            for file in sorted(folder.glob("*.md")) if outside and folder.is_dir() else ():
                if re.match(rf"({names})(?![A-Z])", file.stem.upper()):
                    ranked[role].append(((2, place), file))
    return {role: [path for _, path in sorted(found, key=lambda item: item[0])] for role, found in ranked.items()}


def _golden(folders: Sequence[Path], known: Sequence[str]) -> tuple[Path | None, list[LeftOut]]:
    """Golden questions that lie beside the notes, when every line of them fits these very notes."""
    refused = []
    for folder in dict.fromkeys(folders):
        for name in _GOLDEN:
            file = folder / name
            if not file.is_file():
                continue
            try:
                load_golden(file, known_paths=known)
            except (InputError, json.JSONDecodeError) as error:
                refused.append(LeftOut(str(file), f"golden questions with faults: {str(error).splitlines()[0]}", 1))
            else:
                return file, refused
    return None, refused
