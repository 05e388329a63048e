"""What counts as this machine, and that a text that must stay there is sent nowhere: asked of real servers."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from components.errors import TerminalError
from components.llm import load_chat, load_embedder
from components.llm.places import leaves_to
from tests.llm.heard import Heard

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm.*"),
    pytest.mark.filterwarnings("ignore:Item '.*' on TypedDict class"),  # once, when litellm's types are first used
]
SENTENCE = "Il testamento è nel cassetto di sinistra"


@pytest.fixture
def listen() -> Iterator[Callable[..., Heard]]:
    servers: list[Heard] = []

    def start(**options: Any) -> Heard:
        servers.append(Heard(**options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def say(model: str, api_base: str | None, *, local_notes: tuple[str, ...], batch: int = 2, **changes: Any) -> None:
    if model.endswith("embed"):
        embedder = load_embedder(model=model, api_base=api_base, dimensions=2, batch_size=batch, **changes)
        assert embedder is not None
        embedder.embed_passages(["una frase di tutti", SENTENCE], local_notes=local_notes)
    else:
        chat = load_chat(
            model=model, temperature=0, max_tokens=5, context_tokens=100, timeout_seconds=20, retries=0, seed=1,
            api_base=api_base, **changes,
        )  # fmt: skip
        chat.chat([{"role": "user", "content": SENTENCE}], local_notes=local_notes)


@pytest.mark.parametrize(
    ("base", "trusted"),
    [
        ("http://localhost:11434/v1", ()),
        ("http://LOCALHOST/v1", ()),
        ("http://127.0.0.1:8000", ()),
        ("https://127.8.9.10", ()),
        ("http://[::1]:8000/v1", ()),
        ("http://[::ffff:127.0.0.1]:8000", ()),
        ("http://192.168.1.5:8000/v1", ("192.168.1.5",)),
        ("http://studio.lan:8000", ("Studio.lan",)),
    ],
)
def test_stays_here(base: str, trusted: tuple[str, ...]) -> None:
    assert leaves_to("openai/m", api_base=base, trusted_hosts=trusted) is None


@pytest.mark.parametrize(
    "base",
    [
        "http://192.168.1.5:8000/v1", "http://10.0.0.1", "http://0.0.0.0:8000", "http://127.1:8000", "http://2130706433",
        "http://localhost.example.org", "http://127.0.0.1.example.org", "http://localhost@example.org/v1",
        "http://example.org#@localhost", "http://example.org\\@localhost/", "http://localhost:80:80", "ftp://localhost",
        "//localhost/v1", "localhost:8000", "http://", "http://[::1", "http://local host", "unix:///run/model.sock",
        "http://[64:ff9b::7f00:1]",
    ],
)  # fmt: skip
def test_leaves(base: str) -> None:
    assert leaves_to("openai/m", api_base=base)


@pytest.mark.parametrize("model", ["openai/m", "ollama/m", "anthropic/claude", "gpt-4o", "text-embedding-3-small"])
def test_a_default_address_is_away(model: str) -> None:
    assert leaves_to(model, api_base=None)


@pytest.mark.parametrize("model", ["bedrock/m", "vertex_ai/m", "ollama/m", "gpt-4o", "claude-sonnet-4-5", "gemini/m"])
def test_a_provider_that_is_not_held_to_its_address_is_away(model: str) -> None:
    assert leaves_to(model, api_base="http://127.0.0.1:8000")


@pytest.mark.parametrize("model", ["local/multilingual-e5-small", "fake/embedding", "fake/chat?reply=a", "none"])
def test_a_model_of_this_process_stays(model: str) -> None:
    assert leaves_to(model, api_base=None) is None


@pytest.mark.parametrize("model", ["openai/embed", "openai/chat", "hosted_vllm/embed", "hosted_vllm/chat"])
def test_a_local_note_is_refused_and_nothing_is_sent(model: str, listen: Callable[..., Heard]) -> None:
    away = listen()
    with pytest.raises(TerminalError) as told:
        say(model, away.url("0.0.0.0"), local_notes=("diario/b.md", "diario/a.md"), batch=1)  # noqa: S104
    assert not away.bytes
    assert model in str(told.value) and "0.0.0.0" in str(told.value)  # noqa: S104
    assert "diario/a.md, diario/b.md must not leave" in str(told.value) and SENTENCE not in str(told.value)
    say(model, away.url("0.0.0.0"), local_notes=())  # noqa: S104
    assert b"testamento" in away.bytes


@pytest.mark.parametrize("model", ["openai/embed", "openai/chat", "hosted_vllm/embed", "hosted_vllm/chat"])
def test_no_proxy_and_no_redirect_carries_a_text_away(
    model: str, listen: Callable[..., Heard], monkeypatch: pytest.MonkeyPatch
) -> None:
    away, here = listen(), listen()
    turned = listen(redirect=f"http://localhost:{away.port}")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{away.port}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    say(model, here.url(), local_notes=("diario/a.md",))
    assert b"testamento" in here.bytes
    with pytest.raises(TerminalError):
        say(model, turned.url(), local_notes=("diario/a.md",))
    assert b"testamento" in turned.bytes
    assert not away.bytes


def test_a_trusted_host_is_asked(listen: Callable[..., Heard]) -> None:
    here = listen()
    host = socket.gethostbyname("localhost")
    say("openai/chat", here.url("127.1"), local_notes=("a.md",), trusted_hosts=("127.1",))
    assert b"testamento" in here.bytes and host.startswith("127.")


def test_each_call_brings_its_own_key(listen: Callable[..., Heard], monkeypatch: pytest.MonkeyPatch) -> None:
    here = listen()
    for key in ("first-key-of-two", "second-key-of-two"):
        monkeypatch.setenv("MY_TEST_KEY", key)
        say("openai/chat", here.url(), local_notes=("a.md",), api_key_env="MY_TEST_KEY")
        assert f"Bearer {key}".encode() in here.bytes
