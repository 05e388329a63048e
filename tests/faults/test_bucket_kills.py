"""SIGKILL at each request of an upload, at each request and each rename of a reader: old state or new one, whole."""

from __future__ import annotations

import hashlib
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from components.index import Chunk, Index, chunk_documents, chunks_digest
from components.index.bucket import mirror as mirrors
from components.index.bucket.copying import copy_index
from components.index.bucket.mirror import Mirror
from components.index.bucket.state import State
from components.index.status import index_status
from components.llm import load_embedder
from components.sncp import Document
from tests.bucket import Storage, running_storage
from tests.nursery import Child, Nursery

EMBEDDER = load_embedder(model="fake/embedding")

pytestmark = pytest.mark.slow


@dataclass
class World:
    """A writer's index with two states, the first of which is in the bucket; and a reader's workspace."""

    storage: Storage
    nursery: Nursery
    folder: Path
    bucket: str

    @property
    def address(self) -> str:
        return f"s3://{self.bucket}/notes"

    @property
    def writer(self) -> Path:
        return self.folder / "writer"

    @property
    def reader(self) -> Path:
        return self.folder / "reader"

    def start(self, *arguments: object) -> Child:
        return self.nursery.start(*arguments, environment=self.storage.environment)

    def killed_at(self, request: int, *, answered: bool, what: str, folder: Path) -> bool:
        """Run the child, and kill it when its request of this number comes, or before it is answered; whether it died.

        Requests that it has sent at the same time from other threads may be done or not, as in life.
        """
        self.storage.calm()
        born = Future[Child]()  # it may ask before this process knows of it

        def kill(method: str, path: str) -> None:
            if len(self.storage.asked) >= request:
                born.result().kill()
                born.result().wait()

        def before(method: str, path: str) -> int | None:
            kill(method, path)
            return None if born.result().poll() is None else 500

        if answered:
            self.storage.after = kill
        else:
            self.storage.refuse = before
        child = self.start(what, folder, self.address)
        born.set_result(child)
        code = child.wait()
        self.storage.calm()
        assert code in (0, -signal.SIGKILL), child.err
        return bool(code)

    def look(self) -> int:
        """Which of the two states the bucket has, told by a new reader that reads every row and searches."""
        fresh = self.folder / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        return seen(Mirror(self.address, workspace=fresh).newest())

    def is_whole(self) -> bool:
        """Whether every object that is named is there, and what it should be."""
        keys = self.storage.keys(self.bucket)
        state = State.parse(keys["notes/published.json"], where=self.address)
        return all(len(keys[f"notes/objects/{sha}"]) == size for sha, size in state.digests.items())


def states() -> tuple[list[Chunk], list[Chunk]]:
    def note(path: str, text: str) -> Document:
        digest = hashlib.sha256(path.encode()).hexdigest()
        return Document(
            doc_id=digest, path=path, paths=(path,), kind="note", project=None, title=path, date=None, date_source=None,
            status="current", supersedes=(), superseded_by=(), content_hash=digest, text=text,
        )  # fmt: skip

    def cut(word: str) -> list[Chunk]:
        documents = [note(f"n{number}.md", f"# Nota {number}\n\nforno {number}\n") for number in range(6)]
        documents.append(note("x.md", f"# Stato\n\n{word}\n"))
        return chunk_documents(
            documents, max_tokens=60, breadcrumbs=True, count_tokens=EMBEDDER.count_tokens
        )  # fmt: skip

    return cut("primavera"), cut("autunno")


def seen(uri: Path) -> int:
    """Which state an index folder holds; every row is read, and one is searched."""
    assert index_status(uri)["faults"] == []
    digest = Index.open(uri, EMBEDDER).live_digest()
    number = [chunks_digest(state, EMBEDDER.id) for state in states()].index(str(digest))
    word = ("primavera", "autunno")[number]
    assert word in Index.open(uri, EMBEDDER).search(word, k=1)[0].text
    return number


@pytest.fixture(scope="module")
def storage() -> Iterator[Storage]:
    with running_storage() as made:
        yield made


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery("tests.faults.bucket_child") as made:
        yield made


