"""LoRA adapters that nobody trained: random matrices, written by peft itself or, where that is not the point, here."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

__all__ = ["ALL_LINEAR", "SMOLLM2", "by_hand", "by_peft"]

ALL_LINEAR = {
    "self_attn.q_proj": ("hidden", "query"), "self_attn.k_proj": ("hidden", "kv"), "self_attn.v_proj": ("hidden", "kv"),
    "self_attn.o_proj": ("query", "hidden"), "mlp.gate_proj": ("hidden", "ffn"), "mlp.up_proj": ("hidden", "ffn"),
    "mlp.down_proj": ("ffn", "hidden"),
}  # fmt: skip
SMOLLM2 = {"layers": 30, "hidden": 576, "query": 576, "kv": 192, "ffn": 1536}
_SCRIPT = """
import json, sys
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

model, out, more, size = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), float(sys.argv[4])
torch.manual_seed(11)
linear = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
config = LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": linear, "task_type": "CAUSAL_LM", **more})
model = get_peft_model(AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), config)
with torch.no_grad():
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            weights.normal_(0.0, size)
model.save_pretrained(out)
"""


def by_peft(out: Path, *, model: Path, python: Path, size: float, **more: Any) -> Path:
    """An adapter of all linear layers, r 4 and alpha 8 unless `more` says else; `size`: of the random B matrices."""
    quiet = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TRANSFORMERS_VERBOSITY": "error"}
    command = [str(python), "-I", "-c", _SCRIPT, str(model), str(out), json.dumps(more), str(size)]
    made = subprocess.run(
        command, env={**os.environ, **quiet}, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    return out


def by_hand(
    out: Path, *, sizes: dict[str, int] = SMOLLM2, r: int = 4, alpha: float = 8, size: float = 0.02, seed: int = 5,
    modules: dict[str, tuple[str, str]] = ALL_LINEAR, **config: Any,
) -> Path:  # fmt: skip
    """The same without torch, for the model with these sizes."""
    draw = np.random.default_rng(seed)
    tensors: dict[str, Any] = {}
    for layer in range(sizes["layers"]):
        for module, (goes_in, comes_out) in modules.items():
            name = f"base_model.model.model.layers.{layer}.{module}.lora"
            tensors[f"{name}_A.weight"] = draw.uniform(-0.06, 0.06, (r, sizes[goes_in])).astype(np.float32)
            tensors[f"{name}_B.weight"] = draw.normal(0, size, (sizes[comes_out], r)).astype(np.float32)
    return write(out, tensors, r=r, lora_alpha=alpha, **config)


def write(out: Path, tensors: dict[str, Any], **config: Any) -> Path:
    """A folder as peft saves it."""
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, str(out / "adapter_model.safetensors"))
    (out / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "bias": "none", **config}), "utf-8")
    return out
