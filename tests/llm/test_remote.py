from __future__ import annotations

import logging
import traceback
from functools import partial
from typing import Any

import pytest

from components.errors import CervellaError, InputError, TerminalError, TooLongError, TransientError
from components.llm import Budget, Chat, load_chat, load_embedder
from components.llm.litellm_door import clean_error
from components.llm.retry import with_retries

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm.*")
HELLO: Any = [{"role": "user", "content": "Ciao?"}]


def chat_with(openai: Any, **changes: Any) -> Chat:
    options: dict[str, Any] = {
        "model": "openai/gpt-4o-mini", "temperature": 0.0, "max_tokens": 50, "context_tokens": 8192,
        "timeout_seconds": 20.0, "retries": 2, "seed": 13, "api_key_env": "MY_TEST_KEY", "api_base": openai.url,
    }  # fmt: skip
    return load_chat(**{**options, **changes})


def test_answer_tells_who_answered_and_what_it_cost(openai: Any, key: str) -> None:
    reply = chat_with(openai).chat(HELLO, local_notes=())
    assert (reply.text, reply.model, reply.prompt_tokens, reply.completion_tokens) == (
        "answer 1", "gpt-4o-mini-2024-07-18", 1000, 100,
    )  # fmt: skip
    assert reply.cost_usd == pytest.approx(1000 * 0.15e-6 + 100 * 0.6e-6)
    assert not reply.is_local and not reply.cached and reply.seconds > 0
    sent = openai.requests[0]
    assert sent["key"] == f"Bearer {key}"
    assert sent["body"]["messages"] == HELLO
    assert (sent["body"]["temperature"], sent["body"]["max_tokens"], sent["body"]["seed"]) == (0.0, 50, 13)


def test_unknown_price_is_unknown(openai: Any) -> None:
    openai.answering_model = "my-own-model"
    budget = Budget(per_run_usd=0.0, per_query_usd=0.0)
    reply = chat_with(openai, model="openai/my-own-model", budget=budget).chat(HELLO, local_notes=())
    assert reply.cost_usd is None and reply.original_cost_usd is None
    assert (budget.spent_usd, budget.unknown_calls) == (0.0, 1)


@pytest.mark.parametrize(
    "first",
    [(429, {"error": {"message": "slow down"}}), (500, {"error": {"message": "x"}}), (503, b"no"), "hang up"],
    ids=["429", "500", "503 without JSON", "connection cut"],
)
@pytest.mark.usefixtures("quick_retries")
def test_transient_error_is_tried_again(openai: Any, first: Any) -> None:
    openai.plan = [first]
    reply = chat_with(openai).chat(HELLO, local_notes=())
    assert (reply.text, reply.tries, len(openai.requests)) == ("answer 2", 2, 2)


@pytest.mark.usefixtures("quick_retries")
def test_tries_are_ours_alone_and_end(openai: Any) -> None:
    openai.plan = [(500, {"error": {"message": "broken"}})] * 20
    with pytest.raises(TransientError, match="broken"):
        chat_with(openai, retries=3).chat(HELLO, local_notes=())
    assert len(openai.requests) == 4


def test_retry_after_is_heard(openai: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("components.llm.chat.with_retries", partial(with_retries, sleep=waits.append))
    openai.plan = [(429, {"error": {"message": "slow down"}}, {"retry-after": "7"}), (429, b"", {"retry-after": "900"})]
    assert chat_with(openai).chat(HELLO, local_notes=()).tries == 3
    assert waits == [7.0, 60.0]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, {"error": {"message": "Incorrect API key provided: sk-test-9f8e7d6c5b4a39281706"}}), "MY_TEST_KEY"),
        ((403, {"error": {"message": "forbidden"}}), "MY_TEST_KEY"),
        ((404, {"error": {"message": "no such model"}}), "api_base"),
        ((400, {"error": {"message": "bad temperature"}}), "bad temperature"),
        ((429, {"error": {"message": "quota", "code": "insufficient_quota"}}), "no credit left"),
        (b"<html>a proxy's page</html>", "OpenAI-compatible"),
        (b'{"choices": [', "OpenAI-compatible"),
        ({"object": "chat.completion", "model": "m", "choices": []}, "no choices"),
    ],
    ids=["wrong key", "forbidden", "no model", "bad request", "no credit", "HTML", "cut JSON", "no choices"],
)  # fmt: skip
@pytest.mark.usefixtures("quick_retries")
def test_final_error_is_not_tried_again(openai: Any, key: str, answer: Any, said: str) -> None:
    openai.plan = [answer] * 9
    with pytest.raises(TerminalError, match=said) as caught:
        chat_with(openai).chat(HELLO, local_notes=())
    assert len(openai.requests) == 1
    text = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert key not in text and "github.com" not in text


