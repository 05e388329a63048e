"""The page of a run: may it go live, why, and what to look at; self-contained, readable on a phone, without a script.

Everything in it is foreign text: it is escaped by the template, hidden characters are written out, and a policy in the
page lets a browser run nothing and ask nobody. Texts of answers are masked as `components.sncp.redact` says; **not
masked** are names, addresses and whatever else has no form of its own, so it is for those who may see the notes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.page import STYLE as COMMON_STYLE
from components.page import coded, render_page
from components.registry.report.changes import changes
from components.registry.report.facts import Comparison, RunReport
from components.registry.report.gate_table import criteria
from components.registry.report.gauge import GAUGE_STYLE
from components.registry.report.headline import headline, machinery, undecided
from components.registry.report.page_template import STYLE, TEMPLATE
from components.registry.report.personality import agreements, contestants, judge_facts, pairs, rules, sounds
from components.registry.report.reading import count, listed, measured, part, text, whole
from components.registry.report.tables import checks, copied, groups, losses, missed, scores, suite, tasks, tiers
from components.registry.report.unshown import unshown
from components.registry.report.worst import worst_answers
from components.train.report.curves import CURVE_STYLE, Curves, draw_curves, told_curves

__all__ = ["page"]

_STYLE = COMMON_STYLE + CURVE_STYLE + GAUGE_STYLE + STYLE
_REFUSALS = ("refused_unanswerable", "wrongly_refused")
_COSTS = (
    "latency_p50_seconds", "latency_p95_seconds", "search_p50_ms", "search_p95_ms", "cost_per_query_usd",
    "cost_max_usd",
)  # fmt: skip
_ERRORS = 20
_COUNTED = ("expected", "scored", "failed", "unparsable", "tied")
_PARTS = (
    ("gate", "Gate"), ("personality", "Personality"), ("tasks", "Tasks"), ("retrieval", "Retrieval"),
    ("cost", "Time and money"), ("training", "Training"), ("changes", "Changes"), ("worst", "Worst answers"),
    ("errors", "Errors"), ("unshown", "Not shown"),
)  # fmt: skip


def page(report: RunReport) -> str:
    """The report as HTML; the same for the same report."""
    card, curves = report.scorecard, report.curves
    head = headline(report.gate, card)
    what = f"Report of {report.recipe}"
    limits = {text(one.get("name")): one.get("threshold") for one in listed(report.gate.get("criteria"))}
    asked = measured({"value": limits.get("constitution")})
    training, errors = losses(card), _errors(card)
    return render_page(
        TEMPLATE,
        title=f"{what}: {head.title}",
        style=_STYLE,
        what=what,
        head=head,
        coded=coded,
        machinery=machinery(_models(card), text(part(card, "judge").get("model"))),
        facts=list(_facts(report)),
        parts=[one for one in _PARTS if one[0] != "training" or training or curves],
        criteria=list(criteria(report.gate, card)),
        undecided=undecided(card),
        asked_personality=bool(part(card, "asked", "personality").get("expected") or card.get("rules")),
        warnings=[f"{one[:1].upper()}{one[1:]}." for one in _texts(card.get("warnings"))],
        sounds=sounds(card),
        judge=list(judge_facts(card)),
        judge_warning=text(part(card, "judge").get("warning")),
        agreements=list(agreements(card)),
        rules=list(rules(card, threshold=asked.value if asked else None)),
        contestants=contestants(card),
        pairs=pairs(card),
        tasks=list(tasks(card)),
        suite=suite(card),
        tiers=list(tiers(card)),
        groups=groups(card),
        refusals=list(scores(card, _REFUSALS)),
        missed=missed(report.questions),
        costs=list(scores(card, _COSTS)),
        cost_note=_cost_note(part(card, "answers")),
        training=training,
        curves=_drawn(curves) if curves else None,
        copied=copied(card),
        changes=[_changes(one, card) for one in (report.champion, report.previous) if one],
        worst=list(worst_answers(report.worst)),
        asked=list(_asked(card)),
        counted=list(_COUNTED),
        errors=errors[:_ERRORS],
        more_errors=max(0, len(errors) - _ERRORS),
        checks=list(checks(card)),
        unshown=list(unshown(report)),
        ids=report.ids,
    )  # fmt: skip


def _models(card: Mapping[str, Any]) -> list[str]:
    return _texts(part(card, "answers").get("models"))


def _texts(found: Any) -> list[str]:
    return [text(one) for one in found] if isinstance(found, list | tuple) else []


def _drawn(curves: Curves) -> dict[str, Any]:
    return {
        "wide": draw_curves(curves, wide=True, name="wide"),
        "narrow": draw_curves(curves, wide=False, name="narrow"),
        "says": told_curves(curves),
    }


def _facts(report: RunReport) -> Iterator[tuple[str, str, str]]:
    """What was scored: name, value, and a word more."""
    card, release = report.scorecard, report.release or {}
    yield "recipe", report.recipe, f"phase {text(report.gate.get('phase')) or 'unknown'}"
    if report.run:
        yield "run", report.run, ""
    model = text(part(release, "base_model").get("model")) or ", ".join(_models(card))
    if model:
        yield "model", model, "on this machine" if part(card, "answers").get("local") is True else ""
    if report.release is not None:
        adapter = text(release.get("adapter"))
        yield "release", report.digest[:12], ""
        yield "adapter", adapter[:12] or "none", ""
    index = text(part(card, "evidence").get("index"))
    if index:
        yield "index", index[:12], text(part(release, "index").get("embedder"))
    if report.prompt_tokens is not None:
        yield "system prompt", f"{report.prompt_tokens:,}", "tokens"
    judge = part(card, "judge")
    if judge:
        yield "judge", text(judge.get("model")) or "unknown", _believed(judge)


def _believed(judge: Mapping[str, Any]) -> str:
    groups_ = [part(one) for one in part(judge, "agreement").values()]
    trusted = sum(one.get("trusted") is True for one in groups_)
    if not groups_:
        return "nobody has checked it"
    return "believed" if trusted == len(groups_) else f"believed in {trusted} of {len(groups_)} kinds of question"


def _cost_note(answers: Mapping[str, Any]) -> str:
    cached = whole(answers.get("cached"))
    notes = [
        "Answers take from question to answer, search included; prices are those of the model, notes and index aside."
    ]
    if answers.get("local") is True:
        notes.append("The model runs on this machine: it costs no dollars a query, and its times are of this machine.")
    if cached:
        notes.append(f"{cached:,} answers came from the cache: time and cost are those of the first time.")
    return " ".join(notes)


def _changes(one: Comparison, card: Mapping[str, Any]) -> dict[str, Any]:
    return changes(name=one.name, old=one.scorecard, new=card, settings=one.settings, same=one.same)


def _asked(card: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Counts of all that was asked of a model."""
    answers, asked, judge = part(card, "answers"), part(card, "asked"), part(card, "judge")
    names = {"personality": "Prompts of personality", "task": "Tasks"}
    found = [("Golden questions", answers), *((names.get(str(key), str(key)), part(one)) for key, one in asked.items())]
    kinds = {"sounds": "suona come Cervella", "constitution": "rules of the COSTITUZIONE", "tasks": "rules of tasks"}
    found += [
        (f"Verdicts of the judge: {kinds.get(str(key), str(key))}", part(one))
        for key, one in part(judge, "parts").items()
    ] or ([("Verdicts of the judge", judge)] if judge else [])
    for name, counts in found:
        if counts:
            yield {"name": name} | {key: count(counts[key]) if key in counts else "" for key in _COUNTED}


def _errors(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = [*listed(part(card, "answers").get("errors"))]
    for one in part(card, "asked").values():
        found += listed(part(one).get("errors"))
    return [(text(one.get("id")), text(one.get("error"))) for one in found]
