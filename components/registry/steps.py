"""The steps that decide and record: `registry.gate`, and the registration in MLflow, which repeats without effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import TerminalError
from components.registry.card import model_card
from components.registry.champion.follow import sync_champion
from components.registry.compare import Candidate
from components.registry.datasets import Data
from components.registry.gate import GateReport, criteria_of, decide
from components.registry.mlflow_log import Registered, register, registered_key
from components.registry.mlflow_matrix import Child, RegisteredMatrix, register_matrix
from components.registry.params import GateParams, RegistryParams
from components.registry.release import build_release
from components.registry.trained import Trained
from components.store import Artefact, Run, StepSpec, logger, read_runs, recorded_step, told_step
from components.store import mlflow_door as door
from components.store.mlflow_params import flat
from components.store.services import address_of

if TYPE_CHECKING:
    from components.answer import AnswerParams
    from components.index import IndexParams
    from components.llm.params import LlmParams
    from components.persona import PersonaParams

WORST = "worst.jsonl"
"""Output of `evaluate.score`: the worst answers, a row each."""

__all__ = [
    "WORST",
    "flat",
    "gate_spec",
    "judge",
    "record",
    "record_matrix",
    "registered_before",
    "registration_key",
    "release_of",
    "shown_at",
    "tell_champion",
    "tracking_uri",
]


def gate_spec(params: GateParams, *, scorecard: str, phase: str = "mvp") -> StepSpec:
    """Identity of the gate: the thresholds of the phase and of groups, and no others."""
    values = params.model_dump(mode="json", include={rule.name for rule in criteria_of(phase)})
    if params.groups:
        values["groups"] = params.model_dump(mode="json", include={"groups"})["groups"]
    return StepSpec("registry.gate", 2, values, {"scorecard": scorecard})


def judge(run: Run, params: GateParams, *, phase: str, scorecard: Artefact) -> Artefact:
    """Decide GO, NO-GO or INCONCLUSIVE; seals `gate.json`."""
    with recorded_step(run, gate_spec(params, scorecard=scorecard.digest, phase=phase)) as step:
        if not step.sealed:
            report = decide(
                phase=phase, thresholds=params.model_dump(), scorecard=scorecard.read_json("scorecard.json")
            )
            step.write_json("gate.json", report.to_dict())
    return step.artefact


def release_of(
    *, prompt: str, embedder: str, persona: PersonaParams, index: IndexParams, llm: LlmParams, answer: AnswerParams,
    training: Artefact | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The release that a run scored: persona, base model, index configuration, and the adapter of a sealed `train.run`.

    Of the adapter its weights count and the base that they belong to, not how long it took or where it was trained.
    """
    return build_release(
        prompt=prompt,
        chat=llm.chat.sampled(),
        embedder=embedder,
        chunk=index.chunk.model_dump(mode="json"),
        search=index.search.model_dump(mode="json"),
        answer=answer.model_dump(mode="json"),
        session=persona.session.model_dump(mode="json") if persona.session else None,
        adapter=str(training.manifest["outputs"]["adapter_model.safetensors"]["sha256"]) if training else None,
        adapted=training.manifest["params"]["base"] if training else None,
    )


def record(
    run: Run,
    params: RegistryParams,
    *,
    release: dict[str, Any],
    recipe_yaml: str,
    recipe_values: dict[str, Any],
    gate: Artefact,
    scorecard: Artefact,
    prompt: Artefact,
    training: Trained | None = None,
    report: Path | None = None,
    data: Sequence[Data] = (),
    dataset_card: str | None = None,
) -> Registered:
    """Record run, prompt and release in MLflow; the very same is recorded once.

    Not a step of the store: MLflow is mutable and may have lost what it once had, so it is asked each time. It is also
    told who is champion, in case it has not been.

    `report`: the page of `registry.report`; `data`: from `components.registry.datasets`; `dataset_card`: Markdown of
    `dataset.audit`.
    """
    with told_step(run, "registry.register") as told:
        uri = tracking_uri(run.workspace, params)
        card, report_of_gate = scorecard.read_json("scorecard.json"), GateReport.from_dict(gate.read_json("gate.json"))
        tokens = int(prompt.read_json("prompt.json")["tokens"])
        done = register(
            tracking_uri=uri,
            artifact_root=door.artifacts_of(run.workspace, uri),
            experiment=params.experiment,
            model_name=params.model_name,
            alias=params.alias,
            run_name=run.id,
            release=release,
            recipe_yaml=recipe_yaml,
            params=flat(recipe_values),
            scorecard=card,
            gate=report_of_gate,
            questions=list(scorecard.read_jsonl("questions.jsonl")),
            prompt=prompt.read_text("prompt.md"),
            prompt_tokens=tokens,
            tags={"cervella.run": run.id, "cervella.index": str(card["evidence"]["index"])},
            training=training,
            report=report,
            worst=list(scorecard.read_jsonl(WORST)) if WORST in scorecard.manifest["outputs"] else [],
            data=data,
            card=model_card(
                model_name=params.model_name, recipe=str(recipe_values.get("name", run.read()["recipe"])),
                release=release, prompt_tokens=tokens, scorecard=card, gate=report_of_gate, data=data,
                training=training.result if training else None, dataset_card=dataset_card,
            ),
        )  # fmt: skip
        tell_champion(run.workspace, params)
        told.update(
            status="done" if done.created else "skipped",
            artefact=f"mlflow/{done.run_id}",
            facts={"release": f"{done.model_name} version {done.model_version}, alias {params.alias}"},
        )
    run.update(
        mlflow={
            "run": done.run_id, "model": done.model_name, "version": done.model_version, "page": done.page,
            "key": done.key, "place": place(run.workspace, params),
        }
    )  # fmt: skip
    return done


