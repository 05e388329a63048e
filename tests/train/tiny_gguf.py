"""A tiny Qwen3 of a test as GGUF, so that real llama.cpp runs the very weights that a trainer's environment runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, quantize

from components.train.export.gguf_lora import read_tensors

__all__ = ["write_qwen3_gguf"]

_IN_A_LAYER = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
_NORMAL, _CONTROL, _UNUSED = 1, 3, 5


def write_qwen3_gguf(model: Path, out: Path, *, quantized: bool = False) -> Path:
    """The model in the folder `model` (tied embeddings) as the GGUF file `out`, float32 or with 8-bit matrices."""
    config = json.loads((model / "config.json").read_bytes())
    writer = GGUFWriter(path=None, arch="qwen3")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base((config.get("rope_parameters") or config)["rope_theta"])
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0 if quantized else LlamaFileType.ALL_F32)
    _add_tokenizer(writer, json.loads((model / "tokenizer.json").read_bytes()), size=config["vocab_size"])
    kind = GGMLQuantizationType.Q8_0 if quantized else GGMLQuantizationType.F32
    for name, values in read_tensors(model / "model.safetensors").items():
        whole = values.ndim == 1 or values.shape[1] % 32
        writer.add_tensor(_name(name), values if whole or not quantized else quantize(values, kind),
                          raw_dtype=GGMLQuantizationType.F32 if whole else kind)  # fmt: skip
    writer.write_header_to_file(path=out)
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def _name(name: str) -> str:
    parts = name.removeprefix("model.").removesuffix(".weight").split(".")
    if parts[0] != "layers":
        return {"embed_tokens": "token_embd", "norm": "output_norm"}[parts[0]] + ".weight"
    return f"blk.{parts[1]}.{_IN_A_LAYER['.'.join(parts[2:])]}.weight"


def _add_tokenizer(writer: GGUFWriter, tokenizer: dict[str, object], *, size: int) -> None:
    model, added = tokenizer["model"], tokenizer["added_tokens"]
    assert isinstance(model, dict) and isinstance(added, list)
    tokens, kinds = [f"[PAD{number}]" for number in range(size)], [_UNUSED] * size
    for token, number in model["vocab"].items():
        tokens[number], kinds[number] = token, _NORMAL
    for one in added:
        tokens[one["id"]], kinds[one["id"]] = one["content"], _CONTROL
    merges = [one if isinstance(one, str) else " ".join(one) for one in model["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(np.array(kinds, np.int32).tolist())
    writer.add_token_merges(merges)
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    writer.add_add_bos_token(False)
