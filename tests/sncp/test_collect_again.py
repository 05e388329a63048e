"""Collecting and cutting again: what is taken from the artefact before is, byte for byte, what would be made anew."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.index import steps as index
from components.index.params import ChunkParams, EmbeddingParams, IndexParams
from components.sncp import clean
from components.sncp import steps as sncp
from components.sncp.params import RedactParams, SncpParams
from components.store import Artefact, Run
from components.store import parts as parts_module

KEY = "sk-ant-api03-" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA" * 2
TEXTS = {
    "plain": "# Caparra\n\nLa caparra è del 30 %.\n",
    "plain, other blanks at the end": "# Caparra\n\nLa caparra è del 30 %.\n\n\n",
    "dated": "# Listino\n\n**Data:** 2026-01-20\n\nIl listino d'agosto.\n",
    "replaces": "# Nuovo listino\n\n**Data:** 2026-02-01\n**Sostituisce:** a.md\n\nIl listino di settembre.\n",
    "local": "---\nprivacy: local\n---\n# Salute\n\nLa caparra è del 30 %.\n",
    "secret": f"# Chiavi\n\nANTHROPIC_API_KEY={KEY}\n",
    "garbled": "# CittÃ \n\nPerchÃ© no\u200b?\n",
    "empty": " \n",
    "long": "# Lunga\n\n" + "\n\n".join(f"## Parte {n}\n\n" + "Parole diverse di prova. " * 30 for n in range(4)),
}
FILES = ("a.md", "b.md", "progetti/x/c.md", ".sncp/idee/d.md", "e.md")


def write(root: Path, notes: Mapping[str, str]) -> None:
    """Let the folder hold exactly these notes (path -> name of a text)."""
    shutil.rmtree(root, ignore_errors=True)
    for path, text in notes.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(TEXTS[text], encoding="utf-8")
        os.utime(file, (1.7e9, 1.7e9))


def outputs(*artefacts: Artefact) -> dict[str, bytes]:
    """Every byte that was sealed."""
    return {
        f"{artefact.step}/{name}": artefact.file(name).read_bytes()
        for artefact in artefacts
        for name in artefact.manifest["outputs"]
    }


def made(workspace: Path, params: SncpParams, indexed: IndexParams) -> tuple[Artefact, Artefact]:
    """The two steps, in a workspace."""
    run = Run.create(workspace, recipe="again", phase="reindex")
    notes = sncp.collect_notes(run, params, persona_files=[])
    return notes, index.chunk_notes(run, indexed, notes=notes)


def indexing(max_tokens: int = 64) -> IndexParams:
    """Section `index` with a model that needs no package."""
    return IndexParams(chunk=ChunkParams(max_tokens=max_tokens), embedding=EmbeddingParams(model="fake/embedding"))


def collecting(root: Path, mode: Any = "redact", include: tuple[str, ...] = ("**/*.md",)) -> SncpParams:
    """Section `sncp`."""
    return SncpParams(root=root, include=list(include), redact=RedactParams(mode=mode))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Several parts although there are few notes."""
    monkeypatch.setattr(parts_module, "_ITEMS", 1)
    yield


notebooks = st.dictionaries(st.sampled_from(FILES), st.sampled_from(sorted(TEXTS)), min_size=1)
choices = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(["redact", "quarantine"]),
        "include": st.sampled_from([("**/*.md",), ("*.md", ".sncp/**/*.md"), ("**/*.md", "x")]),
        "max_tokens": st.sampled_from([32, 64]),
    }
)


