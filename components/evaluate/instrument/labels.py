"""Verdicts of people on answers: a log that is only ever added to, and what several people make of one answer.

A label belongs to what was asked and answered (prompt, answer, question), not to a run: an answer that comes back word
for word is labelled already. Each person has one verdict on it, the newest; several people may label at once.

State after a hard crash: every verdict that was told as taken, as `components.store.log` says.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

from components.evaluate.judged import Group, Verdict, group_of
from components.evaluate.said import Item, Part
from components.evaluate.suite.model import JudgeQuestion, Wording
from components.store import AppendLog

__all__ = ["LabelLog", "Labelled", "label_digest", "read_labels"]

_TEXTS = ("item", "prompt", "lang", "text", "question", "ask", "standard")


def label_digest(*, prompt: str, text: str, question: str, ask: str) -> str:
    """SHA-256 (hex) of what a person judges: the prompt, the answer, and the question by its name and in words."""
    return sha256(json.dumps([prompt, text, question, ask]).encode()).hexdigest()


@dataclass(frozen=True)
class Labelled:
    """One question on one answer, with the verdicts of people. `verdicts`: person -> the newest of that person."""

    digest: str
    item: str
    """Key of the item: `part/id`."""
    prompt: str
    lang: str
    text: str
    question: str
    ask: str
    standard: str
    sources: tuple[str, ...]
    """Paths of the notes that the answer names: some may not leave this machine."""
    verdicts: Mapping[str, Verdict]

    @property
    def group(self) -> Group:
        """Of the question."""
        return group_of(self.question)

    @property
    def wording(self) -> Wording:
        """What was asked, whatever the answer."""
        return Wording(self.question, self.ask, self.standard, self.lang)

    @property
    def verdict(self) -> Verdict | None:
        """Of the majority; None: a tie."""
        counts = Counter(self.verdicts.values())
        if counts["yes"] == counts["no"]:
            return None
        return "yes" if counts["yes"] > counts["no"] else "no"

    def asked(self) -> JudgeQuestion:
        """As it is put to a judge, who is not told whose answer it is (and it is not known any more)."""
        part, _, name = self.item.partition("/")
        parts: Mapping[str, Part] = {known: known for known in get_args(Part)}
        item = Item(part=parts.get(part, "personality"), id=name, prompt=self.prompt, lang=self.lang, kind="")
        return JudgeQuestion("candidate", item, self.question, self.ask, self.standard, self.text)


class LabelLog(AppendLog):
    """The log at `path`, which need not be there yet. What others add is seen at `refresh`, `add` and `undo`."""

    _kind = "label"
    _expected = (
        f"a JSON object with digest, {', '.join(_TEXTS)}, verdict (yes, no), by and at, its digest that of its words; "
        "or with verdict undo, digest, by and at"
    )
    _records: dict[str, dict[str, Any]]
    _stacks: dict[str, dict[str, list[Verdict]]]  # digest -> person -> verdicts, the newest last

    def add(self, question: JudgeQuestion, verdict: Verdict, *, by: str, sources: tuple[str, ...] = ()) -> None:
        """Write down a person's verdict; it takes the place of an older one of the same person.

        Args:
            question: as it was shown.
            verdict: yes is good, whatever the question.
            by: who judges.
            sources: paths of the notes that the answer names.
        """
        told = {"prompt": question.item.prompt, "text": question.text, "question": question.question,
                "ask": question.ask}  # fmt: skip
        record = {
            "digest": label_digest(**told), "item": question.item.key, "lang": question.item.lang, **told,
            "standard": question.standard, "verdict": verdict, "by": by, "at": _now(),
        }  # fmt: skip
        with self._writing():
            self._append(record | ({"sources": list(sources)} if sources else {}))

    def undo(self, digest: str, *, by: str) -> Verdict | None:
        """Take back the newest verdict of `by`; the one before it holds again. None: there was none."""
        with self._writing():
            before = self.verdict_of(digest, by)
            if before is not None:
                self._append({"digest": digest, "verdict": "undo", "by": by, "at": _now()})
        return before

    def verdict_of(self, digest: str, by: str) -> Verdict | None:
        """What a person said last, if anything."""
        stack = self._stacks.get(digest, {}).get(by)
        return stack[-1] if stack else None

    def find(self, digest: str) -> Labelled | None:
        """The verdicts on it, if there are any."""
        verdicts = {by: stack[-1] for by, stack in self._stacks.get(digest, {}).items() if stack}
        if not verdicts:
            return None
        record = self._records[digest]
        texts = {name: record[name] for name in _TEXTS}
        return Labelled(digest=digest, **texts, sources=tuple(record["sources"]), verdicts=verdicts)

    def labelled(self) -> list[Labelled]:
        """All that has a verdict, by item and digest: in the same order, whoever labelled first."""
        found = [one for digest in self._records if (one := self.find(digest)) is not None]
        return sorted(found, key=lambda one: (one.item, one.digest))

    def _reset(self) -> None:
        self._records, self._stacks = {}, {}

    def _take(self, record: Any) -> None:
        verdict, digest, by, _ = (_text(record[key]) for key in ("verdict", "digest", "by", "at"))
        if verdict == "undo":
            if stack := self._stacks.get(digest, {}).get(by):
                stack.pop()
            return
        if verdict not in get_args(Verdict):
            raise ValueError(verdict)
        texts = {key: _text(record[key]) for key in _TEXTS}
        group_of(texts["question"])
        if digest != label_digest(**{key: texts[key] for key in ("prompt", "text", "question", "ask")}):
            raise ValueError("digest")
        self._records[digest] = {**texts, "sources": [_text(path) for path in record.get("sources", ())]}
        self._stacks.setdefault(digest, {}).setdefault(by, []).append("yes" if verdict == "yes" else "no")


def read_labels(path: Path | None) -> list[Labelled]:
    """The labels of a file; none where there is no file yet. Raises InputError for a line that is no label."""
    return [] if path is None else LabelLog(path).labelled()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} is no text")
    return value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
