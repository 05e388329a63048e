"""Whether a server's engine still answers: told by its questions, and by one of ours where these get no first word.

A vLLM whose engine hangs still says that it is well. So what asks it tells whether an answer began; once some in a row
did not, a question of one token is asked. Who answers that one, or goes on with any other meanwhile, is slow or has
much to do; it is not hung, and the count begins anew.

State after a hard crash: none; each life of a server begins with nothing counted.
**Not covered**: an engine that hangs while nobody asks anything; one that answers a token and no real question.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["Pulse"]

_MISSED = 2  # questions in a row without a first word, after which it is asked one of ours


class Pulse:
    """The pulse of one engine. Any thread may tell; one thread looks.

    Args:
        answers: asks it for one token, within so many seconds; False: there was no answer in that time.
        seconds: that our question may take.
    """

    def __init__(self, answers: Callable[[float], bool], *, seconds: float) -> None:
        self._answers, self._seconds = answers, seconds
        self._lock = threading.Lock()
        self._missed = self._life = self._heard = 0
        self._asked_at: float | None = None
        self._hangs = False

    def begin(self) -> None:
        """It lives anew: what was told of the life before counts no more."""
        with self._lock:
            self._life += 1
            self._missed, self._asked_at, self._hangs = 0, None, False

    def heard(self) -> None:
        """An answer began, or went on."""
        with self._lock:
            self._missed = 0
            self._heard += 1

    def missed(self) -> None:
        """A question had its time, and no answer began."""
        with self._lock:
            self._missed += 1

    def fault(self) -> str | None:
        """Why its engine counts as hung, in words; None: it does not. Returns at once; to be called now and then."""
        with self._lock:
            if self._hangs:
                return (
                    f"its engine hangs: questions had no first word, and one of ours none within {self._seconds:g} s, "
                    "in which nothing else was heard of it"
                )
            if self._missed < _MISSED or self._asked_at is not None:
                return None
            self._asked_at = time.monotonic()
            asking = threading.Thread(target=self._ask, args=(self._life, self._heard), name="pulse", daemon=True)
        asking.start()
        return None

    def _ask(self, life: int, heard: int) -> None:
        answered = self._answers(self._seconds)
        with self._lock:
            if life == self._life:  # ours may have waited behind long prompts, or until one of many answers ends
                self._missed, self._asked_at, self._hangs = 0, None, not answered and heard == self._heard
