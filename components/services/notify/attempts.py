"""One way to try: at most three times and within a time, again only where it is sure that nothing has arrived."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ["TRIES", "WITHIN_SECONDS", "NotTaken", "Outcome", "State", "attempt", "hidden"]

TRIES = 3
WITHIN_SECONDS = 10.0
"""For all receivers of one event together, all tries included."""
_WAITS = (0.5, 1.5)
_LONGEST = 300  # characters of what went wrong

State = Literal["sending", "sent", "maybe", "failed"]
"""maybe: it was handed over, and no answer came in time; so it may have arrived, and is not sent again."""


class NotTaken(Exception):
    """A receiver did not take it. `again`: it may next time. `maybe`: it may have taken it all the same."""

    def __init__(self, why: str, *, again: bool = False, maybe: bool = False) -> None:
        super().__init__(why)
        self.again, self.maybe = again, maybe


@dataclass(frozen=True)
class Outcome:
    """What became of it. `why`: what went wrong, none when all went well."""

    state: State
    tries: int
    why: str | None = None


def attempt(send: Callable[[float], None], *, deadline: float) -> Outcome:
    """Call `send(seconds it may take)` until it returns.

    Args:
        send: raises NotTaken.
        deadline: of `time.monotonic`, after which nothing is tried any more.
    """
    waiting = threading.Event()
    for number in range(1, TRIES + 1):
        try:
            send(max(0.1, deadline - time.monotonic()))
        except NotTaken as error:
            wait = _WAITS[min(number, len(_WAITS)) - 1]
            if error.maybe or not error.again or number == TRIES or time.monotonic() + wait >= deadline:
                return Outcome("maybe" if error.maybe else "failed", number, str(error))
            waiting.wait(wait)
        else:
            return Outcome("sent", number)
    raise AssertionError("the last try returns")


def hidden(text: str, *secrets: str | None) -> str:
    """One line of what went wrong, without the secrets that it may quote."""
    from components.sncp.redact import mask_secrets

    for secret in sorted({one for one in secrets if one and one != "/"}, key=len, reverse=True):
        text = text.replace(secret, "…")
    return " ".join(mask_secrets(text).split())[:_LONGEST]
