"""`cervella serve` with the packaged chat model by llama.cpp: adapters, what cannot be loaded, who leaves, its end."""

from __future__ import annotations

import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import openai
import pytest

from components.errors import TerminalError
from components.train.base import packaged_gguf
from components.train.export.gguf_lora import Shape, export_gguf_adapter, shape_of_gguf
from components.usage import usage_file
from flows.commands.options import load
from flows.serving import InRecipe
from tests.flows.conftest import Program, Workspace
from tests.flows.released import put_in_service
from tests.flows.test_serve import ASK, Up, serving
from tests.train.adapters import SMOLLM2, by_hand
from tests.waiting import soon

CHAT = {"model": "local/smollm2-135m-instruct", "max_tokens": 2000}  # a minute and more; the tests ask for less
LLAMA = ("-o", f"llm.chat.model={CHAT['model']}", "-o", "llm.cache=false", "-o", "serve.look_seconds=0.2",
         "-o", "serve.limits={at_once: 1, per_minute: 1000}")  # fmt: skip


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Strong enough that other words come out."""
    folder = tmp_path_factory.mktemp("adapter")
    by_hand(folder / "peft", size=0.3)
    return export_gguf_adapter(folder / "peft", out=folder / "adapter.gguf", shape=shape_of_gguf(packaged_gguf()))


def bad(kind: str, adapter: Path, out: Path) -> Path:
    """An adapter that cannot be put on the model."""
    of_base = shape_of_gguf(packaged_gguf())
    if kind == "cut short":
        out.write_bytes(adapter.read_bytes()[:-1000])
        return out
    if kind == "of another kind of model":
        return export_gguf_adapter(adapter.parent / "peft", out=out, shape=Shape("qwen3", 30, 9, 3))
    by_hand(out.parent / "small", sizes={**SMOLLM2, "hidden": 64})
    return export_gguf_adapter(out.parent / "small", out=out, shape=of_base)


BAD = {"cut short": "is broken: it ends before", "of another kind of model": "for a model of kind qwen3",
       "of other sizes": "does not fit SmolLM2"}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_loaded_is_not_opened(
    spoiled: Workspace, root: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(root)
    put_in_service(spoiled, chat=CHAT, gguf=bad(kind, adapter, tmp_path / "bad.gguf"), brief=True)
    source = InRecipe(load("mvp", (*spoiled.options, *LLAMA)[1::2]))
    with pytest.raises(TerminalError, match=BAD[kind]):
        source.open_now(None)


@pytest.mark.slow
def test_it_does_not_begin_with_what_cannot_be_loaded(
    program: Program, spoiled: Workspace, adapter: Path, tmp_path: Path
) -> None:
    put_in_service(spoiled, chat=CHAT, gguf=bad("cut short", adapter, tmp_path / "bad.gguf"), brief=True)
    done = program.end(program.start("serve", "mvp", *spoiled.options, *LLAMA, "--port", "0"), seconds=60)
    assert done.code == 3 and BAD["cut short"] in done.err and not done.out


@pytest.mark.slow
def test_an_adapter_takes_over_what_cannot_be_loaded_does_not_and_who_leaves_makes_room(
    program: Program, spoiled: Workspace, adapter: Path, tmp_path: Path
) -> None:
    put_in_service(spoiled, chat=CHAT, brief=True)
    with serving(program, "mvp", *spoiled.options, *LLAMA) as up, up.client() as client, ThreadPoolExecutor() as asks:

        def text(max_tokens: int = 12) -> str:
            answer = client.chat.completions.create(model="cervella", messages=ASK, max_tokens=max_tokens)
            return str(answer.choices[0].message.content).partition("\n\n")[0]

        said = text()
        with_it = put_in_service(spoiled, chat=CHAT, gguf=adapter, brief=True)
        assert soon(lambda: up.health()["release"] == with_it)
        adapted = text()
        assert said and adapted and said != adapted
        put_in_service(spoiled, chat=CHAT, gguf=bad("of other sizes", adapter, tmp_path / "bad.gguf"), brief=True)
        assert soon(lambda: up.health()["fault"])
        told = up.health()
        assert told["fault"] == "TerminalError" and told["release"] == with_it and told["ready"]
        with pytest.raises(openai.APITimeoutError):
            client.with_options(timeout=2).chat.completions.create(model="cervella", messages=ASK)
        assert text() == adapted  # there is room for one at a time
        last = asks.submit(text, 16)
        assert soon(lambda: up.health()["at_work"])
        up.process.send_signal(signal.SIGTERM)
        assert last.result(60).startswith(adapted)
        done = program.end(up.process, seconds=60)
    assert done.code == 0 and done.out.endswith("Ended.\n") and "Traceback" not in done.err
    assert done.err.count(BAD["of other sizes"]) == 1, done.err  # told once
    assert _errors(spoiled) == [None, None, "ClientGone", None, None]


@pytest.mark.slow
def test_asked_for_twice_the_end_waits_for_no_answer_of_llama_cpp(
    program: Program, spoiled: Workspace, adapter: Path
) -> None:
    put_in_service(spoiled, chat=CHAT, gguf=adapter, brief=True)
    with serving(program, "mvp", *spoiled.options, *LLAMA) as up, up.client() as client, ThreadPoolExecutor() as asks:
        asking = asks.submit(client.chat.completions.create, model="cervella", messages=ASK)
        assert soon(lambda: up.health()["at_work"])
        up.process.send_signal(signal.SIGTERM)
        assert soon(lambda: _is_closed(up))
        up.process.send_signal(signal.SIGTERM)
        done = program.end(up.process, seconds=20)
        assert asking.exception(20)
    assert done.code == 0 and done.out.endswith("Ended.\n")
    assert _errors(spoiled) == ["ServerEnds"]


def _errors(space: Workspace) -> list[str | None]:
    """Of what was asked, in its order."""
    with closing(sqlite3.connect(usage_file(space.path))) as log:
        return [error for (error,) in log.execute("SELECT error FROM query WHERE door = 'serve' ORDER BY rowid")]


def _is_closed(up: Up) -> bool:
    """Whether nothing new is taken any more."""
    try:
        return not up.health()
    except httpx.HTTPError:
        return True
