from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from support import Embedder, cut, note  # noqa: E402

from components.errors import HeldBackError, InputError, TerminalError  # noqa: E402
from components.index import (  # noqa: E402
    NO_EMBEDDER,
    Chunk,
    Index,
    checks,  # noqa: E402
    chunks_digest,
)
from components.index.terms import Terms  # noqa: E402
from components.llm import CachedEmbedder  # noqa: E402

WORDS = "forno pane vino olio neve sole mare lago nave treno porta muro tetto cane gatto libro penna carta".split()


def body(number: int) -> str:
    return f"# Nota {number}\n\n" + " ".join(f"{WORDS[number % len(WORDS)]}{at}x{number}" for at in range(25)) + "\n"


def notes(count: int = 12) -> dict[str, str]:
    return {f"n{number}.md": body(number) for number in range(count)}


def chunks_of(texts: dict[str, str], max_tokens: int = 60) -> list[Chunk]:
    return cut(*(note(path, text) for path, text in texts.items()), max_tokens=max_tokens)


def published(uri: Path, embedder: Embedder | None) -> set[str]:
    return {hit.path for hit in Index.open(uri, embedder).search("nota", k=200, candidates=500)}


@pytest.fixture
def embedder() -> Embedder:
    return Embedder()


@pytest.fixture
def index(tmp_path: Path, embedder: Embedder) -> Index:
    made = Index.open(tmp_path / "index", embedder)
    made.sync(chunks_of(notes()), max_removed_share=0.5)
    embedder.texts.clear()
    return made


def test_first_sync_publishes_everything(tmp_path: Path, embedder: Embedder) -> None:
    chunks = chunks_of(notes())
    index = Index.open(tmp_path / "index", embedder)
    assert index.live_digest() is None
    report = index.sync(chunks)
    assert (report.added, report.updated, report.removed, report.embedded) == (len(chunks), 0, 0, len(chunks))
    assert index.live_digest() == report.live_digest == chunks_digest(chunks, embedder.id)
    assert published(index.uri, embedder) == set(notes())


def test_nothing_changed_writes_nothing(index: Index, embedder: Embedder) -> None:
    def files() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in index.uri.rglob("*") if path.name != ".lock"}

    before = files()
    report = index.sync(chunks_of(notes()))
    assert (report.added, report.updated, report.removed, report.embedded) == (0, 0, 0, 0)
    assert files() == before
    assert embedder.texts == []


def test_an_edit_embeds_only_what_changed(index: Index, embedder: Embedder) -> None:
    changed = notes() | {"n3.md": body(3).replace("25", "26") + "\n## Nuova\n\nparole nuove\n"}
    report = index.sync(chunks_of(changed))
    assert (report.added, report.removed, report.embedded) == (1, 0, 1)
    assert embedder.texts == ["Nota 3 > Nuova\nparole nuove"]
    assert index.search("parole nuove", k=1)[0].path == "n3.md"


def test_lines_that_move_update_rows_without_embedding(index: Index, embedder: Embedder) -> None:
    report = index.sync(chunks_of(notes() | {"n3.md": "\n\n\n" + body(3)}))
    assert (report.added, report.updated, report.removed, report.embedded) == (0, 1, 0, 0)
    assert next(hit for hit in index.search("nota 3", k=50) if hit.path == "n3.md").first_line == 4


def test_a_deleted_note_is_gone(index: Index) -> None:
    left = {path: text for path, text in notes().items() if path != "n3.md"}
    assert index.sync(chunks_of(left)).removed == 1
    assert published(index.uri, index.embedder) == set(left)


def test_deleting_one_of_two_twins_keeps_the_other(index: Index, embedder: Embedder) -> None:
    twin = note("n3.md", body(3), paths=("n3.md", "z3.md"))
    others = [note(path, text) for path, text in notes().items() if path != "n3.md"]
    index.sync(cut(twin, *others))
    index.sync(cut(note("z3.md", body(3)), *others))
    assert "z3.md" in published(index.uri, embedder) and "n3.md" not in published(index.uri, embedder)
    assert embedder.texts == []


def test_a_renamed_note_is_not_embedded_again(index: Index, embedder: Embedder) -> None:
    renamed = {path.replace("n", "dir/m"): text for path, text in notes().items()}
    report = index.sync(chunks_of(renamed), max_removed_share=0.1)
    assert (report.embedded, embedder.texts) == (0, [])
    assert published(index.uri, embedder) == set(renamed)


