"""Golden questions: a JSONL file, read with every fault found at once, each at its file:line."""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import InputError
from components.evaluate.lines import ARRAY, parsed_line, read_lines, spread
from components.sncp.metadata import project_of
from components.sncp.redact import mask_secrets

__all__ = ["Question", "choose_questions", "load_golden"]

_REQUIRED = ("id", "question", "lang", "kind", "gold")
_OPTIONAL = ("evidence", "answer", "project")
_NEVER = "never"
_SHOWN = 50  # faults printed in full; the rest is counted


@dataclass(frozen=True)
class Question:
    """One golden question. `gold`: paths of the notes that answer it; empty: no note does. `line`: in its file.

    `never`: texts that no answer may hold, such as the word that a hostile note orders to say. `project`: what it is
    about; empty for none.
    """

    id: str
    question: str
    lang: str
    kind: str
    gold: tuple[str, ...]
    evidence: str = ""
    answer: str = ""
    line: int = 0
    never: tuple[str, ...] = ()
    project: str = ""

    @property
    def answerable(self) -> bool:
        """Whether some note answers it."""
        return bool(self.gold)


def load_golden(path: Path, *, known_paths: Collection[str] | None) -> list[Question]:
    """Read golden questions, in the order of the file.

    `known_paths`: every path of every collected note, exact duplicates included; a gold path that is none of them is
    a fault. None: gold paths are not checked. `lang` and `kind` are free words (scores are grouped by them);
    `evidence`, `answer`, `never` and `project` may be left out; other keys are ignored. Without `project` it is the
    one project that all gold paths name (`.../progetti/NAME/...`). Empty lines and a byte order mark are
    allowed.
    Secrets in questions, evidence and answers are masked as they are in the notes.

    Raises InputError that lists every fault as file:line, what is wrong and what was expected.
    """
    known = None if known_paths is None else {_same_spelling(known): known for known in known_paths}
    questions: list[Question] = []
    faults: list[str] = []
    first_line: dict[str, int] = {}
    for number, line in enumerate(read_lines(path, what="golden questions", setting="evaluate.golden"), start=1):
        if not line.strip():
            continue
        record, wrong = _parse(line)
        if record is not None:
            gold, unknown = _gold(record, known)
            wrong += unknown
            if not wrong:
                questions.append(_question(record, gold, number))
            if isinstance(record.get("id"), str) and record["id"].strip():
                seen = first_line.setdefault(record["id"], number)
                if seen != number:
                    wrong.append(f"id {record['id']!r} is taken by line {seen}; expected ids that differ")
        faults += [f"{path}:{number}: {text}" for text in wrong]
    if faults:
        raise InputError(_report(path, [mask_secrets(fault) for fault in faults]))
    if not questions:
        raise InputError(f"{path}: no questions; expected one JSON object a line with {', '.join(_REQUIRED)}.")
    return questions


def choose_questions(questions: Sequence[Question], n: int, seed: int) -> list[Question]:
    """The `n` questions that a chat model answers (all when there are no more): in file order, same seed same choice.

    Every kind is covered before any is taken twice, then every language; with n >= 4 at least one unanswerable
    question is in. The order of the file plays no part in the choice.
    """
    if n >= len(questions):
        return list(questions)

    def among(left: Sequence[Question], chosen: Sequence[Question]) -> Sequence[Question]:
        if n >= 4 and not any(not question.answerable for question in chosen):
            return [question for question in left if not question.answerable] or left
        return left

    chosen = spread(sorted(questions, key=lambda question: question.id), n, seed=seed, among=among)
    ids = {question.id for question in chosen}
    return [question for question in questions if question.id in ids]


def _parse(line: str) -> tuple[dict[str, Any] | None, list[str]]:
    """The object of a line (None: there is none) and its faults."""
    record, repeated, unread = parsed_line(line)
    if unread:
        hint = " (a JSON array? expected JSONL, one object a line)" if line.strip() in ARRAY else ""
        return None, [f"not JSON{'' if unread.startswith('at ') else ':'} {unread}{hint}"]
    if not isinstance(record, dict):
        return None, [f"a {_named(record)}; expected a JSON object with {', '.join(_REQUIRED)}"]
    faults = [f"key {key!r} is given twice" for key in repeated] + _field_faults(record)
    if re.search("[\ud800-\udfff]", json.dumps(record, ensure_ascii=False)):
        faults.append("half a character (a lone \\ud800 to \\udfff): no file can hold it")
    return record, faults


