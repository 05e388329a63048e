"""The result of a check: files, findings, facts of each conversation, and what they sum up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from components.dataset.findings import SEVERITIES, Finding, Hit, Severity
from components.dataset.reports.distributions import distributions
from components.dataset.rules import RULES, placed

__all__ = ["MOST_OF_A_RULE", "REPORT_VERSION", "CheckedFile", "Report", "RowFacts"]

REPORT_VERSION = 1
"""Of what `to_dict` gives; another one cannot be read as a baseline."""

MOST_OF_A_RULE = 10_000
"""Findings of one rule that are kept with their places; beyond it they are counted only, and the summary says so."""


@dataclass(frozen=True, slots=True)
class RowFacts:
    """What was measured of one conversation. Tokens are None where it could not be rendered."""

    file: int
    """Position in `Report.files`."""
    line: int
    conversation: int
    id: str | None
    stage: str | None
    source: str | None
    """Path of the note that it comes from."""
    language: str | None
    """`it`, `en`, or None: another, or it cannot be told."""
    turns: int
    tokens: int | None
    trainable: int | None
    """Tokens that carry loss."""
    rules: tuple[str, ...]
    """Ids of the rules that it breaks, each once, in order."""


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file that was checked. `format`: sharegpt, openai, alpaca...; `container`: jsonl, array, object."""

    path: str
    format: str
    container: str
    conversations: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Report:
    """All that a check has to say. `counts`: (rule, severity) -> findings, those that are not kept included."""

    files: Sequence[CheckedFile]
    findings: Sequence[Finding]
    rows: Sequence[RowFacts]
    counts: Counter[tuple[str, Severity]]
    settings: dict[str, Any]
    """Tokenizer, template, max_tokens... that the check ran with."""
    statistics: dict[str, Any] = field(default_factory=dict)
    """Distributions: of tokens, turns, roles, languages, stages; packed steps."""

    def also(self, hits: Iterable[Hit]) -> Report:
        """The report with what is to be told of all files together."""
        found = [placed(hit, file=", ".join(file.path for file in self.files)) for hit in hits]
        counts = self.counts + Counter((one.rule, one.severity) for one in found)
        return replace(self, findings=[*self.findings, *found], counts=counts)

    def worst(self) -> Severity | None:
        """The worst severity of any finding; None for a clean bill."""
        return max((severity for _, severity in self.counts), key=SEVERITIES.index, default=None)

    def fails(self, fail_on: Severity) -> bool:
        """Whether there is a finding of this severity or above."""
        worst = self.worst()
        return worst is not None and SEVERITIES.index(worst) >= SEVERITIES.index(fail_on)

    def summary(self) -> dict[str, Any]:
        """Counts, by severity and by rule, distributions and statistics; JSON values only."""
        kept = Counter(finding.rule for finding in self.findings)
        total: Counter[str] = Counter()
        rules: dict[str, dict[str, int]] = {}
        for (rule, severity), count in sorted(self.counts.items()):
            rules.setdefault(rule, {})[severity] = count
            total[severity] += count
        return {
            "conversations": len(self.rows),
            "clean": sum(not row.rules for row in self.rows),
            "findings": {severity: total[severity] for severity in reversed(SEVERITIES)},
            "rules": rules,
            "counted_only": {
                rule: sum(found.values()) - kept[rule]
                for rule, found in rules.items()
                if sum(found.values()) > kept[rule]
            },
            "settings": self.settings,
            "distributions": distributions(self.rows),
            "statistics": self.statistics,
        }

    def to_dict(self) -> dict[str, Any]:
        """What `cervella data check --json` writes."""
        return {
            "version": REPORT_VERSION,
            "checked_rules": list(RULES),
            "files": [asdict(file) for file in self.files],
            "summary": self.summary(),
            "findings": [finding.to_dict() for finding in self.findings],
        }
