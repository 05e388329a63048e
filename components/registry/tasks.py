"""Prefect's view of gate and registry."""

from __future__ import annotations

from typing import Any, Protocol

from prefect import task
from prefect.artifacts import create_link_artifact, create_markdown_artifact

from components.answer import AnswerParams
from components.errors import is_transient
from components.index import IndexParams
from components.llm.params import LlmParams
from components.persona import PersonaParams
from components.registry import steps
from components.registry.gate import GateReport
from components.registry.params import GateParams, RegistryParams
from components.registry.render import gate_markdown
from components.store import Run, Store

__all__ = ["Release", "gate", "register"]


class Release(Protocol):
    """The sections of a recipe that make a release."""

    @property
    def persona(self) -> PersonaParams: ...  # noqa: D102
    @property
    def index(self) -> IndexParams: ...  # noqa: D102
    @property
    def llm(self) -> LlmParams: ...  # noqa: D102
    @property
    def answer(self) -> AnswerParams: ...  # noqa: D102
    @property
    def registry(self) -> RegistryParams: ...  # noqa: D102
    def model_dump(self, *, mode: str) -> dict[str, Any]: ...  # noqa: D102


@task(name="gate")
def gate(run: Run, params: GateParams, *, scorecard: str) -> str:
    """Decide GO, NO-GO or INCONCLUSIVE and show why; returns the artefact's id."""
    decided = steps.judge(run, params, phase=run.read()["phase"], scorecard=Store(run.workspace).open(scorecard))
    report = GateReport.from_dict(decided.read_json("gate.json"))
    run.update(gate=report.to_dict())
    create_markdown_artifact(key="gate", markdown=gate_markdown(report), description=f"Gate: {report.verdict}")
    return decided.id


@task(name="register", retries=2, retry_delay_seconds=5, retry_condition_fn=is_transient)
def register(run: Run, recipe: Release, *, index: str, gate: str, scorecard: str, prompt: str) -> int:
    """Record run, prompt and release in MLflow; returns the release's version."""
    store = Store(run.workspace)
    compiled = store.open(prompt)
    release = steps.release_of(
        prompt=compiled.read_text("prompt.md"),
        embedder=str(store.open(index).read_json("index.json")["embedder"]),
        persona=recipe.persona, index=recipe.index, llm=recipe.llm, answer=recipe.answer,
    )  # fmt: skip
    done = steps.record(
        run, recipe.registry, release=release, recipe_yaml=(run.folder / "recipe.yaml").read_text(encoding="utf-8"),
        recipe_values=recipe.model_dump(mode="json"),
        gate=store.open(gate), scorecard=store.open(scorecard), prompt=compiled,
    )  # fmt: skip
    create_link_artifact(
        key="mlflow",
        link=f"{recipe.registry.ui_url.rstrip('/')}/{done.page}",
        link_text=f"{done.model_name} version {done.model_version}",
        description="The run in MLflow, while its UI is up: "
        f"mlflow ui --backend-store-uri {steps.tracking_uri(run.workspace, recipe.registry)}",
    )
    return done.model_version
