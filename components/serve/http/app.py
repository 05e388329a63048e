"""The application: paths of OpenAI's API, and what else an endpoint has, over a desk that answers."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, JSONResponse, Response

from components.errors import CervellaError
from components.serve.desk import Desk, Served, Wanted
from components.serve.http.answers import Form
from components.serve.http.door import Door
from components.serve.http.errors import HttpError, http_error, invalid
from components.serve.http.keys import Keys
from components.serve.http.limits import Rate, Slots, read_body
from components.serve.http.metrics import Metrics
from components.serve.http.page import POLICY, page
from components.serve.http.schema import Asking, Scored, read_asking, read_score
from components.serve.http.sse import Events, as_event
from components.serve.http.work import Ended, Work
from components.serve.params import LimitParams
from components.store import logger

if TYPE_CHECKING:
    from starlette.types import Receive

__all__ = ["make_app"]

_T = TypeVar("_T")
_DONE = b"data: [DONE]\n\n"
_SLOW_CLIENT = 5.0  # seconds beyond the time of a request in which a client can read what is left of its stream


class ClientGone(Exception):  # noqa: N818 - no error: nobody waits
    """The client has closed the connection."""


def make_app(
    desk: Desk,
    *,
    limits: LimitParams,
    keys: Keys,
    model: str,
    told: Callable[[], Mapping[str, Any]],
    record: Callable[[Ended], object] = lambda ended: None,
    feedback: Callable[[Scored], bool] | None = None,
    held: Callable[[], AbstractContextManager[object]] = nullcontext,
    breakers: Callable[[], Mapping[str, str]] = dict,
) -> Door:
    """The endpoint as an ASGI application.

    Args:
        desk: whoever answers.
        limits: of requests.
        keys: that are let in.
        model: the name that the endpoint goes by.
        told: what is in service, as `InService.told`.
        record: keeps what was asked and what it took; called in the thread of the question.
        feedback: keeps a judgement; False: there was no such request. None: feedback is not kept.
        held: entered around each answer, in its thread.
        breakers: who of the router's models is left alone: who -> closed, half open or open.
    """
    endpoint = _Endpoint(desk, limits, keys, model, told, record, feedback, held, breakers)
    app = FastAPI(title=model, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    for path, method, answer in (
        ("/", "GET", endpoint.page),
        ("/health", "GET", endpoint.health),
        ("/metrics", "GET", endpoint.numbers),
        ("/v1/models", "GET", endpoint.models),
        ("/v1/models/{name}", "GET", endpoint.one_model),
        ("/v1/chat/completions", "POST", endpoint.chat),
        ("/v1/feedback", "POST", endpoint.score),
    ):
        app.add_route(path, _told_as_errors(answer), methods=[method])
    app.add_exception_handler(HTTPException, _no_such_path)
    return Door(app, keyless=not keys, counted=endpoint.metrics.request, settle=endpoint.settle)


def _told_as_errors(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Whatever an endpoint raises, as OpenAI's clients understand it."""

    async def told(request: Request) -> Response:
        request.state.id = f"chatcmpl-{uuid.uuid4().hex}"
        try:
            return await answer(request)
        except (ClientGone, ClientDisconnect):
            return Response(status_code=499)
        except Exception as error:
            if isinstance(error, CervellaError):  # foreseen, such as a disk that is full
                logger.warning("%s: %s: %s", request.state.id, type(error).__name__, error)
            elif not isinstance(error, HttpError):
                logger.error("%s: a fault of the endpoint", request.state.id, exc_info=error)
            shown = http_error(error, id=request.state.id)
            return JSONResponse(shown.body(), status_code=shown.status, headers=shown.headers())

    return told