def test_a_prompt_that_is_too_long_for_it_is_told_as_such(openai: Any) -> None:
    said = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens."
    openai.plan = [(400, {"error": {"message": said, "code": "context_length_exceeded"}})]
    with pytest.raises(TooLongError, match="9001 tokens"):
        chat_with(openai).chat(HELLO, local_notes=())


@pytest.mark.parametrize("step", [5.0, "drip"], ids=["silence", "a byte now and then"])
def test_time_out_holds(openai: Any, step: Any) -> None:
    openai.plan = [step]
    budget = Budget(per_run_usd=1.0, per_query_usd=1.0)
    with pytest.raises(TransientError, match="timeout_seconds|[Tt]imed out|[Tt]imeout"):
        chat_with(openai, timeout_seconds=1.0, retries=0, budget=budget).chat(HELLO, local_notes=())
    assert budget.spent_usd > 0  # the provider may charge for an answer that nobody waited for


def test_nobody_listens() -> None:
    chat = load_chat(
        model="openai/m", temperature=0, max_tokens=5, context_tokens=100, timeout_seconds=10, retries=0, seed=1,
        api_base="http://127.0.0.1:9/v1",
    )  # fmt: skip
    with pytest.raises(TransientError):
        chat.chat(HELLO, local_notes=())


