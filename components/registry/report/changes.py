"""What changed against another scorecard: score by score, with what their intervals can and cannot tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.registry.report.beside import Setting
from components.registry.report.reading import Measured, measures, part, text
from components.registry.report.words import difference, interval, label, metric_of, value

__all__ = ["changes"]

_MOST_SETTINGS = 60
_WORDS = {"good": "better: ", "bad": "worse: ", "": ""}


def changes(
    *, name: str, old: Mapping[str, Any], new: Mapping[str, Any], settings: Sequence[Setting] | None, same: bool
) -> dict[str, Any]:
    """What the page says of one comparison.

    Args:
        name: what it is compared with.
        old: its scorecard.
        new: of the run that is reported.
        settings: that differ; None: unknown.
        same: whether both are the very same artefact.
    """
    shown = list(settings or ())[:_MOST_SETTINGS]
    before, after = measures(old.get("metrics")), measures(new.get("metrics"))
    unchanged = [one for one in after if one in before and after[one].value == before[one].value]
    return {
        "name": name,
        "same": same,
        "notes": list(_notes(old, new)),
        "rows": [_row(one, before.get(one), after.get(one)) for one in {**after, **before} if one not in unchanged],
        "unchanged": [] if same else [label(one) for one in unchanged],
        "settings": shown,
        "more_settings": len(settings or ()) - len(shown),
        "settings_unknown": settings is None,
    }


def _notes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Why numbers may differ although nothing of the release does."""
    evidence = {
        "golden": "The golden questions are others: scores that rest on them are not of the same questions.",
        "index": "The notes, or how they are indexed, are others.",
        "split": "The examples that it was trained on are others.",
        "checklist": "The rules of the checklist are others.",
        "tasks": "The tasks are others.",
    }
    before, after = part(old, "evidence"), part(new, "evidence")
    yield from (words for key, words in evidence.items() if key in before and before[key] != after.get(key))
    judges = [text(part(one, "judge").get("model")) for one in (old, new)]
    if all(judges) and judges[0] != judges[1]:
        yield f"The judge is another: {judges[0]} then, {judges[1]} now. What two judges say cannot be compared."


def _row(name: str, old: Measured | None, new: Measured | None) -> dict[str, str]:
    """Of a score that differs."""
    row = {
        "label": label(name), "old": value(name, old) if old else "not measured",
        "new": value(name, new) if new else "not measured", "old_interval": interval(name, old) if old else "",
        "new_interval": interval(name, new) if new else "", "difference": "", "tells": "", "mood": "",
    }  # fmt: skip
    if old is None or new is None or old.value is None or new.value is None:
        return row
    tells, mood = "the intervals overlap: may be chance", ""
    if (old.low is None and old.high is None) or (new.low is None and new.high is None):
        tells = "no interval: may be chance"
    elif _below(old, new) or _below(new, old):
        better = metric_of(name).better
        mood = "" if not better else "good" if (new.value > old.value) == (better == "up") else "bad"
        tells = f"{_WORDS[mood]}the intervals are apart"
    return {**row, "difference": difference(name, old.value, new.value), "tells": tells, "mood": mood}


def _below(one: Measured, other: Measured) -> bool:
    """Whether an interval ends before another begins; one that is open there does not."""
    return one.high is not None and other.low is not None and one.high < other.low
