"""litellm, imported once with its switches set, and its errors turned into ours.

What the cleaning of error texts does NOT catch: a key that the provider sends back changed (reversed, split over
lines, base64), and personal data that a provider quotes from the prompt.
"""

from __future__ import annotations

import inspect
import logging
import os
import re
import socket
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

from components.errors import CervellaError, InputError, TerminalError, TooLongError, TransientError
from components.llm.retry import RetryLater, with_deadline

__all__ = [
    "Opened", "broke_off", "call_litellm", "clean_error", "open_litellm", "stream_litellm", "unanswered",
    "warm_litellm",
]  # fmt: skip

_LONGEST = 500
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"""(?ix) \b(?:sk|pk|rk|gsk|xai|hf|ghp|AKIA|AIza)[-_]?[\w*.-]{12,} | (?<=bearer\s)\S+ | (?<=basic\s)[\w+/=]{8,}
    | (?<=api[-_]key["'=:\s])["'=:\s]*[^\s"',}]+ | (?<=://)[^/\s:@]+:[^/\s@]+(?=@)"""
)
_ISSUE_LINK = re.compile(r"https?://github\.com/BerriAI/\S*|\S*docs\.litellm\.ai\S*|Give Feedback / Get Help:?", re.I)


class _UnansweredError(TransientError):
    """No answer, or none in time: whoever was asked may have worked, and charge for it."""

    may_be_charged = True


@cache
def open_litellm() -> Any:
    """The module litellm: no download of prices, no reading of `.env` files, no reports, no banners."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # the other mode loads whatever .env is near
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.drop_params = True
    litellm.disable_streaming_logging = True
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    _finish_models()
    return litellm


def _finish_models() -> None:
    """Let litellm finish its models of answers now: else pydantic warns of them at the first answer of a process."""
    from litellm.types import utils as theirs

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for make in (lambda: theirs.Message(content=""), lambda: theirs.Delta(content=""), theirs.ModelResponse,
                     theirs.ModelResponseStream):  # fmt: skip
            make()


def warm_litellm(model: str) -> None:
    """Have litellm import now what the first call of this model would wait for: seconds of work, nothing is sent.

    What it says of the model is not heard: a name of no provider, say, is told by the first call.
    """
    litellm = open_litellm()
    with suppress(Exception):
        asked = [{"role": "user", "content": "."}]
        list(litellm.completion(model=model, messages=asked, mock_response=".", stream=True, api_key="none"))
    import openai

    openai.OpenAI(api_key="none", base_url="http://127.0.0.1").chat.completions  # noqa: B018 - it imports when asked


def call_litellm(
    name: str, *, model: str, seconds: float, key_name: str | None, secret: str | None, arguments: Mapping[str, Any]
) -> Any:
    """`litellm.NAME(model=model, **arguments)`, once, within `seconds`.

    Raises:
        TransientError: time-out, 429, 5xx, no connection.
        TerminalError: anything else; InputError for a name that no provider has.
    """
    litellm = open_litellm()
    function = getattr(litellm, name)
    try:
        return with_deadline(
            lambda: function(model=model, timeout=seconds, num_retries=0, max_retries=0, **arguments),
            seconds=seconds, what=model,
        )  # fmt: skip
    except TransientError as late:
        failure: CervellaError = _UnansweredError(str(late))
    except Exception as error:
        failure = _translate(error, model=model, key_name=key_name, secret=secret)
    # Outside of the except block: litellm's error, whose request carries the key, is not chained to ours.
    raise failure


class Opened:
    """A litellm stream whose first headers have come."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._response = _response(stream)

    @property
    def finished(self) -> bool:
        """Whether the provider has said why it ended. litellm makes up a "stop" for a stream that was cut."""
        return bool(
            getattr(self._stream, "received_finish_reason", None)
            or getattr(self._stream, "intermittent_finish_reason", None)
        )

    @property
    def is_stream(self) -> bool:
        """Whether the answer calls itself a stream."""
        kind = str(getattr(self._response, "headers", {}).get("content-type", ""))
        return kind.startswith(("text/event-stream", "application/x-ndjson"))

    def hang_up(self) -> None:
        """End the connection from any thread; the thread that reads it has an error or an end at once.

        To close it would not wake that thread. The connection is not closed here, and one that is closed or back in its
        pool is left alone.
        """
        response = self._response
        if response is None or response.is_closed or not response.http_version.startswith("HTTP/1"):
            return
        with suppress(Exception):
            response.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)


