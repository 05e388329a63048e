"""What stays open between searches: it follows what is published, threads share it, it finds what LanceDB finds."""

from __future__ import annotations

import gc
import random
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from flipping import states  # noqa: E402
from support import Embedder, cut, note  # noqa: E402

from components.errors import TerminalError  # noqa: E402
from components.index import Hit, Index, chunks_digest, purge, snapshot, vectors  # noqa: E402
from components.index import index as index_module  # noqa: E402
from components.index import sync as sync_module  # noqa: E402
from components.index import table as tables  # noqa: E402
from components.index.chunk import Chunk  # noqa: E402
from components.index.passages import Passages  # noqa: E402

WORDS = "pane forno vino orario luce acqua sale olio legna farina lievito prezzo stanza ospite chiave giorno".split()
FILTERS: dict[str, dict[str, Any]] = {
    "none": {}, "kind": {"kind": "decision"}, "project": {"project": ["nord", "sud"]}, "status": {"status": "current"},
    "since": {"since": "2026-01-10"}, "until": {"until": "2026-01-20"},
    "all of them": {"kind": "note", "project": "sud", "since": "2026-01-05", "until": "2026-01-25"},
}  # fmt: skip


def notes(count: int) -> list[Chunk]:
    """Notes of few words, some the same as others, so that many are equally near; of all kinds, projects and days."""
    rng = random.Random(7)
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(2, 9))) for _ in range(count // 2)]
    return cut(
        *(
            note(
                f"n{number:03}.md", f"# {rng.choice(texts)}\n\n{rng.choice(texts)}\n",
                kind=rng.choice(["note", "decision"]), project=rng.choice([None, "nord", "sud"]),
                status=rng.choice(["current", "archived"]), date=rng.choice([None, f"2026-01-{rng.randint(1, 30):02}"]),
            )
            for number in range(count)
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    uri = tmp_path_factory.mktemp("snapshot") / "index"
    index = Index.open(uri, Embedder())
    index.sync(notes(300)[:200])
    index.sync(notes(300))  # rows of several commits
    return uri


def asked(index: Index, **options: Any) -> list[list[Hit]]:
    rng = random.Random(11)
    questions = [" ".join(rng.choices(WORDS, k=rng.randint(1, 5))) for _ in range(40)]
    return [index.search(question, k=500, candidates=500, **options) for question in questions]


def test_vectors_in_memory_are_as_near_as_lancedb_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Index.open(folder, Embedder())._snapshot()
    here.nearest(Embedder().embed_queries(["pane"])[0], where=None, limit=1)  # read now
    monkeypatch.setattr(vectors, "MOST_BYTES", 0)
    there = Index.open(folder, Embedder())._snapshot()
    for vector in Embedder().embed_queries([*WORDS, "pane forno", "acqua e sale", "prezzo stanza", "chiave"]):
        for limit in (1, 10, 50, 1000):
            one, other = (rows.nearest(vector, where=None, limit=limit) for rows in (here, there))
            assert list(one.values()) == pytest.approx(list(other.values()), abs=1e-6)
            assert {key: one[key] for key in one if key in other} == pytest.approx(
                {key: other[key] for key in other if key in one}, abs=1e-6
            )
            last = min(other.values())  # which of several that are equally near are the last, rounding decides
            assert all({**one, **other}[key] == pytest.approx(last, abs=1e-6) for key in one.keys() ^ other.keys())
    assert here._vectors is not None and there._vectors is None


def test_whether_vectors_are_in_memory_changes_no_hit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = asked(Index.open(folder, Embedder()))
    monkeypatch.setattr(vectors, "MOST_BYTES", 0)
    there = asked(Index.open(folder, Embedder()))
    assert all(there)
    for one, other in zip(here, there, strict=True):
        for value in ("score", "cosine", "fts"):
            found = [{hit.chunk_id: getattr(hit, value) for hit in hits} for hits in (one, other)]
            assert found[0] == {key: number and pytest.approx(number, abs=1e-5) for key, number in found[1].items()}


@pytest.mark.parametrize("name", [name for name in FILTERS if name != "none"])
def test_filters_hold(folder: Path, name: str) -> None:
    wanted = FILTERS[name]
    for hit in (hit for hits in asked(Index.open(folder, Embedder()), **wanted) for hit in hits):
        assert hit.kind in wanted.get("kind", hit.kind) and hit.status == wanted.get("status", hit.status)
        assert "project" not in wanted or hit.project in wanted["project"]
        assert "since" not in wanted or hit.date >= wanted["since"]
        assert "until" not in wanted or hit.date <= wanted["until"]


@pytest.mark.parametrize("limit", [1, 5, 99, 100, 1000])
def test_the_nearest_rows_are_the_nearest_of_all(limit: int) -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(100, 8)).astype(np.float32)
    rows[40:60] = rows[10]  # equally near: the first rows go before
    rows[7] = 0
    made = vectors.Vectors(np.arange(100, dtype=np.uint64)[::-1].copy() + 5, rows, np.linalg.norm(rows, axis=1))
    question = rng.normal(size=8).astype(np.float32)
    exact = rows.astype(float) @ question / (np.linalg.norm(rows.astype(float), axis=1) + 1e-300)
    exact /= np.linalg.norm(question.astype(float))
    ids = (104 - np.arange(100)).tolist()
    wanted = sorted((-np.float32(exact[row]), ids[row]) for row in range(100) if row != 7)[:limit]
    found = made.nearest(question, limit=limit)
    assert list(found) == [key for _, key in wanted]
    assert list(found.values()) == pytest.approx([-value for value, _ in wanted], abs=1e-6)


def test_a_table_is_opened_once_for_many_searches_and_anew_when_something_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = tables.open_table

    def counted(database: Any, name: str) -> Any:
        opened.append(name)
        return real(database, name)

    both = states()
    uri = tmp_path / "index"
    Index.open(uri, Embedder()).sync(both[0])
    monkeypatch.setattr(tables, "open_table", counted)
    reader = Index.open(uri, Embedder())
    for _ in range(5):
        hits, digest = reader.searched("stato primo", k=50)
        assert {hit.path for hit in hits} & {"gone.md"} and digest == chunks_digest(both[0], Embedder().id)
    assert len(opened) == 1
    Index.open(uri, Embedder()).sync(both[1])
    opened.clear()
    for _ in range(5):
        hits, digest = reader.searched("stato secondo", k=50)
        assert {hit.path for hit in hits} & {"new.md"} and digest == chunks_digest(both[1], Embedder().id)
        assert not {hit.path for hit in hits} & {"gone.md"}
        assert reader.published_rows().version == reader._live(uri, strict=True).version
    assert len(opened) == 1 + 5  # one, and those that this test asks for


def test_rows_are_seen_also_when_the_publication_was_killed_before_the_pointer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, uri = states(), tmp_path / "index"
    Index.open(uri, Embedder()).sync(both[0])
    reader = Index.open(uri, Embedder())
    assert reader.search("alfa")[0].path in {"gone.md", "x.md"}

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sync_module.live, "write_published", killed)
    with pytest.raises(KeyboardInterrupt):
        Index.open(uri, Embedder()).sync(both[1])
    hits, digest = reader.searched("beta", k=1)
    assert hits[0].path in {"new.md", "x.md"} and digest == chunks_digest(both[1], Embedder().id)


@pytest.mark.parametrize("syncs", [1, 3])
@pytest.mark.parametrize("how", ["built anew", "forgotten"])
def test_the_digest_is_that_of_the_rows_when_a_table_that_begins_again_was_killed_before_the_pointer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, syncs: int
) -> None:
    uri, chunks = tmp_path / "index", notes(60)
    for end in range(1, syncs + 1):
        Index.open(uri, Embedder()).sync(chunks[: 10 * end])

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sync_module.live if how == "built anew" else purge, "write_published", killed)
    with pytest.raises(KeyboardInterrupt):
        if how == "forgotten":
            purge.forget_rows(uri, holds=lambda row: row["path"] == chunks[0].path)
        for file in uri.glob("chunks-*.lance/data/*"):
            file.write_bytes(b"damaged")
        Index.open(uri, Embedder()).sync(chunks[::2])
    reader = Index.open(uri, Embedder())
    shown = chunks[::2]
    if how == "forgotten":
        shown = [chunk for chunk in chunks[: 10 * syncs] if chunk.path != chunks[0].path]
    assert reader.searched("pane")[1] == reader.live_digest() == chunks_digest(shown, Embedder().id)


