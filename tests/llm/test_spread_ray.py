"""Two real workers of a real Ray cluster on this machine: equal results, nothing lost, nothing left."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.errors import TerminalError
from components.llm import Budget, CachedEmbedder, load_chat, load_embedder
from components.llm.at_once import ask_at_once, most_at_once
from components.llm.cache import CacheFile
from components.llm.spread import Workers
from tests.llm.ray_processes import descendants, listening, running
from tests.waiting import soon

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (make setup-ray)"),
]

KEY = "sk-test-0a1b2c3d4e5f60718293a4b5c6d7e8f9"
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
CHAT: dict[str, Any] = {
    "temperature": 0, "max_tokens": 40, "context_tokens": 512, "timeout_seconds": 60, "retries": 0, "seed": 1,
}  # fmt: skip


def texts(count: int) -> list[str]:
    return [f"Nota {number}: la vendemmia comincia il {number % 28 + 1} settembre, vigna {number}." for number in
            range(count)]  # fmt: skip


def embedder(workers: Workers | None, model: str = "fake/embedding", **options: Any) -> CachedEmbedder:
    made = load_embedder(model=model, batch_size=4, workers=workers, **options)
    assert made is not None
    return made


def newly(workers: Workers, before: Mapping[str, Mapping[str, int]]) -> dict[str, Counter[str]]:
    """What each worker did since `told` said `before`, those that did nothing left out."""
    after = {name: Counter(done) for name, done in workers.told().items()}
    done = {name: counts - Counter(before.get(name, {})) for name, counts in after.items()}
    return {name: counts for name, counts in done.items() if counts}


def own_folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("cervella-ray-*")) | set(Path("/tmp").glob("cervella-ray-*"))


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    os.environ["CERVELLA_TEST_API_KEY"] = KEY
    with Workers(most=2) as made:
        assert made.count == 2
        yield made
    del os.environ["CERVELLA_TEST_API_KEY"]


def test_vectors_are_those_of_this_process_and_both_workers_made_some(workers: Workers) -> None:
    before = workers.told()
    model = "local/multilingual-e5-small"
    spread = embedder(workers, model).embed_passages(texts(40), local_notes=["diario.md"])
    here = embedder(None, model).embed_passages(texts(40), local_notes=())
    assert np.abs(spread - here).max() < 1e-4
    done = newly(workers, before)
    assert len(done) == 2 and sum(counts["texts"] for counts in done.values()) == 40, done


def test_a_worker_that_is_killed_loses_no_text_and_doubles_none_in_the_cache(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: Counter[str] = Counter()
    put = CacheFile.put

    def counted(self: CacheFile, values: Mapping[str, bytes]) -> None:
        kept.update(values.keys())
        put(self, values)

    monkeypatch.setattr(CacheFile, "put", counted)
    killed: list[int] = []

    def kill(done: int, _: int) -> None:
        if done >= 20 and not killed:
            name = max(newly(workers, before).items(), key=lambda one: one[1]["texts"])[0]
            killed.append(int(name.split()[-1]))
            os.kill(killed[0], signal.SIGKILL)

    before = workers.told()
    made = embedder(workers, "fake/embedding?delay=0.05", cache=tmp_path / "e.sqlite", progress=kill)
    vectors = made.embed_passages(texts(120), local_notes=())
    assert killed
    assert np.array_equal(vectors, embedder(None).embed_passages(texts(120), local_notes=()))
    assert len(kept) == 120 and set(kept.values()) == {1} and made.texts_embedded == 120
    done = newly(workers, before)
    assert len(done) == 3 and sum(counts["texts"] for counts in done.values()) == 120, done
    assert embedder(workers, cache=tmp_path / "e.sqlite").embed_passages(texts(120), local_notes=()).shape[0] == 120
    assert newly(workers, before) == done  # all from the cache


def test_work_that_kills_each_worker_ends_and_what_was_done_before_is_kept(workers: Workers) -> None:
    chat = load_chat(model="fake/chat?die_at=1", workers=workers, **CHAT)
    with pytest.raises(TerminalError, match="three workers .* died over the same work"):
        chat.chat([{"role": "user", "content": "ciao"}], local_notes=())
    assert embedder(workers).embed_passages(texts(20), local_notes=()).shape == (20, 64)


def test_answers_are_spread_and_those_of_this_process(workers: Workers, tmp_path: Path) -> None:
    before = workers.told()
    chat = load_chat(model="fake/chat?mode=echo&delay=0.05", workers=workers, cache=tmp_path / "r.sqlite", **CHAT)
    assert most_at_once(chat, 8) == 2 and chat.leaves_to is None

    def ask(text: str) -> str:
        return chat.chat([{"role": "user", "content": text}], local_notes=["diario.md"]).text

    for _ in range(2):  # the second time from the cache, which is here
        assert list(ask_at_once(texts(20), ask, at_once=2, progress=lambda *_: None)) == texts(20)
    done = newly(workers, before)
    assert len(done) == 2 and sum(counts["answers"] for counts in done.values()) == 20, done


def test_money_is_counted_here_and_a_call_that_would_go_over_is_given_to_no_worker(workers: Workers) -> None:
    before, budget = workers.told(), Budget(per_run_usd=1.0, per_query_usd=1.0)
    chat = load_chat(model="fake/chat?cost=0.4", workers=workers, budget=budget, **CHAT)
    for number in range(2):
        chat.chat([{"role": "user", "content": f"ciao {number}"}], local_notes=())
    with pytest.raises(TerminalError, match="per_run_usd"):
        chat.chat([{"role": "user", "content": "ciao 3"}], local_notes=())
    assert budget.spent_usd == pytest.approx(0.8)
    assert sum(counts["answers"] for counts in newly(workers, before).values()) == 2


def test_a_fault_of_a_model_is_told_as_it_is_here(workers: Workers) -> None:
    chat = load_chat(model="fake/chat?fail_prob=1", workers=workers, **CHAT)
    with pytest.raises(Exception, match="fake/chat.*failed at its call 1, as it was told to") as told:
        chat.chat([{"role": "user", "content": "ciao"}], local_notes=())
    assert type(told.value).__name__ == "TransientError"


def test_the_packaged_chat_model_answers_as_it_does_here(workers: Workers) -> None:
    model, question = "local/smollm2-135m-instruct", "What is the capital of Italy?"
    here, there = (
        load_chat(model=model, workers=some, **CHAT).chat([{"role": "user", "content": question}], local_notes=())
        for some in (None, workers)
    )
    assert there.text == here.text and there.is_local and there.cost_usd == 0


def test_only_loopback_is_listened_at_and_no_report_is_made(workers: Workers) -> None:
    assert workers.count == 2
    started = {pid for pid, _ in descendants(os.getpid())}
    assert listening(started) and listening(started) <= LOOPBACK
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_what_ray_writes_is_private_and_holds_no_key_and_no_text(workers: Workers) -> None:
    embedder(workers).embed_passages([*texts(20), f"segreto {KEY}"], local_notes=())
    (folder,) = (path for path in own_folders() if (path / "token").exists() and _is_of(path, os.getpid()))
    assert folder.stat().st_mode & 0o777 == 0o700 and (folder / "token").stat().st_mode & 0o777 == 0o600
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 10
    assert not [path for path in files if KEY.encode() in path.read_bytes() or b"vendemmia" in path.read_bytes()]


def _is_of(folder: Path, pid: int) -> bool:
    """Ray's folder of a session ends with the process that asked for it."""
    return any(path.name.endswith(f"_{pid}") for path in folder.glob("r/session_2*"))


