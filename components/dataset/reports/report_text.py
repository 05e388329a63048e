"""The report of a check for people: the verdict and the worst first, for a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from components.dataset.findings import SEVERITIES, Finding, Severity
from components.dataset.report import Report
from components.dataset.rules import RULES
from components.page import markdown_cell, one_line

__all__ = ["NOUNS", "counted", "place_of", "report_markdown", "report_text", "verdict"]

NOUNS: dict[Severity, str] = {"error": "error", "warning": "warning", "info": "remark"}
_LINES = 40
_PLACES = ((3, 3, 3), (3, 2, 1), (3, 1, 0), (3, 0, 0), (2, 0, 0), (1, 0, 0), (0, 0, 0))
"""How many places of errors, warnings and remarks to show: the first that fits."""


def verdict(report: Report, *, fail_on: Severity = "error") -> str:
    """One sentence: whether it may be trained on, and what was found."""
    conversations = counted(len(report.rows), "conversation")
    totals = report.summary()["findings"]
    found = [counted(totals[severity], NOUNS[severity]) for severity in reversed(SEVERITIES) if totals[severity]]
    if not report.rows:
        files = "" if len(report.files) == 1 else f" of {counted(len(report.files), 'file')}"
        return f"Not fit for training: {f'{_listed(found)}; ' if found else ''}no conversation{files} could be read"
    if not found:
        return f"Fit for training: nothing found in {conversations}"
    clean = sum(not row.rules for row in report.rows)
    head = "Not fit for training: " if report.fails(fail_on) else "Fit for training, with "
    return f"{head}{_listed(found)} in {conversations}, of which {clean:,} {'is' if clean == 1 else 'are'} clean"


def report_text(report: Report, *, fail_on: Severity = "error", lines: int = _LINES, foot: bool = True) -> str:
    """Verdict, then for each file and rule how often, the first places and how to mend it; errors first.

    Shows as many places of each rule as fit into `lines`, of errors longest, and says what it left out. `foot`: say
    where the rest is found; False where both files were asked for already.
    """
    head = [verdict(report, fail_on=fail_on)]
    groups = _groups(report)
    if not groups:
        return head[0]
    body: list[str] = []
    for places in _PLACES:
        body = list(_body(report, groups, places=dict(zip(reversed(SEVERITIES), places, strict=True))))
        if len(body) + len(head) + 2 <= lines:
            break
    left = len(body) - (lines - len(head) - 2)
    if left > 0:
        body = body[: -left - 1]
    shown = sum(line.startswith(_MARK) and line[len(_MARK)] != " " for line in body)
    rest = len(groups) - shown
    last = [f"and {counted(rest, 'more rule')}"] if rest else []
    if foot:
        last.append("--json OUT has every finding, --html OUT shows them on a page")
    return "\n".join([*head, *body, *(["", ": ".join(last)] if last else [])])


def report_markdown(report: Report, *, fail_on: Severity = "error", rules: int = 60) -> str:
    """The same as Markdown, for Prefect's page of a run."""
    out = [f"**{markdown_cell(verdict(report, fail_on=fail_on))}**", ""]
    groups = _groups(report)
    if groups:
        out += ["| severity | rule | found | file | first lines | what it costs | how to mend it |", "| --- " * 7 + "|"]
    for group in groups[:rules]:
        rule = RULES[group.rule]
        places = ", ".join(_line_of(finding) for finding in group.findings[:3])
        fix = rule.fix if group.fix == rule.fix else markdown_cell(group.fix)  # ours may hold mark-up, theirs may not
        where = markdown_cell(group.file)
        cells = (group.severity, f"{rule.id} {rule.name}", f"{group.count:,}", where, places, rule.why, fix)
        out.append("| " + " | ".join(cells) + " |")
    if len(groups) > rules:
        out.append(f"\nand {len(groups) - rules} more")
    out += ["", "| file | format | conversations | SHA-256 |", "| --- " * 4 + "|"]
    for file in report.files:
        kind = f"{file.format} ({file.container})"
        out.append(
            f"| {markdown_cell(file.path)} | {markdown_cell(kind)} | {file.conversations:,} | `{file.sha256[:12]}` |"
        )
    return "\n".join(out)


