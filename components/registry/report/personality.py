"""Personality as tables: the rules one by one, the judge as an instrument, and those who answered side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.registry.report.gauge import draw_interval, draw_shares
from components.registry.report.reading import (
    Measured,
    count,
    listed,
    mapping,
    measured,
    measures,
    number,
    part,
    text,
    whole,
)
from components.registry.report.words import interval, label, told, value

__all__ = ["BY", "agreements", "contestants", "judge_facts", "pairs", "rules", "sounds"]

BY = {"judge": "the judge", "code": "code"}
"""Who decided, in words."""
_FAMILIES = {True: "the same as that of the candidate", False: "another than that of the candidate"}


def rules(scorecard: Mapping[str, Any], *, threshold: float | None) -> Iterator[dict[str, Any]]:
    """A row for each rule of the checklist; `threshold`: what the gate asks of each."""
    for place, one in enumerate(listed(scorecard.get("rules"))):
        found = measured(one.get("measure")) or Measured(None, None, None, 0)
        raw = measured(one.get("raw"))
        by = text(one.get("by"))
        said = value("constitution", found)
        corrected = raw is not None and raw.value is not None and raw.value != found.value
        yield {
            "id": text(one.get("id")), "rule": text(one.get("rule")), "by": BY.get(by, by),
            **{key: count(one.get(key)) for key in ("passed", "failed", "undecided")},
            "value": said, "interval": interval("constitution", found),
            "raw": f"the judge said {value('constitution', raw)}" if corrected else "",
            "drawing": draw_interval(
                None if found.value is None else found, threshold=threshold, at_least=True, kind="share",
                verdict=_verdict(found, threshold), name=f"r{place}",
                told=_told(text(one.get("id")), found),
            ),
        }  # fmt: skip


def _told(rule: str, found: Measured) -> str:
    """What the drawing of a rule shows, for those who hear it."""
    if found.value is None:
        return f"Rule {rule}: undecided."
    return f"Rule {rule}: kept in {_with_interval('constitution', found)} of the answers."


def _verdict(found: Measured, threshold: float | None) -> str:
    """On which side of a least value an interval lies."""
    if threshold is None or found.low is None or found.high is None:
        return ""
    return "GO" if found.low >= threshold else "NO-GO" if found.high < threshold else "INCONCLUSIVE"


def sounds(scorecard: Mapping[str, Any]) -> str:
    """How often it sounds like her, in a sentence; empty: nobody asked."""
    found = measures(scorecard.get("metrics")).get("sounds_like_her")
    raw = measured(part(scorecard, "judge").get("sounds_raw"))
    said = f"The judge said yes to {_with_interval('sounds_raw', raw)} of {raw.n:,}" if raw and raw.n else ""
    if found is None or found.value is None:
        return f"Unknown. {said}, which does not count." if said else ""
    return f"{_with_interval('sounds_like_her', found)} of {found.n:,} answers, errors of the judge corrected. {said}."


def _with_interval(name: str, found: Measured) -> str:
    between = interval(name, found)
    return f"{value(name, found)}{f' ({between})' if between else ''}"


def judge_facts(scorecard: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The judge as an instrument: what it is, and how its verdicts came out."""
    judge = part(scorecard, "judge")
    if not judge:
        return
    yield "model", text(judge.get("model")) or "unknown"
    family = text(judge.get("family"))
    if family:
        same = judge.get("same_family")
        yield (
            "family",
            f"{family}, {_FAMILIES[same] if isinstance(same, bool) else 'the candidate is of an unknown one'}",
        )
    words = text(judge.get("prompt_version"))
    yield "asked", f"{_times(judge.get('repeats'))}{f', with its words of version {words}' if words else ''}"
    counts = ("expected", "scored", "failed", "unparsable", "tied")
    yield "verdicts", ", ".join(f"{count(judge.get(key))} {key}" for key in counts if key in judge)
    flips = measured(judge.get("flip_rate"))
    if flips and flips.value is not None:
        yield "changes its mind", f"on {_with_interval('persona_checks', flips)} of {flips.n:,} questions"


def _times(repeats: Any) -> str:
    return "each question once" if whole(repeats) == 1 else f"each question {count(repeats)} times"


def agreements(scorecard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The judge against people, for each kind of question."""
    names = {"sounds": "Suona come Cervella?", "constitution": "Rules of the COSTITUZIONE", "tasks": "Rules of tasks"}
    for name, one in part(scorecard, "judge", "agreement").items():
        group = mapping(one)
        row = {"name": names.get(str(name), str(name)), "n": count(group.get("n")), "why": text(group.get("why"))}
        for key, kind in (("kappa", "kappa"), ("tpr", "persona_checks"), ("tnr", "persona_checks")):
            found = measured(group.get(key)) or measured({"value": group.get(key)})
            row |= {key: value(kind, found), f"{key}_interval": interval(kind, found) if found else ""}
        yield {**row, "trusted": group.get("trusted") is True}


def contestants(scorecard: Mapping[str, Any]) -> dict[str, Any]:
    """Candidate, champion and control side by side: `names` of the columns, `rows` of scores."""
    found = {str(name): measures(one) for name, one in part(scorecard, "contestants").items()}
    order = [name for name in ("candidate", "champion", "control") if name in found]
    names = [*order, *(name for name in found if name not in order)]
    metrics = list(dict.fromkeys(metric for name in names for metric in found[name]))
    rows = [
        {"label": label(metric), "cells": [(name, *_cell(metric, found[name].get(metric))) for name in names]}
        for metric in metrics
    ]
    return {"names": names, "rows": rows}


def _cell(name: str, found: Measured | None) -> tuple[str, str]:
    return (value(name, found), interval(name, found)) if found else ("", "")


def pairs(scorecard: Mapping[str, Any]) -> dict[str, Any] | None:
    """Candidate against champion, both orders; None: they were not compared."""
    found = part(scorecard, "pairs")
    if not found:
        return None
    names = ("candidate", "tie", "champion", "unread")
    spoken = ("candidate better", "a tie", "champion better", "could not be read")
    counts = [whole(found.get(name)) or 0 for name in names]
    said = ", ".join(f"{n:,} {word}" for n, word in zip(counts, spoken, strict=True))
    rate = measured(found.get("rate"))
    words = found.get("words")
    lengths = [told(number(one), "count") for one in words] if isinstance(words, list | tuple) else []
    return {
        "says": said,
        "rate": _with_interval("persona_checks", rate) if rate and rate.value is not None else "",
        "words": f"the candidate's have {lengths[0]} words, the champion's {lengths[1]}" if len(lengths) == 2 else "",
        "drawing": draw_shares(counts, told=f"Pairs: {said}.", name="pairs-drawing"),
    }  # fmt: skip
