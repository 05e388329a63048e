"""One contestant, one step of a case, in a process of its own: brings its index up to date and tells all of it.

    python -m benchmarks.peers.child with_langchain '{"notes": DIR, "state": DIR, "size": "usual", ...}'

It runs in the environment of the contestant, so that it imports nothing of this program but the contestant's adapter.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.peers.embedder import HashedEmbedder


def step(adapter: str, *, notes: Path, state: Path, size: str, fail: bool, sentences: dict[str, str]) -> dict[str, Any]:
    """What a run found and took.

    Args:
        adapter: module of this folder.
        notes: folder of the notes.
        state: what the contestant keeps between processes lies there.
        size: "usual" or "half": how long a chunk is in its configuration.
        fail: whether the embedder fails.
        sentences: path -> a sentence that was added to it.

    Returns:
        rows, wanted: pairs of path and digest of a text. found: paths whose sentence is in a row of theirs.
        findable: paths whose sentence is whole in what should be there; a splitter may cut it in two.
        seconds and processor: of start (imports, reading what it kept), index and save.
        texts, calls: of the embedder. failed: what it raised.
    """
    state.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, float] = {}
    processor: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began, used = time.perf_counter(), time.process_time()
        try:
            return work()
        finally:
            seconds[name] = round(time.perf_counter() - began, 4)
            processor[name] = round(time.process_time() - used, 4)

    embedder = HashedEmbedder(fail=fail)
    contestant = timed(
        "start", lambda: importlib.import_module(f"benchmarks.peers.{adapter}").Adapter(notes, state, size, embedder)
    )
    failed = None
    try:
        timed("index", contestant.index)
    except Exception as error:  # whatever a contestant raises when its embedder fails
        if not fail:
            raise
        failed = f"{type(error).__name__}: {error}"
    timed("save", contestant.save)  # the process lives on after a failed run, as a service does
    texts, calls, embedding = embedder.texts, embedder.calls, embedder.seconds
    rows, wanted = list(contestant.rows()), list(contestant.wanted())
    return {
        "rows": sorted({(path, _digest(text)) for path, text in rows}),
        "wanted": sorted({(path, _digest(text)) for path, text in wanted}),
        "found": _with_sentence(rows, sentences), "findable": _with_sentence(wanted, sentences),
        "stored": len(rows), "texts": texts, "calls": calls, "embedding": round(embedding, 4),
        "seconds": seconds, "processor": processor, "failed": failed,
    }  # fmt: skip


def _with_sentence(rows: list[tuple[str, str]], sentences: dict[str, str]) -> list[str]:
    return sorted({path for path, text in rows if path in sentences and sentences[path] in text})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def main() -> None:
    """Read the arguments, print one line of JSON."""
    adapter, told = sys.argv[1], json.loads(sys.argv[2])
    told["notes"], told["state"] = Path(told["notes"]), Path(told["state"])
    print(json.dumps(step(adapter, **told)))


if __name__ == "__main__":
    main()
