"""Machines that the estimates know: memory, speed, and how much of the speed trainings are known to get.

Peaks are of dense matrix products with 32-bit sums, as the makers' data sheets state them. `mfu` is the share of the
peak that a QLoRA training gets (model FLOPs utilisation). Only those of the T4, the A100 and the RTX 4090 were solved
back from published runs, and each from few; the rest is a guess, and says so in `mfu_source`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from components.train.params import HardwareName, Precision

__all__ = ["HARDWARE", "Hardware"]


@dataclass(frozen=True)
class Hardware:
    """A machine.

    Attributes:
        label: as people call it.
        memory_gb: as its maker states it; 0 for a processor, whose memory is the machine's.
        usable_gib: of it, what torch sees; 0 for a processor.
        capability: CUDA compute capability; below 8.0 there is no bf16. (0, 0) for a processor.
        tflops: peak by precision, in TFLOP/s; none for a processor, whose speed has to be measured.
        mfu: lowest and highest share of the peak that is expected.
        mfu_source: where that comes from.
    """

    label: str
    memory_gb: int
    usable_gib: float
    capability: tuple[int, int]
    tflops: Mapping[Precision, float]
    mfu: tuple[float, float]
    mfu_source: str

    @property
    def one(self) -> str:
        """With its article: a T4, an RTX 4090; this machine for a processor."""
        if not self.tflops:
            return "this machine"
        return f"an {self.label}" if self.label[0] in "AHLR" else f"a {self.label}"


_FROM_A100 = "guess: as on an A100"

HARDWARE: Mapping[HardwareName, Hardware] = {
    "t4": Hardware(
        "T4", 16, 14.7, (7, 5), {"fp32": 8.1, "fp16": 65}, (0.15, 0.30),
        "0.25 from one run (Qwen3-14B, Axolotl, packed 4096, Colab), 0.14 on rows of 256 tokens from another",
    ),
    "l4": Hardware(
        "L4", 24, 22.1, (8, 9), {"fp32": 30.3, "fp16": 121, "bf16": 121}, (0.15, 0.40),
        "guess: between T4 and RTX 4090; its 72 W hold it back",
    ),
    "rtx3090": Hardware(
        "RTX 3090", 24, 23.6, (8, 6), {"fp32": 35.6, "fp16": 71, "bf16": 71}, (0.25, 0.60),
        "guess: as on an RTX 4090",
    ),
    "rtx4090": Hardware(
        "RTX 4090", 24, 23.6, (8, 9), {"fp32": 82.6, "fp16": 165, "bf16": 165}, (0.25, 0.75),
        "0.70 from one run (Llama-3.1-8B, torchtune, compiled); the floor is a guess",
    ),
    "a100-40": Hardware(
        "A100 40 GB", 40, 39.4, (8, 0), {"fp32": 19.5, "fp16": 312, "bf16": 312}, (0.25, 0.50),
        "0.20 to 0.49 from 16 runs of the same chip with 80 GB",
    ),
    "a100-80": Hardware(
        "A100 80 GB", 80, 79.1, (8, 0), {"fp32": 19.5, "fp16": 312, "bf16": 312}, (0.25, 0.50),
        "0.20 to 0.49 from 16 runs (Qwen 1.8B, 7B, 14B; torchtune 3B)",
    ),
    "h100": Hardware(
        "H100", 80, 79.1, (9, 0), {"fp32": 67, "fp16": 989, "bf16": 989}, (0.15, 0.45),
        f"{_FROM_A100}, less at the bottom: it waits longer for its memory",
    ),
    "cpu": Hardware("processor", 0, 0.0, (0, 0), {}, (0.0, 0.0), "not known: measured by `cervella train probe`"),
}  # fmt: skip
