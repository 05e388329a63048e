"""The model card: what a release is, what it was made from, how good it is, and how to go back; Markdown for people.

Not covered: what nobody measured. The card names the limits that follow from its own numbers, and no others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from components.registry.datasets import Data
from components.registry.gate import GateReport
from components.registry.release import release_digest
from components.registry.render import gate_markdown
from components.store.mlflow_params import flat

__all__ = ["model_card"]

_PACKAGED = {"local/smollm2-135m-instruct": "HuggingFaceTB/SmolLM2-135M-Instruct"}
_FACTS = (
    ("trainer", "trainer"), ("trainer_version", "its version"), ("steps", "steps"), ("seconds", "seconds"),
    ("trainable_parameters", "trained parameters"), ("base_eval_loss", "held-out loss before"),
    ("best_eval_loss", "held-out loss after"),
)  # fmt: skip


def model_card(
    *, model_name: str, recipe: str, release: Mapping[str, Any], prompt_tokens: int, scorecard: Mapping[str, Any],
    gate: GateReport, data: Sequence[Data] = (), training: Mapping[str, Any] | None = None,
    dataset_card: str | None = None,
) -> str:  # fmt: skip
    """The card.

    Args:
        model_name: the registered model.
        recipe: name of the recipe.
        release: from `build_release`.
        prompt_tokens: length of the system prompt (tokens of `persona.tokenizer`).
        scorecard: as `components.evaluate` builds it.
        gate: what it said of the scorecard.
        data: what it was scored and trained on.
        training: `result.json` of the training, in phase optimize.
        dataset_card: Markdown of `dataset.audit`, in phase optimize.
    """
    lines = [
        f"# {model_name}: release {release_digest(release)[:12]}", "",
        f"A personal AI partner that answers from its owner's notes, made by the recipe {recipe}. "
        f"**Gate of phase {gate.phase}: {gate.verdict}**.", "",
        *_parts(release, prompt_tokens), "",
        *_scores(scorecard), "",
        gate_markdown(gate),
        *_limits(scorecard, gate, release), "",
        *_data(data), "",
    ]  # fmt: skip
    if training is not None:
        told = [f"{words} {training[key]}" for key, words in _FACTS if training.get(key) is not None]
        lines += ["## Training", "", f"{', '.join(told)}.", ""]
    if dataset_card:
        lines += [re.sub(r"^#", "##", dataset_card.strip(), flags=re.MULTILINE), ""]
    lines += [
        "## Going back", "",
        "`cervella rollback RECIPE` returns the prompt, the adapter and the settings of the champion before; "
        "`--to VERSION` names another. The notes and their index stay as they are.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _parts(release: Mapping[str, Any], prompt_tokens: int) -> list[str]:
    base, adapted = release["base_model"], release.get("adapted") or {}
    named = str(adapted.get("model") or base["model"])
    adapter = release.get("adapter")
    persona = f"{prompt_tokens} tokens of system prompt"
    if release["persona"].get("session"):
        persona += ", and the session context of the day (chosen anew from the notes)"
    rows = [
        ("persona", persona),
        ("base model", f"{base['model']}{f' ({named})' if named != base['model'] else ''}"),
        ("its licence", _licence(named)),
        ("sampling", _settings(base, leave_out=("model",))),
        ("adapter", f"LoRA, SHA-256 {adapter}" if adapter else "none"),
        ("embedder", str(release["index"]["embedder"])),
        ("chunks", _settings(release["index"]["chunk"])),
        ("search", _settings(release["index"]["search"])),
        ("answers", _settings(release["answer"])),
    ]
    return ["## What it is", "", "| part | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)]


def _settings(values: Mapping[str, Any], *, leave_out: Sequence[str] = ()) -> str:
    told = [f"{name} {value}" for name, value in flat(values).items() if name not in leave_out and value is not None]
    return ", ".join(told).replace("|", "\\|") or "none"


def _licence(model: str) -> str:
    from components.train.estimate.models import known_model

    known = known_model(_PACKAGED.get(model, model).removeprefix("hosted_vllm/"))
    return known.licence if known else "not known here: its maker says"


def _scores(scorecard: Mapping[str, Any]) -> list[str]:
    rows = [
        f"| {name} | {_number(one['value'])} | {_interval(one)} | {one['n']} |"
        for name, one in scorecard["metrics"].items()
    ]
    answers, judge = scorecard["answers"], scorecard.get("judge")
    told = [f"Answers: {answers['expected']} asked for, {answers['scored']} scored, {answers['failed']} failed."]
    if judge:
        told.append(
            f"Judge: {judge['model']}, {judge['expected']} verdicts asked for, {judge['scored']} read, "
            f"{judge['failed']} failed, {judge['unparsable']} unreadable."
        )
    return [
        "## Scores", "", "| score | value | 95 % interval | n |", "|---|---|---|---|", *rows, "",
        *told,
    ]  # fmt: skip


def _interval(one: Mapping[str, Any]) -> str:
    return "none" if one["low"] is None and one["high"] is None else f"{_number(one['low'])} to {_number(one['high'])}"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _limits(scorecard: Mapping[str, Any], gate: GateReport, release: Mapping[str, Any]) -> list[str]:
    found = [f"{one.name}: {one.verdict}, {one.reason}" for one in gate.criteria if one.verdict != "GO"]
    told = {one.name for one in gate.criteria}
    undecided = (scorecard.get("undecided") or {}).items()
    found += [f"{name}: not decided, {why}" for name, why in undecided if name not in told]
    found += map(str, scorecard.get("warnings") or [])
    judge = scorecard.get("judge")
    if judge is None:
        found.append("no judge was asked whether it sounds like her")
    elif judge.get("warning"):
        found.append(str(judge["warning"]))
    if str(release["base_model"]["model"]).startswith("fake/"):
        found.append("its model is a double for tests: it answers nothing that is meant")
    found.append("it knows only what the notes say, and a note that is wrong makes it wrong")
    return ["## Known limits", "", *(f"- {one}" for one in dict.fromkeys(found))]


def _data(data: Sequence[Data]) -> list[str]:
    if not data:
        return ["## Data", "", "None was recorded."]
    head = ["## Data", "", "| set | used for | counts | SHA-256 |", "|---|---|---|---|"]
    return [*head, *(f"| {one.name} | {one.context} | {_counts(one.counts)} | {one.sha256} |" for one in data)]


def _counts(counts: Mapping[str, Any]) -> str:
    told = [f"{name} {value}" for name, value in flat(counts).items()]
    return ", ".join(told).replace("|", "\\|") or "not known"
