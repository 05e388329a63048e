"""The dataset's card: what is in it, where it comes from, what was checked, as Markdown for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from components.dataset.params import DatasetParams
from components.dataset.report import Report
from components.dataset.rules import RULES

__all__ = ["dataset_card", "verdict_text"]


def dataset_card(*, name: str, verdict: Mapping[str, Any], reports: Sequence[Report], params: DatasetParams) -> str:
    """The card.

    Args:
        name: of the recipe.
        verdict: as `dataset.audit` seals it.
        reports: of the check of each side.
        params: section `dataset`.
    """
    rows = [row for report in reports for row in report.rows]
    languages = Counter(row.language or "not told" for row in rows)
    tokens = sorted(row.tokens for row in rows if row.tokens is not None)
    lines = [
        f"# Dataset of {name}", "",
        f"**{'Fit for training' if verdict['passed'] else 'Not fit for training'}**: "
        f"{verdict['rows']['train']} examples to train, {verdict['rows']['validation']} held out, "
        f"{verdict['left_out']} left out.", "",
        *(f"- {reason}" for reason in verdict["reasons"]),
        "", "| file | examples | SHA-256 |", "|---|---|---|",
        *(f"| {file['name']} | {verdict['rows'][side]} | {file['sha256']} |"
          for side, file in verdict["files"].items()),
        "", "## Stages", "", "| stage | examples | wanted |", "|---|---|---|",
        *(f"| {stage} | {count} | {verdict['targets'][stage]} |" for stage, count in verdict["stages"].items()),
        "", "## What is in it", "",
        f"Languages of the answers: {', '.join(f'{name} {count}' for name, count in languages.most_common())}.",
    ]  # fmt: skip
    if tokens:
        trainable = sum(row.trainable or 0 for row in rows)
        lines.append(
            f"Tokens of a conversation ({params.check.template}): median {tokens[len(tokens) // 2]}, longest "
            f"{tokens[-1]}, {params.check.max_tokens} at most allowed. {trainable:,} tokens carry loss."
        )
    notes = {row.source for row in rows if row.source}
    lines += ["", f"It comes from {len(notes)} notes." if notes else "No example names a note that it comes from."]
    told = Counter[str]()
    for report in reports:
        for (rule, _), count in report.counts.items():
            told[rule] += count
    lines += ["", "## What the check says", ""]
    lines += [f"- {rule} ({RULES[rule].name}): {count}" for rule, count in sorted(told.items())] or ["Nothing."]
    return "\n".join(lines) + "\n"


def verdict_text(told: Mapping[str, Any]) -> str:
    """What became of a dataset, for a terminal. `told`: what a run records of it."""
    rows = told["rows"]
    lines = [
        f"Dataset: {'fit for training' if told['passed'] else 'NOT fit for training'}; {rows['train']} examples to "
        f"train, {rows['validation']} held out, {told['left_out']} left out",
        *(f"  {reason}" for reason in told["reasons"]),
        "  stages: "
        + ", ".join(f"{name} {count} of {told['targets'][name]}" for name, count in told["stages"].items()),
    ]
    if made := told.get("generation"):
        why = f", most of them: {next(iter(made['reasons']), '')}" if made["reasons"] else ""
        lines.append(f"  written by a model: {made['examples']} from {made['notes']} notes, {made['lost']} lost{why}")
    if told["waiting"]:
        lines.append(f"  {told['waiting']} examples wait for a review: cervella data review -r {told['recipe_file']}")
    return "\n".join([*lines, f"  files: {told['folder']}", f"  page:  {told['page']}"])
