"""`cervella serve` with `serve.backend: vllm`: what is refused, what it says while vLLM is down, what it leaves behind.

By a double of vLLM in real processes, and once by the real one, whose environment is installed when it is missing.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

import flows.comparing
from components.registry.champion import read_champion
from components.registry.champion.candidate import proposed
from components.serve.backends.weights import is_serving
from components.serve.desk import Wanted
from components.serve.live import InService
from components.serve.own_desk import OwnDesk
from components.train.environments.install import install
from components.train.params import BaseModelParams
from components.usage import usage_file
from flows.backends import Backends
from flows.commands.options import load
from flows.serving import InRecipe
from tests.flows.conftest import Done, Program, Workspace
from tests.flows.released import put_in_service
from tests.flows.test_serve import ASK, serving
from tests.serve.backends.house import House, alive, make_house, until
from tests.train.adapters import by_hand

VLLM = ("-o", "serve.backend=vllm", "-o", "llm.cache=false", "-o", "serve.look_seconds=0.2")
CHAT = {"model": "hosted_vllm/model", "api_base": "http://127.0.0.1:1/v1"}
TINY = {"layers": 1, "hidden": 8, "query": 8, "kv": 8, "ffn": 8}


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    made = make_house(tmp_path / "house")
    for name, value in made.variables().items():
        monkeypatch.setenv(name, value)
    made.base(8192)
    yield made
    assert not made.left()


def of(house: House) -> tuple[str, ...]:
    """Options of a recipe whose base is the double's."""
    return (*VLLM, "-o", f"train.base={{model: null, folder: '{house.base(8192).model}', template: smollm2}}")


def base_in(house: House) -> BaseModelParams:
    return BaseModelParams(model=None, folder=Path(house.base(8192).model), template="smollm2")


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("-o", "llm.chat.model=fake/chat"), 2, "cannot serve llm.chat.model fake/chat"),
        (("-o", "llm.chat.model=anthropic/claude"), 2, "cannot serve llm.chat.model anthropic/claude"),
        (("-o", "llm.chat.model=local/smollm2-135m-instruct"), 3, "cervella backends install vllm"),
    ],
    ids=["a double", "a provider", "not installed"],
)
def test_what_cannot_be_served_is_said_first(
    here: Callable[..., Done], published: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...], code: int, says: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("CERVELLA_TRAINERS", str(tmp_path))
    done = here("serve", "mvp", *published.options, *VLLM, "-o", "serve.answers=recipe", *options)
    assert done.code == code and says in done.err


def test_an_adapter_of_another_base_or_without_its_weights_is_refused(
    here: Callable[..., Done], spoiled: Workspace, house: House, tmp_path: Path
) -> None:
    adapter = by_hand(tmp_path / "adapter", sizes=TINY)
    put_in_service(spoiled, chat=CHAT, base=base_in(house), adapter=adapter)
    [sealed] = (spoiled.path / "store" / "train.run").iterdir()
    os.rename(sealed, tmp_path / "gone")
    done = here("serve", "mvp", *spoiled.options, *of(house))
    assert done.code == 3 and "is in no train.run of" in done.err
    os.rename(tmp_path / "gone", sealed)
    (Path(house.base(8192).model) / "other.json").write_text("{}")
    done = here("serve", "mvp", *spoiled.options, *of(house))
    assert done.code == 2 and "trained on another base than model" in done.err


def test_a_release_of_another_model_is_not_answered_by_the_base_of_the_recipe(
    here: Callable[..., Done], spoiled: Workspace, house: House
) -> None:
    put_in_service(spoiled, chat={**CHAT, "model": "hosted_vllm/mistral"})
    done = here("serve", "mvp", *spoiled.options, *of(house))
    assert done.code == 2 and "answers with hosted_vllm/mistral, and train.base of this recipe is model" in done.err
    assert house.starts() == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm.*")
@pytest.mark.parametrize("candidate", ["an adapter", "another model"])
def test_a_candidate_is_served_beside_and_one_of_another_model_keeps_nobody_from_answering(
    spoiled: Workspace, house: House, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, candidate: str
) -> None:
    monkeypatch.chdir(root)
    if candidate == "an adapter":
        adapter = by_hand(tmp_path / "adapter", sizes=TINY)
        put_in_service(spoiled, chat=CHAT, base=base_in(house), adapter=adapter)
    else:
        put_in_service(spoiled, chat={**CHAT, "model": "hosted_vllm/mistral"})
    made, of_run = read_champion(spoiled.path, "cervella"), proposed(spoiled.path, recipe="mvp", model_name="cervella")
    assert made is not None
    beside = replace(of_run, release=made.release, digest=made.digest)
    monkeypatch.setattr(flows.comparing, "_candidate", lambda *_, **__: beside)
    put_in_service(spoiled, chat=CHAT)
    loaded = load("mvp", (*spoiled.options, *of(house), "-o", "serve.compare={mode: ab, share: 1.0}")[1::2])
    backends = Backends(loaded)
    assert is_serving(spoiled.path)  # gc leaves the base
    source = InRecipe(loaded, backends=backends)
    live = InService(look=source.look, open_now=source.open_now)
    live.start()
    try:
        own = OwnDesk(live, max_chars=8000, history_tokens=1000)
        comparing = flows.comparing.compared(loaded, own, live, backends=backends)
        asked = Wanted(id="r1", question=str(ASK[0]["content"]))
        text = comparing.desk.ask(asked).asked.answer.text
        if candidate == "an adapter":
            assert text.startswith("adapter-") and own.ask(asked).asked.answer.text.startswith("base was asked")
            assert len(house.starts()) == 1, "the adapter is loaded beside what is in service"
        else:
            assert text.startswith("base was asked") and "InputError" in comparing.told()["why_not"]
        comparing.close()
    finally:
        live.close()
        backends.close()
    assert not is_serving(spoiled.path)


