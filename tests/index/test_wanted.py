"""What is written beside the chunks says of them what the chunks say themselves."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from house import House  # noqa: E402
from support import cut, note  # noqa: E402

from components.errors import InputError, TerminalError  # noqa: E402
from components.index import steps as index  # noqa: E402
from components.index.rows import ROW_BYTES, row_line, row_of  # noqa: E402
from components.index.wanted import Wanted  # noqa: E402
from components.store import Run, StepSpec, Store  # noqa: E402


def test_stored_rows_are_those_of_the_chunks_also_after_a_change(tmp_path: Path, examples: Path) -> None:
    house = House(tmp_path, examples / "sncp")
    for text in ("", "\n## Aggiunta\n\nUna riga nuova.\n"):
        file = sorted(house.root.rglob("*.md"))[3]
        file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")
        artefact = house.chunks(Run.create(house.workspace, recipe="test", phase="reindex"))
        chunks = index.read_chunks(artefact)
        stored, made = index.read_wanted(artefact), Wanted.of_chunks(chunks)
        assert (stored.hashes, stored.texts, stored.paths) == (made.hashes, made.texts, made.paths)
        assert (stored.notes, len(stored), stored.digest("x")) == (made.notes, len(chunks), made.digest("x"))
        some = random.Random(13).sample(chunks, 20)
        assert stored.chunks([chunk.chunk_id for chunk in some]) == some


def test_rows_with_the_same_text_are_found_by_it() -> None:
    chunks = cut(
        note("a.md", "# Pane\n\nforno\n"), note("b.md", "# Pane\n\nforno\n"), note("c.md", "# Olio\n\nforno\n")
    )
    one, other, _ = (chunk.chunk_id for chunk in chunks)
    assert Wanted.of_chunks(chunks).same_texts([one]) == [other]


def test_all_lines_of_rows_are_as_long() -> None:
    chunks = cut(note("è.md", "# Pane\n\nforno è caldo\n"), note("b.md", "# X\n\ny\n"))
    assert {len(row_line(row_of(chunk, b"{}"))) for chunk in chunks} == {ROW_BYTES}


@pytest.mark.parametrize("key", ["zz" * 32, "ab" * 31, "AB" * 32], ids=["no hex", "short", "large letters"])
def test_ids_that_are_no_digests_are_refused(key: str) -> None:
    with pytest.raises(InputError, match="distinct SHA-256"):
        Wanted([key], ["0" * 64], ["0" * 32], notes=1, paths=["a.md"], read=lambda _: [])


def test_an_artefact_without_rows_is_refused_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    with Store(tmp_path).step(StepSpec("index.chunk", 4, {}, {"notes": "0"})) as step:
        step.path("chunks.jsonl").write_bytes(b"")
        step.write_text("chunks.items.json", "[]")
    with pytest.raises(TerminalError, match="no output 'rows'"):
        index.read_wanted(step.artefact)
