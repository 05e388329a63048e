"""Prefect's view of gate and registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from prefect import task

from components.answer import AnswerParams
from components.errors import is_transient
from components.evaluate import EvaluateParams
from components.index import IndexParams
from components.llm.params import LlmParams
from components.persona import PersonaParams
from components.registry import steps
from components.registry.champion import read_champion, seal_release
from components.registry.champion.compared import champion_beside
from components.registry.compare import Candidate, best_of, comparison_markdown, comparison_rows, criterion
from components.registry.datasets import evaluation_data, training_data
from components.registry.gate import GateReport
from components.registry.mlflow_matrix import Child
from components.registry.params import GateParams, RegistryParams
from components.registry.render import gate_markdown
from components.registry.report.beside import beside_champion, previous_run
from components.registry.report.markdown import report_markdown
from components.registry.report.steps import PAGE, write_report
from components.registry.trained import read_trained
from components.store import Run, Store, logger
from components.store.shown import show_link, show_markdown, show_table

__all__ = ["Release", "champion", "compare", "gate", "register", "release", "report"]


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
    def evaluate(self) -> EvaluateParams: ...  # noqa: D102
    @property
    def registry(self) -> RegistryParams: ...  # noqa: D102
    def model_dump(self, *, mode: str) -> dict[str, Any]: ...  # noqa: D102


@task(name="gate")
def gate(run: Run, params: GateParams, *, scorecard: str) -> str:
    """Decide GO, NO-GO or INCONCLUSIVE and show why; returns the artefact's id."""
    decided = steps.judge(run, params, phase=run.read()["phase"], scorecard=Store(run.workspace).open(scorecard))
    report = GateReport.from_dict(decided.read_json("gate.json"))
    run.update(gate=report.to_dict())
    show_markdown(run, "gate", gate_markdown(report), description=f"Gate: {report.verdict}")
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
        made = {step["name"]: step["artefact"] for step in state["steps"] if step.get("artefact")}
        candidates.append(Candidate(told["name"], state["gate"]["verdict"], state["scorecard"]["metrics"]))
        children.append(_child(one, told, recipe, store, made))
    show_table(run, "comparison", comparison_rows(candidates), description="Combinations of the matrix")
    show_markdown(run, "best", comparison_markdown(candidates), description="Best combination")
    best = best_of(candidates)
    run.update(best=None if best is None else candidates[best].name, criterion=criterion(candidates))
    if best is None:
        return None
    frozen = (run.folder / "recipe.yaml").read_text(encoding="utf-8")
    done = steps.record_matrix(run, registry, recipe_yaml=frozen, axes=axes, children=children, candidates=candidates)
    _link_mlflow(run, registry, page=done.page, name=f"{done.model_name} version {done.model_version}")
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


@task(name="find champion")
def champion(
    run: Run, recipe: Release, *, index: str, prompt: str, training: str | None = None,
    trusted_hosts: Sequence[str] = (),
) -> str | None:  # fmt: skip
    """The sealed release in service, if it can be asked beside the candidate; its artefact's id, or None."""
    store = Store(run.workspace)
    sealed, why = champion_beside(
        run.workspace, model_name=recipe.registry.model_name,
        candidate=_release(store, recipe, index=index, prompt=prompt, training=training), trusted_hosts=trusted_hosts,
    )  # fmt: skip
    if sealed is None:
        logger.info("no champion is asked: %s", why)
    return sealed.id if sealed else None


@task(name="seal release")
def release(
    run: Run, recipe: Release, *, index: str, prompt: str, training: str | None = None, export: str | None = None
) -> str:
    """Seal what `cervella promote` can put into service; returns the artefact's id."""
    store = Store(run.workspace)
    return seal_release(
        run, prompt=store.open(prompt), export=store.open(export) if export else None,
        release=_release(store, recipe, index=index, prompt=prompt, training=training),
    ).id  # fmt: skip


