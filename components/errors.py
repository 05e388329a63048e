"""The errors that decide what happens next: retry, stop, or say no.

Every message is for a person: what is wrong, where, what was expected, how to mend it.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "CervellaError", "HeldBackError", "InputError", "RefusedError", "TerminalError", "TooLongError", "TransientError",
    "is_transient",
]  # fmt: skip


class CervellaError(Exception):
    """Base of all errors raised on purpose. `exit_code` is what the terminal returns for it."""

    exit_code = 3


class TerminalError(CervellaError):
    """It could not be done, and doing it again will not help. Tasks never retry it."""


class InputError(TerminalError):
    """The recipe, the arguments or a file of the user cannot be understood."""

    exit_code = 2


class RefusedError(TerminalError):
    """It was looked at, and the answer is no. What would make it a yes is in the message."""

    exit_code = 1


class HeldBackError(TerminalError):
    """What was made may not take the place of what is in use, which stays as it is: an index that lost too much."""


class TooLongError(TerminalError):
    """More than a model can read at once: a shorter question, or less said before it, may be answered."""


class TransientError(CervellaError):
    """It could not be done now (time-out, rate limit, a lock that is held). Tasks may retry it."""


def is_transient(task: object, task_run: object, state: Any) -> bool:
    """Whether Prefect shall retry a task: only when it failed with a `TransientError`."""
    try:
        state.result()
    except TransientError:
        return True
    except BaseException:
        return False
    return False