def test_another_chunk_size_replaces_all_rows(index: Index, embedder: Embedder) -> None:
    smaller = chunks_of(notes(), max_tokens=20)
    index.sync(smaller)
    assert index.live_digest() == chunks_digest(smaller, embedder.id)


def test_another_embedder_is_a_new_generation(index: Index, embedder: Embedder) -> None:
    other = Embedder("test/other", dimensions=16)
    with pytest.raises(TerminalError, match="test/words.*test/other"):
        Index.open(index.uri, other).search("pane")
    report = Index.open(index.uri, other).sync(chunks_of(notes()))
    assert report.embedded == report.added == 12
    assert published(index.uri, other) == set(notes())
    with pytest.raises(TerminalError, match="built with the embedder test/other"):
        index.search("pane")
    index.sync(chunks_of(notes()))  # back again: its rows are still there
    assert embedder.texts == []
    assert published(index.uri, embedder) == set(notes())


def test_a_failing_embedder_leaves_the_published_index(index: Index, embedder: Embedder) -> None:
    before = index.live_digest()
    embedder.fail = True
    with pytest.raises(RuntimeError, match="away"):
        index.sync(chunks_of({"new.md": body(99)} | notes()))
    assert index.live_digest() == before
    assert published(index.uri, embedder) == set(notes())


def test_vectors_of_the_wrong_shape_are_refused(index: Index, embedder: Embedder, monkeypatch: Any) -> None:
    monkeypatch.setattr(embedder, "embed_passages", lambda texts, **_: [[float("nan")] * 32 for _ in texts])
    with pytest.raises(TerminalError, match="zero or not a number"):
        index.sync(chunks_of({"new.md": body(99)} | notes()))


def test_too_many_lost_notes_are_refused(index: Index) -> None:
    before = index.live_digest()
    few = dict(list(notes().items())[:3])
    with pytest.raises(TerminalError, match="9 of 12 published notes would vanish.*max_removed_share"):
        index.sync(chunks_of(few), max_removed_share=0.5)
    assert index.live_digest() == before
    index.sync(chunks_of(few), max_removed_share=0.75)
    assert published(index.uri, index.embedder) == set(few)


def test_the_notes_of_another_folder_may_replace_all_and_then_are_guarded_themselves(
    index: Index, tmp_path: Path
) -> None:
    for path, text in notes().items():
        for folder, name in (("a", path), ("b", path.replace("n", "other")), ("b", path)):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / name).write_text(text, encoding="utf-8")
    index.sync(chunks_of(notes()), root=str(tmp_path / "a"))
    others = {path.replace("n", "other"): f"{text}\nAltro." for path, text in notes().items()}
    index.sync(chunks_of(others), max_removed_share=0.5, root=str(tmp_path / "b"))
    assert published(index.uri, index.embedder) == set(others)
    for root in (str(tmp_path / "b"), None):
        with pytest.raises(TerminalError, match="would vanish"):
            index.sync(chunks_of(notes()), max_removed_share=0.5, root=root)


