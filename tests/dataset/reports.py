"""Reports made by hand: what a check would say, without checking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from components.dataset.findings import Finding, Severity
from components.dataset.report import CheckedFile, Report, RowFacts
from components.dataset.rules import RULES

Found = tuple[str, int | None] | tuple[str, int | None, dict[str, Any]]
"""(rule, conversation or None for the file, other fields of the finding)"""


def report_of(
    found: Iterable[Found] = (),
    *,
    conversations: int = 10,
    files: tuple[str, ...] = ("train.jsonl",),
    rows: Mapping[int, Mapping[str, Any]] | None = None,
    more: Mapping[tuple[str, Severity], int] | None = None,
    settings: Mapping[str, Any] | None = None,
    statistics: Mapping[str, Any] | None = None,
) -> Report:
    """A report of files of equal length; a row lies in the line after its number, as in JSONL.

    `rows`: facts of single rows of the first file, where they differ. `more`: findings that were counted only.
    """
    findings = []
    broken: dict[tuple[str, int], list[str]] = {}
    for rule, conversation, *extra in found:
        fields: dict[str, Any] = {
            "severity": RULES[rule].severity, "file": files[0], "turn": None, "fix": RULES[rule].fix,
            "line": None if conversation is None else conversation + 1,
            "message": f"what {RULES[rule].name} says",
        } | (extra[0] if extra else {})  # fmt: skip
        findings.append(Finding(rule=rule, conversation=conversation, **fields))
        if conversation is not None:
            broken.setdefault((fields["file"], conversation), []).append(rule)
    facts = []
    for position, file in enumerate(files):
        for number in range(conversations):
            own: dict[str, Any] = {
                "id": f"c{number:03}", "stage": "foundation", "source": None, "language": "it", "turns": 4,
                "tokens": 100 + number, "trainable": 40, "rules": tuple(sorted(set(broken.get((file, number), ())))),
            }  # fmt: skip
            own |= dict((rows or {}).get(number, {})) if position == 0 else {}
            facts.append(RowFacts(file=position, line=number + 1, conversation=number, **own))
    counts: Counter[tuple[str, Severity]] = Counter((finding.rule, finding.severity) for finding in findings)
    counts.update(more or {})
    return Report(
        files=[CheckedFile(file, "sharegpt", "jsonl", conversations, 1000, "0" * 64) for file in files],
        findings=findings,
        rows=facts,
        counts=counts,
        settings={"template": "qwen3", "max_tokens": 2048, **(settings or {})},
        statistics=dict(statistics or {}),
    )
