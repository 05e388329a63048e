"""Claude through litellm, spoken to a double of Anthropic's Messages API: answers, money, faults, and the key."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.errors import CervellaError, TerminalError, TooLongError, TransientError
from components.llm import Budget, Chat, Reply, load_chat
from components.llm.litellm_door import warm_litellm
from components.llm.retry import RetryLater
from tests.claude import CLAUDE, CLAUDE_KEY, Claude, claude_here
from tests.waiting import soon

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm.*"),
    pytest.mark.usefixtures("quick_retries"),
]
ASKED: Any = [
    {"role": "system", "content": "Sei Cervella."},
    {"role": "user", "content": "Ciao?"},
    {"role": "assistant", "content": "Ciao!"},
    {"role": "user", "content": "Quanto è la caparra?"},
]
PRICE = 1000 * 3e-6 + 100 * 15e-6


@pytest.fixture
def claude(monkeypatch: pytest.MonkeyPatch) -> Iterator[Claude]:
    monkeypatch.setenv("MY_CLAUDE_KEY", CLAUDE_KEY)
    warm_litellm(CLAUDE)  # seconds of imports are no part of what is measured
    with claude_here() as double:
        yield double


def chat_with(claude: Claude, **changes: Any) -> Chat:
    return load_chat(**{
        "model": CLAUDE, "temperature": 0.0, "max_tokens": 50, "context_tokens": 8192, "timeout_seconds": 20.0,
        "retries": 2, "seed": 13, "api_key_env": "MY_CLAUDE_KEY", "api_base": claude.url, **changes,
    })  # fmt: skip


def whole(chat: Chat) -> Reply:
    return chat.chat(ASKED, local_notes=())


def in_pieces(chat: Chat) -> Reply:
    *pieces, reply = chat.stream(ASKED, local_notes=())
    assert isinstance(reply, Reply) and reply.text == "".join(str(piece) for piece in pieces)
    return reply


BOTH = pytest.mark.parametrize("ask", [whole, in_pieces], ids=["whole", "in pieces"])
Ask = Callable[[Chat], Reply]


def purse() -> Budget:
    return Budget(per_run_usd=1.0, per_query_usd=1.0)


@BOTH
def test_an_answer_has_its_tokens_and_its_price(claude: Claude, ask: Ask) -> None:
    budget = purse()
    reply = ask(chat_with(claude, budget=budget))
    assert (reply.text, reply.finish_reason, reply.tries) == ("Una risposta in pezzi.", "stop", 1)
    assert (reply.prompt_tokens, reply.completion_tokens) == (1000, 100)
    assert reply.cost_usd == pytest.approx(PRICE) == budget.spent_usd and budget.unknown_calls == 0
    assert reply.model.startswith("claude-sonnet-4-5") and not reply.is_local


def test_the_pieces_come_as_they_are_made(claude: Claude) -> None:
    claude.plan = ["silent"]
    stream = chat_with(claude).stream(ASKED, local_notes=())
    assert next(stream) == "Una"
    claude.heard.set()
    assert list(stream)[:-1] == claude.words[1:]


@BOTH
def test_the_request_is_one_that_the_service_takes(claude: Claude, ask: Ask) -> None:
    ask(chat_with(claude))
    (sent,) = claude.requests
    headers, body = sent["headers"], sent["body"]
    assert (sent["path"], headers["x-api-key"], headers["anthropic-version"]) == (
        "/v1/messages", CLAUDE_KEY, "2023-06-01",
    )  # fmt: skip
    assert "authorization" not in headers and "cache_control" not in str(body) and "anthropic-beta" not in headers
    assert body["system"] == [{"type": "text", "text": "Sei Cervella."}]
    assert [(one["role"], one["content"][0]["text"]) for one in body["messages"]] == [
        (one["role"], one["content"]) for one in ASKED[1:]
    ]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("claude-sonnet-4-5", 50, 0.0)
    assert body.get("stream", False) == (ask is in_pieces) and "seed" not in body and "stream_options" not in body


@BOTH
def test_what_the_service_read_from_its_own_cache_has_its_own_price(claude: Claude, ask: Ask) -> None:
    claude.usage = {"input_tokens": 100, "cache_creation_input_tokens": 400, "cache_read_input_tokens": 500}
    reply = ask(chat_with(claude))
    assert reply.prompt_tokens == 1000
    assert reply.cost_usd == pytest.approx(100 * 3e-6 + 400 * 3.75e-6 + 500 * 0.3e-6 + 100 * 15e-6)


@BOTH
@pytest.mark.parametrize(("reason", "finish"), [("max_tokens", "length"), ("refusal", "content_filter")])
def test_why_an_answer_ended_is_told(claude: Claude, ask: Ask, reason: str, finish: str) -> None:
    claude.stop_reason = reason
    assert ask(chat_with(claude)).finish_reason == finish


@BOTH
def test_a_refusal_without_a_word_is_an_answer_that_was_paid(claude: Claude, ask: Ask) -> None:
    claude.words, claude.stop_reason, claude.output_tokens = [], "refusal", 1
    reply = ask(chat_with(claude))
    assert (reply.text, reply.finish_reason) == ("", "content_filter")
    assert reply.cost_usd == pytest.approx(1000 * 3e-6 + 15e-6)


@BOTH
@pytest.mark.parametrize("status", [429, 500, 504, 529])
def test_what_may_pass_is_tried_again_by_us_alone(claude: Claude, ask: Ask, status: int) -> None:
    claude.plan = [status] * 20
    with pytest.raises(TransientError):
        ask(chat_with(claude, retries=2))
    assert len(claude.requests) == 3
    claude.plan = [status]
    assert ask(chat_with(claude)).tries == 2


@BOTH
@pytest.mark.parametrize("status", [429, 529])
def test_when_to_come_back_is_heard(claude: Claude, ask: Ask, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float | None] = []

    def noted(error: TransientError, **_: Any) -> float:
        asked.append(error.after_seconds if isinstance(error, RetryLater) else None)
        return 0.01

    monkeypatch.setattr("components.llm.chat.seconds_to_wait", noted)
    monkeypatch.setattr("components.llm.retry.seconds_to_wait", noted)
    claude.plan = [(status, 7)]
    assert ask(chat_with(claude)).tries == 2 and asked == [7.0]


@BOTH
@pytest.mark.parametrize(
    ("status", "said"),
    [(400, "invalid_request_error"), (401, "MY_CLAUDE_KEY"), (403, "MY_CLAUDE_KEY"), (404, "api_base"),
     (413, "request_too_large")],
)  # fmt: skip
def test_what_is_refused_is_not_tried_again_and_costs_nothing(
    claude: Claude, ask: Ask, status: int, said: str
) -> None:  # fmt: skip
    claude.plan = [status] * 9
    budget = purse()
    with pytest.raises(TerminalError, match=said):
        ask(chat_with(claude, budget=budget))
    assert len(claude.requests) == 1 and budget.spent_usd == 0


@BOTH
def test_a_prompt_that_is_too_long_is_told_as_that(claude: Claude, ask: Ask) -> None:
    claude.plan, claude.said_of_errors = [400] * 9, "prompt is too long: 208310 tokens > 200000 maximum"
    with pytest.raises(TooLongError, match="208310 tokens"):
        ask(chat_with(claude))
    assert len(claude.requests) == 1


@BOTH
def test_a_connection_that_is_closed_before_a_header_is_tried_again(claude: Claude, ask: Ask) -> None:
    claude.plan = ["hang up"]
    assert ask(chat_with(claude)).tries == 2


@BOTH
@pytest.mark.parametrize("step", ["reset", "hang up"])
def test_what_may_have_been_worked_on_counts_as_paid(claude: Claude, ask: Ask, step: str) -> None:
    claude.plan = [step]
    budget = purse()
    with pytest.raises(TransientError):
        ask(chat_with(claude, budget=budget, retries=0))
    assert budget.spent_usd > 0 and len(claude.requests) == 1


@pytest.mark.parametrize("cut", ["reset", "end", "error"])
def test_what_breaks_after_a_word_is_told_and_neither_tried_again_nor_kept(
    claude: Claude, cut: str, tmp_path: Path
) -> None:
    claude.plan = [cut]
    budget = purse()
    chat = chat_with(claude, budget=budget, cache=tmp_path / "responses.sqlite")
    stream = chat.stream(ASKED, local_notes=())
    assert next(stream) == "Una"
    with pytest.raises(TransientError, match="overloaded" if cut == "error" else None):
        list(stream)
    assert len(claude.requests) == 1 and budget.spent_usd > 0
    assert not in_pieces(chat).cached and in_pieces(chat).cached


def test_an_event_of_an_error_before_a_word_is_tried_again(claude: Claude) -> None:
    claude.plan = ["error first"]
    reply = in_pieces(chat_with(claude))
    assert (reply.tries, reply.text) == (2, "Una risposta in pezzi.")


@BOTH
@pytest.mark.parametrize("step", ["mute", "drip"])
def test_time_out_holds_and_may_be_charged(claude: Claude, ask: Ask, step: str) -> None:
    if ask is in_pieces and step == "drip":
        step, claude.words = "silent", ["parola"] * 9
    claude.plan = [step]
    budget = purse()
    with pytest.raises(TransientError, match=r"timeout_seconds|[Tt]imed out|[Tt]imeout"):
        ask(chat_with(claude, timeout_seconds=1.0, retries=0, budget=budget))
    assert budget.spent_usd > 0 and len(claude.requests) == 1


def test_a_stream_that_is_left_ends_the_connection(claude: Claude) -> None:
    claude.words = ["parola "] * 200_000
    budget = purse()
    stream = chat_with(claude, budget=budget).stream(ASKED, local_notes=())
    assert next(stream) == "parola "
    stream.close()
    assert soon(claude.hung_up.is_set), "the server still writes"
    assert budget.spent_usd > 0


def test_what_would_be_too_dear_is_not_sent(claude: Claude) -> None:
    budget = Budget(per_run_usd=1.0, per_query_usd=0.0005)  # 50 tokens of an answer cost more
    with budget.query(), pytest.raises(TerminalError, match="per_query_usd"):
        in_pieces(chat_with(claude, budget=budget))
    assert claude.requests == []


def test_a_key_of_the_environment_that_was_not_named_stays_home(
    claude: Claude, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", CLAUDE_KEY)
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", CLAUDE_KEY)
    whole(chat_with(claude, api_key_env=None))
    assert claude.requests[0]["headers"]["x-api-key"] == "none" and CLAUDE_KEY not in str(claude.requests)


@BOTH
@pytest.mark.parametrize("step", [400, 401, 500, 529, "error first", "error", "reset", "hang up", None])
def test_the_key_is_in_no_log_and_no_error(
    claude: Claude, ask: Ask, step: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    key = "sk-ant-Odd.Key_0123456789"
    monkeypatch.setenv("MY_CLAUDE_KEY", key)
    caplog.set_level(logging.DEBUG)
    claude.plan, claude.said_of_errors = [step], f"invalid x-api-key {key}, header was x-api-key: {key}"
    chat = chat_with(claude, retries=0)
    seen = repr(chat) + repr(vars(chat))
    try:
        ask(chat)
    except CervellaError as caught:
        error: BaseException | None = caught
        while error is not None:
            seen += repr(error) + "".join(traceback.format_exception(error))
            error = error.__cause__ or error.__context__
    output = capfd.readouterr()
    assert claude.requests[0]["headers"]["x-api-key"] == key
    assert key not in seen + caplog.text + output.out + output.err
    assert "0123456789" not in seen + caplog.text + output.out + output.err
