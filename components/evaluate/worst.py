"""The worst answers, for people: what was asked, what was said, and all that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components.evaluate.copying import Copied
from components.evaluate.golden import Question
from components.evaluate.judged import SOUNDS, Judged, rule_id, task_rule_id
from components.evaluate.records import AnswerRecord
from components.evaluate.retrieval import RetrievalScore
from components.evaluate.said import Said
from components.evaluate.said_scores import Evaluated

__all__ = ["MOST", "worst_rows"]

MOST = 50
"""Rows: who reads more reads the whole artefact."""
_FIRST = 5  # notes: what a person looks at, and what recall_at_5 counts
_CODE = "code"


def worst_rows(
    *, questions: Sequence[Question], found: RetrievalScore, records: Sequence[AnswerRecord], evaluated: Evaluated,
    copied: Sequence[Copied] = (),
) -> list[dict[str, Any]]:  # fmt: skip
    """At most `MOST` answers of the candidate with something wrong, worst first.

    A row: `{part, id, kind, lang, prompt, text, sources, failed: [{question, rule, why, by}], expected}`; `part` is
    golden, personality or task. Answers that failed come first, then those with more that is wrong. A verdict of the
    judge is told here whether or not its word counts: a person reads it.
    """
    recited = {one.key: one.run for one in copied}
    rows = _golden(questions, found, records) + _said(evaluated)
    for row in rows:
        run = recited.get(f"{row['part']}/{row['id']}")
        if run:
            row["failed"].append(_failed("copied", "in her own words", f"a training answer says: {run}", _CODE))
    worst = [row for row in rows if row["failed"]]
    worst.sort(key=lambda row: (row["failed"][0]["question"] != "error", -len(row["failed"]), row["part"], row["id"]))
    return worst[:MOST]


def _failed(question: str, rule: str, why: str, by: str) -> dict[str, str]:
    return {"question": question, "rule": rule, "why": why, "by": by}


def _golden(
    questions: Sequence[Question], found: RetrievalScore, records: Sequence[AnswerRecord]
) -> list[dict[str, Any]]:
    asked, ranks = {one.id: one for one in questions}, {one.id: one.rank for one in found.questions}
    rows = []
    for record in records:
        question = asked.get(record.id)
        failed = [_failed("error", "an answer comes", record.error, _CODE)] if record.error is not None else []
        failed += [
            _failed(f"check:{one.name}", one.name, one.why, _CODE) for one in record.checks if one.passed is False
        ]
        rank = ranks.get(record.id)
        if record.id in ranks and (rank is None or rank > _FIRST):
            where = "not found" if rank is None else f"found at place {rank}"
            failed.append(_failed("retrieval", f"a note that answers is among the first {_FIRST}", where, _CODE))
        rows.append({
            "part": "golden", "id": record.id, "kind": question.kind if question else "", "lang": record.lang,
            "prompt": record.question, "text": record.text, "sources": list(record.sources), "failed": failed,
            "expected": question.answer if question else "",
        })  # fmt: skip
    return rows


def _said(evaluated: Evaluated) -> list[dict[str, Any]]:
    words = _standards(evaluated)
    wrong: dict[str, list[Judged]] = {}
    for one in evaluated.verdicts:
        if one.verdict == "no":
            wrong.setdefault(one.item, []).append(one)
    rows = []
    for said in evaluated.said.get("candidate", ()):
        failed = [_failed("error", "an answer comes", said.error, _CODE)] if said.error is not None else []
        failed += [
            _failed(one.question, words.get((said.item.key, one.question), one.question), one.rationale, one.by)
            for one in wrong.get(said.item.key, ())
        ]
        if said.item.part == "personality":
            failed += _checks(said)
        rows.append({
            "part": said.item.part, "id": said.item.id, "kind": said.item.kind, "lang": said.item.lang,
            "prompt": said.item.prompt, "text": said.text, "sources": list(said.sources), "failed": failed,
            "expected": "",
        })  # fmt: skip
    return rows


def _checks(said: Said) -> list[dict[str, str]]:
    return [_failed(f"check:{one.name}", one.name, one.why, _CODE) for one in said.checks if one.passed is False]


def _standards(evaluated: Evaluated) -> Mapping[tuple[str, str], str]:
    """(item, question) -> what is asked for, in words."""
    words = {}
    for item in evaluated.items:
        if item.part == "personality":
            words[item.key, SOUNDS] = "it sounds like her"
            for rule in evaluated.checklist.rules if evaluated.checklist else ():
                words[item.key, rule_id(rule.id)] = rule.rule
    for task in evaluated.suite.tasks if evaluated.suite else ():
        for number, earned in enumerate(task.rules):
            words[task.item.key, task_rule_id(number)] = earned.what
    return words