def stream_litellm(
    *, model: str, seconds: float, key_name: str | None, secret: str | None, arguments: Mapping[str, Any],
    opened: Callable[[Opened], None],
) -> Generator[Any, None, None]:  # fmt: skip
    """The chunks of `litellm.completion(model=model, stream=True, **arguments)`; closing it closes the connection.

    The last one has the usage, if the provider told it: what litellm counts instead is left out. `seconds` are for each
    wait; how long all of it may take is the caller's to watch. `opened` is called once, before the first chunk.

    Raises:
        As `call_litellm`, after some chunks too.
    """
    litellm = open_litellm()
    stream: Any = None
    failure: CervellaError | None = None
    try:
        stream = litellm.completion(
            model=model, timeout=seconds, num_retries=0, max_retries=0, stream=True,
            stream_options={"include_usage": True}, **arguments,
        )  # fmt: skip
        opened(Opened(stream))
        for chunk in stream:
            if getattr(chunk, "usage", None) and not any(getattr(c, "usage", None) for c in stream.chunks):
                chunk.usage = None
            yield chunk
    except Exception as error:
        failure = _translate(error, model=model, key_name=key_name, secret=secret)
    finally:
        _hang_up(stream)
    if failure:  # outside of the except block: see `call_litellm`
        raise failure


def broke_off(model: str) -> TransientError:
    """The error of a stream that ended before its answer did; it may be charged for."""
    return _UnansweredError(f"{model}: the answer broke off: its stream ended and no reason for its end was told")


def unanswered(model: str, seconds: float) -> TransientError:
    """The error of a call that took too long; it may be charged for."""
    return _UnansweredError(
        f"{model}: no answer within {seconds:g} s. Raise timeout_seconds if this is how long it takes."
    )


def _response(stream: Any) -> Any:
    """The httpx response behind a litellm stream, or None: some of its clients hold only the lines of it."""
    import httpx

    inner = getattr(stream, "completion_stream", None)
    lines = getattr(inner, "streaming_response", None)
    held = [getattr(inner, name, None) for name in ("response", "http_response")]
    held += [inspect.getgeneratorlocals(lines).get("self")] if inspect.isgenerator(lines) else []
    return next((one for one in held if isinstance(one, httpx.Response)), None)


def _hang_up(stream: Any) -> None:
    """Close the connection of a litellm stream, whatever kind of client is behind it."""
    inner = getattr(stream, "completion_stream", None)
    for held in (getattr(inner, name, None) for name in ("http_response", "streaming_response", "response_iterator")):
        with suppress(Exception):
            held.close()  # type: ignore[union-attr]
    with suppress(Exception):
        inner.close()  # type: ignore[union-attr]


def clean_error(text: str, *, secret: str | None = None) -> str:
    """An error text fit to be shown and stored: no keys, no links to prefilled issues, one line, not endless."""
    named = [value for name, value in os.environ.items() if _SECRET_NAME.search(name) and len(value) >= 8]
    for value in sorted({*named, *([secret] if secret and len(secret) >= 4 else [])}, key=len, reverse=True):
        text = text.replace(value, "[key]")
    text = _ISSUE_LINK.sub("", _SECRET_TEXT.sub("[key]", text))
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def _translate(error: Exception, *, model: str, key_name: str | None, secret: str | None) -> CervellaError:
    """Their classes alone do not tell: litellm calls whatever it cannot read an "internal server error, 500"."""
    import httpx
    import litellm.exceptions as theirs

    said = f"{model}: {clean_error(str(error), secret=secret)}"
    chain = _chain(error)
    answer = next((e.response for e in chain if isinstance(e, httpx.HTTPStatusError)), None)
    status = answer.status_code if answer is not None else getattr(error, "status_code", None)
    if isinstance(error, theirs.Timeout):
        return _UnansweredError(said)
    if isinstance(error, theirs.ContextWindowExceededError):
        return TooLongError(said)
    if status in (401, 403):
        return TerminalError(f"{said} - the key in {key_name or 'the environment'} was refused (api_key_env)")
    if status == 404:
        return TerminalError(f"{said} - check the model's name and api_base")
    if answer is None:
        if any(isinstance(e, httpx.ReadError | httpx.RemoteProtocolError) for e in chain):  # it had been asked
            return _UnansweredError(said)
        if any(isinstance(e, (httpx.TransportError, ConnectionError, TimeoutError)) for e in chain):
            return TransientError(said)
        if "LLM Provider NOT provided" in str(error):
            return InputError(f"{said} - local models are named local/NAME")
        if any(isinstance(e, (ValueError, TypeError, LookupError, AttributeError)) for e in chain):
            return TerminalError(f"{said} - is api_base an OpenAI-compatible endpoint?")
    if status == 429 and answer is not None and "insufficient_quota" in answer.text:
        return TerminalError(f"{said} - the account has no credit left")
    if isinstance(status, int) and (status >= 500 or status in (408, 409, 425, 429)):
        return RetryLater(said, after_seconds=_retry_after(answer))
    return TerminalError(said)


def _chain(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    return chain


def _retry_after(answer: Any) -> float | None:
    try:
        return max(0.0, float(answer.headers["retry-after"]))
    except (AttributeError, LookupError, ValueError):  # none, or a date
        return None
