"""The report of a check as one page to look at: self-contained, readable on a phone, safe to open.

Everything in it is foreign text: it is escaped by the template, hidden characters are written out, and a policy in the
page lets a browser run nothing but its own script. Texts of conversations are masked as `components.sncp.redact` says.
**Not masked**: names, addresses, and whatever else has no form of its own; so the page is for those who may see the
dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from components.dataset.conversation import Conversation, Turn
from components.dataset.findings import SEVERITIES, Finding, Severity
from components.dataset.report import Report, RowFacts
from components.dataset.reports.distributions import UNKNOWN, distributions
from components.dataset.reports.page_charts import bars
from components.dataset.reports.page_style import SCRIPT, STYLE
from components.dataset.reports.page_template import FINDINGS, TEMPLATE
from components.dataset.reports.report_text import NOUNS, counted, place_of, verdict
from components.dataset.reports.visible import as_text, masked
from components.dataset.rules import RULES
from components.page import coded, fragment, marked, one_line, render_page

__all__ = ["Read", "page", "write_page"]

Read = Callable[[str, int], Conversation | None]
"""(file as findings name it, conversation) -> the conversation, or None where it cannot be shown."""

_PLACES = 10
_EXAMPLES = 12
_TURNS = 12
_TEXT = 600
_OPEN = 8


def write_page(
    path: Path, report: Report, *, read: Read | None = None, fail_on: Severity = "error",
    made: datetime | None = None, title: str | None = None,
) -> None:  # fmt: skip
    """Write `page` to a file. Without `read`, the conversations that it shows are read from the checked files."""
    from components.store import write_atomic

    made = made or datetime.now(UTC)
    write_atomic(path, page(report, read=read or _reader(report), fail_on=fail_on, made=made, title=title).encode())


def page(
    report: Report, *, read: Read, fail_on: Severity = "error", made: datetime | None, title: str | None = None
) -> str:  # fmt: skip
    """The report as HTML.

    Args:
        report: of a check.
        read: gives the few conversations that are shown.
        fail_on: the severity from which on the dataset is not fit for training.
        made: when the check was made; None: the page does not say, and is the same for the same report.
        title: what was checked; None: the names of the files.
    """

    def findings(found: Sequence[Mapping[str, Any]]) -> Markup:
        return fragment(FINDINGS, found=found)

    headline, _, found = verdict(report, fail_on=fail_on).replace(", with ", ": ", 1).partition(": ")
    groups = _groups(report)
    totals = report.summary()["findings"]
    what = title or _title(report)
    return render_page(
        TEMPLATE,
        title=f"{what}: {headline}",
        style=STYLE,
        script=SCRIPT,
        what=what,
        headline=headline,
        found=f"{found[:1].upper()}{found[1:]}.",
        fails=report.fails(fail_on) or not report.rows,
        facts=_facts(report),
        settings=_settings(report),
        made=made.strftime("%Y-%m-%d %H:%M %Z").strip() if made else "",
        severities=[
            (severity, f"{NOUNS[severity]}s", f"{totals[severity]:,}")
            for severity in reversed(SEVERITIES)
            if totals[severity]
        ],
        rules=[RULES[rule] for rule in RULES if any(group["rule"].id == rule for group in groups)],
        groups=groups,
        charts=_charts(report),
        examples=_examples(report, read),
        findings=findings,
        files=[
            {
                "path": one_line(file.path), "format": file.format, "container": file.container,
                "conversations": f"{file.conversations:,}", "bytes": f"{file.bytes:,}", "sha256": file.sha256[:16],
            }
            for file in report.files
        ],
    )  # fmt: skip


def _title(report: Report) -> str:
    names = [Path(file.path).name for file in report.files]
    return "Dataset check of " + (", ".join(names[:3]) or "nothing") + (" and others" if len(names) > 3 else "")


def _facts(report: Report) -> list[tuple[str, str]]:
    shape = distributions(report.rows)
    clean = sum(not row.rules for row in report.rows)
    facts = [
        ("conversations", f"{len(report.rows):,}"),
        ("clean", f"{clean:,}" + (f" · {clean / len(report.rows):.0%}" if report.rows else "")),
        ("tokens", f"{shape['tokens_total']:,}"),
        ("of them trained", f"{shape['trainable_total']:,}"),
    ]
    longest = shape["token_quantiles"].get("max")
    packing = report.statistics.get("packing")
    if longest is not None:
        facts.append(("longest, tokens", f"{longest:,}"))
    if isinstance(packing, Mapping) and isinstance(packing.get("sequences"), int):
        facts.append(("packed sequences", f"{packing['sequences']:,}"))
    return facts


def _settings(report: Report) -> list[tuple[str, str]]:
    names = {"template": "template", "max_tokens": "most tokens", "min_tokens": "fewest tokens"}
    told = {key: report.settings[key] for key in names if key in report.settings}
    return [(names[key], f"{value:,}" if isinstance(value, int) else str(value)) for key, value in told.items()]


def _short_names(report: Report) -> dict[str, str]:
    """File -> how it is called in the page: without the folders that all have in common. The table has the whole."""
    paths = {one.path for one in report.files} | {one.file for one in report.findings}
    folders = {Path(path).parent for path in paths}
    if len(folders) != 1 or len(paths) != len({Path(path).name for path in paths}):
        return {}
    return {path: Path(path).name for path in paths}


def _groups(report: Report) -> list[dict[str, Any]]:
    """Findings by severity and rule, the worst first, each with its first places."""
    kept: dict[tuple[str, Severity], list[Finding]] = {}
    for finding in report.findings:
        kept.setdefault((finding.rule, finding.severity), []).append(finding)
    order, names = list(RULES), _short_names(report)
    keys = sorted(report.counts, key=lambda key: (-SEVERITIES.index(key[1]), order.index(key[0])))
    groups = []
    for number, (rule, severity) in enumerate(keys):
        found = kept.get((rule, severity), [])[:_PLACES]
        count, own = report.counts[rule, severity], RULES[rule]
        rows = [
            (place_of(replace(one, file=names.get(one.file, one.file))), _shown(one.message)[0],
             "" if one.fix == own.fix else _shown(one.fix)[0])
            for one in found
        ]  # fmt: skip
        groups.append(
            {
                "rule": own, "severity": severity, "noun": NOUNS[severity], "times": counted(count, "time"),
                "why": coded(own.why), "fix": coded(own.fix), "open": severity == "error" and number < _OPEN,
                "rows": rows, "more": f"{count - len(found):,}" if count > len(found) else "",
            }
        )  # fmt: skip
    return groups


def _charts(report: Report) -> list[dict[str, Any]]:
    shape = distributions(report.rows)
    quantiles = shape["token_quantiles"]
    found = [
        ("Tokens", ", ".join(f"{name} {value:,}" for name, value in quantiles.items()), _trimmed(shape["tokens"])),
        ("Turns", "in a conversation", _trimmed(shape["turns"])),
        ("Languages", "of conversations", shape["languages"]),
        ("Stages", "of conversations", shape["stages"]),
        ("Roles", "of turns", _counts(report.statistics.get("roles"))),
        ("Openings", "of answers, the most frequent", _counts(report.statistics.get("openings"))),
    ]
    return [
        {"title": title, "says": says, "svg": bars(counts, title=f"{title} {says}", name=title.lower())}
        for title, says, counts in found
        if any(count for key, count in counts.items() if key != UNKNOWN)
    ]


def _trimmed(counts: Mapping[str, int]) -> dict[str, int]:
    """A histogram from its first bin that has something to its last."""
    filled = [position for position, count in enumerate(counts.values()) if count]
    return dict(list(counts.items())[filled[0] : filled[-1] + 1]) if filled else {}


def _counts(value: Any) -> dict[str, int]:
    return {str(key): count for key, count in value.items() if isinstance(count, int)} if value else {}


_Place = tuple[str, int]


def _worst(report: Report) -> dict[_Place, list[Finding]]:
    """The conversations with the most errors, then warnings, then remarks, and what was found in them."""
    found: dict[_Place, list[Finding]] = {}
    for finding in report.findings:
        if finding.conversation is not None:
            found.setdefault((finding.file, finding.conversation), []).append(finding)

    def badness(place: _Place) -> tuple[int, ...]:
        severities = [finding.severity for finding in found[place]]
        return tuple(-severities.count(severity) for severity in reversed(SEVERITIES))

    # A remark alone does not make a conversation one of the worst.
    bad = [place for place in found if any(finding.severity != "info" for finding in found[place])]
    return {place: found[place] for place in sorted(bad, key=badness)[:_EXAMPLES]}


def _examples(report: Report, read: Read) -> list[dict[str, Any]]:
    worst, names = _worst(report), _short_names(report)
    facts = {(report.files[row.file].path, row.conversation): row for row in report.rows}
    return [
        _example(found, read(*place), facts.get(place), name=names.get(place[0], place[0]))
        for place, found in worst.items()
    ]


def _example(
    found: Sequence[Finding], conversation: Conversation | None, row: RowFacts | None, *, name: str
) -> dict[str, Any]:
    found = sorted(found, key=lambda one: -SEVERITIES.index(one.severity))
    line = "" if found[0].line is None else f", line {found[0].line}"
    turns = (conversation.turns if conversation else None) or ()
    whole = [one for one in found if one.turn is None or not 0 <= one.turn < len(turns)]
    return {
        "severity": max((one.severity for one in found), key=SEVERITIES.index),
        "rules": list(dict.fromkeys(one.rule for one in found)),
        "place": f"{one_line(name)}{line}",
        "facts": _facts_of(conversation, row, len(turns)),
        "findings": [_told(one) for one in whole],
        "turns": _turns(conversation, turns, found) if conversation else [],
    }


def _facts_of(conversation: Conversation | None, row: RowFacts | None, turns: int) -> str:
    parts = [f"conversation {conversation.index}, counted from 0"] if conversation else []
    if row is not None:
        parts += [f"id {masked(row.id, longest=60)[0]}"] if row.id else []
        parts += [f"{row.tokens:,} tokens"] if row.tokens is not None else []
        parts += [row.stage] if row.stage else []
    return " · ".join([*parts, *([counted(turns, "turn")] if conversation else [])])


def _turns(conversation: Conversation, turns: Sequence[Turn], found: Sequence[Finding]) -> list[dict[str, Any]]:
    """The turns that something is said of, and the first others, up to a bound; the rest is counted."""
    of_turn: dict[int, list[Finding]] = {}
    for one in found:
        if one.turn is not None:
            of_turn.setdefault(one.turn, []).append(one)
    told = [number for number in range(len(turns)) if number in of_turn][:_TURNS]
    chosen = sorted({*told, *[number for number in range(len(turns)) if number not in of_turn][: _TURNS - len(told)]})
    shown: list[dict[str, Any]] = []
    if isinstance(conversation.system, str) and conversation.system:
        shown.append(_turn("system", "the column", conversation.system, []))
    before = -1
    for number in chosen:
        if number > before + 1:
            shown.append(_gap(number - before - 1))
        turn = turns[number]
        role = one_line(as_text(turn.role), longest=40) or "(empty)"
        shown.append(_turn(role, f"turn {number}", as_text(turn.value), of_turn.get(number, [])))
        before = number
    return [*shown, _gap(len(turns) - before - 1)] if before < len(turns) - 1 else shown


def _turn(role: str, says: str, value: str, found: Sequence[Finding]) -> dict[str, Any]:
    text, left = _shown(value, longest=_TEXT)
    return {
        "role": role, "says": says, "text": text, "left": counted(left, "character") if left else "",
        "findings": [_told(one) for one in found],
    }  # fmt: skip


def _gap(turns: int) -> dict[str, Any]:
    return {"role": "…", "says": f"{counted(turns, 'turn')} left out", "text": None, "left": "", "findings": []}


def _told(finding: Finding) -> dict[str, Any]:
    rule = f"{finding.rule} {RULES[finding.rule].name}"
    noun = NOUNS[finding.severity]
    return {"severity": finding.severity, "noun": noun, "rule": rule, "message": _shown(finding.message)[0]}


def _shown(text: str, *, longest: int = 300) -> tuple[Markup, int]:
    """A foreign text, masked and cut, with what is hidden in it marked; and how many characters are left out."""
    clean, left = masked(text, longest=longest)
    return marked(clean), left


def _reader(report: Report) -> Read:
    """Reads all that will be shown in one go through each file, so that memory does not grow with the files."""
    from components.dataset.files.rows import read_conversations

    wanted: dict[str, set[int]] = {}
    for file, conversation in _worst(report):
        wanted.setdefault(file, set()).add(conversation)
    found = {
        (file, conversation.index): conversation
        for file in {one.path for one in report.files} & set(wanted)
        for conversation in _first(read_conversations(Path(file)), wanted[file])
    }
    return lambda file, conversation: found.get((file, conversation))


def _first(conversations: Any, wanted: Collection[int]) -> list[Conversation]:
    last, found = max(wanted), []
    for conversation in conversations:
        if conversation.index in wanted:
            found.append(conversation)
        if conversation.index >= last:
            break
    return found
