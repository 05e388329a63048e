"""Searches of real and example notes in which time decides: the current note first, the old one still found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.index import Index, chunk_documents
from components.llm import load_embedder
from components.sncp import collect


def built(folder: Path, root: Path, *, notes: list[str], model: str) -> Index:
    documents = collect(
        root=root, sources={}, include=notes, exclude=[], max_bytes=2_000_000, redact="redact"
    ).documents  # fmt: skip
    embedder = load_embedder(model=model)
    assert embedder is not None
    index = Index.open(folder / "index", embedder)
    index.sync(chunk_documents(documents, max_tokens=200, breadcrumbs=True, count_tokens=embedder.count_tokens))
    return index


@pytest.fixture(scope="module")
def examples_index(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Index:
    folder = tmp_path_factory.mktemp("examples")
    return built(folder, examples / "sncp", notes=["**/*.md"], model="fake/embedding?dimensions=256")


NEW, OLD = "20260418_CAPARRA_A_FASCE.md", "20260212_CAPARRA_30_PERCENTO.md"


@pytest.mark.parametrize(
    ("question", "first", "also"),
    [
        pytest.param("Quanto è oggi la caparra?", NEW, None, id="the present"),
        pytest.param("Caparra del 30 per cento", NEW, OLD, id="the words of the old note"),
        pytest.param("Qual era la vecchia regola della caparra?", OLD, NEW, id="the past"),
        pytest.param("Com'era la caparra prima di aprile?", NEW, OLD, id="the past, and the new one says it too"),
    ],
)
def test_the_rule_that_holds_and_the_one_that_held(
    examples_index: Index, question: str, first: str, also: str | None
) -> None:
    found = [Path(hit.path).name for hit in examples_index.search(question, k=8)]
    assert found[0] == first
    assert also is None or also in found


CONFUSING = (
    ".sncp/memoria/decisioni/DECISIONI_CONTEXT_OPTIMIZATION_20260109.md",
    ".sncp/archivio/2026-01/lezioni/LEZIONE_20260110_sncp_automazione.md",
    ".sncp/stato/oggi.md",
    ".sncp/stato/mappa_viva.md",
)


@pytest.mark.slow
def test_temporal_questions_on_real_notes_find_a_current_note_first(tmp_path: Path, shared: Path) -> None:
    """Among notes that answer them and those that were found before them when nothing looked at time."""
    lines = (shared / "data" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    asked = {row["id"]: row for row in map(json.loads, lines) if row["kind"] == "temporal"}
    gold = {path for row in asked.values() for path in row["gold"] if "NORD" not in path and "RICERCA" not in path}
    notes = sorted(gold | set(CONFUSING))
    index = built(tmp_path, shared / "data" / "sncp", notes=notes, model="local/multilingual-e5-small")
    assert set(asked) == {"d007", "d008", "d009"}
    for row in asked.values():
        (hit,) = index.search(row["question"], k=1)
        assert hit.path in row["gold"] and hit.status == "current", row["question"]