@pytest.mark.usefixtures("small_parts")
@settings(max_examples=10, deadline=None)
@given(states=st.lists(st.tuples(notebooks, choices), min_size=2, max_size=3))
def test_any_sequence_of_changes_gives_what_a_start_from_nothing_gives(states: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, workspace = Path(folder) / "notes", Path(folder) / "workspace"
        for number, (notes, chosen) in enumerate(states):
            write(root, notes | {"f.md": "dated"})
            params = collecting(root, chosen["mode"], (*chosen["include"], "f.md"))
            again = made(workspace, params, indexing(chosen["max_tokens"]))
            anew = made(Path(folder) / f"anew{number}", params, indexing(chosen["max_tokens"]))
            assert outputs(*again) == outputs(*anew)
            assert [one.digest for one in again] == [one.digest for one in anew]


@pytest.fixture
def read_anew(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the notes whose bytes were cleaned and masked, not remembered."""
    paths: list[str] = []
    real = clean.clean_text

    def clean_text(text: str) -> Any:
        paths.append(text.split("\n", 1)[0])
        return real(text)

    monkeypatch.setattr(clean, "clean_text", clean_text)
    return paths


@pytest.fixture
def cut_anew(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the notes that were cut."""
    paths: list[str] = []
    real = index.cut_documents.__globals__["Cutter"].__call__

    def cut(self: Any, document: Any) -> Any:
        paths.append(document.path)
        return real(self, document)

    monkeypatch.setattr(index.cut_documents.__globals__["Cutter"], "__call__", cut)
    return paths


NOTES = {"a.md": "plain", "b.md": "dated", "progetti/x/c.md": "long", "e.md": "secret"}


@pytest.mark.parametrize(
    ("after", "read", "cut"),
    [
        pytest.param(NOTES | {"b.md": "garbled"}, ["# CittÃ "], ["b.md"], id="edited"),
        pytest.param({key: NOTES[key] for key in ("a.md", "b.md")}, [], [], id="deleted"),
        pytest.param(NOTES | {"d.md": "garbled"}, ["# CittÃ "], ["d.md"], id="added"),
        pytest.param({("n.md" if key == "b.md" else key): text for key, text in NOTES.items()},
                     ["# Listino"], ["n.md"], id="renamed"),
    ],
)  # fmt: skip
def test_only_what_changed_is_read_and_cut(
    tmp_path: Path, read_anew: list[str], cut_anew: list[str], after: dict[str, str], read: list[str], cut: list[str]
) -> None:
    root, workspace = tmp_path / "notes", tmp_path / "workspace"
    write(root, NOTES)
    made(workspace, collecting(root), indexing())
    read_anew.clear(), cut_anew.clear()
    write(root, after)
    made(workspace, collecting(root), indexing())
    assert (read_anew, cut_anew) == (read, cut)


def test_a_note_that_another_one_replaces_is_cut_anew_without_being_read_anew(
    tmp_path: Path, read_anew: list[str], cut_anew: list[str]
) -> None:
    root, workspace = tmp_path / "notes", tmp_path / "workspace"
    write(root, NOTES)
    made(workspace, collecting(root), indexing())
    read_anew.clear(), cut_anew.clear()
    write(root, NOTES | {"g.md": "replaces"})
    notes, chunks = made(workspace, collecting(root), indexing())
    assert read_anew == ["# Nuovo listino"]
    assert sorted(cut_anew) == ["a.md", "g.md"]  # a.md is deprecated now
    assert {chunk.path: chunk.status for chunk in index.read_chunks(chunks)}["a.md"] == "deprecated"


def test_a_text_is_local_in_every_note_as_soon_as_one_says_so(tmp_path: Path, cut_anew: list[str]) -> None:
    root, workspace = tmp_path / "notes", tmp_path / "workspace"
    TEXTS["the same paragraph, local"] = "---\nprivacy: local\n---\n" + TEXTS["plain"]
    write(root, NOTES)
    made(workspace, collecting(root), indexing())
    cut_anew.clear()
    write(root, NOTES | {"g.md": "the same paragraph, local"})
    _, chunks = made(workspace, collecting(root), indexing())
    marks = {chunk.path: chunk.local for chunk in index.read_chunks(chunks)}
    assert marks["a.md"] and marks["g.md"] and not marks["b.md"]
    assert sorted(cut_anew) == ["a.md", "g.md"]
    write(root, NOTES)
    _, chunks = made(workspace, collecting(root), indexing())
    assert not any(chunk.local for chunk in index.read_chunks(chunks))


def test_another_version_of_the_code_remembers_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_anew: list[str]
) -> None:
    root, workspace = tmp_path / "notes", tmp_path / "workspace"
    write(root, NOTES)
    made(workspace, collecting(root), indexing())
    read_anew.clear()
    monkeypatch.setattr(sncp, "_VERSION", 1_000)
    made(workspace, collecting(root), indexing())
    assert len(read_anew) == len(NOTES)


def spoil(path: Path) -> None:
    """Change one letter of a file, and keep its size and its time."""
    about = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


@pytest.mark.parametrize("name", ["documents.jsonl", "documents.items.json", "files.json", "manifest.json"])
def test_damaged_notes_are_not_remembered(tmp_path: Path, read_anew: list[str], name: str) -> None:
    root, workspace = tmp_path / "notes", tmp_path / "workspace"
    write(root, NOTES)
    notes, _ = made(workspace, collecting(root), indexing())
    spoil(notes.path / name)
    read_anew.clear()
    write(root, NOTES | {"b.md": "garbled"})
    again = made(workspace, collecting(root), indexing())
    assert len(read_anew) == len(NOTES)
    assert outputs(*again) == outputs(*made(tmp_path / "anew", collecting(root), indexing()))


@pytest.mark.parametrize("name", ["chunks.jsonl", "chunks.items.json", "manifest.json"])
def test_damaged_chunks_are_not_kept(tmp_path: Path, cut_anew: list[str], name: str) -> None:
    root, workspace = tmp_path / "notes", tmp_path / "workspace"
    write(root, NOTES)
    _, chunks = made(workspace, collecting(root), indexing())
    spoil(chunks.path / name)
    cut_anew.clear()
    write(root, NOTES | {"b.md": "garbled"})
    again = made(workspace, collecting(root), indexing())
    assert len(cut_anew) == len(NOTES)
    assert outputs(*again) == outputs(*made(tmp_path / "anew", collecting(root), indexing()))


def test_no_secret_is_in_what_is_remembered(tmp_path: Path) -> None:
    root = tmp_path / "notes"
    write(root, NOTES)
    found = outputs(*made(tmp_path / "workspace", collecting(root), indexing()))
    assert any(b"[REDACTED" in data for data in found.values())
    assert not [name for name, data in found.items() if KEY.encode() in data]


@pytest.mark.usefixtures("small_parts")
def test_unchanged_parts_take_no_room(tmp_path: Path) -> None:
    root, workspace = tmp_path / "notes", tmp_path / "workspace"
    notes = {f"n{number}.md": "long" for number in range(8)}
    for path in notes:
        TEXTS[path] = TEXTS["long"].replace("Lunga", path)
        notes[path] = path
    write(root, notes)
    before, _ = made(workspace, collecting(root), indexing())
    TEXTS["n3.md"] += "\nUna riga nuova.\n"
    write(root, notes)
    after, _ = made(workspace, collecting(root), indexing())
    parts = {name for name in after.manifest["outputs"] if name.startswith("documents.")}
    linked = {name for name in parts if after.file(name).stat().st_ino == (before.path / name).stat().st_ino}
    assert len(parts) == 16
    assert len(parts - linked) == 2  # lines and items of the part with n3.md


def test_nothing_in_the_workspace_is_a_note_whatever_it_is_called(tmp_path: Path) -> None:
    root = tmp_path / "notes"
    write(root, NOTES)
    (root / "work" / "runs").mkdir(parents=True)
    (root / "work" / "runs" / "report.md").write_text("# Non è una nota\n")
    found = sncp.read_notes(collecting(root), persona_files=[], workspace=root / "work")
    assert "work/runs/report.md" not in found.digests
    assert "work/runs/report.md" in sncp.read_notes(collecting(root), persona_files=[], workspace=tmp_path).digests


def days(root: Path, day_of: Callable[[int], int]) -> None:
    for number in range(12):
        file = root / f"n{number:02}.md"
        file.write_text(f"# Nota {number}\n\nSenza data.\n")
        os.utime(file, (1.7e9 + 86_400 * day_of(number),) * 2)


@pytest.mark.parametrize(
    ("day_of", "source"),
    [
        pytest.param(lambda number: number, "file time", id="written one a day"),
        pytest.param(lambda number: 0, None, id="cloned"),
        pytest.param(lambda number: 0 if number < 7 else number, None, id="most copied"),
        pytest.param(lambda number: 0 if number < 6 else number, "file time", id="half on one day"),
    ],
)
def test_times_of_files_are_dates_only_where_they_differ(
    tmp_path: Path, day_of: Callable[[int], int], source: str | None
) -> None:
    days(tmp_path, day_of)
    found = sncp.read_notes(collecting(tmp_path), persona_files=[])
    assert {document.date_source for document in found.documents} == {source}
    assert {document.date is None for document in found.documents} == {source is None}


def test_two_clones_on_two_days_are_the_same_notes(tmp_path: Path) -> None:
    identities = set()
    for day in (0, 40):
        days(tmp_path, lambda number, day=day: day)  # type: ignore[misc]
        params = collecting(tmp_path)
        identities.add(sncp.collect_spec(params, sncp.read_notes(params, persona_files=[])).fingerprint)
    assert len(identities) == 1
