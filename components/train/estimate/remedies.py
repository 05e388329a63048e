"""What to change so that a training fits: the effective batch stays as it is, the cheapest change comes first."""

from __future__ import annotations

from collections.abc import Iterator

from components.train.estimate.architecture import Architecture
from components.train.estimate.hardware import HARDWARE
from components.train.estimate.memory import Band, loss_kind, memory_parts, total
from components.train.params import TrainParams

__all__ = ["remedies"]

_LENGTHS = (8192, 6144, 4096, 3072, 2048, 1536, 1024, 768, 512)


def remedies(shape: Architecture, params: TrainParams, *, longest: int, usable: float) -> list[str]:
    """Changes that are each enough by themselves; those that only may be enough come last, and say so."""
    sure: list[str] = []
    maybe: list[str] = []

    def needs(changed: TrainParams, tokens: int) -> Band:
        return total(memory_parts(shape, changed, longest=tokens))

    for said, changed in _changes(params):
        low, high = needs(changed, longest)
        if high <= usable:
            sure.append(said)
        elif low <= usable:
            maybe.append(f"{said} (which may be enough)")
    if not sure:  # examples have to be shorter as well
        shorter: list[tuple[int, str]] = []
        for said, changed in (("", params), *_changes(params)):
            fits = (length for length in _LENGTHS if length < longest and needs(changed, length)[1] <= usable)
            length = next(fits, 0)
            if length:
                shorter.append((-length, f"max_tokens {length}" + (f" and {said}" if said else "")))
        sure = [said for _, said in sorted(shorter)]
    larger = (HARDWARE[name] for name in HARDWARE if HARDWARE[name].usable_gib > usable > 0)
    enough = next((machine.one for machine in larger if needs(params, longest)[1] <= machine.usable_gib), None)
    if params.hardware == "cpu":
        enough = None  # a GPU is asked for with other settings: hardware/t4.yaml instead of hardware/cpu-smoke.yaml
    return [*sure[:2], *maybe[:1], f"a larger GPU, such as {enough}" if enough else "a smaller base model"]


def _changes(params: TrainParams) -> Iterator[tuple[str, TrainParams]]:
    if params.batch_size > 1:
        effective = params.batch_size * params.accumulation
        changed = params.model_copy(update={"batch_size": 1, "accumulation": effective})
        yield f"batch_size 1 with accumulation {effective}, which trains the same", changed
    if not params.gradient_checkpointing:
        yield "gradient_checkpointing true", params.model_copy(update={"gradient_checkpointing": True})
    if params.hardware == "cpu":
        return
    if params.base.quantization == "none":
        base = params.base.model_copy(update={"quantization": "nf4"})
        yield "base.quantization nf4", params.model_copy(update={"base": base})
    if loss_kind(params) == "whole" and params.trainer == "axolotl":
        extra = {**params.extra, "chunked_cross_entropy": True}
        yield "extra.chunked_cross_entropy true, which holds fewer logits", params.model_copy(update={"extra": extra})
    if loss_kind(params) != "fused":
        unsloth = params.model_copy(update={"trainer": "unsloth", "extra": {}})
        yield "trainer unsloth, which never holds the logits", unsloth