def test_a_search_stays_in_the_folder_that_it_began_with_when_another_thread_is_told_of_a_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, uris = states(), [tmp_path / "a", tmp_path / "b"]
    Index.open(uris[0], Embedder()).sync(both[1])
    Index.open(uris[0], Embedder()).sync(both[0])  # a version that the other folder has not
    Index.open(uris[1], Embedder()).sync(both[1])
    named = [uris[0]]
    reader = Index.open(uris[0], Embedder(), newest=lambda: named[0])
    real, of_others = tables.open_table, list[Any]()

    def in_between(database: Any, name: str) -> Any:
        if threading.current_thread() is threading.main_thread() and named[0] != uris[1]:
            named[0] = uris[1]
            other = threading.Thread(target=lambda: of_others.append(reader.live_digest()))
            other.start()
            other.join()
        return real(database, name)

    monkeypatch.setattr(tables, "open_table", in_between)
    digests = [chunks_digest(state, Embedder().id) for state in both]
    hits, digest = reader.searched("alfa", k=50)
    assert digest == digests[0] and "gone.md" in {hit.path for hit in hits} and of_others == [digests[1]]
    assert reader.searched("alfa")[1] == digests[1] and reader.status()["uri"] == str(uris[1])


@pytest.mark.parametrize("stale", [False, True], ids=["named a moment ago", "named long ago"])
def test_while_one_thread_asks_a_slow_storage_the_others_read_what_was_named_last(
    folder: Path, monkeypatch: pytest.MonkeyPatch, stale: bool
) -> None:
    storage_answers, asked = threading.Event(), threading.Event()
    storage_answers.set()

    def newest() -> Path:
        asked.set()
        assert storage_answers.wait(60)
        return folder

    reader = Index.open(folder, Embedder(), newest=newest)
    reader.search("pane")
    storage_answers.clear()
    asked.clear()
    found: list[list[Hit]] = []
    threads = [threading.Thread(target=lambda: found.append(reader.search("pane"))) for _ in range(2)]
    threads[0].start()
    assert asked.wait(60)
    if stale:
        monkeypatch.setattr(index_module, "_OLD_SECONDS", -1.0)
    threads[1].start()
    threads[1].join(0.5 if stale else 60)
    waits, before = threads[1].is_alive(), len(found)
    storage_answers.set()
    for thread in threads:
        thread.join()
    assert (waits, before, len(found)) == (stale, 0 if stale else 1, 2)