@task(name="report")
def report(
    run: Run, recipe: Release, *, scorecard: str, gate: str, release: str, training: str | None = None
) -> str:  # fmt: skip
    """Make the page of the run, and show it in short; returns the artefact's id."""
    store, frozen = Store(run.workspace), (run.folder / "recipe.yaml").read_text(encoding="utf-8")
    card, decided = store.open(scorecard), store.open(gate)
    of_matrix = bool(run.read().get("matrix"))  # then its own fellows are no runs before it
    in_service = read_champion(run.workspace, recipe.registry.model_name)
    made = write_report(
        run, scorecard=card, gate=decided, release=store.open(release),
        training=store.open(training) if training else None,
        champion=beside_champion(run.workspace, in_service, recipe_yaml=frozen) if in_service else None,
        previous=None if of_matrix else previous_run(
            run.workspace, recipe=run.read()["recipe"], recipe_yaml=frozen, scorecard=card.id
        ),
    )  # fmt: skip
    markdown = report_markdown(
        gate=decided.read_json("gate.json"), scorecard=card.read_json("scorecard.json"), page=run.folder / PAGE
    )
    show_markdown(run, "report", markdown, description="The report in short")
    return made.id


@task(name="register", retries=2, retry_delay_seconds=5, retry_condition_fn=is_transient)
def register(
    run: Run, recipe: Release, *, index: str, gate: str, scorecard: str, prompt: str, report: str,
    training: str | None = None, losses: str | None = None, export: str | None = None, split: str | None = None,
    audit: str | None = None,
) -> int:  # fmt: skip
    """Record run, prompt, release, report and datasets in MLflow; returns the release's version.

    `training`, `losses`, `export`, `split`, `audit`: artefacts of phase optimize, whose release has an adapter.
    """
    store = Store(run.workspace)
    trained, card = store.open(training) if training else None, store.open(scorecard)
    data = evaluation_data(recipe.evaluate, evidence=card.read_json("scorecard.json")["evidence"])
    done = steps.record(
        run, recipe.registry, release=_release(store, recipe, index=index, prompt=prompt, training=training),
        recipe_yaml=(run.folder / "recipe.yaml").read_text(encoding="utf-8"),
        recipe_values=recipe.model_dump(mode="json"), gate=store.open(gate), scorecard=card,
        prompt=store.open(prompt), report=store.open(report).file(PAGE),
        data=[*data, *training_data(store.open(split) if split else None)],
        dataset_card=store.open(audit).read_text("card.md") if audit else None,
        training=None if trained is None else read_trained(
            trained, losses=store.open(losses) if losses else None, export=store.open(export) if export else None
        ),
    )  # fmt: skip
    name = f"{done.model_name} version {done.model_version}"
    _link_mlflow(run, recipe.registry, page=done.page, name=name, report=PAGE)
    return done.model_version


def _link_mlflow(run: Run, registry: RegistryParams, *, page: str, name: str, report: str | None = None) -> None:
    """Show where MLflow has the run, and its report, which a browser opens from there and not from a file."""
    at, kept = steps.shown_at(run.workspace, registry)
    command = f"mlflow ui --backend-store-uri {steps.tracking_uri(run.workspace, registry)}"
    about = "which `cervella up` keeps there" if kept else f"while its UI is up: {command}"
    show_link(run, "mlflow", f"{at}/{page}", text=name, description=f"The run in MLflow, {about}")
    if report:
        link, text = f"{at}/{page}/artifacts/{report}", f"Report of {name}"
        show_link(run, "page", link, text=text, description=f"The page of the run in MLflow, {about}")


def _release(
    store: Store, recipe: Release, *, index: str, prompt: str, training: str | None
) -> dict[str, Any]:  # fmt: skip
    """What is scored, as it would be put into service."""
    return steps.release_of(
        prompt=store.open(prompt).read_text("prompt.md"),
        embedder=str(store.open(index).read_json("index.json")["embedder"]),
        persona=recipe.persona, index=recipe.index, llm=recipe.llm, answer=recipe.answer,
        training=store.open(training) if training else None,
    )  # fmt: skip
