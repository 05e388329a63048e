"""The record for people in MLflow: a run per scored candidate, a prompt version per text, a model version per release.

State after a hard crash: a run with the status RUNNING, tagged with its key, and perhaps a prompt without a version, a
model without a version, or a version without its alias. Registering the same again finds each by its tag, completes
what is missing and finishes the run: FINISHED is written last. Nothing is made twice.

Not covered: two machines that register the same at the same moment with a remote tracking server (on one machine a
lock file in the artifact root lets one in at a time).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from components.errors import InputError
from components.evaluate import scorecard_markdown
from components.registry.datasets import Data, dataset_inputs
from components.registry.gate import GateReport
from components.registry.mlflow_glance import registered_in
from components.registry.mlflow_prompt import find_prompt, prompt_name
from components.registry.mlflow_values import checked_model_name, clip_lines, metric_values, table_json
from components.registry.release import release_digest
from components.registry.render import gate_markdown
from components.registry.trained import Trained
from components.store import canonical_json, sha256_hex
from components.store.mlflow_door import mlflow_folder, open_client, open_experiment, sqlite_uri
from components.store.mlflow_errors import explained
from components.store.mlflow_params import param_values

__all__ = ["Registered", "register", "registered_key", "sqlite_uri"]

_KEY, _RELEASE = "cervella.key", "cervella.release"
_TRAINING = "cervella.train"  # of the run that was recorded while it trained: components/train/live.py
_BATCH = 100  # params per call; MLflow refuses more
_METRIC_BATCH = 1000
_TAG_LIMIT = 8000  # characters of a run's tag
_PROMPT_LIMIT = 100_000  # characters of a prompt version
_DESCRIPTION_LIMIT = 5000  # characters of a model version's description


@dataclass(frozen=True)
class Registered:
    """Where it is recorded. `created`: False when the very same had been registered before.

    `page`: what follows the address of the MLflow server to open the run in its UI.
    """

    run_id: str
    experiment_id: str
    model_name: str
    model_version: int
    prompt_name: str
    prompt_version: int
    release: str
    key: str
    created: bool
    page: str


@dataclass(frozen=True)
class Job:
    """A run that is to be recorded, with the key that it is found again by.

    `copies`: path in MLflow -> file. `card`: the model card; empty: there is none.
    """

    release: str
    key: str
    name: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    files: dict[str, str]
    copies: Mapping[str, Path] = field(default_factory=dict)
    data: Sequence[Data] = ()
    card: str = ""


def register(
    *,
    tracking_uri: str,
    artifact_root: Path | None,
    experiment: str,
    model_name: str,
    alias: str,
    run_name: str,
    release: Mapping[str, Any],
    recipe_yaml: str,
    params: Mapping[str, Any],
    scorecard: Mapping[str, Any],
    gate: GateReport,
    questions: Sequence[Mapping[str, Any]],
    prompt: str,
    prompt_tokens: int,
    tags: Mapping[str, str] | None = None,
    training: Trained | None = None,
    report: Path | None = None,
    worst: Sequence[Mapping[str, Any]] = (),
    data: Sequence[Data] = (),
    card: str = "",
    at: Callable[[str], None] = lambda point: None,
) -> Registered:
    """Record a scored candidate; registering the same again changes nothing and returns the same.

    The run is keyed by release, scorecard and gate together, the model version by the release alone (a release that is
    scored again is still that release: its version's tags name the newest run), the prompt version by its text.

    - `artifact_root`: folder of the artifacts, inside the workspace; None only with a remote server, which has its own
    - `release`: from `build_release`; `recipe_yaml`: the frozen recipe, text; `params`: flat, name -> JSON value
      (cut at 6000 characters, which is MLflow's limit: the recipe has them whole)
    - `scorecard`: from `build_scorecard`; unknown values (None) become no metric, NaN raises
    - `questions`: rows of the table of questions, one mapping each
    - `prompt`, `prompt_tokens`: system prompt and its length in tokens of `persona.tokenizer`
    - `training`: of phase optimize, from `components.registry.trained.read_trained`
    - `report`: the HTML page of the report; `worst`: rows of the table of the worst answers
    - `data`: what it was scored and trained on, the run's inputs in MLflow
    - `card`: the model card, Markdown: `release/card.md`, and the description of the model version
    - `at`: called with the name of each point that a crash could hit (for tests)

    The first use of a database creates its schema (about 10 s). Raises InputError for a name or URI that MLflow cannot
    take, TransientError when the server or database does not answer, TerminalError for anything else.
    """
    checked_model_name(model_name)
    local = not tracking_uri.startswith(("http://", "https://"))
    if local and artifact_root is None:
        raise InputError(f"{tracking_uri} needs a folder for artifacts: expected artifact_root inside the workspace.")
    if not prompt.strip() or len(prompt) > _PROMPT_LIMIT:
        raise InputError(f"A prompt of {len(prompt)} characters: MLflow takes 1 to {_PROMPT_LIMIT}.")
    job = make_job(
        run_name, release, recipe_yaml, params, scorecard, gate, questions, prompt, prompt_tokens, tags or {}
    )
    if training:
        job = _with_training(job, training)
    job = _with_papers(job, report=report, worst=worst, data=data, card=card)
    persona = prompt_name(model_name)
    there = registered_in(
        tracking_uri, experiment=experiment, key=(_KEY, job.key), model_name=model_name,
        release=(_RELEASE, job.release), alias=alias, prompt_name=persona, prompt=prompt,
        tags=_version_tags(job, "{run}", gate), description=_version_description(job, gate),
    )  # fmt: skip
    if there:
        return _registered(
            job, there.run_id, there.experiment_id, (model_name, there.model_version),
            (persona, there.prompt_version), created=False,
        )  # fmt: skip
    with mlflow_folder(artifact_root) as folder, explained(tracking_uri):
        client = open_client(tracking_uri)
        experiment_id = open_experiment(client, experiment, artifact_root)
        if training and (live := _trained_in(client, experiment_id, training)):
            job = replace(job, tags={**job.tags, "cervella.training_run": live})
        run_id, created = find_or_begin(client, experiment_id, job, folder, at)
        prompt_version = find_prompt(client, model_name, prompt, prompt_tokens, experiment_id, at)
        version = find_version(client, model_name, job, run_id, gate, at)
        client.set_registered_model_alias(model_name, alias, str(version))
        at("alias set")
        if created:
            link(client, run_id, model_name, version, prompt_version)
            at("run linked")
            client.set_terminated(run_id, status="FINISHED")
    return _registered(job, run_id, experiment_id, (model_name, version), (persona, prompt_version), created=created)


def _registered(
    job: Job, run_id: str, experiment_id: str, model: tuple[str, int], prompt: tuple[str, int], *, created: bool
) -> Registered:
    return Registered(
        run_id=run_id,
        experiment_id=experiment_id,
        model_name=model[0],
        model_version=model[1],
        prompt_name=prompt[0],
        prompt_version=prompt[1],
        release=job.release,
        key=job.key,
        created=created,
        page=f"#/experiments/{experiment_id}/runs/{run_id}",
    )


def registered_key(*, release: Mapping[str, Any], scorecard: Mapping[str, Any], gate: GateReport) -> str:
    """What a run in MLflow is found again by: SHA-256 over release, scorecard and gate."""
    return sha256_hex(
        canonical_json({"release": release_digest(release), "scorecard": scorecard, "gate": gate.to_dict()})
    )


def make_job(
    run_name: str,
    release: Mapping[str, Any],
    recipe_yaml: str,
    params: Mapping[str, Any],
    scorecard: Mapping[str, Any],
    gate: GateReport,
    questions: Sequence[Mapping[str, Any]],
    prompt: str,
    prompt_tokens: int,
    tags: Mapping[str, str],
) -> Job:
    """The run of a scored candidate; arguments as `register` has them."""
    metrics = metric_values(scorecard)  # first: its error on NaN names the score
    digest = release_digest(release)
    key = registered_key(release=release, scorecard=scorecard, gate=gate)
    report = f"{gate_markdown(gate)}\n## Scorecard\n\n{scorecard_markdown(scorecard)}\n"
    answers = scorecard["answers"]
    return Job(
        release=digest,
        key=key,
        name=run_name,
        params=param_values(params),
        metrics=metrics | {"prompt_tokens": float(prompt_tokens)},
        tags=dict(tags)
        | {
            _KEY: key,
            _RELEASE: digest,
            "cervella.gate": gate.verdict,
            "cervella.phase": gate.phase,
            "cervella.answers": f"{answers['scored']} of {answers['expected']} scored, {answers['failed']} failed",
            "mlflow.note.content": clip_lines(report, _TAG_LIMIT),
            "mlflow.loggedArtifacts": json.dumps([{"path": "questions.json", "type": "table"}]),
        },
        files={
            "release/release.json": _pretty(release),
            "release/prompt.md": prompt,
            "release/recipe.yaml": recipe_yaml,
            "scorecard.json": _pretty(scorecard),
            "gate.json": _pretty(gate.to_dict()),
            "report.md": report,
            "questions.json": table_json(questions),
        },
    )


def _with_training(job: Job, training: Trained) -> Job:
    """The run of phase optimize: with the adapter, and all that says how it was trained."""
    return replace(
        job, metrics={**job.metrics, **training.metrics}, tags={**job.tags, **training.tags},
        files={**job.files, **training.texts}, copies=training.files,
    )  # fmt: skip


def _with_papers(
    job: Job, *, report: Path | None, worst: Sequence[Mapping[str, Any]], data: Sequence[Data], card: str
) -> Job:
    """The run with report page, worst answers, inputs and model card, as far as there are any."""
    files, tables = dict(job.files), ["questions.json"]
    if worst:
        files["worst.json"] = table_json(worst)
        tables.append("worst.json")
    if card:
        files["release/card.md"] = card
    shown = json.dumps([{"path": name, "type": "table"} for name in tables])
    return replace(
        job, files=files, tags={**job.tags, "mlflow.loggedArtifacts": shown}, data=data, card=card,
        copies={**job.copies, "report.html": report} if report else job.copies,
    )  # fmt: skip


def _trained_in(client: Any, experiment_id: str, training: Trained) -> str | None:
    """The run that was recorded while this adapter was trained; None: there is none (it was trained elsewhere)."""
    wanted = f"tags.`{_TRAINING}` = '{training.fingerprint}'"
    found = client.search_runs([experiment_id], wanted, max_results=1, order_by=["attributes.start_time DESC"])
    return str(found[0].info.run_id) if found else None


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def link(client: Any, run_id: str, model_name: str, version: int, prompt_version: int) -> None:
    """Say in a run which model version and which prompt version came of it."""
    linked = json.dumps([{"name": prompt_name(model_name), "version": str(prompt_version)}])
    client.set_tag(run_id, "mlflow.linkedPrompts", linked)
    client.set_tag(run_id, "cervella.model_version", f"{model_name}/{version}")


def key_tag(key: str) -> dict[str, str]:
    """The tag that a run is found again by."""
    return {_KEY: key}


def find_or_begin(
    client: Any, experiment_id: str, job: Job, folder: Path, at: Callable[[str], None]
) -> tuple[str, bool]:
    """The run of this key, complete but for its end; and whether it had to be made or completed."""
    found = client.search_runs([experiment_id], f"tags.`{_KEY}` = '{job.key}'", order_by=["attributes.start_time ASC"])
    done = [run for run in found if run.info.status == "FINISHED"]
    if done:
        return str(done[0].info.run_id), False
    run = found[0] if found else client.create_run(experiment_id, tags={_KEY: job.key}, run_name=job.name)
    at("run created")
    _details(client, run, job)
    at("details logged")
    for name, text in job.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name, source in job.copies.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, path)  # MLflow makes the copy: one is enough
        except OSError:
            shutil.copyfile(source, path)
    client.log_artifacts(run.info.run_id, str(folder))
    at("artifacts logged")
    return str(run.info.run_id), True


def _details(client: Any, run: Any, job: Job) -> None:
    from mlflow.entities import Metric, Param, RunTag

    # A parameter cannot be written twice with another value; those of a half-written run stay.
    params = [Param(name, value) for name, value in job.params.items() if name not in run.data.params]
    # The run's own start as time stamp: a metric written again is then the same row, not a second point.
    metrics = [Metric(name, value, run.info.start_time, 0) for name, value in job.metrics.items()]
    tags = [RunTag(name, value[:_TAG_LIMIT]) for name, value in job.tags.items()]
    for start in range(0, len(params), _BATCH):
        client.log_batch(run.info.run_id, params=params[start : start + _BATCH])
    for start in range(0, len(metrics), _METRIC_BATCH):
        client.log_batch(run.info.run_id, metrics=metrics[start : start + _METRIC_BATCH])
    for start in range(0, len(tags), _BATCH):
        client.log_batch(run.info.run_id, tags=tags[start : start + _BATCH])
    if job.data:
        client.log_inputs(run.info.run_id, dataset_inputs(job.data))  # one that is there already is not added twice


def find_version(client: Any, name: str, job: Job, run_id: str, gate: GateReport, at: Callable[[str], None]) -> int:
    """The model version of this release; made when there is none. Its tags and card are of the newest run of it."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, description="Releases: persona, base model, adapter, index configuration")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    at("model created")
    tags, description = _version_tags(job, run_id, gate), _version_description(job, gate)
    found = client.search_model_versions(f"name = '{name}' and tags.`{_RELEASE}` = '{job.release}'")
    if found:
        version = min(int(version.version) for version in found)
        for key, value in tags.items():
            client.set_model_version_tag(name, str(version), key, value)
        if job.card:
            client.update_model_version(name, str(version), description)
        return version
    source = f"{client.get_run(run_id).info.artifact_uri}/release"
    made = client.create_model_version(name, source, run_id, tags=tags, description=description, await_creation_for=0)
    at("version created")
    return int(made.version)


def _version_tags(job: Job, run_id: str, gate: GateReport) -> dict[str, str]:
    return {_RELEASE: job.release, "cervella.run_id": run_id, "cervella.gate": gate.verdict}


def _version_description(job: Job, gate: GateReport) -> str:
    if job.card:
        return clip_lines(job.card, _DESCRIPTION_LIMIT, where="the whole card is in release/card.md")
    return f"Release {job.release[:12]}, gate of phase {gate.phase}: {gate.verdict}"
