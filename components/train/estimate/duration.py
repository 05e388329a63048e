"""How long a training takes: from the operations that it needs and the speed of the machine, or from a measured speed.

Source: research on trainers, section 6 ("Time"): 6 operations for each parameter and token with full checkpointing and
a frozen base (forward 2, again 2, gradients of activations 2), 4 without; 2 for each token of an evaluation. N is all
parameters, as in the research, though an embedding that is not tied costs none (a few percent too much).

The band: at the low end the highest share of the peak that is known of the machine; at the high end the lowest, less
again for short rows, which keep a GPU waiting for its memory. GUESS: half the share is lost at 600 tokens in a batch,
and a block takes at least 8 ms; both follow the A100's published times from 256 to 4,096 tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

from components.train.estimate.architecture import Architecture, base_parameters
from components.train.estimate.hardware import HARDWARE
from components.train.estimate.memory import Band
from components.train.estimate.speeds import Speed
from components.train.job import Schedule
from components.train.params import TrainParams

__all__ = ["Work", "seconds_by_formula", "seconds_measured"]

_HALF_SPEED_TOKENS = 600
_BLOCK_SECONDS = 0.008
_NOISE = (0.85, 1.25)  # GUESS: how far a whole training is from its first three steps


@dataclass(frozen=True)
class Work:
    """What a training goes through.

    Attributes:
        rows: training examples.
        tokens: of all of them, once.
        longest: tokens of the longest one.
        validation_tokens: of one evaluation.
        schedule: steps.
    """

    rows: int
    tokens: int
    longest: int
    validation_tokens: int
    schedule: Schedule

    def trained_tokens(self, params: TrainParams) -> float:
        """Tokens of all steps, without what only fills a batch."""
        if not self.rows:
            return 0.0
        passes = self.schedule.steps / self.schedule.per_epoch
        return self.tokens * min(passes, params.epochs) if params.max_steps is None else self.tokens * passes

    def evaluated_tokens(self) -> float:
        """Tokens of all evaluations, the one before the first step among them."""
        return self.validation_tokens * (1 + self.schedule.steps // self.schedule.eval_steps)

    def filling(self, params: TrainParams) -> float:
        """How many times the tokens of a batch are more than those of its rows, at most (GUESS: grows by doubling)."""
        if params.batch_size == 1 or params.packing or not self.rows or not self.tokens:
            return 1.0
        longest_by_mean = max(1.0, self.longest * self.rows / self.tokens)
        return min(longest_by_mean, 1 + 0.35 * (params.batch_size.bit_length() - 1))


def seconds_by_formula(architecture: Architecture, params: TrainParams, work: Work) -> Band | None:
    """Seconds of training and evaluations; None: nothing is known of the machine's speed."""
    machine = HARDWARE[params.hardware]
    peak = machine.tflops.get(params.precision)
    if not peak or not work.rows:
        return None
    size = base_parameters(architecture)
    per_token = (6 if params.gradient_checkpointing else 4) * size
    trained, evaluated = work.trained_tokens(params), work.evaluated_tokens()
    low = (trained * per_token + evaluated * 2 * size) / (machine.mfu[1] * peak * 1e12)
    batch = params.max_tokens if params.packing else params.batch_size * work.tokens / work.rows
    slower = (batch + _HALF_SPEED_TOKENS) / batch
    filled = trained * work.filling(params)
    high = (filled * per_token + evaluated * 2 * size) * slower / (machine.mfu[0] * peak * 1e12)
    batches = work.schedule.steps * params.accumulation + evaluated / max(1.0, work.tokens / work.rows)
    return low, max(high, batches * architecture.layers * _BLOCK_SECONDS)


def seconds_measured(params: TrainParams, work: Work, speed: Speed) -> Band | None:
    """Seconds of training and evaluations at a measured speed; rows shorter than those measured go slower on a GPU."""
    if not work.rows or speed.tokens_per_second <= 0:
        return None
    per_token = 6 if params.gradient_checkpointing else 4
    tokens = work.trained_tokens(params) + work.evaluated_tokens() * 2 / per_token
    seconds = tokens / speed.tokens_per_second
    batch = params.batch_size * work.tokens / work.rows
    slower = 1.0
    if params.hardware != "cpu" and speed.batch_tokens > batch > 0:
        now, then = ((size + _HALF_SPEED_TOKENS) / size for size in (batch, speed.batch_tokens))
        slower = now / then
    return seconds * _NOISE[0], seconds * _NOISE[1] * slower * work.filling(params)
