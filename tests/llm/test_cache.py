from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import TransientError
from components.llm import CachedEmbedder, load_embedder
from components.llm.cache import CacheFile

FAKE = "fake/embedding?dimensions=16"
CHILD = """
import sys
from pathlib import Path
from components.llm import load_embedder
embedder = load_embedder(model=sys.argv[1], cache=Path(sys.argv[2]), batch_size=int(sys.argv[3]))
vectors = embedder.embed_passages([f"text {n}" for n in range(int(sys.argv[4]), int(sys.argv[5]))], local_notes=())
print(embedder.calls, embedder.texts_embedded, embedder.hits, float(vectors.sum()))
"""


def embedder_of(model: str = FAKE, **options: Any) -> CachedEmbedder:
    embedder = load_embedder(model=model, **options)
    assert embedder is not None
    return embedder


def child(root: Path, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", CHILD, *map(str, arguments)]
    return subprocess.Popen(command, cwd=root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # noqa: S603


def test_each_text_is_embedded_once_ever(tmp_path: Path) -> None:
    progress: list[tuple[int, int]] = []
    first = embedder_of(cache=tmp_path / "deep" / "e.sqlite", batch_size=2, progress=lambda *p: progress.append(p))
    vectors = first.embed_passages(["uno", "due", "uno", "tre"], local_notes=())
    assert (first.calls, first.texts_embedded, first.hits) == (2, 3, 1)
    assert progress == [(2, 3), (3, 3)]
    assert np.array_equal(vectors[0], vectors[2]) and vectors.dtype == np.float32
    again = embedder_of(cache=tmp_path / "deep" / "e.sqlite")
    assert np.array_equal(again.embed_passages(["uno", "due", "uno", "tre"], local_notes=()), vectors)
    assert (again.calls, again.texts_embedded, again.hits) == (0, 0, 4)
    again.embed_queries(["uno"])
    assert again.texts_embedded == 1  # a question is another text than a passage
    other = embedder_of("fake/embedding?dimensions=8", cache=tmp_path / "deep" / "e.sqlite")
    assert other.embed_passages(["uno"], local_notes=()).shape == (1, 8) and other.hits == 0


def test_questions_are_kept_only_where_they_are_asked_again(tmp_path: Path) -> None:
    forgetful = embedder_of(cache=tmp_path / "e.sqlite", keep_questions=False)
    for _ in range(2):
        forgetful.embed_queries(["che cosa?"])
    forgetful.embed_passages(["uno"], local_notes=())
    assert (forgetful.texts_embedded, forgetful.hits) == (3, 0)
    with sqlite3.connect(tmp_path / "e.sqlite") as file:
        assert file.execute("SELECT count(*) FROM cache").fetchone() == (1,)  # the passage
    embedder_of(cache=tmp_path / "e.sqlite").embed_queries(["che cosa?"])
    again = embedder_of(cache=tmp_path / "e.sqlite")
    again.embed_queries(["che cosa?"])
    assert (again.texts_embedded, again.hits) == (0, 1)


def test_no_texts() -> None:
    assert embedder_of().embed_passages([], local_notes=()).shape == (0, 16)


@pytest.mark.parametrize("text", ["", " ", "a\0b", "\ud800", "\x1f", "é" * 10_000], ids=repr)
def test_odd_texts_are_embedded_and_remembered(tmp_path: Path, text: str) -> None:
    embedder = embedder_of(cache=tmp_path / "e.sqlite")
    assert np.array_equal(
        embedder.embed_passages([text], local_notes=()), embedder.embed_passages([text], local_notes=())
    )
    assert embedder.hits == 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=12), max_size=20), st.integers(1, 5))
