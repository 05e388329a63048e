"""How far the estimates of training are from published runs: memory and speed, point by point.

python -m benchmarks.training_estimates

`chosen` points were in front of us when the bands were chosen: that they lie in them proves little. `other` points came
afterwards; the first six of them are of the same source and stack as the chosen ones. torchtune is none of our
trainers: it compiles, and moves activations away, which is not modelled.
Nothing is run: these are other people's measurements. Only a probe says how it is on your machine.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.train.estimate.architecture import Architecture
from components.train.estimate.duration import Work, seconds_by_formula
from components.train.estimate.memory import Band, memory_parts, total
from components.train.estimate.models import KNOWN_MODELS
from components.train.job import schedule
from components.train.params import BaseModelParams, LoraParams, TrainParams

_VOCAB = 151_936
_QWEN = {  # the first Qwen, whose vocabulary is that of Qwen3
    "Qwen-1.8B": Architecture(24, 2048, 2048, 2048, 5504, _VOCAB, False, 8192, qkv_bias=True),
    "Qwen-7B": Architecture(32, 4096, 4096, 4096, 11_008, _VOCAB, False, 8192, qkv_bias=True),
    "Qwen-14B": Architecture(40, 5120, 5120, 5120, 13_696, _VOCAB, False, 8192, qkv_bias=True),
}
_README = {  # tokens of a row -> GB and seconds of a step of 8 rows, of the README of QwenLM/Qwen (A100, GPTQ, r 64)
    "Qwen-1.8B": {256: (5.8, 1.4), 512: (6.0, 1.4), 1024: (6.6, 1.4), 2048: (7.8, 2.0), 4096: (10.2, 3.4)},
    "Qwen-7B": {256: (11.5, 3.0), 512: (11.5, 3.0), 1024: (12.3, 3.5), 2048: (13.9, 7.0), 4096: (16.9, 11.6)},
    "Qwen-14B": {256: (18.7, 5.3), 512: (18.4, 6.3), 1024: (18.9, 8.2), 2048: (19.9, 11.8), 4096: (23.0, 20.1)},
}
_CHOSEN = (256, 2048, 4096)


@dataclass(frozen=True)
class Point:
    """A published run.

    Attributes:
        name: which.
        shape: of the base model.
        params: as it was trained.
        tokens: of a row.
        gib: memory that it took. Whether a README means GB or GiB is not known; they are read as GiB.
        seconds: of a step; None: it does not say.
        chosen: whether it was in front of us when the bands were chosen.
        allocated: whether `gib` is what torch gave out, without its CUDA context.
    """

    name: str
    shape: Architecture
    params: TrainParams
    tokens: int
    gib: float
    seconds: float | None
    chosen: bool
    allocated: bool = False


def points() -> Iterator[Point]:
    """The published runs."""
    readme = _settings("a100-80", r=64, nf4=True)  # as Axolotl it keeps embeddings in 32 bit
    for chosen in (True, False):
        for name, rows in _README.items():
            for tokens, (gb, seconds) in rows.items():
                if (tokens in _CHOSEN) == chosen:
                    said = f"{name}, {tokens} tokens (its README)"
                    yield Point(said, _QWEN[name], readme, tokens, gb, seconds, chosen)
    known = {name.rpartition("/")[2]: model.shape for name, model in KNOWN_MODELS.items()}
    # Unsloth stands for every program with a fused loss: no other trainer here has one.
    fused: dict[str, Any] = {"trainer": "unsloth"}
    packed = _settings("t4", r=32, nf4=True, optimizer="paged_adamw_8bit", precision="fp16", **fused)
    yield Point("Qwen3-14B, Axolotl, fused loss, T4 (its notebook)", known["Qwen3-14B"],
                packed.model_copy(update={"accumulation": 1}), 4096, 13.71, 22.6, True)  # fmt: skip
    tune = {**fused, "batch_size": 2, "accumulation": 1}
    eight, three = known["Llama-3.1-8B-Instruct"], known["Llama-3.2-3B-Instruct"]
    yield Point("Llama-3.1-8B, torchtune, RTX 4090 (its README)", eight,
                _settings("rtx4090", r=8, nf4=True, **tune), 2048, 7.4, 2 * 2048 / 2413, True, True)  # fmt: skip
    yield Point("Llama-3.2-3B, torchtune, A100 (its README)", three,
                _settings("a100-80", r=64, nf4=True, **tune), 4096, 4.6, 2 * 4096 / 8035, True, True)  # fmt: skip
    yield Point("Llama-3.1-8B in 16 bit, torchtune, RTX 4090", eight,
                _settings("rtx4090", r=8, nf4=False, **tune), 2048, 16.2, 2 * 2048 / 3083, False, True)  # fmt: skip
    sixteen = _settings("rtx3090", r=16, nf4=False, trainer="llamafactory")
    yield Point("Qwen3-8B in 16 bit, peft, RTX 3090 (report, July 2026)", known["Qwen3-8B"], sixteen, 1024, 18.42, None,
                False, True)  # fmt: skip
    yield Point("Qwen3-8B in 16 bit, peft, RTX 3090 (another report)", known["Qwen3-8B"], sixteen, 957, 18.10, None,
                False, True)  # fmt: skip
    yield Point("Qwen3-4B shape in 16 bit, peft, GB10 (log, July 2026)", known["Qwen3-4B"],
                _settings("h100", r=16, nf4=False, trainer="llamafactory"), 128, 8.24, None, False, True)  # fmt: skip
    four = _settings("t4", r=16, nf4=True, optimizer="adamw_8bit", precision="fp16", accumulation=4)
    yield Point(
        "Qwen3-4B, Axolotl 0.20, T4 (log, October 2026)", known["Qwen3-4B"], four, 256, 3.0, 53.45 / 20, False, True
    )


def _settings(hardware: str, *, r: int, nf4: bool, **more: Any) -> TrainParams:
    base = BaseModelParams(model="shape/given", quantization="nf4" if nf4 else "none")
    values = {"trainer": "axolotl", "optimizer": "adamw_torch", "precision": "bf16", **more}
    return TrainParams.model_validate({"hardware": hardware, "base": base, "lora": LoraParams(r=r), **values})


def judged() -> list[dict[str, Any]]:
    """Each point with its estimates, and whether what was published lies in them."""
    rows = []
    for point in points():
        parts = memory_parts(point.shape, point.params, longest=point.tokens)
        low, high = total(parts)
        memory = (low - next(part.low for part in parts if part.name == "program") if point.allocated else low), high
        step = _step_seconds(point)
        rows.append({
            "run": point.name, "chosen": point.chosen,
            "gib": point.gib, "gib_estimate": memory, "gib_in": _in(point.gib, memory),
            "seconds": point.seconds, "seconds_estimate": step, "seconds_in": _in(point.seconds, step),
        })  # fmt: skip
    return rows


def _step_seconds(point: Point) -> Band | None:
    """Of one optimizer step on rows of that many tokens, evaluations left out."""
    rows = point.params.batch_size * point.params.accumulation
    params = point.params.model_copy(update={"max_steps": 1})
    work = Work(rows, rows * point.tokens, point.tokens, 0, schedule(params, rows=rows))
    return seconds_by_formula(point.shape, params, work)


def _in(published: float | None, estimated: Band | None) -> bool | None:
    if published is None or estimated is None:
        return None
    return estimated[0] <= published <= estimated[1]


def coverage(rows: Sequence[dict[str, Any]], what: str, *, chosen: bool) -> tuple[int, int]:
    """How many of the points lie in their band, of how many."""
    found = [row[what] for row in rows if row["chosen"] == chosen and row[what] is not None]
    return sum(found), len(found)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the points and how many lie in their bands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="keep everything")
    options = parser.parse_args(arguments)
    rows = judged()
    signs = {True: "in", False: "OUT", None: ""}
    for row in rows:
        low, high = row["gib_estimate"]
        line = f"{'chosen' if row['chosen'] else 'other':<7}{row['run']:<58}{row['gib']:6.2f} GiB"
        line += f"  {low:5.1f} to {high:4.1f}  {signs[row['gib_in']]:<4}"
        if row["seconds"] is not None:
            fast, slow = row["seconds_estimate"]
            line += f"{row['seconds']:6.1f} s a step  {fast:5.1f} to {slow:5.1f}  {signs[row['seconds_in']]}"
        print(line.rstrip())
    for what, said in (("gib_in", "memory"), ("seconds_in", "time")):
        for chosen in (True, False):
            inside, count = coverage(rows, what, chosen=chosen)
            print(f"{said}: {inside} of {count} {'chosen' if chosen else 'other'} points lie in their band")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
