"""Adapters that llama.cpp refuses without a word, or dies of, are told in words before it opens them."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from components.errors import TerminalError
from components.llm.gguf import read_header
from components.llm.llama_adapter import check_adapter
from components.train.base import packaged_gguf

A, B = "blk.0.attn_k.weight.lora_a", "blk.0.attn_k.weight.lora_b"
MODEL: dict[str, Any] = {"blk.0.attn_k.weight": np.ones((192, 576), np.float32)}  # all that is looked at
FIT: dict[str, Any] = {A: np.ones((4, 576), np.float32), B: np.ones((192, 4), np.float32)}


def write(
    out: Path, tensors: dict[str, Any] = FIT, *, kind: str = "llama", of: str = "adapter",
    alpha: float | str | None = 8.0, more: Callable[[Any], object] = lambda writer: None,
) -> Path:  # fmt: skip
    writer = gguf.GGUFWriter(path=None, arch=kind)
    writer.add_type(of)
    writer.add_string("adapter.type", "lora")
    if isinstance(alpha, str):
        writer.add_string("adapter.lora.alpha", alpha)
    elif alpha is not None:
        writer.add_float32("adapter.lora.alpha", alpha)
    more(writer)
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file(path=out)
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def refused(adapter: Path) -> str:
    with pytest.raises(TerminalError) as error:
        check_adapter(adapter, model=write(adapter.with_name("model.gguf"), MODEL, of="model"))
    return str(error.value)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_what_fits_is_taken(tmp_path: Path, dtype: Any) -> None:
    fit = {name: values.astype(dtype) for name, values in FIT.items()}
    check_adapter(write(tmp_path / "a.gguf", fit, alpha=None), model=packaged_gguf())


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ({"of": "model"}, "no LoRA adapter"),
        ({"kind": "qwen3"}, "is for a model of kind qwen3, model.gguf is of kind llama"),
        ({"tensors": {}}, "is broken: it holds no matrix"),
        ({"tensors": {A: FIT[A]}}, f"is broken: {A} lacks its other half"),
        ({"tensors": {**FIT, "blk.0.attn_k.bias": FIT[A]}}, "blk.0.attn_k.bias is no matrix of a LoRA adapter"),
        ({"alpha": float("nan")}, "its alpha is nan"),
        ({"tensors": {**FIT, A: np.ones((4, 64), np.float32)}}, "as 64 x 192, the model has 576 x 192"),
        ({"tensors": {**FIT, B: np.ones((576, 4), np.float32)}}, "as 576 x 576, the model has 576 x 192"),
        ({"tensors": {**FIT, A: np.ones((8, 576), np.float32)}}, "are of ranks 8 and 4"),
        (
            {"tensors": {name.replace("blk.0", "blk.30"): values for name, values in FIT.items()}},
            "the model has no matrix blk.30.attn_k.weight",
        ),
    ],
    ids=["a model", "another kind", "empty", "half", "a bias", "alpha nan", "input", "output", "ranks", "layers"],
)
def test_what_llama_cpp_only_refuses_or_answers_nonsense_with(tmp_path: Path, made: Any, says: str) -> None:
    assert says in refused(write(tmp_path / "a.gguf", **made))


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ({"tensors": {**FIT, B: np.ones((192, 4), np.int32)}}, "are neither float32 nor"),
        ({"tensors": {**FIT, A: np.ones((4, 576), np.float64)}}, "are neither float32 nor"),
        ({"tensors": {**FIT, A: np.ones((2, 4, 576), np.float32)}}, "is no matrix: 576 x 4 x 2"),
        ({"alpha": "eight"}, "of a type that it cannot be of"),
        ({"more": lambda writer: writer.add_uint64("general.alignment", 32)}, "of a type that it cannot be of"),
    ],
    ids=["whole numbers", "64 bits", "three dimensions", "alpha in words", "alignment of 64 bits"],
)
def test_what_llama_cpp_dies_of(tmp_path: Path, made: Any, says: str) -> None:
    assert says in refused(write(tmp_path / "a.gguf", **made))


def test_of_a_model_in_several_files_the_first_need_not_have_all(tmp_path: Path) -> None:
    other = {"blk.9.attn_k.weight": MODEL["blk.0.attn_k.weight"]}
    adapter, alone = write(tmp_path / "a.gguf"), write(tmp_path / "m.gguf", other, of="model")
    first = tmp_path / "m-00001-of-00002.gguf"
    check_adapter(adapter, model=write(first, other, of="model", more=lambda one: one.add_uint16("split.count", 2)))
    with pytest.raises(TerminalError, match="does not fit"):
        check_adapter(adapter, model=alone)


@pytest.mark.parametrize("lost", [1, 3000])
def test_one_that_is_cut_short(tmp_path: Path, lost: int) -> None:
    whole = write(tmp_path / "a.gguf")
    whole.write_bytes(whole.read_bytes()[:-lost])
    assert f"it ends before {B} does" in refused(whole)


def test_a_header_with_any_byte_changed_is_taken_or_refused_in_words(tmp_path: Path) -> None:
    """Lengths that are more than any memory among them."""
    path = write(tmp_path / "a.gguf")
    model = write(tmp_path / "model.gguf", MODEL, of="model")
    whole, size, draw = path.read_bytes(), read_header(path).size, random.Random(7)
    for at in range(size):
        changed = bytearray(whole)
        changed[at] = draw.choice([0, 255, changed[at] ^ 1 << draw.randrange(8)])
        path.write_bytes(changed)
        try:
            check_adapter(path, model=model)
        except TerminalError as error:
            assert str(path) in str(error)
    for at in (8, 16, 24):  # how many tensors and pairs, and how long the first name is
        path.write_bytes(whole[:at] + struct.pack("<Q", 2**60) + whole[at + 8 :])
        assert "broken GGUF" in refused(path)
