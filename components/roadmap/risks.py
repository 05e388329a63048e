"""The owner's risks with their answers, and which of these a recipe has on.

Told from the values of the recipe alone: that an answer is on does not say that it works.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.dataset.params import DatasetParams
    from components.evaluate.params import EvaluateParams
    from components.llm.params import LlmParams
    from components.train.params import TrainParams

__all__ = ["Answer", "Risk", "presets_beside", "risks_of"]


@dataclass(frozen=True)
class Answer:
    """Something that answers a risk.

    Attributes:
        what: in words.
        on: whether the recipe turns it on.
        how: the key of the recipe that turns it on, with its value.
    """

    what: str
    on: bool
    how: str


@dataclass(frozen=True)
class Risk:
    """A risk and its answers."""

    name: str
    answers: tuple[Answer, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def risks_of(
    *, dataset: DatasetParams, train: TrainParams, evaluate: EvaluateParams, llm: LlmParams, model_presets: int,
    spent_usd: float | None, helper: str | None = None,
) -> tuple[Risk, ...]:  # fmt: skip
    """The five risks of the owner.

    Args:
        dataset: section `dataset`.
        train: section `train`.
        evaluate: section `evaluate`.
        llm: section `llm`.
        model_presets: base models that a recipe can be started from.
        spent_usd: in the last 30 days, as far as it is known; None: it is not.
        helper: the model of `serve.router`; None: there is none.
    """
    share, patience = dataset.split.validation_share, train.validation.patience
    personality, labels, budget, export = evaluate.personality, evaluate.judge.labels, llm.budget, train.export
    spent = "" if spent_usd is None else f"; last 30 days and 30% on top: ${1.3 * spent_usd:,.2f}"
    return (
        Risk("overfitting on a small set", (
            Answer("examples are held out", share > 0, f"dataset.split.validation_share: {share:g}"),
            Answer("training stops early", patience is not None, f"train.validation.patience: {patience or 'null'}"),
        )),
        Risk("inconsistent personality", (
            Answer("the dataset is audited", dataset.check.suite is not None, _key("dataset.check.suite",
                                                                                  dataset.check.suite)),
            Answer("prompts of personality are asked", personality is not None,
                   _key("evaluate.personality", personality)),
            Answer("people check the judge", labels is not None, _key("evaluate.judge.labels", labels)),
        )),
        Risk("cloud costs", (
            Answer("a call that goes over the budget is refused", math.isfinite(budget.per_run_usd),
                   f"llm.budget: ${budget.per_run_usd:g} a run, ${budget.per_query_usd:g} a question{spent}"),
            Answer("self-hosting is ready", export.gguf_adapter or export.merged,
                   f"train.export: gguf_adapter {_word(export.gguf_adapter)}, merged {_word(export.merged)}"),
        )),
        Risk("model obsolete", (
            Answer("the base is a value of the recipe", True,
                   f"train.base, with {model_presets} presets of models to start from"),
        )),
        Risk("performance gap", (
            Answer("compared with what is in service", personality is not None and personality.champion,
                   "evaluate.personality.champion"),
            Answer("compared with the bare base model", personality is not None and personality.control,
                   "evaluate.personality.control"),
            Answer("falls back to Claude", helper is not None,
                   f"serve.router.helper: {helper}" if helper else "serve.router: null"),
        )),
    )  # fmt: skip


def presets_beside(recipe: Path) -> int:
    """Base models that a recipe file can be started from: the files of the folder `models` beside it."""
    return len(list((recipe.parent / "models").glob("[!_]*.yaml")))


def _key(key: str, value: object) -> str:
    return key if value is not None else f"{key}: null"


def _word(flag: bool) -> str:
    return "true" if flag else "false"