def test_what_was_published_before_is_let_go_at_once(tmp_path: Path) -> None:
    both, uri = states(), tmp_path / "index"
    Index.open(uri, Embedder()).sync(both[0])
    reader = Index.open(uri, Embedder())
    gc.disable()
    try:
        for turn, again in enumerate([lambda: reader.search("nota"), reader.let_go_of_old], 1):
            reader.search("nota")
            before = weakref.ref(reader._snapshot())
            reader.let_go_of_old()
            assert before() is reader._snapshot()  # it is what is published
            Index.open(uri, Embedder()).sync(both[turn % 2])
            assert before() is not None
            again()
            assert before() is None
        reader.search("nota")
        before = weakref.ref(reader._snapshot())
        purge.forget_rows(uri, holds=lambda row: True)
        reader.let_go_of_old()
        assert before() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("elsewhere", [False, True], ids=["made here", "made elsewhere"])
@pytest.mark.parametrize(
    ("built_with", "ours", "same"),
    [
        ("local/e5@1.0+int8", "local/e5@1.0+fp32", True), ("local/e5@1.0+fp32", "local/e5@1.0", True),
        ("local/e5@1.0", "local/e5@1.0+int8", True), ("local/e5@1.0+int8", "local/e5@2.0+int8", False),
        ("house/a+b", "house/a+c", False),
    ],
)  # fmt: skip
def test_another_engine_of_the_same_model_is_not_asked_to_be_named(
    tmp_path: Path, built_with: str, ours: str, same: bool, elsewhere: bool
) -> None:
    Index.open(tmp_path, Embedder(built_with)).sync(states()[0])
    with pytest.raises(TerminalError, match="was built with the embedder") as refused:
        Index.open(tmp_path, Embedder(ours), newest=(lambda: tmp_path) if elsewhere else None).search("nota")
    told = str(refused.value)
    assert built_with in told and ours in told
    assert ("cervella doctor" in told and "processor" in told) is same
    assert ("name that one" in told) is (elsewhere and not same)
    assert ("leave index.uri out" in told) is (elsewhere and same) and ("reindex" in told) is not elsewhere


