"""The roadmap for people: plain text of at most 100 columns for the terminal, Markdown for the Prefect page."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from components.roadmap.costs import CostPhase, PhaseCost, cost_at
from components.roadmap.risks import Risk
from components.roadmap.stand import Roadmap, Spent
from components.roadmap.triggers import Trigger

__all__ = ["render_roadmap", "roadmap_markdown", "triggers_markdown"]

_WIDTH = 100
_BAR = 50  # characters of the longest bar
_MET = {True: "met", False: "not met", None: "unknown"}
_ON = {True: "on", False: "off"}


def render_roadmap(roadmap: Roadmap) -> str:
    """Plain text for a terminal."""
    decision, costs = roadmap.decision, roadmap.costs
    phases = [(one.name, "reached" if one.reached else "no", one.evidence) for one in roadmap.phases]
    parts = [
        [f"roadmap of {roadmap.recipe}; phase reached: {roadmap.reached}", *_table(phases)],
        [_missing(roadmap), *map(_item, roadmap.missing)],
        [
            "triggers of phase optimize", *(line for one in roadmap.triggers.all for line in _trigger(one)),
            *_wrapped(f"roadmap.force: {roadmap.force}" if roadmap.force else "", "  "),
        ],
        [
            f"costs of the phases ({costs.source}, {costs.date})", *_table(list(_phase_rows(roadmap))),
            *_wrapped(_spent(roadmap.spent), "  "), *_wrapped(_served(roadmap.spent), "  "),
        ],
        [
            f"dollars a month by conversations: {costs.api} {_API * 2}, {costs.self_hosted} {_OWN * 2}",
            *_drawing(roadmap), *_wrapped(_break_even(roadmap), "  "),
        ],
        [
            f"decision: {decision.total:.2f} of 10, {decision.scenario} (GO from {decision.go:g})",
            *_table([("criterion", "weight", "score", "adds"), *_decision_rows(roadmap)], right=3),
        ],
        ["risks, and what answers them", *(line for risk in roadmap.risks for line in _risk(risk))],
    ]  # fmt: skip
    return "\n\n".join("\n".join(part) for part in parts)


def roadmap_markdown(roadmap: Roadmap) -> str:
    """The same as Markdown tables."""
    decision, costs = roadmap.decision, roadmap.costs
    missing = "\n".join(f"- {one}" for one in roadmap.missing)
    return "\n\n".join([
        f"# Roadmap of {roadmap.recipe}: {roadmap.reached}",
        _markdown(("phase", "reached", "evidence"),
                  [(one.name, "yes" if one.reached else "no", one.evidence) for one in roadmap.phases]),
        f"{_missing(roadmap).capitalize()}{':' if missing else '.'}", *filter(None, [missing]),
        triggers_markdown({**roadmap.triggers.to_dict(), "forced": roadmap.force}),
        f"## Costs ({costs.source}, {costs.date})",
        _markdown(("phase", "a month", "once", "what"), list(_phase_rows(roadmap))[1:]),
        _spent(roadmap.spent), *filter(None, [_served(roadmap.spent)]),
        _markdown(("conversations a month", costs.api, costs.self_hosted, ""),
                  [(f"{at:,.0f}", _usd(api), _usd(own), said) for at, api, own, said in _volumes(roadmap)]),
        f"## Decision: {decision.total:.2f} of 10, {decision.scenario} (GO from {decision.go:g})",
        _markdown(("criterion", "weight", "score", "adds"), _decision_rows(roadmap)),
        "## Risks",
        _markdown(("risk", "answer", "", "how"),
                  [(risk.name, one.what, _ON[one.on], one.how) for risk in roadmap.risks for one in risk.answers]),
    ]) + "\n"  # fmt: skip


def triggers_markdown(record: Mapping[str, Any]) -> str:
    """The triggers of phase optimize alone. `record`: `triggers` of a run, or `Triggers.to_dict`."""
    rows = [
        (one["name"], _MET[one["met"]], _number(one["value"]), one["wants"], one["measured"], one["todo"])
        for one in record["triggers"]
    ]
    met = sum(one["met"] is True for one in record["triggers"])
    parts = [
        f"## Triggers of phase optimize: {met} of {len(rows)} met",
        _markdown(("trigger", "", "value", "wanted", "measured", "what to do"), rows),
        f"Break-even: {record['break_even']['said']}.",
        *([f"Forced: {record['forced']}"] if record.get("forced") else []),
    ]
    return "\n\n".join(parts)


def _missing(roadmap: Roadmap) -> str:
    if roadmap.next is None:
        return f"nothing is missing: phase {roadmap.reached} is the last"
    return f"{'' if roadmap.missing else 'nothing is '}missing for phase {roadmap.next}"


def _trigger(one: Trigger) -> list[str]:
    lines = [f"  {_MET[one.met]:<8} {one.name:<14} {_number(one.value):>8}  {one.wants}"]
    lines = _wrapped(lines[0].strip(), "  ", " " * 36)
    return [*lines, *_wrapped(one.measured, " " * 11), *_wrapped(f"> {one.todo}" if one.todo else "", " " * 11)]


def _phase_rows(roadmap: Roadmap) -> Iterable[tuple[str, ...]]:
    yield "phase", "a month", "once", "what"
    phases: dict[CostPhase, PhaseCost] = roadmap.costs.phases
    for name, cost in phases.items():
        what = f"{cost.what}; {cost.setup}" if cost.setup else cost.what
        yield name, _band(cost.monthly_usd), _band(cost.setup_usd) if cost.setup_usd else "", what


def _decision_rows(roadmap: Roadmap) -> list[tuple[str, ...]]:
    return [
        (name, f"{weight:g}%", f"{score:g}", f"{adds:.2f}") for name, weight, score, adds in roadmap.decision.rows
    ]  # fmt: skip


def _spent(spent: Spent) -> str:
    runs = ", ".join(f"{count} of phase {phase} ${usd:.2f}" for phase, (count, usd) in spent.runs.items())
    if spent.usage is None:
        asked = f"unknown, because {spent.why}"
    else:
        use = spent.usage.use
        asked = f"{use.queries:,} questions in {use.conversations:,} conversations ${use.cost_usd:.2f}"
        asked += f", {use.cost_unknown} more of unknown cost" if use.cost_unknown else ""
    limits = "(known prices; hours of machines are not in it)"
    return f"spent here in the last 30 days: {asked}; runs: {runs or 'none'} {limits}"


def _served(spent: Spent) -> str:
    """Who answered at the endpoint how hard a question, what people said of it; "" where it was not used."""
    parts = spent.usage.parts if spent.usage else ()
    if spent.usage is None or not parts:
        return ""
    told = []
    for who in sorted({part.who for part in parts}, key=lambda who: (not who, who)):
        own = [part for part in parts if part.who == who]
        tiers = ", ".join(f"{part.queries:,} {part.tier}" for part in own if part.tier)
        told.append(f"{who or 'nobody'} {sum(part.queries for part in own):,}" + (f" ({tiers})" if tiers else ""))
    good, bad = sum(part.good for part in parts), sum(part.bad for part in parts)
    said = f"answers at the endpoint: {', '.join(told)}"
    said += f"; the helper cost ${sum(part.helper_usd for part in parts):.2f}"
    said += f"; feedback: {good:,} good, {bad:,} bad" if good or bad else ""
    half, most = spent.usage.use.p50_first_seconds, spent.usage.use.p95_first_seconds
    if half is not None and most is not None:
        said += f"; first words after {half:.1f} s (p50), {most:.1f} s (p95)"
    return said


def _break_even(roadmap: Roadmap) -> str:
    tokens = roadmap.costs.stated.tokens
    more = f"; stated with {tokens / 1e6:,g} M tokens a month" if tokens else ""
    return f"break-even: {roadmap.triggers.break_even.said}{more}"


_API, _OWN = "█", "░"


def _volumes(roadmap: Roadmap) -> list[tuple[float, float, float, str]]:
    """Conversations, dollars of both, and what is to be said of the volume: rows of the table, break-even, here."""
    even, costs = roadmap.triggers.break_even, roadmap.costs
    marks: dict[float, list[str]] = {row.conversations: [] for row in costs.table}
    for volume, said in ((even.computed, "the rows cross"), (even.stated, "stated break-even")):
        if volume is not None:
            marks.setdefault(volume, []).append(said)
    if even.source == "recipe" and even.conversations is not None:
        marks.setdefault(even.conversations, []).append("asked for by the recipe")
    if roadmap.stand is not None:
        beyond = {None: "", "below": "; dollars of the first row", "above": "; dollars of the last row"}
        marks.setdefault(roadmap.stand.conversations, []).append(f"you, last 30 days{beyond[roadmap.stand.beyond]}")
    found = [(volume, cost_at(costs, volume), ", ".join(said)) for volume, said in sorted(marks.items())]
    return [(volume, at.api_usd, at.self_hosted_usd, said) for volume, at, said in found]


def _drawing(roadmap: Roadmap) -> list[str]:
    rows = _volumes(roadmap)
    longest = max(max(api, own) for _, api, own, _ in rows) or 1.0
    lines = []
    for volume, api, own, said in rows:
        for head, usd, sign, tail in ((f"{volume:,.0f}", api, _API, said), ("", own, _OWN, "")):
            bar = sign * round(usd / longest * _BAR)
            lines.append(f"  {head:>9} {_usd(usd):>8} {bar}" + (f"  < {tail}" if tail else ""))
    return [line[:_WIDTH].rstrip() for line in lines]


def _table(rows: Sequence[Sequence[str]], *, right: int = 0) -> list[str]:
    """Rows in columns, the last one wrapped; the last `right` columns to the right instead."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    lines = []
    for row in rows:
        if right:
            cells = [cell.ljust(width) if place < len(row) - right else cell.rjust(width)
                     for place, (cell, width) in enumerate(zip(row, widths, strict=True))]  # fmt: skip
            lines.append(("  " + "  ".join(cells)).rstrip())
            continue
        head = "  " + "".join(f"{cell:<{width}}  " for cell, width in zip(row[:-1], widths, strict=False))
        lines += _wrapped(row[-1], head, " " * len(head)) or [head.rstrip()]
    return lines


def _item(text: str) -> str:
    return "\n".join(_wrapped(text, "  - ", "    "))


def _risk(risk: Risk) -> list[str]:
    return [f"  {risk.name}", *_table([(f"  {_ON[one.on]}", one.what, one.how) for one in risk.answers])]


def _wrapped(text: str, first: str, later: str | None = None) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent=first if later is None else later, break_on_hyphens=False
    )  # fmt: skip


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in row) + " |" for row in lines
    )


def _band(band: Sequence[float]) -> str:
    return f"${band[0]:,.0f} to {band[1]:,.0f}" if band[0] != band[1] else f"${band[0]:,.0f}"


def _usd(number: float) -> str:
    return f"${number:,.2f}" if number < 10 else f"${number:,.0f}"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,g}"