@pytest.fixture
def world(tmp_path: Path, storage: Storage, nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> World:
    for name, value in storage.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(mirrors, "FRESH_SECONDS", 0.0)
    storage.calm()
    made = World(storage, nursery, tmp_path, storage.new_bucket())
    first, second = states()
    Index.open(made.writer, EMBEDDER).sync(first)
    copy_index(made.writer, made.address)
    Mirror(made.address, workspace=made.reader).newest()
    Index.open(made.writer, EMBEDDER).sync(second)
    return made


@pytest.mark.parametrize("answered", [False, True], ids=["before it is done", "before it is answered"])
def test_an_upload_that_dies_at_any_request_leaves_the_old_state_or_the_new_one(world: World, answered: bool) -> None:
    before, met = world.storage.keys(world.bucket), list[int]()
    world.storage.calm()
    copy_index(world.writer, world.address)
    requests = len(world.storage.asked)
    for request in points(requests):
        world.storage.put_back(world.bucket, before)
        assert world.killed_at(request, answered=answered, what="copy", folder=world.writer)
        assert world.is_whole()
        met.append(world.look())
    assert requests > 8 and set(met) == ({0, 1} if answered else {0})
    copy_index(world.writer, world.address)
    assert seen(Mirror(world.address, workspace=world.reader).newest()) == 1 == world.look()


def points(count: int) -> list[int]:
    """Of so many requests or calls: the first, the last, and some between them that are much alike."""
    return sorted({1, 2, 3, count // 3, count // 2, count - 2, count - 1, count} - {0})


@pytest.mark.parametrize("answered", [False, True], ids=["before it is done", "before it is answered"])
def test_a_reader_that_dies_at_any_request_has_the_old_state_or_the_new_one(world: World, answered: bool) -> None:
    copy_index(world.writer, world.address)
    kept = world.folder / "kept"
    shutil.copytree(world.reader, kept)
    world.storage.calm()
    Mirror(world.address, workspace=kept).newest()
    requests = len(world.storage.asked)
    for request in points(requests):
        workspace = world.folder / f"reader {request}"
        shutil.copytree(world.reader, workspace)
        assert world.killed_at(request, answered=answered, what="bring", folder=workspace)
        assert seen(Mirror(world.address, workspace=workspace).uri) == 0
        mirror = Mirror(world.address, workspace=workspace)
        assert seen(mirror.newest()) == 1 and not (mirror.folder / "half").exists()
    assert requests > 5


def test_a_reader_that_dies_at_any_rename_has_the_old_state_or_the_new_one(world: World) -> None:
    copy_index(world.writer, world.address)
    kept = world.folder / "kept"
    shutil.copytree(world.reader, kept)
    child = world.start("bring", kept, world.address)
    assert child.wait() == 0, child.err
    count, met = int(child.out), list[int]()
    for calls in points(count):
        workspace = world.folder / f"reader {calls}"
        shutil.copytree(world.reader, workspace)
        child = world.start("bring", workspace, world.address, calls)
        assert child.wait() == -signal.SIGKILL, child.err
        mirror = Mirror(world.address, workspace=workspace)
        met.append(seen(mirror.uri))
        assert seen(mirror.newest()) == 1 and not list((mirror.folder / "states").glob(".*"))
    assert count > 20 and set(met) == {0}  # the last of them names the new state


def test_deaths_of_many_nights_leave_no_object_behind(world: World) -> None:
    now, both = datetime(2026, 5, 1, 3, tzinfo=UTC), states()
    for night in range(5):
        Index.open(world.writer, EMBEDDER).sync(both[night % 2])
        world.killed_at(3 + night, answered=bool(night % 2), what="copy", folder=world.writer)
        assert world.is_whole()
        copy_index(world.writer, world.address, clock=lambda night=night: now + timedelta(days=night))  # type: ignore[misc]
        assert world.look() == night % 2
    copy_index(world.writer, world.address, clock=lambda: now + timedelta(days=9))
    keys = world.storage.keys(world.bucket)
    state = State.parse(keys["notes/published.json"], where=world.address)
    assert {key.rpartition("/")[2] for key in keys if "/objects/" in key} == set(state.digests)
