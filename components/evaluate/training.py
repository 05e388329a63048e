"""Scores of an adapter: its loss on what it was trained on, its perplexity on what was held out, and its base's there.

The two limits that are asked for are not of equal strength: a loss of 0.5 is a perplexity of 1.65, a perplexity of 10 a
loss of 2.30. The first is taken on examples that the model has seen, the second on examples that it has not, and only
the second says whether it learnt more than these texts. Whether training helped at all, the third says: the perplexity
of the adapter over that of its base, on the same tokens of the same examples.

Perplexity is of tokens: the exponential of the loss of all tokens that carry loss together, so that a long answer
counts for more than a short one. What varies is which examples were held out, so the bootstrap draws examples.

Not covered: perplexities of models with other tokenizers cannot be compared, and a lower one is not a better answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.errors import TerminalError
from components.evaluate.intervals import Measure

if TYPE_CHECKING:
    from components.store import Artefact

__all__ = ["HeldOut", "TrainingScores", "perplexity_measure", "read_training", "training_scores"]


@dataclass(frozen=True)
class HeldOut:
    """A held-out example: its tokens that carry loss, and the sum of their negative log-likelihoods (nats)."""

    tokens: int
    adapter: float
    base: float


@dataclass(frozen=True)
class TrainingScores:
    """What a scorecard takes in: scores by name, and what they were computed on."""

    measures: Mapping[str, Measure]
    evidence: Mapping[str, Any]


def training_scores(
    *, held_out: Sequence[HeldOut], train_loss: float | None, train_rows: int, samples: int, seed: int,
    evidence: Mapping[str, Any] | None = None,
) -> TrainingScores:  # fmt: skip
    """The scores of an adapter.

    - train_loss: mean loss of a token that carries loss, as the trainer logged it in its last epoch; without an
      interval, as all `train_rows` examples are in it
    - held_out_perplexity, base_perplexity: of adapter and base on the held-out examples
    - perplexity_against_base: the first over the second; its interval comes of drawing the same examples for both

    Raises TerminalError for NaN, infinity, and an example without tokens.
    """
    tokens = [row.tokens for row in held_out]
    own, base = [row.adapter for row in held_out], [row.base for row in held_out]
    measures = {
        "train_loss": Measure(train_loss, None, None, train_rows),
        "held_out_perplexity": perplexity_measure(tokens, own, samples=samples, seed=seed),
        "base_perplexity": perplexity_measure(tokens, base, samples=samples, seed=seed),
        "perplexity_against_base": perplexity_measure(
            tokens, [one - other for one, other in zip(own, base, strict=True)], samples=samples, seed=seed
        ),
    }
    return TrainingScores(measures, dict(evidence or {}))


def perplexity_measure(tokens: Sequence[int], nats: Sequence[float], *, samples: int, seed: int) -> Measure:
    """exp(sum of `nats` / sum of `tokens`), with its 95 % bootstrap interval over examples; unknown without any.

    Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 13. `nats` of an example may be a difference of two
    models: the value is then the ratio of their perplexities, and the interval a paired one.
    """
    import numpy as np

    if len(tokens) != len(nats) or any(count < 1 for count in tokens) or not all(map(math.isfinite, nats)):
        raise TerminalError("a held-out example has no tokens that carry loss, or a loss that is no number")
    if not tokens:
        return Measure(None, None, None, 0)
    counts, sums = np.asarray(tokens, dtype=np.float64), np.asarray(nats, dtype=np.float64)
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(samples):
        drawn = rng.integers(0, len(counts), size=len(counts))
        means.append(sums[drawn].sum() / counts[drawn].sum())
    low, high = np.percentile(means, [2.5, 97.5])
    return Measure(
        _exp(math.fsum(nats) / sum(tokens)), _exp(float(low)), _exp(float(high)), len(tokens)
    )  # fmt: skip


def _exp(loss: float) -> float:
    if loss > 700:
        raise TerminalError(f"a loss of {loss:.0f} nats a token is no model's: its perplexity is no number")
    return math.exp(loss)


def read_training(losses: Artefact, *, samples: int, seed: int) -> TrainingScores:
    """The scores of a sealed `train.losses`.

    It holds `losses.jsonl`, a row a held-out example, `{"tokens": 41, "adapter": 57.2, "base": 98.5}`: nats, summed over
    the tokens that carry loss; and `losses.json`, `{"train_loss": 0.41, "train_rows": 540, "adapter": "<SHA-256>"}`.
    """
    about = losses.read_json("losses.json")
    rows = [
        HeldOut(int(row["tokens"]), float(row["adapter"]), float(row["base"]))
        for row in losses.read_jsonl("losses.jsonl")
    ]
    return training_scores(
        held_out=rows, train_loss=about["train_loss"], train_rows=int(about["train_rows"]), samples=samples, seed=seed,
        evidence={"adapter": about["adapter"], "losses": losses.digest},
    )  # fmt: skip
