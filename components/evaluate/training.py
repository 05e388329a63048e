"""Scores of an adapter: its loss on what it was trained on, its perplexity on what was held out, and its base's there.

The two limits that are asked for are not of equal strength: a loss of 0.5 is a perplexity of 1.65, a perplexity of 10 a
loss of 2.30. The first is taken on examples that the model has seen, the second on examples that it has not, and only
the second says whether it learnt more than these texts. Whether training helped at all, the third says: the perplexity
of the adapter over that of its base, on the same tokens of the same examples. The gap between the two losses says how
much of it was learnt by heart.

Not covered: perplexities of models with other tokenizers cannot be compared, and a lower one is not a better answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.evaluate.intervals import Measure

if TYPE_CHECKING:
    from components.store import Artefact
    from components.train.losses import Perplexity, RowLoss

__all__ = ["TrainingScores", "read_training", "training_scores"]


@dataclass(frozen=True)
class TrainingScores:
    """What a scorecard takes in: scores by name, and what they were computed on."""

    measures: Mapping[str, Measure]
    evidence: Mapping[str, Any]


def training_scores(
    *, base: Sequence[RowLoss], adapted: Sequence[RowLoss], train_loss: float | None, train_rows: int, seed: int,
    evidence: Mapping[str, Any] | None = None,
) -> TrainingScores:  # fmt: skip
    """The scores of an adapter; `base`, `adapted`: losses of the same held-out examples.

    - train_loss: mean loss of a token that carries loss, as the trainer logged it in its last epoch; without an
      interval, as all `train_rows` examples are in it
    - held_out_perplexity, base_perplexity: of adapter and base on the held-out examples (bootstrap over examples)
    - perplexity_against_base: the first over the second (paired: both are drawn together)
    - loss_gap: loss on the held-out examples (the logarithm of their perplexity) less train_loss, nats a token; its
      interval is that of the held-out part. Large: it knows its own examples and little else

    Raises TerminalError for NaN, infinity, examples that differ, and where none carries loss.
    """
    from components.train.losses import perplexity, perplexity_ratio

    held_out = perplexity(adapted, seed=seed)
    return TrainingScores(
        {
            "train_loss": Measure(train_loss, None, None, train_rows),
            "held_out_perplexity": _measure(held_out),
            "base_perplexity": _measure(perplexity(base, seed=seed)),
            "perplexity_against_base": _measure(perplexity_ratio(base, adapted, seed=seed)),
            "loss_gap": _gap(held_out, train_loss),
        },
        dict(evidence or {}),
    )


def _measure(found: Perplexity) -> Measure:
    return Measure(found.value, found.low, found.high, found.examples)


def _gap(held_out: Perplexity, train_loss: float | None) -> Measure:
    if train_loss is None:
        return Measure(None, None, None, held_out.examples)
    value, low, high = (
        None if number is None else math.log(number) - train_loss
        for number in (held_out.value, held_out.low, held_out.high)
    )
    return Measure(value, low, high, held_out.examples)


def read_training(losses: Artefact, *, seed: int) -> TrainingScores:
    """The scores of a sealed `train.losses`.

    Its `losses.json` is `components.train.losses.Losses.to_dict()` with the split `validation`, and beside that
    `train_loss` (of the last epoch), `train_rows` and `adapter` (SHA-256 of its weights).
    """
    from components.train.losses import RowLoss

    about = losses.read_json("losses.json")
    sides = {
        side: [RowLoss(int(row["tokens"]), float(row["nll"])) for row in rows]
        for side, rows in about["splits"]["validation"].items()
    }
    return training_scores(
        base=sides["base"], adapted=sides["adapted"], train_loss=about["train_loss"],
        train_rows=int(about["train_rows"]), seed=seed,
        evidence={"adapter": about["adapter"], "losses": losses.digest},
    )  # fmt: skip