def test_another_connection_at_the_same_time_is_refused(workers: Workers) -> None:
    assert workers.count == 2
    with pytest.raises(TerminalError, match="connected to a Ray cluster already"), Workers(most=1) as others:
        others.call("name", what="names")


LIVES = """
import os, signal, sys, time
from components.llm import load_embedder
from components.llm.spread import Workers

def handler(number, frame):
    sys.exit(7)

signal.signal(signal.SIGTERM, handler)
with Workers(most=2) as workers:
    embedder = load_embedder(model="fake/embedding", batch_size=4, workers=workers)
    embedder.embed_passages([f"nota {number}" for number in range(40)], local_notes=())
    print("ready", flush=True)
    time.sleep(600)
"""


def test_whoever_ends_leaves_nothing(root: Path) -> None:
    """Both at once: two of Ray's helpers look for its head for a minute before they end."""
    with ExitStack() as ending:
        children, started, folders = list[subprocess.Popen[bytes]](), list[set[tuple[int, str]]](), list[Path]()
        for _ in range(2):
            child = ending.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", LIVES], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE
                )
            )
            ending.callback(child.kill)
            assert child.stdout is not None and child.stdout.readline() == b"ready\n"
            children.append(child)
            started.append(descendants(child.pid))
            folders += [path for path in own_folders() if _is_of(path, child.pid)]
        assert len(folders) == 2 and min(map(len, started)) > 4
        ended, killed = children
        ended.terminate()
        killed.kill()
        out, err = ended.communicate(timeout=120)
        assert (ended.returncode, out, err) == (7, b"", b"")  # its own handler had the signal
        out, _ = killed.communicate(timeout=120)
        assert (killed.returncode, out) == (-signal.SIGKILL, b"")
    assert not folders[0].exists()
    assert soon(lambda: not running(set.union(*started)), seconds=120), running(set.union(*started))
    from components.llm.spread.cluster import _own_folder

    with _own_folder():  # as the next start does it
        assert not folders[1].exists()
