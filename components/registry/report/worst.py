"""The worst answers as they are shown: what was asked, what was said, from which notes, and what failed.

Texts are masked as `components.sncp.redact` says and cut; the later ones more, so that a page stays small.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from components.dataset.reports.visible import as_text, masked
from components.page import marked, one_line
from components.registry.report.personality import BY
from components.registry.report.reading import count, listed, text

__all__ = ["worst_answers"]

_PARTS = {
    "answers": "golden question",
    "golden": "golden question",
    "personality": "prompt of personality",
    "task": "task",
}
_WHOLE = 12
"""Answers that are shown at length."""
_PROMPT, _ANSWER, _LATER, _WHY = 600, 1500, 500, 300
_SOURCES, _FAILED = 5, 12


def worst_answers(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """One for each row of worst.jsonl, in its order."""
    for place, row in enumerate(rows):
        longest = _ANSWER if place < _WHOLE else _LATER
        failed = listed(row.get("failed"))
        sources = row.get("sources")
        part = text(row.get("part"))
        yield {
            "title": one_line(text(row.get("id")), longest=80) or "without a name",
            "says": " · ".join(
                one_line(word, longest=40)
                for word in (_PARTS.get(part, part), text(row.get("kind")), text(row.get("lang"))) if word
            ),
            "broken": " · ".join(one_line(_name(one), longest=60) for one in failed[:3])
            + (f" and {len(failed) - 3} more" if len(failed) > 3 else ""),
            "prompt": _cut(row.get("prompt"), _PROMPT if place < _WHOLE else _LATER),
            "answer": _cut(row.get("text"), longest),
            "expected": _cut(row.get("expected"), _LATER),
            "sources": [one_line(text(one), longest=160) for one in sources[:_SOURCES]]
            if isinstance(sources, list | tuple) else [],
            "failed": [_failure(one) for one in failed[:_FAILED]],
            "more": max(0, len(failed) - _FAILED),
        }  # fmt: skip


def _name(failure: Mapping[str, Any]) -> str:
    return text(failure.get("rule")) or text(failure.get("question"))


def _failure(failure: Mapping[str, Any]) -> dict[str, Any]:
    by = text(failure.get("by"))
    return {
        "rule": one_line(_name(failure), longest=200), "by": BY.get(by, one_line(by, longest=40)),
        "why": _cut(failure.get("why"), _WHY),
    }  # fmt: skip


def _cut(given: Any, longest: int) -> Markup:
    """A foreign text, masked, what is hidden in it marked; how much is left out is told."""
    clean, left = masked("" if given is None else as_text(given), longest=longest)
    more = Markup("… <small>({} characters more)</small>").format(count(left)) if left else Markup("")
    return marked(clean) + more
