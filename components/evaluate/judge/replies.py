"""Replies of a judge to its requests, in their words: what it has said once it is not paid for again.

They are sealed with the verdicts (`replies.jsonl`), and the next judging or checking of the same judge begins with
those: after one failed reply only that one is asked for, after one new answer only its questions.

State after a hard crash: what was sealed, and in the scratch folder of the step that was at work every reply that came
(`components.evaluate.asking.paid`). Not covered: what a step had paid for when it was killed and its identity was
changed before it went on (other answers, other rules); that is asked anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from components.evaluate.asking.paid import PaidLog

if TYPE_CHECKING:
    from components.store import Artefact, Run, Step, Store

__all__ = ["FILE", "Replies", "open_replies"]

FILE = "replies.jsonl"
_STEPS = ("evaluate.judge", "evaluate.agreement")
_NEWEST = 4
"""Artefacts of each step that are read: combinations of a matrix, or recipes of one workspace, take turns."""


class Replies:
    """Replies by the digest of their request: of a step at work, else sealed before. Threads may share it."""

    def __init__(self, log: PaidLog, before: Mapping[str, dict[str, Any]] | None = None) -> None:
        """`log`: of the step at work; `before`: key -> reply."""
        self._log = log
        self._before = dict(before or {})
        self._used: dict[str, None] = {}

    def get(self, key: str) -> dict[str, Any] | None:
        """The reply to a request; None: there is none."""
        found = self._log.get(key) or self._before.get(key)
        if found is not None:
            self._used[key] = None
        return found

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Keep a reply that came; it is on disk when this returns. Raises as `PaidLog.put`."""
        self._log.put(key, value)
        self._used[key] = None

    def rows(self) -> Iterator[dict[str, Any]]:
        """All that were taken or came, as `replies.jsonl` has them: `{key, reply}`."""
        return ({"key": key, "reply": self.get(key)} for key in sorted(self._used))


def open_replies(step: Step, run: Run, store: Store, *, again: Artefact | None) -> Replies:
    """The replies for a step at work: of its scratch folder, and of sealed steps of the same judge.

    Args:
        step: of the judge, not sealed yet.
        run: that it is a step of. Where the user forces the step, nothing sealed is taken.
        store: with the steps before.
        again: an artefact of this very step, which is done again since some replies failed.
    """
    log = PaidLog(step.scratch / "paid.jsonl")
    if step.spec.name in run.read().get("force", []):
        return Replies(log)

    def same_judge(artefact: Artefact) -> bool:
        then = artefact.manifest["params"]
        same = all(then.get(key) == step.spec.params[key] for key in ("judge", "prompt_version"))
        return same and FILE in artefact.manifest["outputs"]

    newest = [one for name in _STEPS for one in islice(filter(same_judge, store.newest(name)), _NEWEST)]
    found = newest[::-1]  # of two replies to one request, which happen above temperature 0, the newer one counts
    if again is not None and FILE in again.manifest["outputs"]:
        found.append(again)
    return Replies(log, {row["key"]: row["reply"] for one in found for row in one.read_jsonl(FILE)})
