"""Shapes of base models and their parameters, held against the counts that are published."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError
from components.train.estimate.architecture import (
    ALL_LINEAR,
    Architecture,
    architecture_of,
    base_parameters,
    embedding_parameters,
    linear_parameters,
    lora_parameters,
)
from components.train.estimate.models import KNOWN_MODELS, known_model
from components.train.params import BaseModelParams

# As the model cards, their safetensors headers and trainers' logs state them; none is computed by the code under test.
PUBLISHED = {
    "Qwen/Qwen3-0.6B": 596_049_920,
    "Qwen/Qwen3-1.7B": 1_720_574_976,
    "Qwen/Qwen3-4B": 4_022_468_096,
    "Qwen/Qwen3-4B-Instruct-2507": 4_022_468_096,
    "Qwen/Qwen3-8B": 8_190_735_360,
    "Qwen/Qwen3-14B": 14_768_307_200,
    "Qwen/Qwen3-32B": 32_762_123_264,
    "mistralai/Mistral-7B-Instruct-v0.3": 7_248_023_552,
    "meta-llama/Llama-3.2-1B-Instruct": 1_235_814_400,
    "meta-llama/Llama-3.2-3B-Instruct": 3_212_749_824,
    "meta-llama/Llama-3.1-8B-Instruct": 8_030_261_248,
    "meta-llama/Llama-3.3-70B-Instruct": 70_553_706_496,
    "HuggingFaceTB/SmolLM2-135M-Instruct": 134_515_008,
}


def test_every_known_model_has_a_published_count() -> None:
    assert set(PUBLISHED) == set(KNOWN_MODELS)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_come_out_as_published(name: str) -> None:
    assert base_parameters(KNOWN_MODELS[name].shape) == PUBLISHED[name]


@pytest.mark.parametrize(
    ("name", "r", "expected"),
    [
        ("Qwen/Qwen3-4B", 16, 33_030_144),  # issue 5
        ("Qwen/Qwen3-4B-Instruct-2507", 32, 66_060_288),  # Unsloth's notebook prints it
        ("meta-llama/Llama-3.1-8B-Instruct", 16, 41_943_040),
        ("mistralai/Mistral-7B-Instruct-v0.3", 16, 41_943_040),
    ],
)
def test_adapter_on_all_linear_layers(name: str, r: int, expected: int) -> None:
    shape = KNOWN_MODELS[name].shape
    assert lora_parameters(shape, r, "all-linear") == expected
    assert lora_parameters(shape, r, list(ALL_LINEAR)) == expected


def test_an_adapter_on_some_layers_is_part_of_the_whole() -> None:
    shape = KNOWN_MODELS["Qwen/Qwen3-4B"].shape
    parts = [lora_parameters(shape, 8, [name]) for name in ALL_LINEAR]
    assert sum(parts) == lora_parameters(shape, 8, "all-linear")
    assert lora_parameters(shape, 8, ["q_proj", "model.layers.0.self_attn.q_proj"]) == parts[0]
    assert lora_parameters(shape, 8, ["lm_head"]) == 8 * (2560 + 151_936)


def test_a_layer_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no layer 'q_project'; did you mean 'q_proj'\?"):
        lora_parameters(KNOWN_MODELS["Qwen/Qwen3-4B"].shape, 16, ["q_project"])
    with pytest.raises(InputError, match="expected all-linear, or some of q_proj"):
        lora_parameters(KNOWN_MODELS["Qwen/Qwen3-4B"].shape, 16, ["zzz"])


def test_linear_layers_embeddings_and_little_else_make_the_model() -> None:
    shape = KNOWN_MODELS["Qwen/Qwen3-4B"].shape
    most = linear_parameters(shape) + embedding_parameters(shape)
    assert 0 < base_parameters(shape) - most < 0.001 * most
    assert round(linear_parameters(shape) / 1e9, 3) == 3.633
    assert round(embedding_parameters(shape) / 1e9, 3) == 0.389


def test_the_packaged_model_is_read_from_its_own_metadata() -> None:
    found = architecture_of(BaseModelParams(model="local/smollm2-135m-instruct", template="smollm2"))
    assert found == KNOWN_MODELS["HuggingFaceTB/SmolLM2-135M-Instruct"].shape


def test_an_unknown_name_has_no_shape() -> None:
    assert architecture_of(BaseModelParams(model="somebody/Some-Model-9B")) is None


@pytest.mark.parametrize("name", ["unsloth/Qwen3-4B", "unsloth/Qwen3-4B-bnb-4bit", "unsloth/Qwen3-4B-unsloth-bnb-4bit"])
def test_copies_by_unsloth_are_the_same_model(name: str) -> None:
    assert known_model(name) == KNOWN_MODELS["Qwen/Qwen3-4B"]


CONFIG: dict[str, Any] = {
    "model_type": "qwen3", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 16,
    "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 1000, "tie_word_embeddings": True,
    "max_position_embeddings": 4096,
}  # fmt: skip


def write(folder: Path, config: object) -> BaseModelParams:
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return BaseModelParams(model=None, folder=folder)


def test_a_folder_is_read_from_its_config(tmp_path: Path) -> None:
    expected = Architecture(2, 64, 64, 32, 128, 1000, True, 4096, qk_norm=16)
    assert architecture_of(write(tmp_path, CONFIG)) == expected


def test_a_folder_without_a_head_dim_divides_the_width_by_the_heads(tmp_path: Path) -> None:
    plain = {key: value for key, value in CONFIG.items() if key not in ("head_dim", "num_key_value_heads")}
    found = architecture_of(write(tmp_path, {**plain, "model_type": "llama"}))
    assert found is not None and (found.query, found.key_value, found.qk_norm) == (64, 64, 0)


@pytest.mark.parametrize(
    "config", [{**CONFIG, "model_type": "gemma3"}, {**CONFIG, "num_experts": 8}, []], ids=["other", "experts", "list"]
)
def test_a_kind_of_model_that_the_formulas_do_not_describe_has_no_shape(tmp_path: Path, config: object) -> None:
    assert architecture_of(write(tmp_path, config)) is None


def test_a_folder_that_is_no_model_says_what_it_must_hold(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(str(tmp_path / "config.json"))):
        architecture_of(BaseModelParams(model=None, folder=tmp_path))
    with pytest.raises(InputError, match="no usable shape"):
        architecture_of(write(tmp_path, {"model_type": "llama"}))
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="is no JSON"):
        architecture_of(BaseModelParams(model=None, folder=tmp_path))
