"""Housekeeping: the disk over a hundred reindexes, rows left to scanning, generations that nobody uses."""

from __future__ import annotations

import hashlib
import logging
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from support import Embedder, cut, note  # noqa: E402

from components.index import Chunk, Index, cleanup  # noqa: E402
from components.index.published import read_published  # noqa: E402
from components.index.status import index_status  # noqa: E402


def some(count: int = 60) -> list[Chunk]:
    return cut(*(note(f"n{number}.md", f"# Nota {number}\n\nforno pane {number}\n") for number in range(count)))


def changed(chunks: list[Chunk], turn: int) -> list[Chunk]:
    """One chunk is another one."""
    place = turn % len(chunks)
    text = f"parola{turn} nuova"
    key = hashlib.sha256(text.encode()).hexdigest()
    made = replace(chunks[place], chunk_id=key, text=text, embed_text=text)
    return [*chunks[:place], made, *chunks[place + 1 :]]


def size(uri: Path) -> int:
    return sum(path.stat().st_size for path in uri.rglob("*") if path.is_file())


def test_a_hundred_reindexes_need_no_more_disk_than_ten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleanup, "KEEP", timedelta(seconds=0.5))
    monkeypatch.setattr(cleanup, "MARGIN", 0.1)
    uri, embedder, chunks = tmp_path / "index", Embedder(), some()
    sizes = []
    for turn in range(100):
        chunks = changed(chunks, turn)
        Index.open(uri, embedder).sync(chunks)
        sizes.append(size(uri))
    assert max(sizes[10:]) < 3 * max(sizes[:10])
    told = index_status(uri)
    assert (told["faults"], told["versions"] < 60) == ([], True)
    published = read_published(uri)
    assert published is not None
    assert [entry.number for entry in published.history] == list(range(51, 101))  # of a bounded history


def test_many_reindexes_at_once_leave_few_copies_and_every_row_is_found(tmp_path: Path) -> None:
    uri, embedder, chunks = tmp_path / "index", Embedder(), some()
    for turn in range(40):
        chunks = changed(chunks, turn)
        Index.open(uri, embedder).sync(chunks)
    told = index_status(uri)
    assert (told["faults"], 0 < told["uncovered"] <= cleanup.tail_allowed(60)) == ([], True)
    index = Index.open(uri, embedder)
    for turn in range(40):
        assert any(hit.text == f"parola{turn} nuova" for hit in index.search(f"parola{turn}", k=3))


def test_generations_go_after_their_days_of_grace_and_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="cervella")
    uri, chunks = tmp_path / "index", some(12)
    (uri / "mine.lance").mkdir(parents=True)
    (uri / "chunks-mine.lance").mkdir()
    old, new = Embedder(), Embedder("test/new", dimensions=16)
    Index.open(uri, old).sync(chunks)
    Index.open(uri, new).sync(chunks)
    Index.open(uri, new).sync(changed(chunks, 1))
    assert sorted(facts["published"] for facts in index_status(uri)["generations"].values()) == [False, True]
    monkeypatch.setattr(cleanup, "GRACE", timedelta(0))
    Index.open(uri, new).sync(changed(chunks, 2))
    assert [facts["published"] for facts in index_status(uri)["generations"].values()] == [True]
    assert "was not used since" in caplog.text
    assert (uri / "mine.lance").is_dir() and (uri / "chunks-mine.lance").is_dir()
    old.texts.clear()
    Index.open(uri, old).sync(chunks)
    assert len(old.texts) == len(chunks)  # this double has no cache; the program has one
