"""The recipe as a model: a closed list of keys, each section from the room that uses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from components.answer.params import AnswerParams
from components.dataset.params import DatasetParams
from components.evaluate.params import EvaluateParams
from components.index.params import IndexParams
from components.llm.params import LlmParams
from components.params import Params, RecipePath
from components.persona.params import PersonaParams
from components.recipe.privacy import PrivacyParams
from components.registry.params import GateParams, RegistryParams
from components.roadmap.params import RoadmapParams
from components.scale.params import ScaleParams
from components.serve.params import ServeParams
from components.services.params import ExecutionParams
from components.sncp.params import SncpParams
from components.train.params import TrainParams

__all__ = ["Phase", "Recipe"]

Phase = Literal["mvp", "reindex", "dataset", "optimize", "scale"]
"""What a run does: mvp walks the whole road once, reindex brings the index up to date, dataset makes the examples,
optimize trains an adapter on them and walks the road with it, scale puts a release into service."""


class Recipe(Params):
    """One experiment: what is read, indexed, asked, scored, and how good is good enough."""

    version: Literal[1] = Field(default=1, description="version of the recipe language")
    extends: str | list[str] | None = Field(
        default=None,
        description="recipe files that this one starts from, later ones win; maps merge, lists are replaced",
    )
    name: str = Field(
        pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60,
        description="names runs and artifacts",
    )  # fmt: skip
    description: str = Field(default="", description="one line for the list of recipes")
    phase: Phase = Field(
        description="mvp: index, answer, score, gate, register; reindex: notes and index only; "
        "dataset: examples for training, checked and split; optimize: dataset, an adapter trained on it, then as mvp; "
        "scale: a release compared with what is in service, promoted, and taken back where the endpoint suffers"
    )
    workspace: RecipePath = Field(default=Path(".cervella"), description="folder of everything that a run writes")
    sncp: SncpParams = Field(description="which notes are read, and what is masked in them")
    persona: PersonaParams = Field(
        default=PersonaParams(), description="who the partner is: system prompt within a budget"
    )
    index: IndexParams = Field(
        default=IndexParams(), description="chunks, embeddings, the table and how it is searched"
    )
    llm: LlmParams = Field(default=LlmParams(), description="the model that answers, and what it may cost")
    answer: AnswerParams = Field(default=AnswerParams(), description="how a question is answered from the notes")
    dataset: DatasetParams = Field(
        default=DatasetParams(), description="examples for training: where they come from, what they must be"
    )
    train: TrainParams = Field(default=TrainParams(), description="the adapter of phase optimize: how it is trained")
    evaluate: EvaluateParams = Field(default=EvaluateParams(), description="what is scored, on which questions")
    gate: GateParams = Field(default=GateParams(), description="thresholds: what is good enough")
    registry: RegistryParams = Field(default=RegistryParams(), description="where runs and releases are recorded")
    roadmap: RoadmapParams = Field(
        default=RoadmapParams(), description="when to go on to the next phase, and what it costs"
    )
    serve: ServeParams = Field(default=ServeParams(), description="the partner behind an endpoint")
    scale: ScaleParams = Field(
        default=ScaleParams(), description="phase scale: which release goes into service, and what it may take"
    )
    execution: ExecutionParams = Field(
        default=ExecutionParams(), description="where work is carried out, and who is told how it ended"
    )
    privacy: PrivacyParams = Field(default=PrivacyParams(), description="notes that must not leave this machine")
    matrix: dict[str, Any] | None = Field(
        default=None,
        description="keys with lists of values, such as index.search.k: [5, 8]: one run for each combination",
    )
