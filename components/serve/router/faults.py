"""Why a model did not answer, in words that hold no path, key or text, and what is raised when nobody did."""

from __future__ import annotations

from collections.abc import Sequence

from components.errors import CervellaError, InputError, TerminalError, TooLongError, TransientError
from components.llm.budget import BudgetError
from components.llm.retry import RetryLater
from components.serve.desk import Tried

__all__ = [
    "TOO_DEAR",
    "LateError",
    "LeftAloneError",
    "NotAllowedError",
    "SpentError",
    "is_its_fault",
    "nobody",
    "why_of",
]

TOO_DEAR = "it would go over what a question or the month may cost"
"""`Tried.why` of a call that was refused for its money."""


class LateError(TransientError):
    """No answer in the time that it had. `seconds`: so long was waited; None: it was not asked, no time was left."""

    def __init__(self, seconds: float | None) -> None:
        super().__init__("no time was left for it" if seconds is None else f"no answer within {seconds:.3g} s")


class SpentError(BudgetError):
    """There is no money left for it this month."""


class NotAllowedError(TerminalError):
    """It must not be given what it would be given."""


class LeftAloneError(RetryLater):
    """It failed several times in a row and is not asked now."""

    def __init__(self, seconds_left: float) -> None:
        super().__init__("it failed several times in a row and is left alone for a while", after_seconds=seconds_left)


def why_of(error: Exception) -> str:
    """What is told of an error; what it says itself may name a note, and stays in the log."""
    match error:
        case LateError() | LeftAloneError() | SpentError() | NotAllowedError():
            return str(error)
        case BudgetError():
            return TOO_DEAR
        case RetryLater():
            return "it has too much to do, or asks to come back later"
        case TooLongError():
            return "it is more than it can read at once"
        case TransientError():
            return "no connection, no answer in time, or a fault of its server"
        case InputError():
            return "it is not set up: a key or an option is missing"
        case CervellaError():
            return "it refused"
    return "a fault of this program"


def is_its_fault(error: Exception) -> bool:
    """Whether an error speaks against the model: it cannot be reached, is not set up, or this program has a fault.

    What a single question meets does not: a budget, a prompt that is too long for it, a note that it must not see.
    """
    return isinstance(error, TransientError | InputError) or not isinstance(error, CervellaError)


def nobody(tried: Sequence[Tried], errors: Sequence[Exception]) -> Exception:
    """What is raised when all were tried: it may pass, it is the money, the length, or asking again will not help.

    `errors`: of those in `tried`, in the same order; one at least.
    """
    text = "nobody could answer: " + "; ".join(f"{one.who} ({one.model}): {one.why}" for one in tried)
    waits = [error.after_seconds or 0.0 for error in errors if isinstance(error, RetryLater)]
    if any(isinstance(error, TransientError) for error in errors):
        return RetryLater(text, after_seconds=min(waits) if waits else None)
    if all(isinstance(error, BudgetError) for error in errors):
        return BudgetError(text)
    if any(isinstance(error, TooLongError) for error in errors):
        return TooLongError(text)
    if all(isinstance(error, CervellaError) for error in errors):
        return TerminalError(text)
    return errors[-1]