def place_of(finding: Finding) -> str:
    """`train.jsonl:12 turn 3`. Turns are counted from 0, as they are in the JSON."""
    line = "" if finding.line is None else f":{finding.line}"
    turn = "" if finding.turn is None else f" turn {finding.turn}"
    return f"{one_line(finding.file)}{line}{turn}"


def _line_of(finding: Finding) -> str:
    """The same in a file that was named already."""
    turn = "" if finding.turn is None else f" turn {finding.turn}"
    return "the whole file" if finding.line is None else f"line {finding.line}{turn}"


def counted(count: int, noun: str) -> str:
    """`1 error`, `2 errors`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class _Group:
    """Findings of one rule and severity in one file; `count` has those too that are counted only."""

    file: str
    rule: str
    severity: Severity
    count: int
    findings: Sequence[Finding]

    @property
    def fix(self) -> str:
        fixes = {finding.fix for finding in self.findings}
        return next(iter(fixes)) if len(fixes) == 1 else RULES[self.rule].fix


def _groups(report: Report) -> list[_Group]:
    """By file, those with the worst first; in each the worst first, then by rule."""
    found: dict[tuple[str, str, Severity], list[Finding]] = {}
    for finding in report.findings:
        found.setdefault((finding.file, finding.rule, finding.severity), []).append(finding)
    kept: dict[tuple[str, Severity], int] = {}
    for (_, rule, severity), findings in found.items():
        kept[rule, severity] = kept.get((rule, severity), 0) + len(findings)
    files = {file.path: position for position, file in reversed(list(enumerate(report.files)))}
    last = {(rule, severity): file for file, rule, severity in found}
    groups = []
    for (file, rule, severity), findings in found.items():
        # Counted without a place: they came last, so they are put to the last file that has some.
        more = report.counts[rule, severity] - kept[rule, severity] if last[rule, severity] == file else 0
        groups.append(_Group(file, rule, severity, len(findings) + max(0, more), findings))
    worst: dict[str, int] = {}
    for group in groups:
        worst[group.file] = max(worst.get(group.file, 0), SEVERITIES.index(group.severity))
    order = list(RULES)

    def place(group: _Group) -> tuple[int, int, str, int, int]:
        at = files.get(group.file, len(files))
        return -worst[group.file], at, group.file, -SEVERITIES.index(group.severity), order.index(group.rule)

    return sorted(groups, key=place)


_MARK = "  "


def _body(report: Report, groups: Sequence[_Group], *, places: dict[Severity, int]) -> Iterator[str]:
    files = {file.path: file for file in report.files}
    seen: str | None = None
    for group in groups:
        if group.file != seen:
            seen = group.file
            yield ""
            file = files.get(seen)
            facts = f": {counted(file.conversations, 'conversation')}, {file.format}, {file.container}" if file else ""
            yield one_line(seen) + facts
        rule = RULES[group.rule]
        head = f"{_MARK}{group.severity:<7} {rule.id} {rule.name}: {group.count:,}"
        most = places[group.severity]
        if not most:
            yield f"{head}, {'first ' if group.count > 1 else ''}{_line_of(group.findings[0])}"
            continue
        yield head if group.count <= most else f"{head}, the first"
        for finding in group.findings[:most]:
            yield f"\t{place_of(finding)}: {one_line(finding.message)}".expandtabs(6)
        yield f"\tmend: {one_line(group.fix)}".expandtabs(6)
    clean = len(report.files) - len({group.file for group in groups} & set(files))
    if clean:
        yield ""
        yield f"nothing found in {counted(clean, 'other file')}"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