async def _no_such_path(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    text = "There is no such path here." if status == 404 else "This path is asked in another way."
    shown = invalid(text, code="not_found" if status == 404 else "method_not_allowed", status=status)
    return JSONResponse(shown.body(), status_code=status)


class _Endpoint:
    """What the paths do."""

    def __init__(
        self, desk: Desk, limits: LimitParams, keys: Keys, model: str, told: Callable[[], Mapping[str, Any]],
        record: Callable[[Ended], object], feedback: Callable[[Scored], bool] | None,
        held: Callable[[], AbstractContextManager[object]], breakers: Callable[[], Mapping[str, str]],
    ) -> None:  # fmt: skip
        self._desk, self._limits, self._keys, self._model, self._told = desk, limits, keys, model, told
        self._record, self._feedback, self._held = record, feedback, held
        self._rate = Rate(limits.per_minute)
        self._slots = Slots(at_once=limits.at_once, waiting=limits.waiting)
        self._since = int(time.time())
        self._works: set[Work] = set()
        self.metrics = Metrics(
            at_work=lambda: len(self._works), waiting=lambda: self._slots.waiting, breakers=breakers
        )  # fmt: skip

    def settle(self, seconds: float) -> None:
        """See `Door`. A thread that ended when the loop was gone already is still among them."""
        end = time.monotonic() + seconds
        for work in self._works:
            work.join(end - time.monotonic())

    async def page(self, request: Request) -> Response:
        """A page to talk with the partner; it holds nothing of hers."""
        return HTMLResponse(
            page(
                model=self._model, feedback=self._feedback is not None, messages=self._limits.messages,
                kilobytes=self._limits.body_kilobytes,
            ), headers=POLICY,
        )  # fmt: skip

    async def health(self, request: Request) -> Response:
        """200 when questions can be answered, else 503; what is in service is for who has a key."""
        told = self._told()
        shown: dict[str, Any] = {"ready": bool(told["ready"])}
        if self._key(request) is not None:
            # Why something newer is not in service may hold paths: its kind, and the log.
            fault = str(told["fault"]).partition(":")[0] if told["fault"] else None
            shown |= {**told, "fault": fault, "model": self._model, "at_work": len(self._works)}
            shown |= {"waiting": self._slots.waiting}
        return JSONResponse(shown, status_code=200 if shown["ready"] else 503)

    async def numbers(self, request: Request) -> Response:
        """Prometheus."""
        self._let_in(request)
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def models(self, request: Request) -> Response:
        """The one model that is here."""
        self._let_in(request)
        return JSONResponse({"object": "list", "data": [self._about()]})

    async def one_model(self, request: Request) -> Response:
        """As `models`, by its name."""
        self._let_in(request)
        if request.path_params["name"] != self._model:
            raise invalid("There is no such model here.", param="model", code="model_not_found", status=404)
        return JSONResponse(self._about())

    def _about(self) -> dict[str, Any]:
        told = self._told()
        own = {name: told[name] for name in ("ready", "release", "index", "about")}
        return {"id": self._model, "object": "model", "created": self._since, "owned_by": "cervella", "cervella": own}

    async def score(self, request: Request) -> Response:
        """Keep what a person says of an answer."""
        begun, seconds = time.perf_counter(), self._limits.seconds
        self._rate.count(self._let_in(request))
        scored = read_score(await self._body(request, seconds=seconds))
        if self._feedback is None:
            raise invalid("Feedback is not kept here.", code="not_kept", status=404)
        try:
            async with asyncio.timeout(seconds - (time.perf_counter() - begun)):
                is_known = await asyncio.to_thread(self._feedback, scored)
        except TimeoutError:
            raise _too_long() from None
        if not is_known:
            raise invalid("No answer with this id is known.", param="id", code="not_found", status=404)
        self.metrics.feedback(scored.score)
        return JSONResponse({"id": scored.id, "score": scored.score, "object": "feedback"})

    async def chat(self, request: Request) -> Response:
        """Answer a question, whole or in pieces."""
        begun, seconds = time.perf_counter(), self._limits.seconds
        key = self._let_in(request)
        self._rate.count(key)
        body = await self._body(request, seconds=seconds)
        asking = read_asking(body, limits=self._limits, model=self._model)
        gone = asyncio.create_task(_gone(request.receive))
        try:
            left = seconds - (time.perf_counter() - begun)
            await _unless(gone, self._slots.take(), seconds=left)
            work = self._begin(request.state.id, asking, key=key, begun=begun, gone=gone)
        except BaseException:
            gone.cancel()
            raise
        form = Form(id=request.state.id, model=self._model, ignored=asking.ignored)
        if not asking.stream:
            return await self._whole(work, form)
        events = self._events(work, form, asking)
        try:
            await anext(events)  # until it is known that there is an answer: before, errors have a status
        except BaseException:
            await events.aclose()
            raise
        left = seconds - (time.perf_counter() - begun)
        return Events(events, seconds=left + _SLOW_CLIENT)

    def _begin(
        self, id: str, asking: Asking, *, key: str, begun: float, gone: asyncio.Task[None]
    ) -> Work:  # fmt: skip
        """Start the thread of a question; it is stopped when its time is up, or its client gone."""
        left = self._limits.seconds - (time.perf_counter() - begun)
        wanted = Wanted(
            id=id, question=asking.question, history=asking.history, conversation=asking.conversation,
            max_tokens=asking.max_tokens, key=key, deadline=time.monotonic() + left, whole=not asking.stream,
        )  # fmt: skip
        work = Work(
            self._desk, wanted, begun=begun, held=self._held, ended=self._ended,
            free=lambda: self._done(work, timer, gone),
        )  # fmt: skip
        loop = asyncio.get_running_loop()
        timer = loop.call_later(left, lambda: work.stop("TimedOut", _too_long()))
        gone.add_done_callback(lambda task: None if task.cancelled() else work.stop("ClientGone", ClientGone()))
        self._works.add(work)
        try:
            work.start()
        except RuntimeError:  # no more threads on this machine
            self._done(work, timer, gone)
            raise
        return work

    def _done(self, work: Work, timer: asyncio.TimerHandle, gone: asyncio.Task[None]) -> None:
        timer.cancel()
        gone.cancel()
        self._works.discard(work)
        self._slots.give()

    def _ended(self, ended: Ended) -> None:
        self.metrics.answer(ended)
        self._record(ended)

    async def _whole(self, work: Work, form: Form) -> Response:
        served: Served | None = None
        try:
            while (piece := await work.next()) is not None:
                served = piece if isinstance(piece, Served) else served
        except asyncio.CancelledError:  # the server ends; an answer that is there is given
            if served is None:
                raise
        finally:
            work.stop("ServerEnds")
        assert served is not None  # noqa: S101 - else `next` has raised
        told = form.whole(served, first_seconds=work.first_seconds)
        # Escaped: a model may give half a character, which UTF-8 cannot hold.
        return Response(json.dumps(told).encode(), media_type="application/json")

    async def _events(self, work: Work, form: Form, asking: Asking) -> AsyncGenerator[bytes]:
        """First nothing, once there is an answer; then its events."""
        begun = is_whole = False
        try:
            while (piece := await work.next()) is not None:
                if not begun:
                    begun = True
                    yield b""
                if isinstance(piece, Served):
                    for chunk in form.last(piece, first_seconds=work.first_seconds):
                        yield as_event(chunk)
                    if asking.include_usage:
                        yield as_event(form.usage(piece))
                    is_whole = True
                elif piece:
                    yield as_event(form.piece(piece))
            yield _DONE
        except ClientGone:
            if not begun:
                raise
        except (Exception, asyncio.CancelledError) as error:
            if not begun:
                raise
            yield _DONE if is_whole else as_event(http_error(error, id=work.wanted.id).body())
        finally:
            work.stop("ServerEnds")

    def _key(self, request: Request) -> str | None:
        return self._keys.name_of(request.headers.get("authorization"))

    def _let_in(self, request: Request) -> str:
        """Name of the key that asks. Raises HttpError 401."""
        key = self._key(request)
        if key is None:
            raise HttpError(
                401, "A key is needed, in the header Authorization: Bearer KEY; this is none of those that are let in.",
                type="invalid_request_error", code="invalid_api_key",
            )  # fmt: skip
        return key

    async def _body(self, request: Request, *, seconds: float) -> bytes:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":  # what a form of another site can send without being asked is none
            raise invalid("The header Content-Type has to be application/json.", code="invalid_content_type")
        try:
            async with asyncio.timeout(seconds):
                return await read_body(
                    request.stream(), length=request.headers.get("content-length"),
                    most=self._limits.body_kilobytes * 1000,
                )  # fmt: skip
        except TimeoutError:
            raise _too_long(408) from None


def _too_long(status: int = 504) -> HttpError:
    return HttpError(status, "It took too long.", type="timeout_error", code="timeout", retry_after=5)


async def _gone(receive: Receive) -> None:
    """Ends when the client is gone; the body was read before."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _unless(gone: asyncio.Task[None], what: Awaitable[_T], *, seconds: float) -> _T:
    """What it gives. Raises ClientGone when the client is gone first, HttpError 504 after `seconds`."""
    task = asyncio.ensure_future(what)
    try:
        await asyncio.wait({task, gone}, timeout=max(seconds, 0), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGone if gone.done() else _too_long()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, HttpError):
            await task
