"""What became of a run, on the page of the run that people started: the artifacts lie with the phase beneath it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.dataset.reports.card import verdict_text
from components.errors import CervellaError
from components.evaluate.render import scorecard_markdown
from components.index.summary import summary_markdown
from components.page import markdown_cell
from components.recipe import load_frozen
from components.registry.gate import GateReport
from components.registry.render import gate_markdown
from components.registry.steps import shown_at
from components.scale.render import scale_markdown
from components.store import Run, logger
from components.store.progress import facts_in_words
from components.store.shown import show_markdown

__all__ = ["outcome_markdown", "show_outcome"]

_LONGEST = 2000  # characters of an error


def show_outcome(run: Run) -> None:
    """Show what became of a run that has ended as the artifact `RECIPE-outcome`. What is in the way is told."""
    try:
        state = run.read()
        markdown = outcome_markdown(state, folder=str(run.folder), mlflow=_mlflow(run, state))
        show_markdown(run, "outcome", markdown, description=f"Run {run.id}: {_words(state)}")
    except Exception as error:  # the run has ended well or badly, and does not end otherwise for its page
        logger.warning("what became of the run cannot be shown: %s", str(error) or type(error).__name__)


def _mlflow(run: Run, state: Mapping[str, Any]) -> str | None:
    """Address of the run in MLflow."""
    if not state.get("mlflow"):
        return None
    try:
        at, _ = shown_at(run.workspace, load_frozen(run.folder).registry)
    except CervellaError:
        return None
    return f"{at}/{state['mlflow']['page']}"


def outcome_markdown(state: Mapping[str, Any], *, folder: str, mlflow: str | None = None) -> str:
    """Verdict, links, steps, and what the phase has to say, in Markdown.

    Args:
        state: record of the run.
        folder: of the run.
        mlflow: address of the run in MLflow.
    """
    parts = [f"# {markdown_cell(_words(state))}"]
    if state.get("error"):
        parts.append(f"> {markdown_cell(str(state['error']), longest=_LONGEST)}")
    parts.append("\n".join(_links(state, folder=folder, mlflow=mlflow)))
    parts.append("\n".join(_steps(state)))
    if state.get("gate"):
        parts.append(gate_markdown(GateReport.from_dict(state["gate"])).strip())
    if state.get("scale"):
        parts.append(scale_markdown(state["scale"]).strip())
    if state.get("scorecard"):
        parts.append(f"## Scorecard\n\n{scorecard_markdown(state['scorecard'])}")
    if state["phase"] == "reindex" and state.get("reindex"):
        summary = state["reindex"]
        why = None if summary["why"] == state.get("error") else summary["why"]  # it is told above
        parts.append(summary_markdown({**summary, "why": why}).replace("# ", "## ", 1))
    if state["phase"] == "dataset" and state.get("dataset"):
        parts.append(f"```\n{verdict_text(state['dataset']).replace('```', '')}\n```")
    return "\n\n".join(parts) + "\n"


def _words(state: Mapping[str, Any]) -> str:
    """The recipe, and how it ended, in a line."""
    verdict = (state.get("gate") or {}).get("verdict")
    if state.get("best"):
        verdict = f"best of {len(state['combinations'])} is {state['best']}"
    return f"{state['recipe']}: {verdict or state['status']}"


def _links(state: Mapping[str, Any], *, folder: str, mlflow: str | None) -> Iterator[str]:
    if flow_run := state.get("prefect_flow_run"):
        # From an artifact's page, in the UI that one is in: each of Prefect's two has its own root.
        yield f"- [All that it shows, its log and its tasks](../../runs/flow-run/{flow_run})"
    if mlflow:
        yield f"- [The run in MLflow]({mlflow})"
        if not (state.get("combinations") or state["phase"] == "dataset"):
            yield f"- [The report]({mlflow}/artifacts/report.html), as MLflow shows it"
    yield f"- On this machine: `{folder.replace('`', '')}`; in a terminal: `cervella show {state['run']}`"


def _steps(state: Mapping[str, Any]) -> Iterator[str]:
    yield "| what | status | seconds | |"
    yield "| --- | --- | --- | --- |"
    for step in state["steps"]:
        made = step.get("facts") or {}
        reason = "" if step.get("reason") == state.get("error") else step.get("reason")
        told = reason or ("" if step["status"] == "skipped" else facts_in_words(made))
        seconds = f"{step['seconds']:.1f}" if "seconds" in step else ""
        yield f"| {step['name']} | {step['status']} | {seconds} | {markdown_cell(told)} |"
    for one in state.get("combinations") or ():
        told = one.get("verdict") or one.get("error") or ""
        yield f"| {markdown_cell(one['name'])} | {one.get('status') or 'not run'} | | {markdown_cell(told)} |"