@pytest.mark.slow
def test_a_release_is_served_with_its_adapter_another_takes_over_and_a_killed_server_comes_back(
    program: Program, spoiled: Workspace, house: House, tmp_path: Path
) -> None:
    put_in_service(spoiled, chat=CHAT)
    with serving(program, "mvp", *spoiled.options, *of(house)) as up, up.client() as client:

        def text() -> str:
            answer = client.chat.completions.create(model="cervella", messages=ASK)
            return str(answer.choices[0].message.content).partition("\n\n")[0]

        assert text().startswith("base was asked")
        first = by_hand(tmp_path / "adapter", sizes=TINY)
        second = put_in_service(spoiled, chat=CHAT, base=base_in(house), adapter=first)
        until(lambda: up.health()["release"] == second)
        assert re.match(r"adapter-[0-9a-f]{16} was asked", text())
        [start] = house.starts()  # the adapter was loaded into the server that was up
        assert up.health()["backend"]["servers"] == [{"model": "model", "state": "up", "starts": 1, "fault": None}]
        house.say("slow", 2)
        os.kill(start["pid"], signal.SIGKILL)
        until(lambda: not up.health()["ready"])
        with pytest.raises(openai.InternalServerError) as refused:
            text()
        assert refused.value.status_code == 503 and int(refused.value.response.headers["Retry-After"]) >= 5
        told = up.health()
        assert told["backend"]["servers"][0]["state"] in ("down", "starting")
        assert str(spoiled.path) not in json.dumps(told)
        until(lambda: up.health()["ready"])
        assert re.match(r"adapter-[0-9a-f]{16} was asked", text())
        up.process.send_signal(signal.SIGTERM)
        done = program.end(up.process, seconds=60)
    assert done.code == 0 and done.out.endswith("Ended.\n")
    assert house.starts()[0]["key"] not in done.out + done.err


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "in pieces"])
def test_one_that_is_killed_in_mid_answer_is_an_error_to_the_client_and_the_next_is_answered(
    program: Program, spoiled: Workspace, house: House, stream: bool
) -> None:
    put_in_service(spoiled, chat=CHAT)
    up_with = serving(program, "mvp", *spoiled.options, *of(house))
    with up_with as up, up.client() as client, ThreadPoolExecutor() as asks:

        def text() -> str:
            if not stream:
                return str(client.chat.completions.create(model="cervella", messages=ASK).choices[0].message.content)
            for chunk in client.chat.completions.create(model="cervella", messages=ASK, stream=True):
                seen.extend(one.delta.content for one in chunk.choices if one.delta.content)
            return "".join(seen)

        seen = list[str]()
        whole = text()
        assert whole.startswith("base was asked for ")
        house.say("pauses", 2)  # between words, of which there are seven
        house.unsay("begun")
        seen.clear()
        asking = asks.submit(text)
        until(lambda: seen if stream else house.begun())
        os.kill(house.starts()[0]["pid"], signal.SIGKILL)
        house.unsay("pauses")
        cut = asking.exception(20)
        assert isinstance(cut, openai.APIError) and cut.code == "not_answered_now", cut
        if stream:  # an event of its stream, whose status was given
            assert not isinstance(cut, openai.APIStatusError)
            assert seen and whole.startswith("".join(seen)) and whole != "".join(seen)
        else:
            assert isinstance(cut, openai.InternalServerError) and cut.status_code == 503
        assert str(spoiled.path) not in str(cut) + str(cut.body)
        until(lambda: up.health()["ready"] and up.health()["backend"]["servers"][0]["starts"] == 2)
        seen.clear()
        assert text() == whole and len(house.starts()) == 2
        up.process.send_signal(signal.SIGTERM)
        done = program.end(up.process, seconds=60)
    assert done.code == 0 and "Traceback" not in done.err
    with closing(sqlite3.connect(usage_file(spoiled.path))) as log:
        rows = log.execute("SELECT error IS NULL FROM query WHERE door = 'serve' ORDER BY rowid").fetchall()
    assert rows == [(1,), (0,), (1,)]


