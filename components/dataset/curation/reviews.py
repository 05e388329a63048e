"""Decisions of people on examples: a log that is only ever added to, and what it makes of the rows.

A decision belongs to what an example says (system prompt, turns, tools), not to its place in a file: a row that is
changed is asked about again, a row that moves is not. Several people may review at once: each decision is one line,
written under a lock, and what another decided meanwhile is seen first.

State after a hard crash: every decision that was told as taken (its line is flushed to disk before that), and at most
one torn line after them, which no reader takes for a decision and the next decision removes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal, get_args

from components.store import AppendLog

__all__ = ["Decision", "ReviewLog", "Reviewed", "Standing", "apply_reviews", "content_digest", "reviewer_name"]

Decision = Literal["accept", "edit", "reject", "undo"]

_CONTENT = ("system", "conversations", "tools")
_STATUS = {"accept": "accepted", "edit": "edited", "reject": "rejected"}


def content_digest(row: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of what an example says; id, stage, provenance, rating and review are not in it."""
    said = {key: row[key] for key in _CONTENT if row.get(key) is not None}
    return sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def reviewer_name() -> str:
    """Who decides: git's user.name, or else the name of the account."""
    if git := shutil.which("git"):
        try:
            asked = subprocess.run(  # noqa: S603
                [git, "config", "user.name"], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.SubprocessError):
            pass
        else:
            if asked.returncode == 0 and asked.stdout.strip():
                return asked.stdout.strip()
    return os.environ.get("USER") or os.environ.get("LOGNAME") or f"user {os.getuid()}"


@dataclass(frozen=True)
class Standing:
    """A decision that holds."""

    decision: Literal["accept", "edit", "reject"]
    by: str
    at: str
    """ISO 8601, UTC."""
    reason: str | None = None
    content: Mapping[str, Any] | None = None
    """What an edit made of the example: `system`, `conversations`, `tools`."""

    def review(self) -> dict[str, Any]:
        """Key `review` of a row."""
        told = {"status": _STATUS[self.decision], "by": self.by, "at": self.at}
        return told if self.reason is None else {**told, "reason": self.reason}


class ReviewLog(AppendLog):
    """The log at `path`, which need not be there yet. What others add is seen at `refresh`, `decide` and `undo`."""

    _kind = "decision"
    _expected = f"a JSON object with decision ({', '.join(_STATUS)}, undo), digest, by and at"
    _stacks: dict[str, list[Standing]]

    def _reset(self) -> None:
        self._stacks = {}

    def standing(self, digest: str) -> Standing | None:
        """The decision that holds for an example of this content, if any."""
        stack = self._stacks.get(digest)
        return stack[-1] if stack else None

    def decide(
        self,
        row: Mapping[str, Any],
        decision: Literal["accept", "edit", "reject"],
        *,
        by: str,
        reason: str | None = None,
        content: Mapping[str, Any] | None = None,
        instead_of: Standing | None = None,
    ) -> bool:
        """Write a decision down. False, and nothing is written, when another one was taken meanwhile.

        Args:
            row: the example as it was shown.
            decision: what becomes of it.
            by: who decided.
            reason: of a rejection.
            content: of an edit.
            instead_of: the decision that was shown as standing.
        """
        digest = content_digest(row)
        record: dict[str, Any] = {"decision": decision, "digest": digest, "by": by, "at": _now()}
        if isinstance(row.get("id"), str | int):
            record["id"] = row["id"]
        if reason is not None:
            record["reason"] = reason
        if content is not None:
            record["content"] = {key: content[key] for key in _CONTENT if content.get(key) is not None}
        with self._writing():
            if self.standing(digest) != instead_of:
                return False
            self._append(record)
        return True

    def undo(self, row: Mapping[str, Any], *, by: str) -> Standing | None:
        """Take back the decision on `row` that holds; the one before it holds again. None: there was none."""
        digest = content_digest(row)
        with self._writing():
            taken_back = self.standing(digest)
            if taken_back is not None:
                self._append({"decision": "undo", "digest": digest, "by": by, "at": _now()})
        return taken_back

    def _take(self, record: Any) -> None:
        decision, digest, by, at = (str(record[key]) for key in ("decision", "digest", "by", "at"))
        if decision not in get_args(Decision):
            raise ValueError(decision)
        content = record.get("content")
        if decision == "edit" and not isinstance(content["conversations"], list):
            raise ValueError("content")
        stack = self._stacks.setdefault(digest, [])
        if decision == "undo":
            undone = stack.pop() if stack else None
            if undone is not None and undone.content is not None:
                self._edited(undone)[-1:] = []
            return
        standing = Standing(decision, by, at, record.get("reason"), content)  # type: ignore[arg-type]
        stack.append(standing)
        if content is not None and self._edited(standing) is not stack:  # what was edited is not asked about again
            self._edited(standing).append(Standing("accept", by, at))

    def _edited(self, edit: Standing) -> list[Standing]:
        return self._stacks.setdefault(content_digest(edit.content or {}), [])


@dataclass(frozen=True)
class Reviewed:
    """Rows after their review, in order. `counts`: accepted, edited, rejected (left out), undecided (as they were)."""

    rows: list[dict[str, Any]]
    counts: Counter[str]
    rejected: list[dict[str, Any]]
    """Rows that were left out, with their `review`."""


def apply_reviews(rows: Iterable[Mapping[str, Any]], log: ReviewLog) -> Reviewed:
    """Write what was decided into the rows: `review` is set, what was edited replaced, what was rejected left out."""
    kept: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    for row in rows:
        standing = log.standing(content_digest(row))
        if standing is None:
            counts["undecided"] += 1
            kept.append(dict(row))
            continue
        counts[_STATUS[standing.decision]] += 1
        changed = {**row, "review": standing.review()}
        if standing.content is not None:
            changed = {key: value for key, value in changed.items() if key not in _CONTENT} | dict(standing.content)
            changed = {key: changed[key] for key in (*row, *changed) if key in changed}
        (rejected if standing.decision == "reject" else kept).append(changed)
    return Reviewed(kept, counts, rejected)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
