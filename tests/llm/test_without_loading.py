"""What is known of models without loading them is what the models, and litellm, say themselves."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.llm import load_embedder
from components.llm.counting import count_remote_messages, count_remote_tokens, counter_of, embedder_id
from components.llm.lookup import embedded_before
from components.llm.prices import Price, price_of
from components.llm.speeds import measured_speed, remember_speed

LISTED = (
    "text-embedding-3-small", "anthropic/claude-sonnet-4-5", "claude-sonnet-4-5", "openai/gpt-4o", "gpt-4o",
    "gpt-4.1-mini", "gpt-5", "openai/gpt-5", "o3-mini", "mistral/mistral-embed", "cohere/embed-multilingual-v3.0",
    "voyage/voyage-3", "gemini/gemini-2.5-flash", "deepseek/deepseek-chat", "vertex_ai/text-embedding-004",
)  # fmt: skip
TEXT = "Ciao, come stai? La nota è «qui», `codice()`.\n| a | b |\n🙂 2026-01-02 <|endoftext|>"


@pytest.mark.slow
@pytest.mark.parametrize("model", LISTED)
def test_prices_and_tokens_are_litellm_s(model: str) -> None:
    from components.llm.litellm_door import open_litellm

    litellm = open_litellm()
    price = price_of(model)
    assert price is not None
    theirs = sum(litellm.cost_per_token(model=model, prompt_tokens=1000, completion_tokens=100))
    assert price.of(1000, 100) == pytest.approx(theirs)
    # litellm counts by the provider's tables only under the plain name.
    assert abs(count_remote_tokens(model, TEXT) - litellm.token_counter(model=model, text=TEXT)) <= 1
    messages = [{"role": "system", "content": "Sei Cervella."}, {"role": "user", "content": TEXT}]
    theirs = litellm.token_counter(model=model, messages=messages)
    assert 0 <= count_remote_messages(model, [one["content"] for one in messages]) - theirs <= 6


def test_no_price_is_no_zero() -> None:
    assert price_of("openai/mine") is None
    assert price_of("mistral/gpt-4o") is None  # another provider's price
    assert price_of("local/smollm2-135m-instruct") == price_of("fake/embedding") == price_of("none") == Price(0, 0)


@pytest.mark.parametrize(
    "model", ["fake/embedding", "fake/embedding?dimensions=9", "local/multilingual-e5-small", "text-embedding-3-small"]
)
def test_an_embedder_is_known_by_its_id_before_it_is_loaded(model: str) -> None:
    loaded = load_embedder(model=model)
    assert loaded is not None
    assert embedder_id(model=model, dimensions=None, api_base=None) == loaded.id
    if not model.startswith("text"):
        assert counter_of(model)(TEXT) == loaded.count_tokens(TEXT)


def test_none_has_no_id() -> None:
    assert embedder_id(model="none", dimensions=None, api_base=None) is None


def test_the_cache_is_looked_into_without_a_trace(tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "vectors.sqlite"
    embedder = load_embedder(model="fake/embedding", cache=cache)
    assert embedder is not None
    assert embedded_before(cache, embedder=embedder.id, texts=["a", "b"], role="passage") == set()
    assert not cache.parent.exists()
    embedder.embed_passages(["a", "c"], local_notes=())
    embedder.embed_queries(["b"])
    for closed in (False, True):  # with a log beside it, and without
        if closed:
            embedder.close()
        before = sorted(path.name for path in cache.parent.iterdir())
        assert embedded_before(cache, embedder=embedder.id, texts=["a", "b", "c"], role="passage") == {"a", "c"}
        assert embedded_before(cache, embedder=embedder.id, texts=["a", "b"], role="query") == {"b"}
        assert sorted(path.name for path in cache.parent.iterdir()) == before
    assert embedded_before(cache, embedder="another", texts=["a"], role="passage") == set()


def test_a_broken_or_foreign_cache_knows_nothing(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    with sqlite3.connect(tmp_path / "foreign") as connection:
        connection.execute("CREATE TABLE other (a)")
    for name in ("broken", "foreign"):
        assert embedded_before(tmp_path / name, embedder="e", texts=["a"], role="passage") == set()


@given(st.lists(st.tuples(st.floats(1, 1e6), st.floats(0.001, 1e4)), min_size=1, max_size=6))
def test_a_speed_lies_between_those_that_were_measured(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[float, float]]
) -> None:
    file = tmp_path_factory.mktemp("speeds") / "speeds.json"
    for work, seconds in runs:
        remember_speed(file, model="m", unit="characters", work=work, seconds=seconds)
    found = measured_speed(file, model="m", unit="characters")
    assert found is not None
    rates = [seconds / work for work, seconds in runs]
    assert min(rates) * 0.99 - 1e-6 <= found.seconds_for(1) <= max(rates) * 1.01 + 1e-6
    assert measured_speed(file, model="m", unit="answers") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', "\x00"], ids=repr)
def test_a_damaged_file_of_speeds_counts_as_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "speeds.json"
    file.write_text(text)
    assert measured_speed(file, model="m", unit="runs") is None
    remember_speed(file, model="m", unit="runs", work=2, seconds=6)
    found = measured_speed(file, model="m", unit="runs")
    assert found is not None and found.seconds_for(1) == 3


def test_nothing_measured_is_nothing_remembered(tmp_path: Path) -> None:
    remember_speed(tmp_path / "s.json", model="m", unit="runs", work=0, seconds=1)
    assert not (tmp_path / "s.json").exists()
