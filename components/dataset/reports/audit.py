"""The audit: a report as tables of conversations and files, and Great Expectations to assert on them.

The rules find; the audit says whether what was found (and how many rows there are at all) is what the suite expects.
Whether it fails goes by the worst severity that failed. Great Expectations' own `success` is False for a mere remark.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.dataset.findings import SEVERITIES, Finding, Severity
from components.dataset.reports.suite import COLUMNS, SEVERITY_OF, TABLES, Expectation, GxSeverity, Suite, Table
from components.dataset.rules import RULES
from components.page import markdown_cell

if TYPE_CHECKING:
    from pandas import DataFrame

    from components.dataset.report import Report

__all__ = ["AuditResult", "Check", "audit", "tables"]

_OURS: Mapping[str, Severity] = {theirs: ours for ours, theirs in SEVERITY_OF.items()}
_PLACES = 5
_VOLATILE = ("id", "batch_id", "ge_load_time", "run_id", "active_batch_definition", "batch_markers", "validation_time",
             "validation_id", "checkpoint_id")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Check:
    """What came of one expectation. `failed` of `rows` rows did not meet it; None where it is about the whole table.

    `crashed`: why it could not be checked; it then counts as failed.
    """

    table: Table
    type: str
    rule: str | None
    severity: GxSeverity
    says: str
    success: bool
    failed: int | None
    rows: int | None
    observed: Any
    places: tuple[str, ...]
    crashed: str | None
    line: int
    """Of the suite's file."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return {
            "table": self.table, "type": self.type, "rule": self.rule, "severity": self.severity, "says": self.says,
            "success": self.success, "failed": self.failed, "rows": self.rows, "observed": self.observed,
            "places": list(self.places), "crashed": self.crashed, "line": self.line,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class AuditResult:
    """All checks of a suite. `documents`: what Great Expectations says of each table, without times and random ids."""

    suite: str
    file: str
    checks: Sequence[Check]
    documents: Mapping[Table, Mapping[str, Any]]

    def worst(self) -> Severity | None:
        """The worst severity that failed, in the words of findings; None: all is as expected."""
        failed = (_OURS[check.severity] for check in self.checks if not check.success)
        return max(failed, key=SEVERITIES.index, default=None)

    def fails(self, fail_on: Severity = "error") -> bool:
        """Whether an expectation of this severity or above was not met."""
        worst = self.worst()
        return worst is not None and SEVERITIES.index(worst) >= SEVERITIES.index(fail_on)

    def to_dict(self) -> dict[str, Any]:
        """JSON values only; the same report and suite give the same."""
        return {
            "suite": self.suite,
            "worst": self.worst(),
            "checks": [check.to_dict() for check in self.checks],
            "great_expectations": dict(self.documents),
        }

    def markdown(self) -> str:
        """For people: a sentence, and a table of what was not met, the worst first."""
        failed = [check for check in self.checks if not check.success]
        failed.sort(key=lambda check: -SEVERITIES.index(_OURS[check.severity]))
        head = f"{len(self.checks) - len(failed)} of {len(self.checks)} expectations of suite `{self.suite}` are met"
        if not failed:
            return head + "."
        rows = [
            ("severity", "rule", "expected", "found", "first places"),
            ("---",) * 5,
            *(
                (
                    check.severity,
                    check.rule or "",
                    *map(markdown_cell, (check.says, _found(check), ", ".join(check.places))),
                )
                for check in failed
            ),
        ]
        return f"{head}; not met:\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows)


