"""Servers of the own model, by a double of vLLM in real processes: started, kept up, shared, ended without a trace."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from components.errors import TerminalError, TooLongError, TransientError
from components.llm import load_chat
from components.llm.chat import Chat, Message, Reply
from components.llm.params import ChatParams
from components.llm.retry import RetryLater
from components.serve.backends import server
from components.serve.backends.pool import Held, Pool
from components.serve.backends.server import Server
from components.serve.params import VllmParams
from tests.serve.backends.house import House, alive, until

CHAT = ChatParams(max_tokens=64)
ASK: list[Message] = [{"role": "user", "content": "Che cosa abbiamo deciso?"}]


def chat_of(held: Held, *, cache: Path | None = None) -> Chat:
    return load_chat(**CHAT.model_dump() | {"retries": 0}, backend=held.backend, cache=cache)


def server_of(pool: Pool) -> Server:
    [found] = pool._servers.values()
    return found


def test_it_is_asked_as_a_model_of_this_machine_that_costs_nothing(
    pool: Pool, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-of-somebody-else")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    held = pool.take(house.base(), None, chat=CHAT)
    chat = chat_of(held)
    assert (chat.is_local, chat.leaves_to, chat.model) == (True, None, "vllm/small")
    reply = chat.chat(ASK, local_notes=["private.md"])
    assert (reply.text, reply.cost_usd, reply.is_local) == ("base was asked for 64 tokens [1]", 0.0, True)
    *pieces, last = chat.stream(ASK, local_notes=["private.md"])
    assert isinstance(last, Reply) and "".join(map(str, pieces)) == last.text == reply.text
    assert (last.cost_usd, last.completion_tokens, last.model) == (0.0, 7, "vllm/small") and len(pieces) > 3
    [start] = house.starts()
    assert start["key"] not in " ".join(start["words"]) and len(start["key"]) > 30
    assert "SOME_API_KEY" not in start["variables"] and "HF_HUB_OFFLINE" in start["variables"]
    assert start["words"][start["words"].index("--host") + 1] == "127.0.0.1"
    assert start["words"][start["words"].index("--max-model-len") + 1] == "512"
    assert [one["state"] for one in pool.told()] == ["up"]


def test_a_question_without_room_in_the_context_is_refused_before_it_is_asked(pool: Pool, house: House) -> None:
    chat = chat_of(pool.take(house.base(), None, chat=CHAT))
    long: list[Message] = [{"role": "user", "content": "parola " * 600}]
    with pytest.raises(TooLongError, match="the context is 512"):
        chat.chat(long, local_notes=())
    most = chat.chat([{"role": "user", "content": "sì " * 150}], max_tokens=400, local_notes=()).text
    assert 0 < int(most.split()[4]) < 400


def test_who_has_another_key_is_refused(pool: Pool, house: House) -> None:
    pool.take(house.base(), None, chat=CHAT)
    url = server_of(pool).door.url
    assert httpx.get(f"{url}/v1/models", headers={"Authorization": "Bearer " + "k" * 43}).status_code == 401
    assert server_of(pool).door.models() == {"base"}


def test_another_adapter_is_loaded_beside_and_the_old_one_let_go(pool: Pool, house: House) -> None:
    first = pool.take(house.base(), house.adapter("one"), chat=CHAT)
    second = pool.take(house.base(), house.adapter("two"), chat=CHAT)
    assert server_of(pool).door.models() == {"base", "adapter-one", "adapter-two"} and len(house.starts()) == 1
    texts = [chat_of(held).chat(ASK, local_notes=()).text.split()[0] for held in (first, second)]
    assert texts == ["adapter-one", "adapter-two"]
    assert first.backend.identity != second.backend.identity
    first.close()
    first.close()
    until(lambda: server_of(pool).door.models() == {"base", "adapter-two"})
    second.close()
    until(lambda: not house.left())
    assert pool.told() == []


def test_an_adapter_of_a_greater_rank_gets_a_server_of_its_own(pool: Pool, house: House) -> None:
    small = pool.take(house.base(), house.adapter("one"), chat=CHAT)
    pool.take(house.base(), house.adapter("two", rank=40), chat=CHAT)
    ranks = [start["words"][start["words"].index("--max-lora-rank") + 1] for start in house.starts()]
    assert ranks == ["16", "64"] and len(pool.told()) == 2
    small.close()
    assert len(pool.told()) == 1
    with pytest.raises(TerminalError, match="at most"):
        pool.take(house.base(), house.adapter("three", rank=600), chat=CHAT)


def test_an_adapter_that_is_refused_is_told_and_the_one_in_use_stays(pool: Pool, house: House) -> None:
    used = pool.take(house.base(), house.adapter("one"), chat=CHAT)
    house.say("refuses")
    with pytest.raises(TerminalError, match="refuses to load adapter-two.*No adapter found"):
        pool.take(house.base(), house.adapter("two"), chat=CHAT)
    assert chat_of(used).chat(ASK, local_notes=()).text.startswith("adapter-one")
    house.unsay("refuses")
    pool.take(house.base(), house.adapter("two"), chat=CHAT)


def test_one_that_dies_is_started_again_with_its_adapters(pool: Pool, house: House) -> None:
    chat = chat_of(pool.take(house.base(), house.adapter("one"), chat=CHAT))
    house.say("slow", 1.0)
    [first] = house.starts()
    os.kill(first["pid"], signal.SIGKILL)
    until(lambda: pool.told()[0]["state"] != "up")
    with pytest.raises(RetryLater, match="vLLM is not up") as refused:
        chat.chat(ASK, local_notes=())
    assert refused.value.after_seconds and refused.value.after_seconds >= 5
    until(lambda: pool.told()[0]["state"] == "up")
    assert chat.chat(ASK, local_notes=()).text.startswith("adapter-one")
    assert not alive(first["helper"]) and not Path(first["tmp"]).exists()
    assert pool.told()[0]["starts"] == len(house.starts()) == 2


def test_an_adapter_refused_after_a_restart_is_not_up_and_asked_for_again_while_others_answer(
    pool: Pool, house: House
) -> None:
    lost, base = pool.take(house.base(), house.adapter("one"), chat=CHAT), pool.take(house.base(), None, chat=CHAT)
    house.say("refuses")
    os.kill(house.starts()[0]["pid"], signal.SIGKILL)
    until(lambda: pool.told()[0]["starts"] == 2 and pool.told()[0]["state"] == "up")
    assert not lost.backend.is_up() and base.backend.is_up()
    assert pool.told()[0]["fault"] == "it refuses to load adapter-one (see the log)"
    with pytest.raises(RetryLater, match="does not serve adapter-one yet"):
        chat_of(lost).chat(ASK, local_notes=())
    assert chat_of(base).chat(ASK, local_notes=()).text.startswith("base")
    house.unsay("refuses")
    until(lost.backend.is_up)
    assert chat_of(lost).chat(ASK, local_notes=()).text.startswith("adapter-one")
    assert pool.told()[0]["fault"] is None and len(house.starts()) == 2


def test_each_refusal_makes_the_wait_for_the_next_longer_and_another_life_forgets_them(
    house: House, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_AGAIN_SECONDS", 0.05)
    one = Server(base=house.base(), workspace=workspace, context=512, rank=16, key="k" * 40, params=VllmParams())
    one.start()
    try:
        one.wait(say=print)
        one.hold(house.adapter("one"))
        house.say("refuses")
        os.kill(house.starts()[0]["pid"], signal.SIGKILL)
        until(lambda: one._refused and one._refused["adapter-one"].waits >= 0.4)
        one._refused = {name: replace(was, at=was.at + 600) for name, was in one._refused.items()}
        house.unsay("refuses")
        os.kill(house.starts()[1]["pid"], signal.SIGKILL)
        until(lambda: one.is_up(house.adapter("one")))
    finally:
        one.close()


def test_one_that_dies_while_it_answers_is_an_error_soon(pool: Pool, house: House) -> None:
    chat = chat_of(pool.take(house.base(), None, chat=CHAT))
    house.say("pauses", 0.5)
    pieces = chat.stream(ASK, local_notes=())
    assert next(pieces)
    os.kill(house.starts()[0]["pid"], signal.SIGKILL)
    with pytest.raises((TransientError, TerminalError)):
        list(pieces)


def test_of_calls_that_were_given_up_before_a_word_came_there_are_few(
    pool: Pool, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.llm.remote._MOST_LEFT", 2)
    backend = pool.take(house.base(), None, chat=CHAT).backend
    house.say("mute")
    for _ in range(2):
        pieces = backend.stream(ASK, max_tokens=8, beat_seconds=0.05)
        assert next(pieces) == ""
        pieces.close()
    with pytest.raises(TransientError, match="2 calls that were given up"):
        next(backend.stream(ASK, max_tokens=8, beat_seconds=0.05))
    house.unsay("mute")


def test_one_that_hangs_is_ended_and_started_again(pool: Pool, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "patience", 0.5)
    monkeypatch.setattr("components.serve.backends.vllm._ASK_SECONDS", 0.3)
    monkeypatch.setattr(server, "_GRACE_SECONDS", 0.5)
    pool.take(house.base(), None, chat=CHAT)
    house.say("hangs")
    until(lambda: pool.told()[0]["state"] != "up")
    house.unsay("hangs")
    until(lambda: pool.told()[0]["state"] == "up")
    assert len(house.starts()) >= 2


def timed(held: Held, seconds: float) -> Chat:
    """The same, with so much time for an answer."""
    held.backend._chat, held.backend._remote = CHAT.model_copy(update={"timeout_seconds": seconds}), None
    return chat_of(held)


def test_an_engine_that_hangs_behind_a_health_that_is_well_is_ended_and_started_again(
    pool: Pool, house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Server, "engine_seconds", 0.5)
    monkeypatch.setattr(server, "_GRACE_SECONDS", 0.5)
    held = pool.take(house.base(), None, chat=CHAT)
    assert timed(held, 30).chat(ASK, local_notes=()).text
    chat = timed(held, 0.5)
    os.kill(house.starts()[0]["engine"], signal.SIGSTOP)
    assert server_of(pool).door.fault() is None, "its /health is well"
    with pytest.raises(TransientError):
        chat.chat(ASK, local_notes=())
    assert server_of(pool).gone() is None, "one question may be at fault itself"
    with pytest.raises(TransientError):
        list(chat.stream(ASK, local_notes=()))
    until(lambda: pool.told()[0]["starts"] == 2 and pool.told()[0]["state"] == "up")
    assert "its engine hangs" in caplog.text
    assert timed(held, 30).chat(ASK, local_notes=()).text and not alive(house.starts()[0]["engine"])


def test_an_engine_that_is_only_slow_is_left_in_peace(
    pool: Pool, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = pool.take(house.base(), None, chat=CHAT)
    chat, engine = timed(held, 0.5), house.starts()[0]["engine"]
    for _ in range(2):  # each for longer than its question waits, and for less than ours may take
        os.kill(engine, signal.SIGSTOP)
        with pytest.raises(TransientError):
            chat.chat(ASK, local_notes=())
    asked = server_of(pool).pulse
    until(lambda: asked._asked_at is not None or asked._missed == 0)
    os.kill(engine, signal.SIGCONT)
    until(lambda: asked._missed == 0 and asked._asked_at is None)
    assert timed(held, 30).chat(ASK, local_notes=()).text
    assert [(one["starts"], one["state"]) for one in pool.told()] == [(1, "up")]


def test_a_client_that_leaves_soon_says_nothing_of_the_engine(pool: Pool, house: House) -> None:
    backend = pool.take(house.base(), None, chat=CHAT).backend
    house.say("mute")
    for _ in range(3):
        pieces = backend.stream(ASK, max_tokens=8, beat_seconds=0.05)
        assert next(pieces) == ""
        pieces.close()
    assert server_of(pool).pulse._missed == 0
    house.unsay("mute")


def test_each_piece_of_an_answer_is_a_word_of_the_engine(pool: Pool, house: House) -> None:
    held = pool.take(house.base(), None, chat=CHAT)
    asked = server_of(pool).pulse
    for _ in range(2):
        asked.missed()
    *pieces, _ = chat_of(held).stream(ASK, local_notes=())
    assert asked._missed == 0 and asked._heard >= len([piece for piece in pieces if piece]) > 3


def test_one_that_does_not_start_is_told_with_the_end_of_its_log(pool: Pool, house: House, workspace: Path) -> None:
    house.say("ends")
    with pytest.raises(TerminalError, match="vLLM does not start.*\n.*no memory for this model"):
        pool.take(house.base(), None, chat=CHAT)
    assert len(house.starts()) >= 2 and pool.told() == []
    assert (workspace / "serve" / "backends" / "vllm.log").is_file()


@pytest.mark.parametrize("end", ["hurry", "close"])
def test_at_the_end_none_is_started_any_more(pool: Pool, house: House, end: str) -> None:
    getattr(pool, end)()
    with pytest.raises(TransientError, match="`cervella serve` ends"):
        pool.take(house.base(), None, chat=CHAT)
    assert house.starts() == [] and pool.told() == []


def test_how_long_it_takes_is_told(house: House, workspace: Path) -> None:
    house.say("slow", 1.5)
    told: list[str] = []
    one = Server(base=house.base(), workspace=workspace, context=512, rank=16, key="k" * 40, params=VllmParams())
    one.start()
    try:
        one.wait(say=told.append, say_every=0.3)
    finally:
        one.close()
    assert told and "vLLM is not up yet after" in told[0]


def test_a_port_that_somebody_took_is_left_to_them_and_a_free_one_is_kept() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert server._free_port(port) != port
    assert server._free_port(port) == port


def test_no_key_goes_to_another_process_that_took_the_port_meanwhile(
    pool: Pool, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bytes] = []
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        def answer() -> None:
            while True:
                try:
                    connection, _ = other.accept()
                except OSError:
                    return
                with connection:
                    heard.append(connection.recv(4000))
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")

        threading.Thread(target=answer, daemon=True).start()
        monkeypatch.setattr(server, "_free_port", lambda before: port)
        house.say("slow", 2.0)
        thread = threading.Thread(target=lambda: _refused(pool, house), daemon=True)
        thread.start()
        until(lambda: len(heard) >= 2)
        assert all(b"GET /health" in one and b"Bearer" not in one for one in heard)
        monkeypatch.undo()
        pool.close()
        thread.join(30)
        other.shutdown(socket.SHUT_RDWR)


def _refused(pool: Pool, house: House) -> None:
    with pytest.raises((TransientError, TerminalError)):
        pool.take(house.base(), None, chat=CHAT)


def test_not_installed_is_told_with_the_command(
    house: House, workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CERVELLA_TRAINERS", str(tmp_path / "none"))
    pool = Pool(workspace, params=VllmParams(), say=lambda text: None)
    with pytest.raises(TerminalError, match="cervella backends install vllm"):
        pool.take(house.base(), None, chat=CHAT)
    assert pool.told() == []


KEEPS = """
import sys, time
from pathlib import Path
from components.llm.params import ChatParams
from components.serve.backends.pool import Pool
from components.serve.params import VllmParams
from tests.serve.backends.house import House

house = House(Path(sys.argv[1]))
pool = Pool(Path(sys.argv[2]), params=VllmParams(), say=lambda text: None)
pool.take(house.base(), None, chat=ChatParams())
print("up", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("with_sweeper", [False, True], ids=["alone", "with its sweeper"])
def test_killed_it_leaves_no_process_and_no_folder(
    house: House, workspace: Path, root: Path, with_sweeper: bool
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KEEPS, str(house.folder), str(workspace)], cwd=root, stdout=subprocess.PIPE,
        env={**os.environ, **house.variables()},
    )  # fmt: skip
    with process:
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        [start] = house.starts()
        if with_sweeper:
            for pid in sweepers(process.pid):
                os.kill(pid, signal.SIGKILL)
        process.kill()
    until(lambda: not alive(start["pid"]))
    if with_sweeper:
        assert alive(start["helper"]) and Path(start["tmp"]).is_dir(), "else this shows nothing"
        Pool(workspace, params=VllmParams(), say=lambda text: None)  # the next `cervella serve`
    until(lambda: not house.left())


def sweepers(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"components.serve.backends.sweeper" in words and str(parent).encode() in words:
            found.append(int(entry.name))
    return found