def _field_faults(record: Mapping[str, Any]) -> list[str]:
    faults = []
    unused = [key for key in record if key not in (*_REQUIRED, *_OPTIONAL, _NEVER)]
    for key in _REQUIRED:
        if key not in record:
            near = difflib.get_close_matches(key, unused, n=1)
            faults.append(f"{key!r} is missing" + (f"; did you mean it by {near[0]!r}?" if near else ""))
        elif key != "gold" and not (isinstance(record[key], str) and record[key].strip()):
            faults.append(f"{key!r} is {_named(record[key])}; expected a text that is not empty")
    gold = record.get("gold", [])
    if not isinstance(gold, list) or not all(isinstance(path, str) and path.strip() for path in gold):
        faults.append("'gold' is not a list of paths; expected [\"notes/a.md\"], or [] when no note answers")
    never = record.get(_NEVER, [])
    if not isinstance(never, list) or not all(isinstance(text, str) and text.strip() for text in never):
        faults.append("'never' is not a list of texts; expected [\"a text that no answer may hold\"]")
    for key in _OPTIONAL:
        if not isinstance(record.get(key, ""), str | None):
            faults.append(f"{key!r} is {_named(record[key])}; expected a text")
    return faults


def _gold(record: Mapping[str, Any], known: Mapping[str, str] | None) -> tuple[list[str], list[str]]:
    """Gold paths as the collection spells them, each once, and the faults of those that it does not know."""
    gold = record.get("gold")
    if not isinstance(gold, list) or not all(isinstance(path, str) for path in gold):
        return [], []
    if known is None:
        return list(dict.fromkeys(gold)), []
    found = [known[_same_spelling(path)] for path in gold if _same_spelling(path) in known]
    faults = []
    for path in gold:
        if _same_spelling(path) not in known:
            near = _nearest(path, known.values())
            hint = f"; nearest: {near!r}" if near else f"; none of the {len(known)} collected paths is like it"
            faults.append(f"gold {path!r} is not among the collected notes{hint}")
    return list(dict.fromkeys(found)), faults


def _same_spelling(path: str) -> str:
    """One spelling for `./a.md` and `a.md`, and for accents composed or not (file systems differ)."""
    return unicodedata.normalize("NFC", path.strip().removeprefix("./"))


def _nearest(path: str, known: Collection[str]) -> str | None:
    name = path.rsplit("/", 1)[-1]
    same_name = [other for other in known if other.rsplit("/", 1)[-1].casefold() == name.casefold()]
    near = difflib.get_close_matches(path, same_name or known, n=1, cutoff=0.0 if same_name else 0.6)
    return near[0] if near else None


def _question(record: Mapping[str, Any], gold: Sequence[str], line: int) -> Question:
    return Question(
        id=record["id"],
        question=mask_secrets(record["question"]),
        lang=record["lang"],
        kind=record["kind"],
        gold=tuple(gold),
        evidence=mask_secrets(record.get("evidence") or ""),  # as the notes are masked that it is looked for in
        answer=mask_secrets(record.get("answer") or ""),
        line=line,
        never=tuple(record.get(_NEVER, ())),
        project=(record.get("project") or "").strip() or _one_project(gold),
    )


def _one_project(gold: Sequence[str]) -> str:
    """The project that all these paths name; empty when one names none or another."""
    names = {project_of(path, matter={}) or "" for path in gold}
    return names.pop() if len(names) == 1 else ""


def _named(value: object) -> str:
    names = {"NoneType": "null", "str": "text", "bool": "boolean", "list": "list", "dict": "object"}
    return "empty" if isinstance(value, str) and not value.strip() else names.get(type(value).__name__, "number")


def _report(path: Path, faults: Sequence[str]) -> str:
    lines = [f"{path}: {len(faults)} fault{'s' if len(faults) > 1 else ''} in the golden questions", *faults[:_SHOWN]]
    if len(faults) > _SHOWN:
        lines.append(f"... and {len(faults) - _SHOWN} more")
    if any(" is not among the collected notes" in fault for fault in faults):
        lines.append("Paths are relative to sncp.root; if a note exists, let sncp.include match it.")
    return "\n".join(lines)
