"""What `promote` is asked to put into service: the release of a run, with what its gate said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import InputError, TerminalError
from components.registry.champion.release_step import RELEASE
from components.registry.gate import GateReport
from components.registry.release import release_digest
from components.store import Artefact, Store, read_runs

__all__ = ["Proposed", "open_release", "proposed"]


@dataclass(frozen=True)
class Proposed:
    """A release that was registered. Fields as those of `Champion`, `gate` with all its criteria.

    `registered_by`: the run that registered it: `run`, or the matrix whose best combination that is.
    """

    run: str
    recipe: str
    phase: str
    release: str
    digest: str
    scorecard: str | None
    gate_artefact: str
    gate: GateReport
    version: int
    registered_by: str


def open_release(workspace: Path, artefact_id: str) -> tuple[Artefact, str]:
    """The sealed release and its digest. Raises TerminalError: it is gone or damaged."""
    artefact = Store(workspace).open(artefact_id)
    return artefact, release_digest(artefact.read_json(RELEASE))


def proposed(workspace: Path, *, recipe: str | None, model_name: str, run: str | None = None) -> Proposed:
    """The release of a run, or of the newest run of `recipe` that registered one.

    Args:
        workspace: where the runs are.
        recipe: its name; with `run`, that run must be of it. None: of any.
        model_name: the registered model.
        run: id of a run, or its beginning. Of a matrix, the best combination counts.

    Raises:
        InputError: there is no such run, or it is of another recipe.
        TerminalError: nothing was registered; what is sealed of the release or its gate is gone or damaged.
    """
    states = read_runs(workspace)
    by_id = {state["run"]: state for state in states}
    if run is not None:
        found = [state for state in states if state["run"].startswith(run)]
        if len(found) != 1:
            which = "no run" if not found else f"{len(found)} runs"
            raise InputError(f"--run: {which} in {workspace} begin with {run!r}; `cervella runs` lists them")
        if recipe is not None and found[0]["recipe"] != recipe:
            raise InputError(f"--run: {found[0]['run']} is a run of {found[0]['recipe']}, not of {recipe}")
        states = found
    for state, made, mlflow in _registered(states, by_id, recipe=recipe, model_name=model_name):
        return _read(workspace, made, mlflow, registered_by=state["run"])
    which = f"run {states[0]['run']}" if run is not None else f"no run{f' of {recipe}' if recipe else ''}"
    all_registered = () if run is not None else _registered(states, by_id, model_name=model_name)
    known = ", ".join(dict.fromkeys(state["recipe"] for state, _, _ in all_registered))  # the newest first
    raise TerminalError(
        f"{which} has {'not ' if run is not None else ''}registered a release as {model_name} in {workspace}"
        f"{f' (recipes that have: {known})' if known else ''}: run it first (cervella run), then promote"
    )


def _registered(
    states: list[dict[str, Any]], by_id: Mapping[str, dict[str, Any]], *, model_name: str, recipe: str | None = None
) -> Iterator[tuple[dict[str, Any], dict[str, Any], Mapping[str, Any]]]:
    """Runs that registered a release, newest first, each with that of the release (of a matrix its best) and MLflow."""
    for state in states:
        mlflow = state.get("mlflow")
        if recipe not in (None, state["recipe"]) or not isinstance(mlflow, dict) or mlflow.get("model") != model_name:
            continue
        best = [one.get("run") for one in state.get("combinations", []) if one.get("name") == state.get("best")]
        made = by_id.get(str(best[0]), state) if best else state
        if "registry.release" in _artefacts(made):
            yield state, made, mlflow


def _artefacts(state: Mapping[str, Any]) -> dict[str, str]:
    return {step["name"]: str(step["artefact"]) for step in state["steps"] if step.get("artefact")}


def _read(workspace: Path, state: Mapping[str, Any], mlflow: Mapping[str, Any], *, registered_by: str) -> Proposed:
    made = _artefacts(state)
    try:
        release, digest = open_release(workspace, made["registry.release"])
        gate = Store(workspace).open(made["registry.gate"])
    except (TerminalError, KeyError) as error:
        raise TerminalError(
            f"the release of run {state['run']} cannot be taken into service: {error}. "
            f"`cervella run` seals it again, then promote"
        ) from error
    return Proposed(
        run=state["run"], recipe=state["recipe"], phase=state["phase"], release=release.id, digest=digest,
        scorecard=made.get("evaluate.score"), gate_artefact=gate.id,
        gate=GateReport.from_dict(gate.read_json("gate.json")), version=int(mlflow["version"]),
        registered_by=registered_by,
    )  # fmt: skip
