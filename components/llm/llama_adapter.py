"""Whether a LoRA adapter (GGUF) can be put on a model, told from the headers of both files before llama.cpp opens it.

llama.cpp refuses most of what is wrong without saying why. Some of it ends the whole process instead: matrices of whole
numbers, of 64 bits or of three dimensions, values of another type.

Not looked at: the numbers themselves, and whether it was trained on these very weights. No header tells that.
"""

from __future__ import annotations

import math
from pathlib import Path

from components.errors import TerminalError
from components.llm.gguf import FLOAT32, UINT32, Header, Tensor, read_header

__all__ = ["check_adapter"]

_BYTES = {0: 4, 1: 2, 30: 2}  # of a number, by ggml's types: float32, float16, bfloat16
_SIDES = (".lora_a", ".lora_b")
_ALPHA, _ALIGNMENT = "adapter.lora.alpha", "general.alignment"
_KINDS = {_ALPHA: FLOAT32, _ALIGNMENT: UINT32}


def check_adapter(adapter: Path, *, model: Path) -> None:
    """Say in words what llama.cpp only refuses, or dies of.

    Raises:
        TerminalError: it is no whole LoRA adapter, or one for another model.
    """
    if not adapter.is_file():
        raise TerminalError(f"there is no adapter {adapter}; `train.export` writes adapter.gguf")
    header = read_header(adapter)
    about = header.metadata
    if (about.get("general.type"), about.get("adapter.type")) != ("adapter", "lora"):
        raise TerminalError(f"{adapter} is a GGUF file but no LoRA adapter; name the adapter.gguf of `train.export`")
    base = read_header(model)
    wanted, found = (one.metadata.get("general.architecture") for one in (base, header))
    if wanted != found:
        raise TerminalError(f"the adapter {adapter} is for a model of kind {found}, {model.name} is of kind {wanted}")
    if why := _broken(header, length=adapter.stat().st_size):
        raise TerminalError(f"the adapter {adapter} is broken: {why}. Export it anew (`train.export`)")
    # Of a model in several files the first holds some of the matrices: llama.cpp looks at the others.
    in_one = base.metadata.get("split.count", 1) < 2
    if in_one and (why := _misfit(header.tensors, base.tensors)):
        raise TerminalError(f"the adapter {adapter} does not fit {model.name}: {why}. It was trained on another model")


def _broken(header: Header, *, length: int) -> str | None:
    about = header.metadata
    if any(header.kinds.get(key, kind) != kind for key, kind in _KINDS.items()):
        return "a value in its header is of a type that it cannot be of"
    if not math.isfinite(about.get(_ALPHA, 0.0)):
        return f"its alpha is {about[_ALPHA]}"
    if not header.tensors:
        return "it holds no matrix"
    step = about.get(_ALIGNMENT, 32)
    if not step:
        return f"its {_ALIGNMENT} is 0"
    begin = -(-header.size // step) * step
    for name, (shape, kind, offset) in header.tensors.items():
        place, side = _place(name)
        if side not in _SIDES:
            return f"{name} is no matrix of a LoRA adapter"
        if any(place + one not in header.tensors for one in _SIDES):
            return f"{name} lacks its other half"
        if len(shape) != 2 or not all(shape):
            return f"{name} is no matrix: {_said(shape)}"
        if kind not in _BYTES:
            return f"the numbers of {name} are neither float32 nor float16 nor bfloat16"
        if begin + offset + math.prod(shape) * _BYTES[kind] > length:
            return f"it ends before {name} does"
    return None


def _misfit(tensors: dict[str, Tensor], of_model: dict[str, Tensor]) -> str | None:
    for name in tensors:
        place, _ = _place(name)
        wanted = of_model[place].shape if place in of_model else ()
        if len(wanted) != 2:
            return f"the model has no matrix {place}"
        goes_in, comes_out = (tensors[place + side].shape for side in _SIDES)
        if (goes_in[0], comes_out[1]) != wanted:
            return f"it adapts {place} as {_said((goes_in[0], comes_out[1]))}, the model has {_said(wanted)}"
        if goes_in[1] != comes_out[0]:
            return f"the halves of {place} are of ranks {goes_in[1]} and {comes_out[0]}"
    return None


def _place(name: str) -> tuple[str, str]:
    """What a matrix adapts, and which half it is."""
    return name[: -len(_SIDES[0])], name[-len(_SIDES[0]) :]


def _said(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "nothing"
