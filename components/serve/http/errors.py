"""Errors as OpenAI's clients understand them: a status, a kind, and a sentence that tells nothing that is private.

No sentence holds a path of this machine, a key, or text of a note: what a client is told of a failure further in is
a sentence of ours; the error itself goes into the log, with the id of the request. An InputError is told in its own
words where no path can be among them, since it speaks of the question (a desk raises no other, see `check_wanted`);
secrets in it are masked by their looks.
"""

from __future__ import annotations

import asyncio
from typing import Any

from components.errors import CervellaError, InputError, TooLongError, TransientError
from components.llm.budget import BudgetError
from components.serve.desk import NotInServiceError
from components.sncp.redact import mask_secrets

__all__ = ["HttpError", "http_error", "invalid"]

_SOON, _LATEST = 5.0, 3600.0  # seconds after which to ask again, where nobody says better
_LONGEST = 300  # characters of an error that is told in its own words


class HttpError(Exception):
    """What a client is told instead of an answer.

    Args:
        status: of HTTP.
        message: for people.
        type: OpenAI's kind, such as invalid_request_error.
        code: for programs.
        param: what of the request is wrong, such as messages[0].role.
        retry_after: seconds until it makes sense to ask again; None: nobody knows.
    """

    def __init__(
        self, status: int, message: str, *, type: str, code: str, param: str | None = None,
        retry_after: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status, self.message, self.type, self.code, self.param = status, message, type, code, param
        self.retry_after = retry_after

    def body(self) -> dict[str, Any]:
        """OpenAI's form of an error."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def headers(self) -> dict[str, str]:
        """Headers that belong to it."""
        found = {} if self.retry_after is None else {"Retry-After": str(max(1, round(self.retry_after + 0.5)))}
        return found | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})


def invalid(message: str, *, param: str | None = None, code: str = "invalid_value", status: int = 400) -> HttpError:
    """A request that cannot be answered as it is."""
    return HttpError(status, message, type="invalid_request_error", param=param, code=code)


def http_error(error: BaseException, *, id: str) -> HttpError:
    """What a client is told of an error, `id` being that of its request."""
    if isinstance(error, HttpError):
        return error
    if isinstance(error, asyncio.CancelledError):  # nobody but the server does that, at its end
        return HttpError(
            503, "The endpoint is being ended; ask again in a while.", type="service_unavailable", code="server_ends",
            retry_after=_SOON,
        )  # fmt: skip
    more = f"The log of the endpoint says more, under {id}."
    if isinstance(error, InputError):
        return invalid(_harmless(str(error)) or f"The question cannot be taken. {more}")
    if isinstance(error, BudgetError):
        return HttpError(
            402, f"The budget does not allow this question. {more}", type="insufficient_quota", code="budget_spent"
        )
    if isinstance(error, NotInServiceError):
        return HttpError(
            503, "Nothing is in service yet.", type="service_unavailable", code="not_ready", retry_after=10
        )
    if isinstance(error, TooLongError):
        return invalid(
            f"The question and what was said before it are longer than the model can read. {more}", param="messages",
            code="context_length_exceeded",
        )  # fmt: skip
    if isinstance(error, TransientError):
        return HttpError(
            503, f"Nobody could answer now; ask again in a while. {more}", type="service_unavailable",
            code="not_answered_now", retry_after=min(getattr(error, "after_seconds", None) or _SOON, _LATEST),
        )  # fmt: skip
    if isinstance(error, CervellaError):
        return HttpError(502, f"Nobody could answer. {more}", type="api_error", code="not_answered")
    return HttpError(500, f"A fault of the endpoint. {more}", type="api_error", code="internal_error")


def _harmless(text: str) -> str:
    """The text on one line; nothing where a path may be in it."""
    shown = mask_secrets(" ".join(text.split()))
    return "" if "/" in shown or "\\" in shown else shown[:_LONGEST]