def test_notes_of_another_folder_are_not_taken_where_nobody_is_there_who_could_mean_it(
    index: Index, tmp_path: Path
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for path, text in notes().items():
            (tmp_path / folder / path).write_text(text, encoding="utf-8")
    here, there = (Terms(root=str(tmp_path / folder), keep_root=True) for folder in ("a", "b"))
    index.sync(chunks_of(notes()), terms=here)  # nothing was there before
    changed = chunks_of(notes() | {"n0.md": body(0) + "Altro.\n"})
    with pytest.raises(
        HeldBackError, match=f"has the notes of {here.root}.*would replace them by those of {there.root}"
    ):
        index.sync(changed, terms=there)
    assert index.live_digest() == chunks_digest(chunks_of(notes()), index.embedder.id)
    index.sync(changed, terms=here)
    index.sync(changed, root=there.root)
    with pytest.raises(HeldBackError, match="run it once by hand"):
        index.sync(chunks_of(notes()), terms=here)


def test_a_small_index_may_lose_any_share(tmp_path: Path, embedder: Embedder) -> None:
    index = Index.open(tmp_path / "index", embedder)
    index.sync(chunks_of(notes(9)))
    index.sync(chunks_of(notes(1)), max_removed_share=0.1)
    assert published(index.uri, embedder) == {"n0.md"}


def test_rows_that_fail_the_check_are_taken_back(index: Index, monkeypatch: Any) -> None:
    before = index.live_digest()
    monkeypatch.setattr(checks, "faults", lambda *_, **__: ["made to fail"])
    with pytest.raises(TerminalError, match="made to fail.*stays"):
        index.sync(chunks_of({"new.md": body(99)} | notes()))
    monkeypatch.undo()
    assert index.live_digest() == before
    assert "new.md" not in published(index.uri, index.embedder)
    index.sync(chunks_of({"new.md": body(99)} | notes()))
    assert "new.md" in published(index.uri, index.embedder)


def test_an_index_can_become_empty_and_grow_again(tmp_path: Path, embedder: Embedder) -> None:
    index = Index.open(tmp_path / "index", embedder)
    index.sync([])
    assert index.search("pane") == []
    index.sync(chunks_of(notes(3)))
    index.sync([])
    assert index.search("pane") == []


def test_without_an_embedder_it_is_full_text_and_says_so(tmp_path: Path) -> None:
    index = Index.open(tmp_path / "index", None)
    chunks = chunks_of(notes())
    report = index.sync(chunks)
    assert report.degraded and index.degraded and index.status()["degraded"]
    assert report.live_digest == chunks_digest(chunks, NO_EMBEDDER)
    hit = index.search("neve3x4 nota", k=1)[0]
    assert hit.cosine is None and hit.fts is not None


def test_ids_must_be_digests_and_distinct(index: Index) -> None:
    chunk = chunks_of(notes())[0]
    with pytest.raises(InputError, match="distinct SHA-256"):
        index.sync([chunk, chunk])
    forged = Chunk.from_dict(chunk.to_dict() | {"chunk_id": "' OR '1'='1"})
    with pytest.raises(InputError, match="distinct SHA-256"):
        index.sync([forged])


def test_nothing_is_published_yet(tmp_path: Path, embedder: Embedder) -> None:
    with pytest.raises(TerminalError, match="nothing is published.*yet"):
        Index.open(tmp_path / "index", embedder).search("pane")


def _write(uri: str, number: int, start: Any) -> None:
    start.wait()
    for turn in range(4):
        Index.open(Path(uri), Embedder()).sync(chunks_of(notes() | {f"w{number}.md": body(100 + number * 10 + turn)}))


def test_two_writers_at_once_lose_and_double_nothing(tmp_path: Path, embedder: Embedder) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    uri = tmp_path / "index"
    writers = [context.Process(target=_write, args=(str(uri), number, start)) for number in range(2)]
    for writer in writers:
        writer.start()
    start.set()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0]
    finals = [notes() | {f"w{number}.md": body(103 + number * 10)} for number in range(2)]
    assert Index.open(uri, embedder).live_digest() in {chunks_digest(chunks_of(final), embedder.id) for final in finals}


def test_a_second_writer_is_told_who_holds_the_index(index: Index) -> None:
    from components.store import hold

    with (
        hold(index.uri / ".lock", what="index sync"),
        pytest.raises(TerminalError, match=f"process {os.getpid()} .index sync"),
    ):
        index.sync(chunks_of(notes()), lock_seconds=0.2)


def test_batches_of_one_sync_are_embedded_as_many_at_a_time_as_the_embedder_says(tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=60)  # breaks, and the sync with it, when a batch is alone

    class TwoAtOnce(Embedder):
        batches_at_once = 2

        def embed_passages(self, texts: Sequence[str], **options: Any) -> Any:
            both.wait()
            return super().embed_passages(texts, **options)

    inner = TwoAtOnce()
    told: list[tuple[int, int]] = []
    embedder = CachedEmbedder(inner, cache=tmp_path / "vectors.sqlite", batch_size=4)
    chunks = chunks_of(notes(16))
    assert len(chunks) == 16
    Index.open(tmp_path / "index", embedder).sync(chunks, progress=lambda *at: told.append(at))
    assert (len(inner.texts), told[-1]) == (16, (16, 16))


def test_what_the_cache_has_counts_as_done_at_once(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    for count in (6, 16):  # the second sync is of another index, and finds six vectors in the cache
        told.clear()
        embedder = CachedEmbedder(Embedder(), cache=tmp_path / "vectors.sqlite", batch_size=4)
        Index.open(tmp_path / f"index{count}", embedder).sync(
            chunks_of(notes(count)), progress=lambda *at: told.append(at)
        )
    assert told == [(10, 16), (14, 16), (16, 16), (16, 16)]
    assert embedder.texts_embedded == 10