def tell_champion(workspace: Path, params: RegistryParams) -> None:
    """Let MLflow follow `champion.json`; what is in the way is only warned about."""
    try:
        fault = sync_champion(workspace=workspace, registry=params)
    except TerminalError as error:  # the file is damaged, or another one holds the lock: a run has no need of either
        fault = str(error)
    if fault:
        logger.warning("the champion in MLflow: %s", fault)


def record_matrix(
    run: Run, params: RegistryParams, *, recipe_yaml: str, axes: Mapping[str, Any], children: Sequence[Child],
    candidates: Sequence[Candidate],
) -> RegisteredMatrix:  # fmt: skip
    """Record all combinations of a matrix in MLflow: as `record`, once for the very same."""
    with told_step(run, "registry.register") as told:
        uri = tracking_uri(run.workspace, params)
        done = register_matrix(
            tracking_uri=uri, artifact_root=door.artifacts_of(run.workspace, uri),
            experiment=params.experiment, model_name=params.model_name, alias=params.alias, run_name=run.id,
            recipe_yaml=recipe_yaml, axes=axes, children=children, candidates=candidates,
            tags={"cervella.run": run.id},
        )  # fmt: skip
        tell_champion(run.workspace, params)
        told.update(
            status="done" if done.created else "skipped",
            artefact=f"mlflow/{done.run_id}",
            facts={"release": f"{done.model_name} version {done.model_version}, alias {params.alias}"},
        )
    run.update(
        mlflow={
            "run": done.run_id, "model": done.model_name, "version": done.model_version, "page": done.page,
            "key": done.key, "place": place(run.workspace, params), "nested": list(done.children),
        }
    )  # fmt: skip
    return done


def place(workspace: Path, params: RegistryParams) -> list[str]:
    """Where a run is recorded, and as what: with the key of a registration, what is not done twice."""
    return [tracking_uri(workspace, params), params.experiment, params.model_name, params.alias]


def registered_before(workspace: Path, params: RegistryParams, *, key: str) -> str | None:
    """What a run of this workspace has registered under this key, in words; None: nothing.

    MLflow is not asked: it may have lost what it once had, and then it is registered anew. The alias counts too: it
    must have been set by the newest run of all that set it.
    """
    where = place(workspace, params)
    local = where[0].startswith("sqlite:///")
    if local and not Path(where[0].removeprefix("sqlite:///")).is_file():
        return None
    for state in read_runs(workspace):
        told = state.get("mlflow")
        if isinstance(told, dict) and told.get("place") == where and told.get("key") == key:
            return f"{told['model']} version {told['version']}"
    return None


def registration_key(
    persona: PersonaParams, index: IndexParams, llm: LlmParams, answer: AnswerParams,
    *, prompt: str, built: Artefact, scorecard: Artefact, gate: Artefact, training: Artefact | None = None,
) -> str:  # fmt: skip
    """The key under which `record` records these; without MLflow."""
    release = release_of(
        prompt=prompt, embedder=str(built.read_json("index.json")["embedder"]),
        persona=persona, index=index, llm=llm, answer=answer, training=training,
    )  # fmt: skip
    report = GateReport.from_dict(gate.read_json("gate.json"))
    return registered_key(release=release, scorecard=scorecard.read_json("scorecard.json"), gate=report)


def tracking_uri(workspace: Path, params: RegistryParams) -> str:
    """Where MLflow keeps its record."""
    return door.tracking_uri(workspace, params.tracking_uri)


def shown_at(workspace: Path, params: RegistryParams) -> tuple[str, bool]:
    """Address of MLflow's UI for links, and whether `cervella up` keeps it there now.

    The one of this workspace where it is up, records there, and the recipe names no other; else `registry.ui_url`.
    """
    named = params.ui_url.rstrip("/")
    if params.tracking_uri is not None or params.ui_url != RegistryParams.model_fields["ui_url"].default:
        return named, False
    here = address_of(workspace, "mlflow")
    return here or named, here is not None
