"""A release on probation: is it in service at the endpoint, and does it answer there as fast and whole as it has to?

The endpoint is asked over HTTP, as any client of OpenAI's API asks. Few questions prove nothing: what was measured is
held against the limits as it is, because a release that is slow on these is taken back, and one that is not stays on.

Where the endpoint has a helper, its answer counts in place of one that the release's model was not sure enough of, but
not where that model failed. An answer from the endpoint's cache counts with the seconds that it took when the model was
asked.

Not covered: answers of another release (an endpoint that compares two gives some), the load that others put on it, and
whether the model still answers what the cache answers.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from components.errors import TerminalError
from components.scale.answers import Answered, Numbers
from components.scale.endpoint import Endpoint
from components.scale.params import ScaleParams
from components.scale.questions import Question
from components.serve.desk import OF_CANDIDATE
from components.serve.router.confidence import UNSURE

if TYPE_CHECKING:
    import httpx

__all__ = ["Asker", "NotTakenOverError", "faults_of"]

_POLL_SECONDS = 0.5
_FAULT_SECONDS = 15.0  # after which an endpoint that says why it does not follow is believed
_TOO_OFTEN = 429
_MOST_WAITS, _LONGEST_WAIT = 5, 60.0  # for a turn among the requests of a minute; seconds


class NotTakenOverError(TerminalError):
    """The endpoint does not answer as the release that it should; the text says why."""


@dataclass(frozen=True)
class Asker:
    """Who asks an endpoint.

    Attributes:
        endpoint: to be asked.
        key: None: it needs none; it is in no text of this object.
        model: name that the endpoint goes by.
        seconds: longest wait for an answer.
    """

    endpoint: Endpoint
    key: str | None = field(repr=False)
    model: str
    seconds: float

    def health(self) -> dict[str, Any] | None:
        """What `/health` says; None: nobody answers there."""
        import httpx

        try:
            with self._client() as client:
                told = client.get("/health").json()
        except (httpx.HTTPError, ValueError):
            return None
        return told if isinstance(told, dict) else None

    def follows(self) -> bool:
        """Whether it answers as the release in service, and follows another.

        Raises:
            TerminalError: it lets only those in who have a key, and ours is none of these.
        """
        told = self.health()
        if told is None:
            return False
        if "model" not in told:
            raise TerminalError(
                f"the endpoint at {self.endpoint.url} (process {self.endpoint.pid}) lets nobody in without a key: name "
                "the variable that holds it in serve.keys_env of this recipe, as in that of the endpoint"
            )
        return told["model"] == self.model and told.get("release") is not None

    def wait_for(self, release: str, *, seconds: float) -> float:
        """Wait until it answers as a release (its digest); returns the seconds that it took.

        A fault that it tells from the beginning may be of what it could not open before: it is not believed until it
        is another one.

        Raises:
            NotTakenOverError: it does not within `seconds`, it says that it cannot, or it is gone.
        """
        begun = time.monotonic()
        faulty: float | None = None
        told = self.health()
        before = told.get("fault") if told else None
        while True:
            now = time.monotonic()
            if told and told.get("ready") and told.get("release") == release:
                return now - begun
            fault = told.get("fault") if told else before
            if fault != before:
                before = None
            faulty = (faulty or now) if fault and fault != before else None
            if faulty and now - faulty >= min(_FAULT_SECONDS, seconds):
                raise NotTakenOverError(f"the endpoint cannot open it ({fault}; its log says more)")
            if told is None and not self.endpoint.is_up():
                raise NotTakenOverError("the endpoint has ended")
            if now - begun >= seconds:
                answers = str((told or {}).get("release"))[:12] if told else "nobody"
                says = f", and tells {told['fault']}" if told and told.get("fault") else ""
                raise NotTakenOverError(
                    f"the endpoint has not taken it over within {seconds:g} s: {answers} answers{says}"
                )
            time.sleep(_POLL_SECONDS)
            told = self.health()

    def ask(
        self, questions: Sequence[Question], *, release: str, progress: Callable[[int, int], None]
    ) -> list[Answered]:
        """What it answers; what another release answered beside it is left out."""
        found: list[Answered] = []
        with self._client() as client:
            for done, question in enumerate(questions, start=1):
                answered = self._one(client, question, release=release)
                if answered is not None:
                    found.append(answered)
                progress(done, len(questions))
        return found

    def _client(self) -> httpx.Client:
        import httpx

        bearer = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        # No proxy: it is this machine, or the address that the endpoint itself has told.
        return httpx.Client(
            base_url=self.endpoint.url, headers=bearer, trust_env=False, timeout=httpx.Timeout(10, read=self.seconds)
        )

    def _one(self, client: httpx.Client, question: Question, *, release: str) -> Answered | None:
        import httpx

        body = {
            "model": self.model, "stream": True, "messages": [{"role": "user", "content": question.text}],
            "stream_options": {"include_usage": True},
        }  # fmt: skip
        for _ in range(_MOST_WAITS):
            begun = time.perf_counter()
            try:
                with client.stream("POST", "/v1/chat/completions", json=body) as response:
                    if response.status_code == _TOO_OFTEN:
                        wait = float(response.headers.get("Retry-After", 1))
                    elif response.status_code != httpx.codes.OK:
                        return _failed(question, f"HTTP {response.status_code}")
                    else:
                        return _read(question, response, release=release, begun=begun)
            except (httpx.HTTPError, ValueError) as error:
                return _failed(question, type(error).__name__)
            time.sleep(min(wait, _LONGEST_WAIT))
        return _failed(question, f"HTTP {_TOO_OFTEN}")


def faults_of(params: ScaleParams, numbers: Numbers) -> list[str]:
    """What is wrong with what was measured on probation, in words; nothing: it stays in service."""
    found = []
    if not numbers.asked:
        return ["none of its answers could be measured"]
    if numbers.errors / numbers.asked > params.max_errors:
        found.append(f"{numbers.errors} of {numbers.asked} questions without an answer, at most "
                     f"{params.max_errors:.0%} is allowed")  # fmt: skip
    if numbers.p95_seconds is not None and numbers.p95_seconds > params.max_p95_seconds:
        found.append(f"a 95th percentile of {numbers.p95_seconds:.2f} s, at most {params.max_p95_seconds:g} s is "
                     "allowed")  # fmt: skip
    return found


def _read(question: Question, response: httpx.Response, *, release: str, begun: float) -> Answered | None:
    """A stream to its end. None: another release answered. Raises ValueError for what is no such stream."""
    first: float | None = None
    own: Mapping[str, Any] | None = None
    for line in response.iter_lines():
        if not line.startswith("data: ") or line == "data: [DONE]":
            continue
        chunk = json.loads(line.removeprefix("data: "))
        if "error" in chunk:
            return _failed(question, str(chunk["error"].get("code")))
        own = chunk.get("cervella", own)
        if first is None and any(choice["delta"].get("content") for choice in chunk.get("choices", ())):
            first = time.perf_counter() - begun
    if own is None:
        return _failed(question, "a stream that ended without an end")
    if own["release"] != release:
        return None
    if any(one["why"].startswith(OF_CANDIDATE) for one in own["tried"]):
        return None  # seconds and cost are also those of another release
    if any(one["who"] == "own" and not one["why"].startswith(UNSURE) for one in own["tried"]):
        return _failed(question, "own_model_failed")
    seconds = time.perf_counter() - begun
    if own["cached"]:  # the model was not asked: what counts is what the answer took when it was
        seconds, first = max(seconds, own["seconds"] + sum(one["seconds"] for one in own["tried"])), None
    return Answered(
        question=question.id, side="candidate", origin="probation", seconds=seconds,
        first_token_seconds=first, cost_usd=own["cost_usd"], found=bool(own["found"]),
        cited=sum(bool(source["cited"]) for source in own["sources"]), confidence=own["confidence"],
        model=own["model"] or "",
    )  # fmt: skip


def _failed(question: Question, error: str) -> Answered:
    return Answered(question.id, "candidate", "probation", error=error)
