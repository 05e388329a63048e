"""Endpoints for the probation of a release: the one that is up, or one of our own, ended with this process.

State after a hard crash: the endpoint of our own ends by itself, because it is tied to this process by its stdin; its
log stays in the folder of the run, `probation.log`.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from components.recipe import Recipe
from components.scale.endpoint import Endpoint, read_endpoints
from components.scale.probation import Asker, NotTakenOverError
from components.serve.http.keys import first_key
from components.services.process_start import started_at
from components.store import Run, logger

__all__ = ["endpoint_up", "own_endpoint"]

_KEY = "CERVELLA_PROBATION_KEY"
_UP = re.compile(r" answers at (http://\S+)/v1 ")
_GRACE_SECONDS = 40.0  # more than the endpoint gives itself, see flows.child
_MORE_SECONDS = 10.0  # beyond the time of a request, in which the endpoint itself says that it took too long


def endpoint_up(run: Run, recipe: Recipe) -> Asker | None:
    """The endpoint of the workspace that is up and follows what is in service; None: there is none.

    Of several that do, the one that began last. Raises TerminalError where one that is looked at lets us not in.
    """
    name = recipe.serve.keys_env
    key = first_key(os.environ.get(name, "")) if name else None
    askers = (_asker(recipe, found, key=key) for found in read_endpoints(run.workspace))
    return next((asker for asker in askers if asker.follows()), None)


@contextmanager
def own_endpoint(run: Run, recipe: Recipe) -> Iterator[Asker]:
    """An endpoint of this recipe on loopback, behind a key that nobody else knows, for the length of the block.

    Raises NotTakenOverError where it does not come up: what it said is in the error and in `probation.log`.
    """
    key = secrets.token_urlsafe(32)
    log = run.folder / "probation.log"
    options = (
        "serve.answers=champion", "serve.compare=null", "serve.keep_conversations=false", f"serve.keys_env={_KEY}",
        "serve.limits.per_minute=1000000", "llm.cache=false",  # what an answer takes is measured
    )  # fmt: skip
    command = [
        sys.executable, "-m", "flows.child", "serve", str(run.folder.absolute() / "recipe.yaml"),
        "--host", "127.0.0.1", "--port", "0", "--unlisted", *(word for option in options for word in ("-o", option)),
    ]  # fmt: skip
    root = str(Path(__file__).resolve().parent.parent)
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    with log.open("wb") as out:
        child = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, _KEY: key, "PYTHONPATH": paths},
        )  # fmt: skip
    try:
        logger.info("no endpoint is up: one is started for the probation (process %d)", child.pid)
        url = _wait(child, log, seconds=recipe.scale.wait_seconds)
        yield _asker(recipe, Endpoint(child.pid, started_at(child.pid) or "", url, recipe.name), key=key)
    finally:
        _end(child)


def _asker(recipe: Recipe, endpoint: Endpoint, *, key: str | None) -> Asker:
    return Asker(
        endpoint, key=key, model=recipe.registry.model_name, seconds=recipe.serve.limits.seconds + _MORE_SECONDS
    )


def _wait(child: subprocess.Popen[bytes], log: Path, *, seconds: float) -> str:
    end = time.monotonic() + seconds
    while True:
        ended = child.poll() is not None
        told = log.read_text(encoding="utf-8", errors="replace")
        if found := _UP.search(told):
            return found[1]
        if ended or time.monotonic() > end:
            last = " ".join(told.split())[-500:] or "it told nothing"
            why = f"it ended with {child.returncode}" if ended else f"it did not answer within {seconds:g} s"
            raise NotTakenOverError(f"an endpoint could not be started for it: {why}: {last}")
        time.sleep(0.1)


def _end(child: subprocess.Popen[bytes]) -> None:
    """See that it is gone: its stdin ends, which it takes as SIGTERM."""
    if child.stdin:
        with suppress(OSError):
            child.stdin.close()
    try:
        with suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE_SECONDS)
    finally:
        if child.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
