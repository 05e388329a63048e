"""A shadow: the candidate is asked what the release in service has answered, and only the record sees what it says.

The person has the answer by then. One thread asks, one question at a time, and gives way: it waits until nobody is
answered, and breaks off when somebody asks (the model may share the processor). Where more is answered than it can
follow, questions are left out, and counted.

State after a hard crash: what waited to be asked is gone; what was recorded counts, so a comparison goes on.

**Not covered**: the machine's memory, in which two models are; answers of the helper, which is the same for both.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace

from components.errors import CervellaError
from components.llm.budget import BudgetError
from components.serve.compare.records import Compared, Comparisons, Side
from components.serve.compare.share import closable, in_share
from components.serve.desk import Bill, Desk, Served, Wanted
from components.serve.params import CompareParams
from components.store import logger

__all__ = ["ShadowDesk"]

_WAITING = 32  # questions that wait for the candidate; each may have a whole conversation with it
_TRIES = 5  # at one question: who is broken off so often is left out


class ShadowDesk:
    """Answers as `desk` does, and has the candidate answer too. Threads may ask at the same time.

    Args:
        desk: what is in service.
        other: the candidate, its own model alone.
        params: of the recipe.
        records: where both answers go.
        candidate: digest of the candidate's release.
        keep_texts: whether the record has the texts.
        gives_way: False: the candidate's model is elsewhere, and disturbs nobody.
        held: entered around each comparison; what it raises leaves the question out.
        since: differs once something was forgotten: what was answered before is compared no more.
        why_not: why the candidate is not to be asked now, in words; None: it may be.
    """

    def __init__(
        self, desk: Desk, other: Desk, *, params: CompareParams, records: Comparisons, candidate: str,
        keep_texts: bool = False, gives_way: bool = True,
        held: Callable[[], AbstractContextManager[object]] = nullcontext, since: Callable[[], object] = lambda: None,
        why_not: Callable[[], str | None] = lambda: None,
    ) -> None:  # fmt: skip
        self._desk, self._other, self._params, self._records = desk, other, params, records
        self._candidate, self._keep_texts, self._gives_way = candidate, keep_texts, gives_way
        self._held, self._since, self._why_not = held, since, why_not
        self._change = threading.Condition()
        self._waiting: deque[tuple[Wanted, Served, object]] = deque()
        self._flying = 0
        self._working = self._closed = False
        self._left_out = 0
        self._compared = records.count(candidate, "shadow")
        self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
        self._thread.start()

    def stream(self, wanted: Wanted) -> Generator[str | Served]:
        """See `Desk`."""
        with self._in_flight(), closing(closable(self._desk, wanted)) as pieces:
            for piece in pieces:
                if isinstance(piece, Served):
                    self._hand(wanted, piece)
                yield piece

    def ask(self, wanted: Wanted) -> Served:
        """See `Desk`."""
        *_, served = self.stream(wanted)
        assert isinstance(served, Served)  # noqa: S101 - a desk's stream ends with it
        return served

    def told(self) -> dict[str, int]:
        """For people and metrics: questions compared, how many are enough, waiting, left out since the start."""
        with self._change:
            return {
                "compared": self._compared, "enough": self._params.questions, "waiting": len(self._waiting),
                "left_out": self._left_out,
            }  # fmt: skip

    def close(self) -> None:
        """Ask the candidate nothing more; what waits is dropped. Raises nothing."""
        with self._change:
            self._closed = True
            self._waiting.clear()
            self._change.notify_all()
        self._thread.join()

    def wait(self, seconds: float) -> bool:
        """Until nothing waits for the candidate; whether that is so within `seconds`."""
        with self._change:
            return self._change.wait_for(lambda: not self._waiting and not self._working, seconds)

    @contextmanager
    def _in_flight(self) -> Generator[None]:
        with self._change:
            self._flying += 1
        try:
            yield
        finally:
            with self._change:
                self._flying -= 1
                self._change.notify_all()

    def _hand(self, wanted: Wanted, served: Served) -> None:
        if served.who != "own" or not in_share(wanted, candidate=self._candidate, share=self._params.share):
            return
        if self._why_not() is not None:
            return
        with self._change:
            if self._closed or self._compared >= self._params.questions:
                return
            if len(self._waiting) >= _WAITING:
                self._left_out += 1
                return
            self._waiting.append((replace(wanted, bill=Bill()), served, self._since()))  # its money is its own
            self._change.notify_all()

    def _disturbs(self) -> bool:
        return self._closed or (self._gives_way and self._flying > 0)

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._closed or (self._waiting and not self._disturbs()))
                if self._closed:
                    return
                wanted, served, since = self._waiting.popleft()
                self._working = True
            try:
                if self._compared < self._params.questions:
                    with self._held():
                        if since == self._since() and self._why_not() is None:
                            self._compare(wanted, served)
                        else:
                            self._leave_out()
            except CervellaError as error:
                logger.info("%s was not compared: %s", wanted.id, error)
                self._leave_out()
            except Exception:  # an answer was given; nobody waits for this one
                logger.exception("%s was not compared", wanted.id)
            finally:
                with self._change:
                    self._working = False
                    self._change.notify_all()

    def _compare(self, wanted: Wanted, served: Served) -> None:
        other: Served | BaseException | None = None
        for _ in range(_TRIES):
            with self._change:
                self._change.wait_for(lambda: self._closed or not self._disturbs())
                if self._closed:
                    return
            if other := self._ask(wanted):
                break
        if other is None:
            self._leave_out()
            return
        if isinstance(other, BudgetError) or self._why_not() is not None:
            self._leave_out()  # money that is not there says nothing of an answer
            return
        sides: tuple[tuple[Side, Served | BaseException], ...] = (("A", served), ("B", other))
        both = [
            Compared.of(
                wanted, given, candidate=self._candidate, mode="shadow", side=side, keep_texts=self._keep_texts,
                tier=served.tier,
            )
            for side, given in sides
        ]  # fmt: skip
        if self._records.record(both):
            with self._change:
                self._compared += 1

    def _leave_out(self) -> None:
        with self._change:
            self._left_out += 1

    def _ask(self, wanted: Wanted) -> Served | BaseException | None:
        """The candidate's answer, or its error; None: it gave way."""
        begun = time.perf_counter()
        try:
            with closing(closable(self._other, wanted)) as pieces:
                for piece in pieces:
                    if isinstance(piece, Served):
                        return piece
                    with self._change:
                        if self._disturbs():
                            return None
        except Exception as error:
            logger.info("%s: the candidate gave no answer in %.1f s: %s", wanted.id, time.perf_counter() - begun, error)
            return error
        return RuntimeError("a stream that ended without an end")