def test_cache_and_batches_change_no_vector(texts: list[str], batch_size: int) -> None:
    plain = embedder_of(batch_size=1000).embed_passages(texts, local_notes=())
    assert np.array_equal(embedder_of(batch_size=batch_size).embed_passages(texts, local_notes=()), plain)
    if texts:
        assert np.linalg.norm(plain, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_kill_loses_at_most_one_batch(tmp_path: Path, root: Path) -> None:
    cache = tmp_path / "e.sqlite"
    killed = child(root, f"{FAKE}&die_at=4", cache, 5, 0, 50)
    assert killed.wait(60) == -signal.SIGKILL
    killed.communicate()
    out, error = child(root, FAKE, cache, 5, 0, 50).communicate(timeout=60)
    assert error == ""
    assert out.split()[:3] == ["7", "35", "15"]


def test_transient_failure_keeps_what_was_done(tmp_path: Path) -> None:
    texts = [f"text {n}" for n in range(40)]
    done = 0
    for _ in range(100):
        embedder = embedder_of(f"{FAKE}&fail_prob=0.3&seed={done}", cache=tmp_path / "e.sqlite", batch_size=5)
        try:
            vectors = embedder.embed_passages(texts, local_notes=())
            break
        except TransientError:
            done += embedder.texts_embedded
    assert done + embedder.texts_embedded == 40 and done > 0
    assert np.array_equal(vectors, embedder_of().embed_passages(texts, local_notes=()))


def test_several_processes_share_a_file(tmp_path: Path, root: Path) -> None:
    cache = tmp_path / "e.sqlite"
    children = [child(root, FAKE, cache, 3, start, start + 120) for start in (0, 0, 60, 60)]
    results = [process.communicate(timeout=120) for process in children]
    assert [process.returncode for process in children] == [0] * 4
    assert [error for _, error in results] == [""] * 4
    assert results[0][0].split()[3] == results[1][0].split()[3]
    embedder = embedder_of(cache=cache)
    embedder.embed_passages([f"text {n}" for n in range(180)], local_notes=())
    assert embedder.hits == 180


def test_several_threads_share_an_embedder(tmp_path: Path) -> None:
    embedder = embedder_of(cache=tmp_path / "e.sqlite", batch_size=3)
    wanted = embedder_of().embed_passages([f"text {n}" for n in range(30)], local_notes=())
    wrong: list[int] = []

    def work(number: int) -> None:
        if not np.array_equal(embedder.embed_passages([f"text {n}" for n in range(30)], local_notes=()), wanted):
            wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def fill(path: Path) -> None:
    embedder = embedder_of(cache=path)
    embedder.embed_passages([f"text {n}" for n in range(300)], local_notes=())
    embedder.close()


def test_file_that_is_no_database_is_moved_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = tmp_path / "e.sqlite"
    cache.write_bytes(b"this is a diary, not a database " * 100)
    fill(cache)
    assert "moved to" in caplog.text
    assert (tmp_path / "e.sqlite.corrupt-1").read_bytes().startswith(b"this is a diary")
    embedder = embedder_of(cache=cache)
    embedder.embed_passages(["text 1"], local_notes=())
    assert embedder.hits == 1


@pytest.mark.parametrize("damage", ["torn", "head", "middle", "tail", "empty"])
def test_damage_never_stops_a_run_nor_changes_a_vector(tmp_path: Path, damage: str) -> None:
    cache = tmp_path / "e.sqlite"
    fill(cache)
    whole = cache.read_bytes()
    size = len(whole)
    at = {"head": 100, "middle": size // 2, "tail": size - 3000}.get(damage, 0)
    cache.write_bytes(
        {"torn": whole[: size // 2 + 7], "empty": b""}.get(damage) or whole[:at] + b"\xa5" * 2500 + whole[at + 2500 :]
        if damage != "empty"
        else b""
    )
    texts = [f"text {n}" for n in range(300)]
    for _ in range(3):
        assert np.array_equal(
            embedder_of(cache=cache).embed_passages(texts, local_notes=()),
            embedder_of().embed_passages(texts, local_notes=()),
        )
    last = embedder_of(cache=cache)
    last.embed_passages(texts, local_notes=())
    assert last.hits == 300


def test_changed_bit_counts_as_missing(tmp_path: Path) -> None:
    cache = tmp_path / "e.sqlite"
    fill(cache)
    with sqlite3.connect(cache) as connection:
        connection.execute("UPDATE cache SET value = substr(value, 1, 8) || x'ff' || substr(value, 10)")
    connection.close()
    embedder = embedder_of(cache=cache)
    embedder.embed_passages(["text 1"], local_notes=())
    assert embedder.hits == 0


def test_file_that_cannot_be_written_costs_time_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("not a folder")
    embedder = embedder_of(cache=tmp_path / "file" / "e.sqlite")
    for _ in range(3):
        assert embedder.embed_passages(["a"], local_notes=()).shape == (1, 16)
    assert caplog.text.count("cannot be used") == 2, "once for reading, once for writing"


def test_lock_that_is_held_costs_time_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "c.sqlite"
    holder = CacheFile(path)
    holder.put({"a": b"1"})
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    hasty = CacheFile(path, busy_seconds=0.1)
    hasty.put({"b": b"2"})
    assert "locked" in caplog.text
    other.execute("ROLLBACK")
    other.close()
    hasty.put({"b": b"2"})
    assert holder.get(["a", "b", "c"]) == {"a": b"1", "b": b"2"}