def audit(report: Report, *, suite: Suite) -> AuditResult:
    """Assert the suite on what a check found. Importing Great Expectations takes seconds; the checks do not.

    Where the recipe gives a rule another severity than rules.py, the expectation about that rule takes it too.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    frames = tables(report)
    checks: list[Check] = []
    documents: dict[Table, Mapping[str, Any]] = {}
    for table in TABLES:
        expectations = [_as_set(expectation, report) for expectation in suite.of(table)]
        document = _validated(frames[table], expectations, name=f"{suite.name}-{table}")
        for expectation, result in zip(expectations, document["results"], strict=True):
            checks.append(_check(expectation, result, frames[table]))
        documents[table] = _stable(document)
    return AuditResult(suite=suite.name, file=suite.file, checks=tuple(checks), documents=documents)


def tables(report: Report) -> dict[Table, DataFrame]:
    """The two tables that a suite is about: a row a conversation, and a row a file, with a column for each rule.

    A finding about a file as a whole is in the table of files. A rule's column is true where it is broken as badly as
    the rule is meant; findings that were held to be doubtful, and so milder, are told by the column `softened`.
    """
    import pandas as pd

    files = {file.path: position for position, file in reversed(list(enumerate(report.files)))}
    full, softened = _worst_findings(report, files)
    believed = _broken_in_full(report)
    broken: dict[str, list[bool]] = {rule: [False] * len(report.rows) for rule in RULES}
    mild = ["none"] * len(report.rows)
    for position, row in enumerate(report.rows):
        for rule in row.rules:
            key = (row.file, row.conversation, rule)
            if key in full or (key not in softened and rule in believed):
                broken[rule][position] = True
            else:
                mild[position] = max(mild[position], softened.get(key, "info"), key=("none", *SEVERITIES).index)
    conversations = pd.DataFrame(
        {
            "file": [report.files[row.file].path for row in report.rows],
            "line": [row.line for row in report.rows],
            "conversation": [row.conversation for row in report.rows],
            "id": pd.Series([row.id for row in report.rows], dtype=object),
            "tokens": pd.Series([row.tokens for row in report.rows], dtype="Int64"),
            "trainable": pd.Series([row.trainable for row in report.rows], dtype="Int64"),
            "turns": [row.turns for row in report.rows],
            "language": pd.Series([row.language for row in report.rows], dtype=object),
            "stage": pd.Series([row.stage for row in report.rows], dtype=object),
            "softened": mild,
            **broken,
        }
    )
    return {"conversations": conversations, "files": _files(report, files, full, softened)}


_Key = tuple[int, int | None, str]


def _files(report: Report, files: Mapping[str, int], full: set[_Key], softened: Mapping[_Key, Severity]) -> DataFrame:
    import pandas as pd

    severe = Counter(
        files.get(finding.file, 0)
        for finding in report.findings
        if finding.conversation is None and finding.severity == "error"
    )
    rows: list[dict[str, Any]] = []
    for position, file in enumerate(report.files):
        mild = [found for (at, conversation, _), found in softened.items() if at == position and conversation is None]
        rows.append(
            {
                "file": file.path,
                "format": file.format,
                "container": file.container,
                "conversations": file.conversations,
                "bytes": file.bytes,
                "errors": severe[position],
                "softened": max(mild, key=SEVERITIES.index, default="none"),
                **{rule: (position, None, rule) in full for rule in RULES},
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS["files"]))


def _worst_findings(report: Report, files: Mapping[str, int]) -> tuple[set[_Key], dict[_Key, Severity]]:
    """Where a rule is broken in full, and where only mildly. What is said of no known file is put to the first."""
    full: set[_Key] = set()
    softened: dict[_Key, Severity] = {}
    for finding in report.findings:
        key = (files.get(finding.file, 0), finding.conversation, finding.rule)
        if _is_full(finding, report):
            full.add(key)
        elif key not in softened or SEVERITIES.index(finding.severity) > SEVERITIES.index(softened[key]):
            softened[key] = finding.severity
    return full, {key: severity for key, severity in softened.items() if key not in full}


def _is_full(finding: Finding, report: Report) -> bool:
    return SEVERITIES.index(finding.severity) >= SEVERITIES.index(_severity(finding.rule, report))


def _severity(rule: str, report: Report) -> Severity:
    """How bad a breach of the rule is: as the recipe of the check says, or as rules.py does."""
    said = report.settings.get("severities")
    own = said.get(rule) if isinstance(said, Mapping) else None
    return own if own in SEVERITIES else RULES[rule].severity


def _broken_in_full(report: Report) -> set[str]:
    """Rules that are broken in full somewhere: of a row whose own finding is not kept, the worse is believed."""
    return {
        rule
        for rule, severity in report.counts
        if SEVERITIES.index(severity) >= SEVERITIES.index(_severity(rule, report))
    }


def _as_set(expectation: Expectation, report: Report) -> Expectation:
    from dataclasses import replace

    rule = expectation.rule
    said = report.settings.get("severities")
    if rule is None or not isinstance(said, Mapping) or rule not in said:
        return expectation
    return replace(expectation, severity=SEVERITY_OF[_severity(rule, report)])


def _validated(frame: DataFrame, expectations: Sequence[Expectation], *, name: str) -> dict[str, Any]:
    """What a checkpoint says of one table. A context of its own: one run feeds one frame to all that it validates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of modules that it imports
        import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas(name).add_dataframe_asset("table")
    suite = gx.ExpectationSuite(
        name,
        expectations=[
            {
                "type": expectation.type,
                "kwargs": dict(expectation.kwargs),
                "severity": expectation.severity,
                # numbered, because results come in an order of their own
                "meta": {"rule": expectation.rule, "line": expectation.line, "number": number},
            }
            for number, expectation in enumerate(expectations)
        ],
    )
    validation = context.validation_definitions.add(
        gx.ValidationDefinition(
            name=name, data=asset.add_batch_definition_whole_dataframe("whole"), suite=context.suites.add(suite)
        )
    )
    checkpoint = context.checkpoints.add(
        gx.Checkpoint(
            # SUMMARY would name rows too, but takes three times as long
            name=name,
            validation_definitions=[validation],
            actions=[],
            result_format={"result_format": "BASIC"},
        )
    )
    run = checkpoint.run(batch_parameters={"dataframe": frame})
    document: dict[str, Any] = next(iter(run.run_results.values())).to_json_dict()
    document["results"].sort(key=lambda result: result["expectation_config"]["meta"]["number"])
    return document


