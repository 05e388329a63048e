"""An adapter as GGUF LoRA: names, order of rows, scale, and what is refused. What llama.cpp makes of it: the proof."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader

from components.errors import TerminalError
from components.llm.gguf import read_metadata
from components.train.base import packaged_gguf
from components.train.export.gguf_lora import (
    Shape,
    export_gguf_adapter,
    read_tensors,
    shape_of_config,
    shape_of_gguf,
)
from components.train.export.serving import llama_server_command, modelfile, vllm_command
from components.train.export.unquantized import is_quantized, unquantized_copy
from tests.train.adapters import by_hand, write

SIZES = {"layers": 2, "hidden": 16, "query": 16, "kv": 8, "ffn": 24}
LLAMA = Shape("llama", layers=2, heads=4, kv_heads=2)
Q = "base_model.model.model.layers.0.self_attn.q_proj"


def exported(folder: Path, tmp_path: Path, *, shape: Shape = LLAMA, **more: Any) -> dict[str, np.ndarray[Any, Any]]:
    path = export_gguf_adapter(folder, out=tmp_path / "adapter.gguf", shape=shape, **more)
    return {tensor.name: np.array(tensor.data) for tensor in GGUFReader(path).tensors}


def test_the_packaged_base_tells_its_shape() -> None:
    assert shape_of_gguf(packaged_gguf()) == Shape("llama", layers=30, heads=9, kv_heads=3)


@pytest.mark.parametrize(
    ("kind", "architecture"), [("llama", "llama"), ("mistral", "llama"), ("qwen2", "qwen2"), ("qwen3", "qwen3")]
)
def test_shape_by_config(kind: str, architecture: str) -> None:
    config = {"model_type": kind, "num_hidden_layers": 3, "num_attention_heads": 8, "num_key_value_heads": None}
    assert shape_of_config(config) == Shape(architecture, layers=3, heads=8, kv_heads=8)


def test_another_kind_of_model_is_told_with_what_to_do() -> None:
    with pytest.raises(TerminalError, match=r"gemma.*made for llama, mistral, qwen2, qwen3.*merged: true"):
        shape_of_config({"model_type": "gemma"})


@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
def test_every_matrix_goes_over_and_only_rows_of_q_and_k_of_llamas_change_places(
    architecture: str, tmp_path: Path
) -> None:
    folder = by_hand(tmp_path / "a", sizes=SIZES)
    made = exported(folder, tmp_path, shape=Shape(architecture, 2, 4, 2))
    before = read_tensors(folder / "adapter_model.safetensors")
    names = {
        "q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output",
        "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down",
    }  # fmt: skip
    assert len(made) == len(before) == 2 * 7 * 2
    for name, values in before.items():
        *_, layer, _, module, side, _ = name.split(".")
        now = made[f"blk.{layer}.{names[module]}.weight.{side.lower()}"]
        assert now.shape == values.shape
        moved = architecture == "llama" and module in ("q_proj", "k_proj") and side == "lora_B"
        assert np.array_equal(now, values) != moved
        assert sorted(map(tuple, now.tolist())) == sorted(map(tuple, values.tolist()))


def test_rows_of_a_head_alternate_between_its_halves(tmp_path: Path) -> None:
    rows = np.arange(16, dtype=np.float32)[:, None]
    folder = write(
        tmp_path / "a", {f"{Q}.lora_A.weight": np.ones((1, 16), np.float32), f"{Q}.lora_B.weight": rows},
        r=1, lora_alpha=1,
    )  # fmt: skip
    made = exported(folder, tmp_path)["blk.0.attn_q.weight.lora_b"]
    assert made[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15]


def test_what_llama_cpp_reads_before_the_matrices(tmp_path: Path) -> None:
    exported(by_hand(tmp_path / "a", sizes=SIZES, r=4, alpha=6), tmp_path)
    meta = read_metadata(tmp_path / "adapter.gguf")
    assert (meta["general.type"], meta["adapter.type"], meta["general.architecture"]) == ("adapter", "lora", "llama")
    assert meta["adapter.lora.alpha"] == 6.0


def test_rslora_is_said_by_its_alpha(tmp_path: Path) -> None:
    exported(by_hand(tmp_path / "a", sizes=SIZES, r=4, alpha=6, use_rslora=True), tmp_path)
    assert read_metadata(tmp_path / "adapter.gguf")["adapter.lora.alpha"] / 4 == 6 / 4**0.5


def test_the_same_adapter_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = by_hand(tmp_path / "a", sizes=SIZES)
    first, second = (
        export_gguf_adapter(folder, out=tmp_path / f"{n}.gguf", shape=LLAMA).read_bytes() for n in range(2)
    )
    assert first == second


def test_half_precision_is_what_it_says(tmp_path: Path) -> None:
    folder = by_hand(tmp_path / "a", sizes=SIZES)
    whole = exported(folder, tmp_path)
    half = exported(folder, tmp_path, dtype="f16")
    assert {values.dtype for values in half.values()} == {np.dtype(np.float16)}
    assert all(np.array_equal(half[name], values.astype(np.float16)) for name, values in whole.items())


def test_bfloat16_is_read(tmp_path: Path) -> None:
    """Written byte by byte as the format says: 1.5, -2, 0.15625."""
    numbers = np.array([0x3FC0, 0xC000, 0x3E20], "<u2").tobytes()
    header = json.dumps({"x": {"dtype": "BF16", "shape": [3, 1], "data_offsets": [0, 6]}}).encode()
    file = tmp_path / "x.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header + numbers)
    assert read_tensors(file)["x"].tolist() == [[1.5], [-2.0], [0.15625]]


@pytest.mark.parametrize("kept", [0, 5, 100, 1000])
def test_torn_weights_are_told(kept: int, tmp_path: Path) -> None:
    folder = by_hand(tmp_path / "a", sizes=SIZES)
    file = folder / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(TerminalError, match="torn|no matrix"):
        exported(folder, tmp_path)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"modules_to_save": ["embed_tokens"]}, "modules_to_save"),
        ({"use_dora": True}, "DoRA"),
        ({"lora_bias": True}, "biases"),
        ({"bias": "all"}, "biases of the base"),
        ({"alpha_pattern": {"q_proj": 4}}, "alpha differs"),
        ({"peft_type": "LOHA"}, "LOHA"),
        ({"use_rslora": True, "rank_pattern": {"q_proj": 2}}, "ranks that differ"),
        ({"trainable_token_indices": [1]}, "tokens of the embedding"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_a_gguf_lora_cannot_say_is_refused(config: dict[str, Any], said: str, tmp_path: Path) -> None:
    folder = by_hand(tmp_path / "a", sizes=SIZES, **config)
    with pytest.raises(TerminalError, match=said):
        exported(folder, tmp_path)
    assert not (tmp_path / "adapter.gguf").exists()


@pytest.mark.parametrize(
    "name",
    [
        "base_model.model.model.embed_tokens.lora_embedding_A",
        "base_model.model.lm_head.lora_A.weight",
        "base_model.model.lm_head.weight",
        f"{Q}.lora_magnitude_vector.weight",
    ],
)
def test_a_tensor_that_has_no_place_is_refused(name: str, tmp_path: Path) -> None:
    folder = by_hand(tmp_path / "a", sizes=SIZES)
    tensors = read_tensors(folder / "adapter_model.safetensors")
    write(folder, {**tensors, name: np.ones((4, 16), np.float32)}, r=4, lora_alpha=8)
    with pytest.raises(TerminalError, match=r"train\.lora\.targets"):
        exported(folder, tmp_path)


def test_an_adapter_of_a_deeper_model_and_a_lone_matrix_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="has a layer 2, the base has 2"):
        exported(by_hand(tmp_path / "deep", sizes={**SIZES, "layers": 3}), tmp_path)
    with pytest.raises(TerminalError, match="16 rows.*3 heads"):
        exported(by_hand(tmp_path / "other", sizes=SIZES), tmp_path, shape=Shape("llama", 2, 3, 1))
    lone = write(tmp_path / "lone", {f"{Q}.lora_A.weight": np.ones((4, 16), np.float32)}, r=4, lora_alpha=8)
    with pytest.raises(TerminalError, match="not whole: blk.0.attn_q"):
        exported(lone, tmp_path)


@pytest.mark.slow
def test_an_unquantized_copy_says_the_same_with_more_bits(tmp_path: Path) -> None:
    copy = unquantized_copy(packaged_gguf(), tmp_path / "copy.gguf")
    assert (is_quantized(packaged_gguf()), is_quantized(copy)) == (True, False)
    before, after = read_metadata(packaged_gguf()), read_metadata(copy)
    left = {"general.file_type", "general.quantization_version"}
    assert {key: value for key, value in after.items() if key not in left} == {
        key: value for key, value in before.items() if key not in left
    }


def test_how_it_is_served() -> None:
    text = modelfile(base="./b.gguf", stop="<|im_end|>")
    assert text == 'FROM ./b.gguf\nADAPTER adapter.gguf\nPARAMETER temperature 0\nPARAMETER stop "<|im_end|>"\n'
    assert llama_server_command(base="my base.gguf").startswith("llama-server -m 'my base.gguf' --lora adapter.gguf ")
    assert "--max-lora-rank 64" in vllm_command(base="Qwen/Qwen3-4B", adapter="a", name="partner", rank=33)
