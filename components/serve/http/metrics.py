"""Numbers for Prometheus: a registry of this endpoint's own, labels that have few values each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.serve.http.work import Ended

__all__ = ["Metrics"]

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120)
_PATHS = ("/v1/chat/completions", "/v1/feedback", "/v1/models", "/health", "/metrics", "/")
_BREAKER = {"closed": 0, "half open": 1, "open": 2}


class Metrics:
    """What `/metrics` tells. Threads may count at the same time.

    Args:
        at_work: how many answers are being made.
        waiting: how many requests wait for their turn.
        breakers: who -> closed, half open or open; empty where there is no router.
    """

    def __init__(
        self, *, at_work: Callable[[], int], waiting: Callable[[], int], breakers: Callable[[], Mapping[str, str]]
    ) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry()
        self._requests = Counter(
            "cervella_requests", "Requests by what they were answered with", ["path", "status"], registry=self.registry
        )
        self._answers = Counter(
            "cervella_answers", "Answers by who gave them, to how hard a question, on which side of a comparison",
            ["who", "tier", "side"], registry=self.registry,
        )  # fmt: skip
        self._failed = Counter("cervella_failed", "Questions without a whole answer", ["kind"], registry=self.registry)
        self._seconds = Histogram(
            "cervella_answer_seconds", "From the request to the end of the answer", ["who"], buckets=_SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self._first = Histogram(
            "cervella_first_token_seconds", "From the request to the first piece of the answer", ["who"],
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._search = Histogram(
            "cervella_search_seconds", "For searching the notes", buckets=_SECONDS, registry=self.registry
        )
        self._tokens = Counter("cervella_tokens", "Tokens", ["who", "kind"], registry=self.registry)
        self._dollars = Counter(
            "cervella_dollars", "US dollars; of a call whose cost nobody tells the most that it may be", ["who"],
            registry=self.registry,
        )  # fmt: skip
        self._feedback = Counter("cervella_feedback", "Feedback", ["score"], registry=self.registry)
        for name, text, value in (
            ("cervella_in_flight", "Answers that are being made, also those that nobody waits for any more", at_work),
            ("cervella_waiting", "Requests that wait for their turn", waiting),
        ):
            Gauge(name, text, registry=self.registry).set_function(value)
        state = Gauge(
            "cervella_breaker", "0 closed, 1 half open, 2 open: it is left alone", ["who"], registry=self.registry
        )
        for who in breakers():
            state.labels(who).set_function(partial(_state, breakers, who))

    def request(self, path: str, status: int) -> None:
        """Count a request. Paths that are none of ours are one: a client cannot make labels."""
        self._requests.labels(path if path in _PATHS else "other", str(status)).inc()

    def feedback(self, score: int) -> None:
        """Count a judgement, -1 or 1."""
        self._feedback.labels(str(score)).inc()

    def answer(self, ended: Ended) -> None:
        """Count an answer, or why there is none."""
        for one in ended.wanted.bill.asked:
            self._dollars.labels(one.who).inc(one.charged_usd)
        served = ended.served
        if served is None:
            self._failed.labels(ended.fault or "unknown").inc()
            return
        self._answers.labels(served.who, served.tier or "none", served.side or "none").inc()
        self._seconds.labels(served.who).observe(ended.seconds)
        if ended.first_seconds is not None:
            self._first.labels(served.who).observe(ended.first_seconds)
        self._search.observe(served.asked.search_seconds)
        if reply := served.asked.answer.reply:
            self._tokens.labels(served.who, "prompt").inc(reply.prompt_tokens)
            self._tokens.labels(served.who, "completion").inc(reply.completion_tokens)

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)


def _state(breakers: Callable[[], Mapping[str, str]], who: str) -> float:
    return _BREAKER.get(breakers().get(who, "open"), 2)
