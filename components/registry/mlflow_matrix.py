"""A matrix in MLflow: a parent run, a nested run for each combination, and a model version for the best alone.

State after a hard crash: a parent with the status RUNNING and some of its nested runs. Recording the same again finds
each by its key, completes what is missing and ends the parent last. Nothing is made twice: the parent's key is made of
the keys of all its combinations, so a matrix that scores the same is the same, and one that scores otherwise is another
parent with nested runs of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from components.registry import mlflow_log as log
from components.registry.card import model_card
from components.registry.compare import Candidate, best_of, comparison_markdown, comparison_rows
from components.registry.gate import GateReport
from components.registry.mlflow_prompt import find_prompt
from components.registry.mlflow_values import checked_model_name, table_json
from components.store import canonical_json, sha256_hex
from components.store.mlflow_door import mlflow_folder, open_client, open_experiment
from components.store.mlflow_errors import explained
from components.store.mlflow_params import param_values

__all__ = ["Child", "RegisteredMatrix", "register_matrix"]

_PARENT = "mlflow.parentRunId"


@dataclass(frozen=True)
class Child:
    """A combination that was scored; the fields are those of `register`."""

    name: str
    values: Mapping[str, Any]
    release: Mapping[str, Any]
    recipe_yaml: str
    params: Mapping[str, Any]
    scorecard: Mapping[str, Any]
    gate: GateReport
    questions: Sequence[Mapping[str, Any]]
    prompt: str
    prompt_tokens: int
    tags: Mapping[str, str]

    @property
    def key(self) -> str:
        """What it is found again by, but for its parent."""
        return log.registered_key(release=self.release, scorecard=self.scorecard, gate=self.gate)


@dataclass(frozen=True)
class RegisteredMatrix:
    """Where it is recorded. `created`: False when the very same had been registered before."""

    run_id: str
    children: tuple[str, ...]
    model_name: str
    model_version: int
    created: bool
    page: str
    key: str


def register_matrix(
    *,
    tracking_uri: str,
    artifact_root: Path | None,
    experiment: str,
    model_name: str,
    alias: str,
    run_name: str,
    recipe_yaml: str,
    axes: Mapping[str, Any],
    children: Sequence[Child],
    candidates: Sequence[Candidate],
    tags: Mapping[str, str],
    at: Callable[[str], None] = lambda point: None,
) -> RegisteredMatrix:
    """Record a matrix. `candidates`: all combinations for the table, those that failed included.

    The release of the best gets a model version and the alias, as a run of its own recipe would give it. Raises as
    `components.registry.register`, and ValueError when there is no combination that was scored.
    """
    checked_model_name(model_name)
    best = children[[child.name for child in children].index(candidates[_best(candidates)].name)]
    key = sha256_hex(canonical_json([[child.name, child.key] for child in children]))
    with mlflow_folder(artifact_root) as folder, explained(tracking_uri):
        client = open_client(tracking_uri)
        experiment_id = open_experiment(client, experiment, artifact_root)
        parent = _parent(key, run_name, recipe_yaml, axes, candidates, tags)
        parent_id, created = log.find_or_begin(client, experiment_id, parent, _sub(folder, "parent"), at)
        ids: dict[str, str] = {}
        for child in children:
            job = _nested(child, model_name, parent_id=parent_id, parent_key=key)
            ids[child.name], begun = log.find_or_begin(client, experiment_id, job, _sub(folder, job.key[:16]), at)
            if begun:
                client.set_terminated(ids[child.name], status="FINISHED")
            at("combination recorded")
        prompt_version = find_prompt(client, model_name, best.prompt, best.prompt_tokens, experiment_id, at)
        job = _nested(best, model_name, parent_id=parent_id, parent_key=key)
        version = log.find_version(client, model_name, job, ids[best.name], best.gate, at)
        client.set_registered_model_alias(model_name, alias, str(version))
        if created:
            log.link(client, ids[best.name], model_name, version, prompt_version)
            client.set_terminated(parent_id, status="FINISHED")
            at("parent ended")
    page = f"#/experiments/{experiment_id}/runs/{parent_id}"
    return RegisteredMatrix(
        parent_id, tuple(ids[child.name] for child in children), model_name, version, created, page, key
    )


def _best(candidates: Sequence[Candidate]) -> int:
    found = best_of(candidates)
    if found is None:
        raise ValueError("no combination was scored")
    return found


def _sub(folder: Path, name: str) -> Path:
    path = folder / name
    path.mkdir()
    return path


def _nested(child: Child, model_name: str, *, parent_id: str, parent_key: str) -> log.Job:
    """A nested run: as `register` makes it, under its parent and with a key of its own."""
    job = log.make_job(
        child.name, child.release, child.recipe_yaml, child.params, child.scorecard, child.gate, child.questions,
        child.prompt, child.prompt_tokens, child.tags,
    )  # fmt: skip
    key = sha256_hex(canonical_json([parent_key, child.name, job.key]))
    card = model_card(
        model_name=model_name, recipe=f"{child.params.get('name', '')} ({child.name})", release=child.release,
        prompt_tokens=child.prompt_tokens, scorecard=child.scorecard, gate=child.gate,
    )  # fmt: skip
    job = replace(job, tags={**job.tags, **log.key_tag(key), _PARENT: parent_id}, card=card)
    return replace(job, key=key, files={**job.files, "release/card.md": card})


def _parent(
    key: str, run_name: str, recipe_yaml: str, axes: Mapping[str, Any], candidates: Sequence[Candidate],
    tags: Mapping[str, str],
) -> log.Job:  # fmt: skip
    best = candidates[_best(candidates)]
    text = f"# Matrix\n\n{comparison_markdown(candidates)}"
    values = {name: metric["value"] for name, metric in (best.metrics or {}).items() if metric["value"] is not None}
    return log.Job(
        release="",
        key=key,
        name=run_name,
        params=param_values({f"matrix.{name}": json.dumps(axis) for name, axis in axes.items()}),
        metrics={name: float(value) for name, value in values.items()},
        tags={
            **tags, **log.key_tag(key), "cervella.best": best.name, "cervella.gate": str(best.verdict),
            "mlflow.note.content": text[:8000],
            "mlflow.loggedArtifacts": json.dumps([{"path": "combinations.json", "type": "table"}]),
        },
        files={
            "recipe.yaml": recipe_yaml, "report.md": text, "combinations.json": table_json(comparison_rows(candidates)),
        },
    )  # fmt: skip
