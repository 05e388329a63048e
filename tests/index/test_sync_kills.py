"""Sixty SIGKILLs during continuous reindexing, a reader during thirty flips, two writers at once."""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from flipping import POINTS, digests, states  # noqa: E402
from support import Embedder  # noqa: E402

from components.errors import TerminalError  # noqa: E402
from components.index import Index  # noqa: E402
from components.index.checks import UNRECORDED  # noqa: E402
from components.index.status import index_status  # noqa: E402
from tests.nursery import Nursery  # noqa: E402


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery("tests.index.flipping") as made:
        yield made


def killed(nursery: Nursery, uri: Path, point: str, *, turn: int, seconds: float) -> None:
    """Let a writer die, by its own hand at a named point, or by ours at some moment."""
    child = nursery.start("write", uri, point, turn)
    child.says("ready\n")
    try:
        if point == "none":
            time.sleep(seconds)
            child.kill()
        assert child.wait() == -signal.SIGKILL, child.err
    finally:
        child.kill()


def look(uri: Path) -> str:
    """The published digest; every row is read, and searched."""
    assert set(index_status(uri)["faults"]) <= {UNRECORDED}  # a death between the tag and the record of it
    index = Index.open(uri, Embedder())
    digest = index.live_digest()
    assert digest is not None
    number = digests().index(digest)
    paths = {chunk.path for chunk in states()[number]}
    assert {hit.path for hit in index.search("nota solo forno primo secondo", k=100, candidates=100)} == paths
    return digest


def lane(nursery: Nursery, uri: Path, deaths: list[str], seed: int) -> set[str]:
    """Deaths one after the other on one index; the digests that were published after each."""
    dice = random.Random(seed)
    first, _ = states()
    Index.open(uri, Embedder()).sync(first)
    seen = set()
    for point in deaths:
        killed(nursery, uri, point, turn=dice.randint(1, 5), seconds=dice.uniform(0.0, 1.0))
        seen.add(look(uri))
    return seen


@pytest.mark.slow
def test_sixty_kills_lose_tear_and_double_nothing(nursery: Nursery, tmp_path: Path) -> None:
    deaths = [*POINTS, *POINTS, *["none"] * 30]
    random.Random(1).shuffle(deaths)
    lanes = [tmp_path / "a", tmp_path / "b"]
    with ThreadPoolExecutor(2) as pool:
        seen = list(pool.map(partial(lane, nursery), lanes, [deaths[::2], deaths[1::2]], [2, 3]))
    assert seen[0] | seen[1] == set(digests())  # both states were met: the writers did work
    first, second = states()
    for uri in lanes:
        embedder = Embedder()
        for state, digest in ((second, digests()[1]), (first, digests()[0])):
            assert Index.open(uri, embedder).sync(state).live_digest == digest == look(uri)
            assert index_status(uri)["faults"] == []
        assert len(embedder.texts) <= 2 * 2  # the note that is only here, and the one that is other here
        assert not list(uri.glob("*.damaged-*")) and not list(uri.glob(".live.json.*"))


@pytest.mark.parametrize("point", ["before merge", "after merge", "before tag", "after tag", "before pointer"])
def test_a_death_before_anything_is_published_publishes_nothing(nursery: Nursery, tmp_path: Path, point: str) -> None:
    uri, embedder = tmp_path / "index", Embedder()
    killed(nursery, uri, point, turn=1, seconds=0)
    with pytest.raises(TerminalError, match="nothing is published"):
        Index.open(uri, embedder).search("nota")
    first, _ = states()
    report = Index.open(uri, embedder).sync(first, lock_seconds=5)
    assert report.live_digest == look(uri)
    assert len(embedder.texts) == (len(first) if point == "before merge" else 0)


def test_a_reader_never_sees_anything_between_two_states(nursery: Nursery, tmp_path: Path) -> None:
    uri, stop = tmp_path / "index", tmp_path / "stop"
    both = states()
    Index.open(uri, Embedder()).sync(both[0])
    reader = nursery.start("read", uri, stop)
    reader.says("ready\n")
    for turn in range(30):
        Index.open(uri, Embedder()).sync(both[(turn + 1) % 2])
    stop.touch()
    assert reader.wait() == 0, reader.err
    told = json.loads(reader.out.splitlines()[-1])
    assert told["wrong"] == []
    assert min(told["seen"]) > 0


def test_a_reader_of_an_old_version_goes_on_while_it_is_cleaned_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import timedelta

    from components.index import cleanup

    uri, both = tmp_path / "index", states()
    monkeypatch.setattr(cleanup, "KEEP", timedelta(seconds=4))
    monkeypatch.setattr(cleanup, "MARGIN", 0.2)
    monkeypatch.setattr(cleanup, "_PRUNE", 1)
    for turn in range(8):
        Index.open(uri, Embedder()).sync(both[turn % 2])
    time.sleep(4)  # what is published now is older than is kept, and has been published all the time
    reading = Index.open(uri, Embedder())._live(uri, strict=True)
    versions = len(reading.list_versions())
    Index.open(uri, Embedder()).sync(both[0])
    assert len(reading.list_versions()) < versions
    assert {row["path"] for row in reading.search().select(["path"]).to_list()} == {chunk.path for chunk in both[1]}
    time.sleep(4)
    for turn in range(1, 9):
        Index.open(uri, Embedder()).sync(both[turn % 2])
    assert set(Index.open(uri, Embedder())._live(uri, strict=True).tags.list()) == {"live"}
