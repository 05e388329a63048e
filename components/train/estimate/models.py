"""Models known by their names on the hub: their shapes, licences and chat templates. Data, nothing is downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["KNOWN_MODELS", "Architecture", "KnownModel", "Licence", "known_model"]

Licence = Literal["Apache-2.0", "Llama 3.1 Community", "Llama 3.2 Community", "Llama 3.3 Community"]


@dataclass(frozen=True)
class Architecture:
    """The shape of a model of the Llama family (gated feed-forward, grouped queries, RMS norms).

    Attributes:
        layers: transformer blocks.
        hidden: width of the residual stream.
        query: width of all query heads together (not always `hidden`: Qwen3-4B has 4,096 beside 2,560).
        key_value: width of all key heads together, and of all value heads.
        ffn: width of the feed-forward network.
        vocab: rows of the embedding.
        tied: whether the output layer is the embedding itself.
        positions: longest sequence (tokens).
        qk_norm: width of the norm of each query and key head (Qwen3); 0: none.
        qkv_bias: whether queries, keys and values have a bias (Qwen2).
    """

    layers: int
    hidden: int
    query: int
    key_value: int
    ffn: int
    vocab: int
    tied: bool
    positions: int
    qk_norm: int = 0
    qkv_bias: bool = False


@dataclass(frozen=True)
class KnownModel:
    """A model that the estimates know.

    Attributes:
        name: on the hub.
        shape: of its weights.
        licence: under which it is given; the Llama ones have conditions of their own.
        template: its chat template, in the words of `train.base.template`.
        gated: whether the hub asks for an account that has accepted the licence.
    """

    name: str
    shape: Architecture
    licence: Licence
    template: Literal["qwen3", "smollm2", "llama3", "mistral"]
    gated: bool = False


def _qwen3(layers: int, hidden: int, query: int, ffn: int, *, tied: bool, positions: int = 40_960) -> Architecture:
    return Architecture(layers, hidden, query, 1024, ffn, 151_936, tied, positions, qk_norm=128)


def _llama3(layers: int, hidden: int, key_value: int, ffn: int, *, tied: bool) -> Architecture:
    return Architecture(layers, hidden, hidden, key_value, ffn, 128_256, tied, 131_072)


# The numbers are those of each model's config.json. tests/train/test_architecture.py holds the sums against the
# published counts of parameters, to the last one.
_MODELS = (
    KnownModel("Qwen/Qwen3-0.6B", _qwen3(28, 1024, 2048, 3072, tied=True), "Apache-2.0", "qwen3"),
    KnownModel("Qwen/Qwen3-1.7B", _qwen3(28, 2048, 2048, 6144, tied=True), "Apache-2.0", "qwen3"),
    KnownModel("Qwen/Qwen3-4B", _qwen3(36, 2560, 4096, 9728, tied=True), "Apache-2.0", "qwen3"),
    KnownModel("Qwen/Qwen3-4B-Instruct-2507", _qwen3(36, 2560, 4096, 9728, tied=True, positions=262_144),
               "Apache-2.0", "qwen3"),
    KnownModel("Qwen/Qwen3-8B", _qwen3(36, 4096, 4096, 12_288, tied=False), "Apache-2.0", "qwen3"),
    KnownModel("Qwen/Qwen3-14B", _qwen3(40, 5120, 5120, 17_408, tied=False), "Apache-2.0", "qwen3"),
    KnownModel("Qwen/Qwen3-32B", _qwen3(64, 5120, 8192, 25_600, tied=False), "Apache-2.0", "qwen3"),
    KnownModel("mistralai/Mistral-7B-Instruct-v0.3",
               Architecture(32, 4096, 4096, 1024, 14_336, 32_768, False, 32_768), "Apache-2.0", "mistral"),
    KnownModel("meta-llama/Llama-3.2-1B-Instruct", _llama3(16, 2048, 512, 8192, tied=True),
               "Llama 3.2 Community", "llama3", gated=True),
    KnownModel("meta-llama/Llama-3.2-3B-Instruct", _llama3(28, 3072, 1024, 8192, tied=True),
               "Llama 3.2 Community", "llama3", gated=True),
    KnownModel("meta-llama/Llama-3.1-8B-Instruct", _llama3(32, 4096, 1024, 14_336, tied=False),
               "Llama 3.1 Community", "llama3", gated=True),
    KnownModel("meta-llama/Llama-3.3-70B-Instruct", _llama3(80, 8192, 1024, 28_672, tied=False),
               "Llama 3.3 Community", "llama3", gated=True),
    KnownModel("HuggingFaceTB/SmolLM2-135M-Instruct",
               Architecture(30, 576, 576, 192, 1536, 49_152, True, 8192), "Apache-2.0", "smollm2"),
)  # fmt: skip

KNOWN_MODELS: Mapping[str, KnownModel] = {model.name: model for model in _MODELS}
"""Name on the hub -> what is known of it."""


def known_model(name: str) -> KnownModel | None:
    """What is known of a model of this name; Unsloth's copies count as the model that they copy."""
    if name.startswith("unsloth/"):
        plain = name.removeprefix("unsloth/").removesuffix("-bnb-4bit").removesuffix("-unsloth")
        return next((model for model in _MODELS if model.name.rpartition("/")[2] == plain), None)
    return KNOWN_MODELS.get(name)