def test_threads_that_search_while_others_publish_see_one_state_or_the_other(tmp_path: Path) -> None:
    both, uri = states(), tmp_path / "index"
    digests = [chunks_digest(state, Embedder().id) for state in both]
    paths = [{chunk.path for chunk in state} for state in both]
    Index.open(uri, Embedder()).sync(both[0])
    reader = Index.open(uri, Embedder())
    seen: list[int] = []
    wrong: list[object] = []
    done = threading.Event()

    def search() -> None:
        while not done.is_set():
            try:
                hits, digest = reader.searched("nota solo forno primo secondo", k=100, candidates=100)
                seen.append(digests.index(digest))
                if {hit.path for hit in hits} != paths[seen[-1]]:
                    wrong.append(sorted(hit.path for hit in hits))
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(1, 9):
        Index.open(uri, Embedder()).sync(both[turn % 2])
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong and set(seen) == {0, 1}


def test_two_questions_are_embedded_at_the_same_time_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Meeting(Embedder):
        """Embeds a question when another one is embedded as well."""

        is_local = False

        def __init__(self) -> None:
            super().__init__()
            self.both = threading.Barrier(2)

        def embed_queries(self, texts: Any) -> Any:
            self.both.wait(timeout=30)
            return super().embed_queries(texts)

    monkeypatch.setattr(snapshot, "usable_cpus", lambda: 1)
    index = Index.open(tmp_path / "index", Meeting())
    index.sync(states()[0])
    with ThreadPoolExecutor(2) as pool:
        found = [hits[0].path for hits in pool.map(index.search, ["alfa"] * 2)]
    assert len(found) == 2 and set(found) <= {"gone.md", "x.md"}


def test_here_as_many_are_searched_at_a_time_as_there_are_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counting(Embedder):
        """Tells how many questions are embedded at the same time."""

        at_work: list[int] = []
        most = 0

        def embed_queries(self, texts: Any) -> Any:
            self.at_work.append(1)
            Counting.most = max(Counting.most, len(self.at_work))
            time.sleep(0.05)
            self.at_work.pop()
            return super().embed_queries(texts)

    monkeypatch.setattr(snapshot, "usable_cpus", lambda: 2)
    index = Index.open(tmp_path / "index", Counting())
    index.sync(states()[0])
    with ThreadPoolExecutor(6) as pool:
        found = [hits[0].path for hits in pool.map(index.search, ["alfa"] * 6)]
    assert (len(found), Counting.most) == (6, 2)


def test_the_passages_found_last_are_kept_and_no_more() -> None:
    chunks = dict(enumerate(notes(30)))
    read: list[int] = []

    def rows(row_ids: Any) -> dict[int, Chunk]:
        read.extend(row_ids)
        return {key: chunks[key] for key in row_ids}

    passages = Passages(rows, kept=5)
    assert {key: one.chunk for key, one in passages.of([0, 1, 2, 3]).items()} == {key: chunks[key] for key in range(4)}
    passages.of([0, 4, 5])  # 1 is now the one that was not asked for longest
    assert read == [0, 1, 2, 3, 4, 5] and sorted(passages._kept) == [0, 2, 3, 4, 5]
    assert set(passages.of(range(20))) == set(range(20))  # more than are kept
    assert len(passages._kept) == 5
