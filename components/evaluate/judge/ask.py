"""Questions put to the judge, and what it said: every repeat counted, every error in its place.

State after a hard crash: every reply that came is in the log of paid replies, and is not paid for again.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from components.errors import CervellaError
from components.evaluate.judge.opening import Judge
from components.evaluate.judge.reply import read_verdict
from components.evaluate.judge.words import PROMPT_VERSION, JudgeWords
from components.evaluate.judged import Judged, Verdict
from components.evaluate.said import Contestant
from components.evaluate.suite.model import JudgeQuestion
from components.llm.at_once import ask_at_once, most_at_once
from components.store import canonical_json, logger, sha256_hex

if TYPE_CHECKING:
    from components.llm import Message

__all__ = ["Heard", "LocalNotes", "Tally", "ask_judge", "judge_all", "majority"]

LocalNotes = Mapping[tuple[Contestant, str], Collection[str]]
"""(contestant, key of the item) -> paths of notes that its answer may quote and that must not leave this machine."""

Read = TypeVar("Read")


class Heard(Protocol):
    """Replies that are not asked for again: `components.evaluate.judge.replies`, or a `PaidLog` alone."""

    def get(self, key: str) -> dict[str, Any] | None:
        """The reply to a request; None: there is none."""

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Keep a reply that came."""


@dataclass
class Tally:
    """Replies of a judge, counted: the same numbers whether they were paid for now or before a crash."""

    replies: int = 0
    unparsable: int = 0
    cut: int = 0
    """Of `unparsable`: those that were cut at max_tokens before their verdict."""
    cost_usd: float | None = 0.0
    """What the replies cost when they were made; None: the price of one is unknown."""
    models: set[str] = field(default_factory=set)
    """That answered, in the words of who served them."""
    _told: set[str] = field(default_factory=set, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, *, model: str, cost_usd: float | None, read: bool, cut: bool) -> None:
        """One reply more."""
        with self._lock:
            self.replies += 1
            self.unparsable += not read
            self.cut += cut and not read
            self.cost_usd = None if self.cost_usd is None or cost_usd is None else self.cost_usd + cost_usd
            self.models.add(model)

    def tell(self, what: str, error: CervellaError) -> str:
        """The words of an error that came instead of a reply; logged once, however many questions meet it."""
        said = str(error) or type(error).__name__
        with self._lock:
            new = said not in self._told
            self._told.add(said)
        if new:
            logger.warning("no verdict on %s: %s", what, said)
        return said


def judge_all(
    questions: Sequence[JudgeQuestion],
    *,
    judge: Judge,
    log: Heard,
    at_once: int,
    persona: str,
    progress: Callable[[int, int], None],
    local_notes: LocalNotes | None = None,
    tally: Tally | None = None,
) -> Iterator[Judged]:
    """The judge's verdict on each question, in their order.

    Questions on one answer that stand next to each other are asked one after the other, since their requests begin
    alike; of different answers up to `at_once` are asked at a time.

    Args:
        questions: a judge is not told whose answer it reads.
        judge: see `open_judge`; each question is asked of each of its chats.
        log: replies that are in it are not asked for again.
        at_once: answers under way at a time.
        persona: system prompt of the candidate, the measure of what sounds like her; empty: none is shown.
        progress: told (questions done, all).
        local_notes: a judge that is elsewhere is not given these answers: its verdict on them is an error.
        tally: counts the replies.
    """
    words = JudgeWords(persona, count_tokens=judge.chats[0].count_tokens)
    tally = tally or Tally()
    done = _Done(len(questions))

    def ask(group: Sequence[JudgeQuestion]) -> list[Judged]:
        judged = []
        for question in group:
            judged.append(_judge(question, words, judge, log, local_notes or {}, tally))
            done.add()
        return judged

    at_once = most_at_once(judge.chats[0], at_once)
    groups: list[list[JudgeQuestion]]
    if at_once == 1:
        groups = [[question] for question in questions]
    else:
        groups = [list(group) for _, group in groupby(questions, key=lambda one: (one.contestant, one.item.key))]
    told = ask_at_once(groups, ask, at_once=at_once, progress=lambda _, __: progress(done.count, done.total))
    with closing(told) as results:
        for judged in results:
            yield from judged


def ask_judge(
    messages: Sequence[Message],
    read: Callable[[str], tuple[Read | None, str]],
    *,
    judge: Judge,
    repeat: int,
    log: Heard,
    local_notes: Collection[str],
    tally: Tally,
) -> tuple[Read | None, str, str]:
    """What `read` makes of the judge's reply (None: unparsable), the reason, and the model that replied.

    Raises CervellaError when there is no reply; nothing is in the log then.
    """
    request = {
        "prompt_version": PROMPT_VERSION, "judge": dict(judge.settings), "repeat": repeat, "messages": list(messages),
    }  # fmt: skip
    key = sha256_hex(canonical_json(request))
    reply = log.get(key)
    if reply is None:
        given = judge.chats[repeat].chat(messages, local_notes=local_notes)
        reply = {
            "text": given.text.encode("utf-8", "replace").decode(), "model": given.model,
            "cost_usd": given.original_cost_usd, "finish_reason": given.finish_reason,
        }  # fmt: skip
        log.put(key, reply)
    said, reason = read(reply["text"])
    tally.count(
        model=reply["model"], cost_usd=reply["cost_usd"], read=said is not None,
        cut=reply["finish_reason"] == "length",
    )  # fmt: skip
    return said, reason, reply["model"]


def majority(verdicts: Sequence[Verdict | None]) -> Verdict | None:
    """What more of the verdicts say that could be read; None: a tie, or none could be read."""
    counts = Counter(verdict for verdict in verdicts if verdict is not None)
    if counts["yes"] == counts["no"]:
        return None
    return "yes" if counts["yes"] > counts["no"] else "no"


class _Done:
    """Questions that were put; several threads count."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.count = 0
        self._lock = threading.Lock()

    def add(self) -> None:
        with self._lock:
            self.count += 1


def _judge(
    question: JudgeQuestion, words: JudgeWords, judge: Judge, log: Heard, local_notes: LocalNotes, tally: Tally
) -> Judged:
    messages = words.question(question.item, text=question.text, ask=question.ask, standard=question.standard)
    local = local_notes.get((question.contestant, question.item.key), ())
    verdicts: list[Verdict | None] = []
    reasons: dict[Verdict, str] = {}
    errors, models = [], set()
    for repeat in range(len(judge.chats)):
        verdict: Verdict | None = None
        try:
            verdict, reason, model = ask_judge(
                messages, read_verdict, judge=judge, repeat=repeat, log=log, local_notes=local, tally=tally
            )
        except CervellaError as error:
            errors.append(tally.tell(f"{question.item.key}, question {question.question}", error))
        else:
            models.add(model)
            if verdict:
                reasons.setdefault(verdict, reason)
        verdicts.append(verdict)
    said = None if errors else majority(verdicts)
    return Judged(
        contestant=question.contestant, item=question.item.key, question=question.question, by="judge",
        verdicts=tuple(verdicts), verdict=said, rationale=reasons[said] if said else "", errors=tuple(errors),
        model=", ".join(sorted(models)),
    )  # fmt: skip