@pytest.mark.slow
def test_while_it_is_down_the_helper_answers(program: Program, spoiled: Workspace, house: House) -> None:
    put_in_service(spoiled, chat=CHAT)
    router = "serve.router={helper: {model: 'fake/chat?reply=Dalla+aiutante.&cost=0.001'}}"
    with serving(program, "mvp", *spoiled.options, *of(house), "-o", router) as up, up.client() as client:
        house.say("slow", 600)
        os.kill(house.starts()[0]["pid"], signal.SIGKILL)
        until(lambda: up.health()["backend"]["servers"][0]["state"] != "up")
        answer = client.chat.completions.create(model="cervella", messages=ASK)
        assert answer.cervella["who"] == "helper" and answer.cervella["tried"][0]["who"] == "own"
        assert up.health()["ready"]


@pytest.mark.slow
@pytest.mark.parametrize("when", ["while it starts", "while it answers"])
def test_killed_it_leaves_nothing_behind(program: Program, spoiled: Workspace, house: House, when: str) -> None:
    put_in_service(spoiled, chat=CHAT)
    if when == "while it starts":
        house.say("slow", 600)
        process = program.start("serve", "mvp", *spoiled.options, *of(house), "--port", "0")
        until(house.starts)
        process.kill()
        program.end(process)
    else:
        with serving(program, "mvp", *spoiled.options, *of(house)) as up:
            up.process.kill()
            program.end(up.process)
    [start] = house.starts()
    until(lambda: not house.left())


@pytest.mark.slow
def test_ctrl_c_while_it_starts_ends_all(program: Program, spoiled: Workspace, house: House) -> None:
    put_in_service(spoiled, chat=CHAT)
    house.say("slow", 600)
    process = program.start("serve", "mvp", *spoiled.options, *of(house), "--port", "0")
    until(house.starts)
    process.send_signal(signal.SIGINT)
    done = program.end(process, seconds=60)
    assert done.code == 130 and "vLLM is started with model" in done.err and not house.left()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_real_vllm_serves_the_packaged_model_and_its_adapter(
    program: Program, spoiled: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python = install("vllm", say=print).python
    chat = {"model": "local/smollm2-135m-instruct", "max_tokens": 32}
    base = BaseModelParams(model="local/smollm2-135m-instruct", template="smollm2", quantization="none")
    linear = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    adapter = by_hand(tmp_path / "adapter", r=8, alpha=16, target_modules=linear, task_type="CAUSAL_LM")
    plain = put_in_service(spoiled, chat=chat)
    begun = time.monotonic()
    # The same model as the release's, so that the time for one answer is the recipe's.
    options = (*spoiled.options, *VLLM, "-o", f"llm.chat.model={chat['model']}", "-o", "llm.chat.timeout_seconds=600",
               "-o", "serve.limits.seconds=600")  # fmt: skip
    with serving(program, "mvp", *options) as up, up.client() as client:
        took = {"start": time.monotonic() - begun}
        said = {"base": _streamed(client, took, "base")}
        wanted = put_in_service(spoiled, chat=chat, base=base, adapter=adapter)
        until(lambda: up.health()["release"] == wanted, 120)
        said["adapter"] = _streamed(client, took, "adapter")
        assert said["base"] and said["adapter"] and said["base"] != said["adapter"], (plain, said)
        assert _streamed(client, took, "another question", question="Chi ha le chiavi di casa?")
        assert up.health()["backend"]["servers"][0]["starts"] == 1
        workers, memory = _of(python), set(Path("/dev/shm").glob("*"))  # noqa: S108
        memory = {one for one in memory if any(str(one) in _mapped(pid) for pid in workers)}
        assert len(workers) > 1 and memory
        up.process.kill()
        program.end(up.process)
        until(lambda: not any(map(alive, workers)) and not any(one.exists() for one in memory))
    with capsys.disabled():
        print(f"\nvLLM on the processor: {json.dumps({name: round(value, 2) for name, value in took.items()})}")


def _streamed(
    client: openai.OpenAI, took: dict[str, float], name: str, *, question: str = str(ASK[0]["content"])
) -> str:
    begun, first, pieces = time.monotonic(), 0.0, list[str]()
    last: Any = None
    stream = client.chat.completions.create(
        model="cervella",
        messages=[{"role": "user", "content": question}],
        stream=True,
        stream_options={"include_usage": True},
        timeout=600,
    )
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            first = first or time.monotonic() - begun
            pieces.append(chunk.choices[0].delta.content)
        last = chunk.usage or last
    seconds = time.monotonic() - begun - first
    took[f"{name} first token"] = first
    took[f"{name} tokens a second"] = last.completion_tokens / seconds if seconds else 0.0
    return "".join(pieces).partition("\n\n")[0]


def _mapped(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


def _of(python: Path) -> list[int]:
    """Processes of the environment: started by its Python, and those below them, whatever they call themselves."""
    found: set[int] = set()
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if words[0] == str(python).encode():
            found.add(int(entry.name))
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)
