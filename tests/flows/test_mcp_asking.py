"""What several calls of one `cervella mcp` share: one index in memory, and no turn to wait for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from components.index import Index, chunk_documents
from components.sncp.collect import collect
from components.sncp.params import DEFAULT_SOURCES
from flows.commands.options import load
from flows.mcp_tools.asking import Asking
from tests.flows.conftest import Workspace
from tests.waiting import soon

ASKED = "Quanto è la caparra ad agosto?"


@pytest.fixture
def asking(spoiled: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    monkeypatch.chdir(root)
    options = (*spoiled.options[1::2], "serve.answers=recipe", "serve.look_seconds=0.05")
    made = Asking(load("mvp", options), with_local=False)
    yield made
    made.close()


def test_a_search_does_not_wait_for_the_search_of_an_answer(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, until, searched = threading.Event(), threading.Event(), Index.searched

    def slow(index: Index, question: str, **options: Any) -> Any:
        begun.set()
        until.wait(60)
        return searched(index, question, **options)

    monkeypatch.setattr(Index, "searched", slow)
    with ThreadPoolExecutor(2) as threads:
        try:
            answer = threads.submit(asking.ask, ASKED, stop=threading.Event())
            assert begun.wait(60)
            found, _ = threads.submit(asking.search, ASKED, k=3).result(timeout=60)
            assert len(found.passages) == 3 and not answer.done()
        finally:
            until.set()
        assert answer.result(timeout=60)[0].sources


def test_search_and_answers_are_on_one_index_which_lets_go_of_old_rows(asking: Asking, examples: Path) -> None:
    asking.search(ASKED, k=1)
    asking.ask(ASKED, stop=threading.Event())
    asking.search(ASKED, k=1)
    with asking._live.use() as opened:
        index = opened.partner.index
        assert asking._index is index
    documents = collect(
        root=examples / "sncp", sources=DEFAULT_SOURCES, include=[], exclude=[], max_bytes=10**6, redact="redact",
        persona_files=[],
    ).documents[:3]  # fmt: skip
    assert index.embedder is not None and index._opened is not None
    count = index.embedder.count_tokens
    index.sync(chunk_documents(documents, max_tokens=200, breadcrumbs=True, count_tokens=count))
    assert soon(lambda: index._opened is None), "nobody has searched since"
