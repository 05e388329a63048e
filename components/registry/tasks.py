"""Prefect's view of gate and registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from prefect import task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from components.answer import AnswerParams
from components.errors import is_transient
from components.index import IndexParams
from components.llm.params import LlmParams
from components.persona import PersonaParams
from components.registry import steps
from components.registry.compare import Candidate, best_of, comparison_markdown, comparison_rows, criterion
from components.registry.gate import GateReport
from components.registry.mlflow_matrix import Child
from components.registry.params import GateParams, RegistryParams
from components.registry.render import gate_markdown
from components.registry.trained import read_trained
from components.store import Run, Store

__all__ = ["Release", "compare", "gate", "register"]


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


@task(name="compare combinations", retries=2, retry_delay_seconds=5, retry_condition_fn=is_transient)
def compare(run: Run, registry: RegistryParams, *, axes: Mapping[str, Any], recipes: Sequence[Release]) -> str | None:
    """Compare the combinations of a matrix, record them in MLflow; returns the name of the best, None: there is none.

    `recipes`: of the combinations, in their order.
    """
    store = Store(run.workspace)
    candidates, children = [], []
    for told, recipe in zip(run.read()["combinations"], recipes, strict=True):
        one = Run(run.workspace / "runs" / told["run"]) if told.get("run") else None
        state = one.read() if one else {}
        if one is None or state.get("status") != "done":
            candidates.append(Candidate(told["name"], error=told.get("error") or "was not run"))
            continue
        made = {step["name"]: step["artefact"] for step in state["steps"]}
        candidates.append(Candidate(told["name"], state["gate"]["verdict"], state["scorecard"]["metrics"]))
        children.append(_child(one, told, recipe, store, made))
    create_table_artifact(key="comparison", table=comparison_rows(candidates), description="Combinations of the matrix")
    create_markdown_artifact(key="best", markdown=comparison_markdown(candidates), description="Best combination")
    best = best_of(candidates)
    run.update(best=None if best is None else candidates[best].name, criterion=criterion(candidates))
    if best is None:
        return None
    frozen = (run.folder / "recipe.yaml").read_text(encoding="utf-8")
    steps.record_matrix(run, registry, recipe_yaml=frozen, axes=axes, children=children, candidates=candidates)
    return candidates[best].name


def _child(run: Run, told: Mapping[str, Any], recipe: Release, store: Store, made: Mapping[str, str]) -> Child:
    prompt, card = store.open(made["persona.compile"]), store.open(made["evaluate.score"])
    trained = store.open(made["train.run"]) if "train.run" in made else None
    scorecard = card.read_json("scorecard.json")
    return Child(
        name=told["name"], values=told["values"],
        release=steps.release_of(
            prompt=prompt.read_text("prompt.md"),
            embedder=str(store.open(made["index.build"]).read_json("index.json")["embedder"]),
            persona=recipe.persona, index=recipe.index, llm=recipe.llm, answer=recipe.answer, training=trained,
        ),
        recipe_yaml=(run.folder / "recipe.yaml").read_text(encoding="utf-8"),
        params=steps.flat(recipe.model_dump(mode="json")), scorecard=scorecard,
        gate=GateReport.from_dict(store.open(made["registry.gate"]).read_json("gate.json")),
        questions=list(card.read_jsonl("questions.jsonl")), prompt=prompt.read_text("prompt.md"),
        prompt_tokens=int(prompt.read_json("prompt.json")["tokens"]),
        tags={"cervella.run": run.id, "cervella.index": str(scorecard["evidence"]["index"])},
    )  # fmt: skip


@task(name="register", retries=2, retry_delay_seconds=5, retry_condition_fn=is_transient)
def register(
    run: Run, recipe: Release, *, index: str, gate: str, scorecard: str, prompt: str,
    training: str | None = None, losses: str | None = None, export: str | None = None,
) -> int:  # fmt: skip
    """Record run, prompt and release in MLflow; returns the release's version.

    `training`, `losses`, `export`: artefacts of phase optimize, whose release has an adapter.
    """
    store = Store(run.workspace)
    compiled, trained = store.open(prompt), store.open(training) if training else None
    release = steps.release_of(
        prompt=compiled.read_text("prompt.md"),
        embedder=str(store.open(index).read_json("index.json")["embedder"]),
        persona=recipe.persona, index=recipe.index, llm=recipe.llm, answer=recipe.answer, training=trained,
    )  # fmt: skip
    done = steps.record(
        run, recipe.registry, release=release, recipe_yaml=(run.folder / "recipe.yaml").read_text(encoding="utf-8"),
        recipe_values=recipe.model_dump(mode="json"),
        gate=store.open(gate), scorecard=store.open(scorecard), prompt=compiled,
        training=None if trained is None else read_trained(
            trained, losses=store.open(losses) if losses else None, export=store.open(export) if export else None
        ),
    )  # fmt: skip
    create_link_artifact(
        key="mlflow",
        link=f"{recipe.registry.ui_url.rstrip('/')}/{done.page}",
        link_text=f"{done.model_name} version {done.model_version}",
        description="The run in MLflow, while its UI is up: "
        f"mlflow ui --backend-store-uri {steps.tracking_uri(run.workspace, recipe.registry)}",
    )
    return done.model_version
