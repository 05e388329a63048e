"""How much memory a training takes, in parts, each with a low and a high end.

Source: research on trainers, section 6 ("VRAM"). The low end of each part is that formula. The high end is what the
same formula leaves out: embeddings that are kept in 32 bit, logits that are copied in 32 bit once more for the loss and
its gradient, what the allocator keeps, the libraries' own buffers. Both ends were chosen after looking at the very
points that `benchmarks/training_estimates.py` tests them with; that is no test of them, so a band is "uncalibrated"
until a probe has measured.

Not modelled: activations that are moved to the main memory, several GPUs, compiled models, full fine-tuning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from components.train.estimate.architecture import (
    Architecture,
    embedding_parameters,
    linear_parameters,
    lora_parameters,
)
from components.train.params import TrainParams

__all__ = ["GIB", "Band", "Loss", "Part", "loss_kind", "memory_parts", "total"]

GIB = 1024**3
Band = tuple[float, float]
"""Low and high end."""

_NF4_BITS = 4.127  # 4 bits, and a 32-bit scale for 64 weights that is itself kept in 8 bits (double quantization)
_SLACK = 1.05  # GUESS: what the allocator holds in pieces too small to use
_CONTEXT = (0.3, 2.0)  # GiB; the low end is a CUDA context, the high end what short sequences were seen to take (GUESS)
_PROCESS = (0.8, 2.0)  # GiB on a processor: Python, torch and the trainer themselves (measured with Axolotl 0.19: 1.1)
Loss = Literal["whole", "chunked", "fused"]
_LOGIT_BYTES: dict[Loss, Band] = {
    "whole": (8, 14),  # 16-bit logits, the same in 32 bit, and their gradients: 8 bytes at the least, 14 at one time
    "chunked": (4, 10),  # in 32 bit for one part after the other; the 16-bit ones and their gradient stay whole
    "fused": (0, 2),
}


@dataclass(frozen=True)
class Part:
    """What takes memory, and how much of it, in GiB."""

    name: str
    low: float
    high: float


def loss_kind(params: TrainParams) -> Loss:
    """How the trainer computes the loss: from the logits of the whole batch, in chunks, or without ever having them.

    Unsloth never has them; Axolotl can have them in chunks, through `train.extra` (its plugins for more are refused
    there). What that saves is read from their sources, not measured (GUESS).
    """
    if params.trainer == "unsloth":
        return "fused"
    return "chunked" if params.trainer == "axolotl" and params.extra.get("chunked_cross_entropy") else "whole"


def memory_parts(architecture: Architecture, params: TrainParams, *, longest: int) -> list[Part]:
    """What the training takes with rows of `longest` tokens, the largest part first."""
    a = architecture
    cpu = params.hardware == "cpu"
    half = 4 if params.precision == "fp32" else 2
    # Trainers fill a batch up to its longest row, and that to a multiple of 64.
    width = params.batch_size * (params.max_tokens if params.packing else -(-longest // 64) * 64)
    four_bit = params.base.quantization == "nf4"
    linear = linear_parameters(a) * (_NF4_BITS / 8 if four_bit else half)
    embedding = embedding_parameters(a)
    upcast = 4 if four_bit and _upcasts(params) else half
    adapter = lora_parameters(a, params.lora.r, params.lora.targets)
    optimizer = 8 if params.optimizer == "adamw_torch" else 2
    loss = loss_kind(params)
    saved = _LOGIT_BYTES[loss]
    block = width * (16 * a.hidden + 8 * a.ffn) * half  # GUESS of the research: what one block keeps for its gradients
    if params.gradient_checkpointing:
        # Unsloth moves the checkpoints to the main memory; fused kernels recompute in place.
        kept = a.layers * width * a.hidden * half
        activations = (
            (0 if params.trainer == "unsloth" else kept) + block * (0.25 if loss == "fused" else 0.5),
            kept + block,
        )
    else:
        activations = (a.layers * block * 0.5, a.layers * block)
    logits = width * a.vocab
    context = _PROCESS if cpu else _CONTEXT
    parts = [
        Part("weights", (linear + embedding * half) / GIB, _SLACK * (linear + embedding * upcast) / GIB),
        Part("adapter and optimizer", adapter * (8 + optimizer) / GIB, _SLACK * adapter * (8 + optimizer) / GIB),
        Part("activations", activations[0] / GIB, _SLACK * activations[1] / GIB),
        Part("logits", logits * saved[0] / GIB, _SLACK * logits * saved[1] / GIB),
        Part("program", context[0], _SLACK * context[1]),
    ]
    return sorted(parts, key=lambda part: -part.high)


def total(parts: list[Part]) -> Band:
    """The sum of all parts, in GiB."""
    return sum(part.low for part in parts), sum(part.high for part in parts)


def _upcasts(params: TrainParams) -> bool:
    """Whether the trainer keeps the embeddings of a 4-bit model in 32 bit, as peft does when it prepares one.

    Axolotl does, but where our configuration says no (on a T4); LLaMA-Factory and Unsloth prepare models their own way.
    """
    return params.trainer == "axolotl" and params.hardware != "t4"