def _check(expectation: Expectation, result: Mapping[str, Any], frame: DataFrame) -> Check:
    found = result.get("result") or {}
    crashed = _crash(result.get("exception_info") or {})
    first = _unmet(frame, expectation)[:_PLACES] if found.get("unexpected_count") else []
    return Check(
        table=expectation.table,
        type=expectation.type,
        rule=expectation.rule,
        severity=expectation.severity,
        says=_says(expectation),
        success=bool(result["success"]) and crashed is None,
        failed=found.get("unexpected_count"),
        rows=found.get("element_count"),
        observed=found.get("observed_value"),
        places=tuple(_place(frame, position) for position in first),
        crashed=crashed,
        line=expectation.line,
    )


def _unmet(frame: DataFrame, expectation: Expectation) -> list[int]:
    """Rows that do not meet an expectation about the values of a column. Values that are missing meet all but one."""
    column = frame[expectation.column]
    missing, kwargs = column.isna(), expectation.kwargs
    if expectation.type == "expect_column_values_to_not_be_null":
        unmet = missing
    elif "value_set" in kwargs:
        unmet = column.isin(kwargs["value_set"]) ^ (expectation.type == "expect_column_values_to_be_in_set") & ~missing
    else:
        low, high = kwargs.get("min_value"), kwargs.get("max_value")
        unmet = ~missing & False
        if low is not None:
            unmet |= (column <= low) if kwargs.get("strict_min") else (column < low)
        if high is not None:
            unmet |= (column >= high) if kwargs.get("strict_max") else (column > high)
        unmet = unmet.fillna(False)
    return [position for position, found in enumerate(unmet.tolist()) if found]


def _place(frame: DataFrame, position: int) -> str:
    row = frame.iloc[position]
    return f"{row['file']}:{row['line']}" if "line" in frame.columns else str(row["file"])


def _crash(info: Mapping[str, Any]) -> str | None:
    """Why an expectation could not be evaluated. The facts are there flat, or one level down for each metric."""
    for facts in (info, *(value for value in info.values() if isinstance(value, Mapping))):
        if facts.get("raised_exception"):
            told = str(facts.get("exception_message") or "no message").strip()
            return told.splitlines()[0][:200] if told else "no message"
    return None


def _says(expectation: Expectation) -> str:
    rule = expectation.rule
    if rule is not None and expectation.column == rule:
        mostly = expectation.kwargs.get("mostly")
        share = "" if mostly is None else f" in {mostly:.1%} of {expectation.table}"
        return f"no {RULES[rule].name}{share}"
    words = expectation.type.removeprefix("expect_").replace("_", " ")
    return f"{words}: " + ", ".join(f"{key} {value}" for key, value in expectation.kwargs.items())


def _found(check: Check) -> str:
    if check.crashed is not None:
        return f"check crashed: {check.crashed}"
    if check.failed is not None:
        return f"{check.failed} of {check.rows} {check.table}"
    return str(check.observed)


def _stable(value: Any) -> Any:
    """The document without what differs from run to run."""
    if isinstance(value, dict):
        return {key: _stable(item) for key, item in value.items() if key not in _VOLATILE}
    return [_stable(item) for item in value] if isinstance(value, list) else value
