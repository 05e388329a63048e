"""`cervella serve` as its users start it: what the endpoint says, what it follows, how it ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from components.index import chunk_documents
from components.serve.desk import NotInServiceError
from components.serve.live import InService
from components.sncp.collect import collect
from components.sncp.params import DEFAULT_SOURCES
from components.usage import usage_file
from flows.commands.options import load
from flows.serving import InRecipe
from tests.claude import CLAUDE, CLAUDE_KEY, claude_here
from tests.flows.conftest import Done, Program, Workspace
from tests.waiting import soon

ASK = [{"role": "user", "content": "Quanto è la caparra ad agosto?"}]
RECIPE = ("-o", "serve.answers=recipe", "-o", "serve.look_seconds=0.1")


@dataclass
class Up:
    """A `cervella serve` that answers."""

    url: str
    process: subprocess.Popen[str]
    first: str

    def client(self) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key="k" * 16, max_retries=0, timeout=60)

    def health(self) -> dict[str, Any]:
        told: dict[str, Any] = httpx.get(f"{self.url}/health", timeout=30).json()
        return told


@contextmanager
def serving(program: Program, *arguments: object) -> Iterator[Up]:
    process = program.start("serve", *arguments, "--port", "0")
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        found = re.search(r"answers at (http://\S+)/v1 ", first)
        assert found, first + program.end(process).err
        yield Up(found[1], process, first)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            program.end(process, seconds=60)


def test_nothing_in_service_says_what_to_do(here: Callable[..., Done], published: Workspace) -> None:
    done = here("serve", "mvp", *published.options)
    assert done.code == 3 and "nothing is in service as cervella: cervella promote" in done.err
    assert "cervella run mvp makes one" in done.err and "-o serve.answers=recipe" in done.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--host", "0.0.0.0"), "it needs keys"),  # noqa: S104
        (("-o", "serve.keys_env=NO_SUCH_KEYS"), "NO_SUCH_KEYS (serve.keys_env) holds no key"),
        (("--port", "99999"), "99999"),
    ],
    ids=["no keys", "no variable", "no port"],
)
def test_what_cannot_be_is_said_first(
    here: Callable[..., Done], published: Workspace, options: tuple[str, ...], says: str
) -> None:
    done = here("serve", "mvp", *published.options, *options)
    assert done.code == 2 and says in done.err


@pytest.mark.slow
def test_it_answers_streams_records_and_ends_cleanly(program: Program, spoiled: Workspace) -> None:
    with serving(program, "mvp", *spoiled.options, *RECIPE) as up:
        assert "cervella answers at" in up.first
        with up.client() as client:
            whole = client.chat.completions.create(model="cervella", messages=ASK)
            text = whole.choices[0].message.content
            assert "\n\nFonti:\n  [1] " in text or "\n\nNote lette:\n  [1] " in text
            assert whole.cervella["who"] == "own" and whole.cervella["index"] == up.health()["index"]
            pieces = client.chat.completions.create(model="cervella", messages=ASK, stream=True)
            assert "".join(chunk.choices[0].delta.content or "" for chunk in pieces) == text
            more = [*ASK, {"role": "assistant", "content": text}, {"role": "user", "content": "E a luglio?"}]
            assert client.chat.completions.create(model="cervella", messages=more).choices[0].message.content
        page = httpx.get(up.url, timeout=30)
        assert page.status_code == 200 and "connect-src" in page.text
        assert str(spoiled.path) not in page.text + json.dumps(up.health()) + whole.to_json()
        up.process.send_signal(signal.SIGINT)
        done = program.end(up.process, seconds=60)
    assert (done.code, done.out.splitlines()[-1]) == (0, "Ended.")
    assert "Traceback" not in done.err and str(ASK[0]["content"]) not in done.err
    with sqlite3.connect(usage_file(spoiled.path)) as log:
        rows = log.execute("SELECT door, error, found, source_count > 0 FROM query WHERE door = 'serve'").fetchall()
    log.close()
    assert rows == [("serve", None, 1, 1)] * 3


@pytest.mark.slow
def test_a_question_that_the_end_cuts_off_is_recorded(program: Program, spoiled: Workspace) -> None:
    slow = ("-o", "llm.chat.model=fake/chat?delay=300")
    with serving(program, "mvp", *spoiled.options, *RECIPE, *slow) as up:

        def ask() -> None:
            with suppress(httpx.HTTPError):
                httpx.post(f"{up.url}/v1/chat/completions", json={"messages": ASK}, timeout=60)

        def is_closed() -> bool:
            try:
                return not up.health()
            except httpx.HTTPError:
                return True

        asking = threading.Thread(target=ask)
        asking.start()
        assert soon(lambda: up.health()["at_work"] == 1)
        up.process.send_signal(signal.SIGINT)
        assert soon(is_closed)
        up.process.send_signal(signal.SIGINT)  # it does not wait until the grace is over
        done = program.end(up.process, seconds=60)
        asking.join()
    assert (done.code, done.out.splitlines()[-1]) == (0, "Ended.")
    with closing(sqlite3.connect(usage_file(spoiled.path))) as log:
        rows = log.execute("SELECT door, error FROM query WHERE door = 'serve'").fetchall()
    assert rows == [("serve", "ServerEnds")]


@pytest.mark.slow
def test_keys_and_a_port_that_is_taken(program: Program, spoiled: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVE_KEYS", f"anna:{'k' * 16}")
    with serving(program, "mvp", *spoiled.options, *RECIPE, "-o", "serve.keys_env=SERVE_KEYS") as up:
        assert httpx.post(f"{up.url}/v1/chat/completions", json={"messages": ASK}, timeout=30).status_code == 401
        assert up.health() == {"ready": True}
        with up.client() as client:
            assert client.chat.completions.create(model="cervella", messages=ASK).id
        port = int(up.url.rpartition(":")[2])
        other = program.start("serve", "mvp", *spoiled.options, *RECIPE, "--port", port)
        try:
            assert other.stdout is not None
            first = other.stdout.readline()
            assert "answers at" in first and f":{port}/v1" not in first
        finally:
            other.terminate()
            done = program.end(other, seconds=60)
        assert done.code == 0 and f"{port} was taken (process {up.process.pid}:" in done.err


@pytest.mark.slow
def test_with_a_router_a_hard_question_goes_to_the_helper(program: Program, spoiled: Workspace) -> None:
    router = "serve.router={helper: {model: 'fake/chat?reply=Dalla+aiutante.&cost=0.001'}}"
    with serving(program, "mvp", *spoiled.options, *RECIPE, "-o", router) as up, up.client() as client:
        easy = client.chat.completions.create(model="cervella", messages=ASK)
        hard = [{"role": "user", "content": "Confronta e valuta le due strategie, e pianifica i passi."}]
        helped = client.chat.completions.create(model="cervella", messages=hard)
        assert (easy.cervella["who"], helped.cervella["who"], helped.cervella["tier"]) == ("own", "helper", "complex")
        assert "Dalla aiutante." in helped.choices[0].message.content and helped.cervella["cost_usd"] == 0.001


@pytest.mark.slow
def test_claude_as_the_helper_answers_is_charged_and_fails_without_its_key_being_told(
    program: Program, spoiled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_CLAUDE_KEY", CLAUDE_KEY)
    hard = [{"role": "user", "content": "Confronta e valuta le due strategie, e pianifica i passi."}]
    with claude_here() as claude:
        claude.said_of_errors = f"no such key: {CLAUDE_KEY}"
        about = f"model: {CLAUDE}, api_base: '{claude.url}', api_key_env: MY_CLAUDE_KEY"
        router = ("-o", f"serve.router={{helper: {{{about}}}}}", "-o", "llm.cache=false")
        with serving(program, "mvp", *spoiled.options, *RECIPE, *router) as up:
            with up.client() as client:
                pieces = client.chat.completions.create(model="cervella", messages=hard, stream=True)
                text = "".join(chunk.choices[0].delta.content or "" for chunk in pieces)
                claude.plan = [401]
                own = client.chat.completions.create(model="cervella", messages=hard)
            metrics = httpx.get(f"{up.url}/metrics", timeout=30).text
            up.process.send_signal(signal.SIGINT)
            done = program.end(up.process, seconds=60)
    assert "Una risposta in pezzi." in text and len(claude.requests) == 2
    assert own.cervella["who"] == "own" and own.cervella["tried"][0]["who"] == "helper"
    assert CLAUDE_KEY not in done.err + done.out + own.to_json() + metrics
    with closing(sqlite3.connect(usage_file(spoiled.path))) as log:
        rows = log.execute(
            "SELECT who, tier, round(helper_usd, 6), is_local FROM query WHERE door = 'serve'"
        ).fetchall()
    assert rows == [("helper", "complex", 0.0045, 0), ("own", "complex", 0.0, 1)]


def test_another_publication_is_seen_and_takes_over_what_stays_the_same(
    spoiled: Workspace, root: Path, examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    source = InRecipe(load("mvp", (*spoiled.options[1::2], "serve.answers=recipe")))
    live = InService(look=source.look, open_now=source.open_now)
    live.start()
    documents = collect(
        root=examples / "sncp", sources=DEFAULT_SOURCES, include=[], exclude=[], max_bytes=10**6, redact="redact",
        persona_files=[],
    ).documents[:3]  # fmt: skip
    try:
        with live.use() as before:
            assert not live.look()
            index = before.partner.index
            count = index.embedder.count_tokens
            index.sync(chunk_documents(documents, max_tokens=200, breadcrumbs=True, count_tokens=count))
            assert live.look() and before.partner.ask("Quanto è la caparra?").answer.text
        with live.use() as after:
            assert after.index != before.index and after.index == index.live_digest()
            assert after.partner.index is index and after.partner.budget is before.partner.budget
            assert {hit.path for hit in after.partner.retrieve("caparra")} <= {one.path for one in documents}
    finally:
        live.close()


def test_a_look_reads_files_only_when_they_changed(
    spoiled: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    source = InRecipe(load("mvp", (*spoiled.options[1::2], "serve.answers=recipe")))
    first = source.look()
    reads: list[object] = []
    monkeypatch.setattr(Path, "read_bytes", lambda self: reads.append(self) or b"")
    assert source.look() == first and not reads
    monkeypatch.undo()
    live = spoiled.path / "index" / "live.json"
    os.utime(live, ns=(1, 1))
    assert source.look() == first  # touched, and the same
    shutil.rmtree(spoiled.path / "index")
    assert source.look() != first


def test_the_release_in_service_is_opened_and_a_broken_one_is_not(
    spoiled: Workspace, here: Callable[..., Done], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    source = InRecipe(load("mvp", spoiled.options[1::2]))
    live = InService(look=source.look, open_now=source.open_now)
    with pytest.raises(NotInServiceError):
        live.start()
    assert here("promote", "mvp", *spoiled.options, "--reason", "per provarlo da vicino").code == 0
    assert live.look(strict=True)
    with live.use() as opened:
        [release] = (spoiled.path / "store" / "registry.release").iterdir()
        assert opened.release is not None and live.told()["release"] == opened.release
        assert opened.about["model"] == "fake/chat" and str(spoiled.path) not in json.dumps(live.told())
        assert opened.partner.ask(str(ASK[0]["content"])).answer.found
    shutil.rmtree(release)
    champion = spoiled.path / "registry" / "champion.json"
    os.utime(champion, ns=(1, 1))
    assert not live.look() and live.told()["fault"] is None  # the same is in service: nothing is opened again
    champion.write_text("{", encoding="utf-8")
    assert not live.look() and "TerminalError" in str(live.told()["fault"])
    with live.use() as still:
        assert still is opened
    live.close()