def test_key_that_is_not_set(openai: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_TEST_KEY")
    with pytest.raises(InputError, match=r"MY_TEST_KEY \(api_key_env in the recipe\)"):
        chat_with(openai).chat(HELLO, local_notes=())
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(InputError, match="api_key_env: OPENAI_API_KEY"):
        chat_with(openai, api_key_env=None, api_base=None).chat(HELLO, local_notes=())
    assert openai.requests == []


def test_key_of_the_environment_that_was_not_named_stays_home(openai: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-yours-0123456789abcdef")
    chat_with(openai, api_key_env=None).chat(HELLO, local_notes=())
    assert openai.requests[0]["key"] == "Bearer none"


def test_key_is_read_at_the_call(openai: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = chat_with(openai)
    monkeypatch.setenv("MY_TEST_KEY", "sk-another-0123456789abcdef")
    chat.chat(HELLO, local_notes=())
    assert openai.requests[0]["key"] == "Bearer sk-another-0123456789abcdef"


@pytest.mark.usefixtures("quick_retries")
def test_key_is_in_no_repr_log_or_output(
    openai: Any, key: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    leaky = {"error": {"message": f"Incorrect API key provided: {key}. Header was Bearer {key}"}}
    openai.plan = [(500, leaky), (401, leaky), (500, leaky), (401, leaky)]
    chat = chat_with(openai)
    embedder = load_embedder(model="openai/e", api_base=openai.url, api_key_env="MY_TEST_KEY", dimensions=3)
    assert embedder is not None
    seen = repr(chat) + repr(vars(chat)) + repr(embedder) + repr(vars(embedder.inner))
    for call in (lambda: chat.chat(HELLO, local_notes=()), lambda: embedder.embed_passages(["a"], local_notes=())):
        with pytest.raises(CervellaError) as caught:
            call()
        error: BaseException | None = caught.value
        while error is not None:
            seen += repr(error) + "".join(traceback.format_exception(error))
            error = error.__cause__ or error.__context__
    output = capfd.readouterr()
    assert len(openai.requests) == 4
    assert key not in seen + caplog.text + output.out + output.err
    assert "Provider List" not in output.out and "Give Feedback" not in output.out


def test_clean_error_takes_out_links_and_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SECRET", "correct horse battery")
    text = clean_error(
        "boom\n Get help https://github.com/BerriAI/litellm/issues/new?x=1 correct horse battery "
        "sk-proj-abcdef0123456789 Bearer abc.def http://me:pass@host/ api_key='zzzyyy' " + "x" * 900
    )
    for hidden in ("github", "correct horse", "abcdef0123", "abc.def", "me:pass", "zzzyyy", "\n"):
        assert hidden not in text
    assert text.startswith("boom") and len(text) < 600


def test_name_of_no_provider(openai: Any) -> None:
    with pytest.raises(InputError, match="LLM Provider NOT provided"):
        chat_with(openai, model="smollm", api_base=None).chat(HELLO, local_notes=())


def test_budget_refuses_before_anything_is_sent(openai: Any) -> None:
    budget = Budget(per_run_usd=1.0, per_query_usd=0.00001)
    chat = chat_with(openai, budget=budget)
    with budget.query(), pytest.raises(TerminalError, match="per_query_usd"):
        chat.chat(HELLO, local_notes=())
    assert openai.requests == []
    reply = chat.chat(HELLO, local_notes=())
    assert budget.spent_usd == reply.cost_usd
    tight = Budget(per_run_usd=0.0002, per_query_usd=1.0)
    chat = chat_with(openai, budget=tight)
    chat.chat(HELLO, local_notes=())
    with pytest.raises(TerminalError, match="per_run_usd"):
        chat.chat(HELLO, local_notes=())
    assert len(openai.requests) == 2


def test_local_only_sends_nothing(openai: Any) -> None:
    with pytest.raises(TerminalError, match="remote"):
        chat_with(openai, local_only=True)
    with pytest.raises(TerminalError, match="remote"):
        load_embedder(model="openai/e", api_base=openai.url, local_only=True)
    assert openai.requests == []


def test_repeated_request_comes_from_the_cache(openai: Any, tmp_path: Any) -> None:
    cache = tmp_path / "responses.sqlite"
    budget = Budget(per_run_usd=1.0, per_query_usd=1.0)
    first = chat_with(openai, cache=cache, budget=budget).chat(HELLO, local_notes=())
    again = chat_with(openai, cache=cache, budget=budget).chat(HELLO, local_notes=())
    assert again.cached and again.cost_usd == 0.0
    assert (again.text, again.model, again.seconds, again.original_cost_usd) == (
        first.text, first.model, first.seconds, first.cost_usd,
    )  # fmt: skip
    assert len(openai.requests) == 1 and budget.spent_usd == first.cost_usd
    for changes in ({"seed": 14}, {"max_tokens": 51}, {"model": "openai/gpt-4o"}):
        assert not chat_with(openai, cache=cache, **changes).chat(HELLO, local_notes=()).cached
    warm = {"cache": cache, "temperature": 0.5}
    assert not chat_with(openai, **warm).chat(HELLO, local_notes=()).cached
    assert not chat_with(openai, **warm).chat(HELLO, local_notes=()).cached


def remote_embedder(openai: Any, **changes: Any) -> Any:
    return load_embedder(
        **{"model": "openai/embed", "api_base": openai.url, "api_key_env": "MY_TEST_KEY", "batch_size": 2, **changes}
    )


def test_remote_vectors_are_in_order_and_of_unit_length(openai: Any) -> None:
    embedder = remote_embedder(openai)
    vectors = embedder.embed_passages(["aaaa", "b", "cc", ""], local_notes=())
    assert embedder.dimensions == 3
    assert (vectors**2).sum(axis=1) == pytest.approx(1.0)
    assert vectors[0][0] > vectors[2][0] > vectors[1][0]
    assert max(len(request["body"]["input"]) for request in openai.requests) == 2
    assert all("dimensions" not in request["body"] for request in openai.requests)


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize(
    "embed",
    [
        lambda texts: [[1.0, 2.0, 3.0]] * (len(texts) - 1),
        lambda texts: [[1.0, 2.0, 3.0]] * (len(texts) + 1),
        lambda texts: [[1.0, 2.0]] * len(texts),
        lambda texts: [[1.0, 2.0, 3.0]] * (len(texts) - 1) + [[1.0]],
        lambda texts: [[0.0, 0.0, 0.0]] * len(texts),
        lambda texts: [[float("nan"), 1.0, 1.0]] * len(texts),
        lambda texts: ["AAAA"] * len(texts),
    ],
    ids=["one less", "one more", "short", "uneven", "zero", "NaN", "text"],
)
def test_nonsense_of_a_remote_embedder_is_final_and_kept_nowhere(openai: Any, tmp_path: Any, embed: Any) -> None:
    openai.embed = embed
    embedder = remote_embedder(openai, dimensions=3, cache=tmp_path / "e.sqlite")
    with pytest.raises(TerminalError):
        embedder.embed_passages(["a", "b"], local_notes=())
    openai.embed = lambda texts: [[1.0, 0.0, 0.0]] * len(texts)
    assert embedder.embed_passages(["a", "b"], local_notes=()).shape == (2, 3) and embedder.hits == 0


@pytest.mark.usefixtures("quick_retries")
def test_remote_embedder_tries_again_and_counts_money(openai: Any) -> None:
    openai.plan = [(429, {"error": {"message": "slow"}})]
    embedder = remote_embedder(openai, model="openai/text-embedding-3-small", dimensions=3)
    embedder.embed_queries(["a"])
    assert len(openai.requests) == 2 and openai.requests[0]["body"]["dimensions"] == 3
    assert embedder.inner.spent_usd == pytest.approx(10 * 2e-8)
