"""Loss and perplexity of the saved adapter, measured by us: on the rows, ids and masks that the trainer really used.

Perplexity of rows = exp(sum of the negative log-likelihoods of all tokens that carry loss / number of these tokens),
in nats, without dropout. On a CPU in float32; on a GPU in the precision of the recipe. A base that was quantized while
training (nf4) is not quantized here: the adapter is measured on the weights that it will be served with.

Its interval is the percentile bootstrap over examples (the tokens of an example belong together): examples are drawn
anew with replacement 2,000 times, the perplexity of each draw is taken, 2.5 % are cut off on either side. It is too
narrow where examples are few (measured on skewed losses: 95 % intervals hold the truth in about 88 % of the cases with
10 examples, 93 % with 30), so below 10 examples there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.errors import TerminalError
from components.train.ask_inside import ask_inside
from components.train.params import Precision

__all__ = [
    "Losses", "Perplexity", "RowLoss", "SplitLosses", "losses_request", "measure_losses", "perplexity",
    "perplexity_ratio", "read_losses",
]  # fmt: skip

_DRAWS, _LEAST = 2000, 10
_DTYPES: dict[Precision, str] = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


@dataclass(frozen=True)
class RowLoss:
    """Of one example: tokens that carry loss, and the sum of their negative log-likelihoods (nats)."""

    tokens: int
    nll: float


@dataclass(frozen=True)
class SplitLosses:
    """Rows of a file in its order; `adapted` is empty where no adapter was asked for."""

    base: tuple[RowLoss, ...]
    adapted: tuple[RowLoss, ...]


@dataclass(frozen=True)
class Losses:
    """What `measure_losses` found.

    Attributes:
        splits: by the names that were asked for.
        device: cpu or cuda.
        dtype: of the weights.
        config: config.json of the base model.
    """

    splits: dict[str, SplitLosses]
    device: str
    dtype: str
    config: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Perplexity:
    """A perplexity, or a ratio of two, with its 95 % interval; None: too few examples to give one."""

    value: float
    low: float | None
    high: float | None
    examples: int
    tokens: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def measure_losses(
    *, python: Path, model: str, masks: Mapping[str, Path], folder: Path, adapter: Path | None = None,
    revision: str | None = None, precision: Precision = "fp32",
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Losses:  # fmt: skip
    """Loss of each row, by the base alone and by the base with the adapter.

    Args:
        python: of a trainer's environment.
        model: folder or name on the hub.
        masks: name -> JSONL file of `{"ids": [...], "trained": [positions]}`.
        folder: for the work; its files can go afterwards.
        adapter: folder with adapter_config.json and adapter_model.safetensors.
        revision: of a model on the hub.
        precision: on a GPU.
        tell: called with how many rows are done, and of how many.

    Raises:
        TerminalError: it could not be measured, or a loss is not a number.
    """
    request = {
        **losses_request(model, revision=revision, precision=precision),
        "adapter": str(adapter.absolute()) if adapter else None,
        "masks": {name: str(path.absolute()) for name, path in masks.items()},
    }  # fmt: skip
    return read_losses(ask_inside("measure_losses.py", request, python=python, folder=folder, tell=tell))


def losses_request(model: str, *, revision: str | None, precision: Precision) -> dict[str, Any]:
    """What `inside/measure_losses.py` is asked, but for adapter, masks and where its answer goes."""
    return {"model": model, "revision": revision, "dtype": _DTYPES[precision]}


def read_losses(found: Mapping[str, Any]) -> Losses:
    """The answer of `inside/measure_losses.py`. Raises TerminalError: a loss is not a number."""
    splits = {
        name: SplitLosses(*(_rows(sides.get(side, []), of=f"{name}, {side}") for side in ("base", "adapted")))
        for name, sides in found["splits"].items()
    }
    return Losses(splits, found["device"], found["dtype"], found["config"])


def _rows(pairs: Sequence[Sequence[float]], *, of: str) -> tuple[RowLoss, ...]:
    for number, (_, nll) in enumerate(pairs, 1):
        if not math.isfinite(nll):
            raise TerminalError(f"the loss of row {number} ({of}) is {nll}: weights are broken, or too large for fp16")
    return tuple(RowLoss(int(tokens), nll) for tokens, nll in pairs)


def perplexity(rows: Sequence[RowLoss], *, seed: int = 13) -> Perplexity:
    """exp(sum nll / sum tokens) with its interval (see above); rows without loss do not count.

    Raises:
        TerminalError: no row carries loss.
    """
    return _measure([(row.tokens, row.nll) for row in rows], seed=seed)


def perplexity_ratio(base: Sequence[RowLoss], adapted: Sequence[RowLoss], *, seed: int = 13) -> Perplexity:
    """Perplexity with the adapter as a share of that without: below 1 it helps.

    exp(sum (nll adapted - nll base) / sum tokens); both are drawn together, example by example, so what makes an
    example hard for either cancels out. An interval below 1 says that the gain is more than chance.

    Raises:
        TerminalError: they are not the same rows, or no row carries loss.
    """
    if [row.tokens for row in base] != [row.tokens for row in adapted]:
        raise TerminalError("losses of different rows cannot be compared")
    pairs = zip(base, adapted, strict=True)
    return _measure([(one.tokens, other.nll - one.nll) for one, other in pairs], seed=seed)


def _measure(rows: Sequence[tuple[int, float]], *, seed: int) -> Perplexity:
    import numpy

    tokens, sums = numpy.array([row for row in rows if row[0]] or numpy.zeros((0, 2)), float).T
    if not len(tokens):
        raise TerminalError("no row carries loss: there is nothing to take a perplexity of")
    low = high = None
    if len(tokens) >= _LEAST:
        draw = numpy.random.default_rng(seed)
        chosen = (draw.integers(len(tokens), size=len(tokens)) for _ in range(_DRAWS))
        drawn = [float(sums[some].sum() / tokens[some].sum()) for some in chosen]
        low, high = (math.exp(value) for value in numpy.percentile(drawn, [2.5, 97.5]))
    return Perplexity(math.exp(sums.sum() / tokens.sum()), low, high, len(tokens), int(tokens.sum()))
