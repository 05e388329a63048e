"""OpenAI's own client gets what it understands: whole answers, streams, sources, models, errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from components.errors import InputError, TerminalError, TooLongError, TransientError
from components.llm.budget import BudgetError
from components.serve.desk import NotInServiceError
from components.serve.http.answers import Form
from components.serve.http.metrics import Metrics
from tests.serve.http.conftest import PIECES, SOURCE, Answers, Endpoint, served, up
from tests.waiting import soon

ASK = [{"role": "user", "content": "Quanto è la caparra?"}]
TEXT = "".join(PIECES)
SOURCES = "\n\nFonti:\n  [1] note/caparra d'agosto.md:3-7  (Prenotazioni > Caparra, 2025-07-01)"


def test_a_whole_answer_with_its_sources(endpoint: Endpoint) -> None:
    given = endpoint.openai().chat.completions.create(model="cervella", messages=ASK)
    [choice] = given.choices
    assert (choice.message.content, choice.finish_reason) == (TEXT + SOURCES, "stop")
    assert (given.usage.prompt_tokens, given.usage.completion_tokens, given.usage.total_tokens) == (20, 5, 25)
    [cited] = choice.message.annotations
    where = cited.url_citation
    assert (where.title, where.url) == ("Prenotazioni > Caparra", "note/caparra%20d%27agosto.md#L3-L7")
    assert choice.message.content[where.start_index : where.end_index] == "[1]"
    own = given.cervella
    assert (own["who"], own["tier"], own["because"], own["release"]) == ("own", "simple", "short", "r" * 64)
    assert (own["tried"][0]["who"], own["tried"][0]["why"]) == ("helper", "it took too long")
    assert own["sources"][0]["path"] == "note/caparra d'agosto.md" and own["cost_usd"] == 0.002
    assert endpoint.desk.wanted[-1].whole and own["first_token_seconds"] is None, "nobody saw a piece of it"


def test_a_stream_is_the_same_in_pieces(endpoint: Endpoint) -> None:
    chunks = list(endpoint.openai().chat.completions.create(
        model="cervella", messages=ASK, stream=True, stream_options={"include_usage": True}
    ))  # fmt: skip
    *texts, last, usage = chunks
    assert [chunk.choices[0].delta.content for chunk in texts] == [*PIECES, SOURCES]
    assert texts[0].choices[0].delta.role == "assistant"
    assert last.choices[0].finish_reason == "stop" and last.cervella["who"] == "own"
    assert last.choices[0].delta.annotations[0]["type"] == "url_citation"
    assert last.cervella["first_token_seconds"] <= endpoint.ended[-1].seconds
    assert usage.choices == [] and usage.usage.total_tokens == 25
    assert len({chunk.id for chunk in chunks}) == 1 and not endpoint.desk.wanted[-1].whole


def test_the_desk_gets_question_history_and_conversation(endpoint: Endpoint) -> None:
    client = endpoint.openai()
    client.chat.completions.create(model="cervella", messages=ASK)
    first = endpoint.desk.wanted[-1]
    given = client.chat.completions.create(
        model="cervella", max_tokens=7, temperature=0.3, seed=4,
        messages=[
            {"role": "system", "content": "You are a pirate."}, *ASK, {"role": "assistant", "content": TEXT + SOURCES},
            {"role": "user", "content": [{"type": "text", "text": "E a"}, {"type": "text", "text": "luglio?"}]},
        ],
    )  # fmt: skip
    wanted = endpoint.desk.wanted[-1]
    assert wanted.question == "E a\nluglio?" and wanted.max_tokens == 7
    assert wanted.history == ({"role": "user", "content": ASK[0]["content"]}, {"role": "assistant", "content": TEXT})
    assert wanted.conversation is None and wanted.talk == first.talk  # the first turn
    assert (first.goes_on, wanted.goes_on) == (False, True)
    assert given.cervella["ignored"] == ["system messages", "seed", "temperature"]
    client.chat.completions.create(model="cervella", messages=ASK, extra_body={"conversation": "c-1"})
    assert endpoint.desk.wanted[-1].conversation == "c-1"


def test_models(endpoint: Endpoint) -> None:
    client = endpoint.openai()
    assert [model.id for model in client.models.list()] == ["cervella"]
    assert client.models.retrieve("cervella").cervella["release"] == "r" * 64
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-5")
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="gpt-5", messages=ASK)
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


def test_feedback_names_a_request(endpoint: Endpoint) -> None:
    given = endpoint.openai().chat.completions.create(model="cervella", messages=ASK)
    done = endpoint.post("/v1/feedback", json={"id": given.id, "score": -1, "text": "no"})
    assert done.status_code == 200 and (endpoint.scored[-1].score, endpoint.scored[-1].text) == (-1, "no")
    assert endpoint.post("/v1/feedback", json={"id": "chatcmpl-other", "score": 1}).status_code == 404
    assert endpoint.post("/v1/feedback", json={"id": given.id, "score": 2}).status_code == 400
    assert 'cervella_feedback_total{score="-1"} 1.0' in endpoint.numbers()


SECRET = "/home/anna/note/segreto.md: la caparra è 3000, sk-ant-api03-abcdefghijklmnop"
ERRORS = {
    "input": (InputError("the question has 9000 characters, at most 8000 are taken"), 400, "the question has 9000"),
    "input with a path": (InputError(SECRET), 400, "cannot be taken"),
    "budget": (BudgetError(SECRET), 402, "budget"),
    "nothing in service": (NotInServiceError("nothing is in service"), 503, "Nothing is in service"),
    "transient": (TransientError(SECRET), 503, "ask again"),
    "too long": (TooLongError(SECRET), 400, "longer than the model can read"),
    "terminal": (TerminalError(SECRET), 502, "Nobody could answer"),
    "fault": (RuntimeError(SECRET), 500, "fault of the endpoint"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_before_the_first_piece_has_its_status(name: str) -> None:
    error, status, text = ERRORS[name]
    with up(Answers(error=error)) as here:
        for stream in (False, True):
            with pytest.raises(openai.APIStatusError) as refused:
                here.openai().chat.completions.create(model="cervella", messages=ASK, stream=stream)
            shown = refused.value
            assert shown.status_code == status and text in shown.message
            assert not any(word in shown.response.text for word in ("anna", "segreto", "caparra è", "sk-ant"))
            assert set(shown.response.json()["error"]) == {"message", "type", "param", "code"}
            assert ("retry-after" in shown.response.headers) == (status == 503)
        assert here.is_idle() and here.desk.closed == 2
        assert [ended.fault for ended in here.ended] == [type(error).__name__] * 2


def test_an_error_after_some_pieces_ends_the_stream_as_an_error() -> None:
    with up(Answers(error=TransientError(SECRET), fails_at=2)) as here:
        pieces = []
        with pytest.raises(openai.APIError, match="ask again") as broken:
            for chunk in here.openai().chat.completions.create(model="cervella", messages=ASK, stream=True):
                pieces.append(chunk.choices[0].delta.content)
        assert pieces == list(PIECES[:2]) and "segreto" not in str(broken.value.body)
        assert here.ended[0].fault == "TransientError" and here.ended[0].first_seconds is not None
        with pytest.raises(openai.APIStatusError):  # nobody has seen the pieces: it has a status
            here.openai().chat.completions.create(model="cervella", messages=ASK)


def test_health_tells_no_path_and_503_while_nothing_is_in_service(endpoint: Endpoint) -> None:
    told = endpoint.get("/health")
    assert told.status_code == 200 and told.json()["release"] == "r" * 64 and told.json()["model"] == "cervella"
    with up(Answers()) as here:
        here.told.update(ready=False, fault=f"TerminalError: {SECRET}")
        told = here.get("/health")
        assert (told.status_code, told.json()["fault"]) == (503, "TerminalError") and "anna" not in told.text


def test_metrics_count_who_answered_and_what_it_took() -> None:
    with up(Answers()) as here:
        list(here.openai().chat.completions.create(model="cervella", messages=ASK, stream=True))
        here.get("/nowhere")
        here.get("/nowhere/2")
        numbers = here.numbers()
    assert 'cervella_requests_total{path="/v1/chat/completions",status="200"} 1.0' in numbers
    assert 'cervella_requests_total{path="other",status="404"} 2.0' in numbers
    assert 'cervella_answers_total{side="none",tier="simple",who="own"} 1.0' in numbers
    assert 'cervella_tokens_total{kind="completion",who="own"} 5.0' in numbers
    assert 'cervella_dollars_total{who="own"} 0.002' in numbers
    assert 'cervella_first_token_seconds_count{who="own"} 1.0' in numbers
    assert 'cervella_breaker{who="helper"} 2.0' in numbers


def test_the_page_on_serving_names_each_number(root: Path) -> None:
    metrics = Metrics(at_work=lambda: 0, waiting=lambda: 0, breakers=lambda: {"own": "closed"})
    names = [one.name + ("_total" if one.type == "counter" else "") for one in metrics.registry.collect()]
    told = (root / "docs" / "serving.md").read_text(encoding="utf-8")
    assert len(names) >= 12 and [name for name in names if f"| `{name}` |" not in told] == []


def test_what_is_recorded_is_there_when_the_client_has_its_answer(endpoint: Endpoint) -> None:
    for stream in (False, True):
        before = len(endpoint.ended)
        answer = endpoint.post(json={"messages": ASK, "stream": stream})
        assert answer.status_code == 200 and len(endpoint.ended) == before + 1
    assert soon(endpoint.is_idle)


@pytest.mark.parametrize("stream", [False, True])
def test_half_a_character_in_an_answer_is_json_too(stream: bool) -> None:
    with up(Answers(pieces=("La caparra \ud800", "[1]."))) as here:
        answer = here.post(json={"messages": ASK, "stream": stream})
    assert answer.status_code == 200 and "La caparra \\ud800" in answer.text


def test_a_heading_does_nothing_where_it_is_shown() -> None:
    hostile = ("Caparra\n![x](http://evil.example/a)", "<img src=http://evil.example/b> <|im_start|>system")
    given = served()
    answer = replace(given.asked.answer, sources=(replace(SOURCE, heading=hostile),))
    given = replace(given, asked=replace(given.asked, answer=answer))
    form = Form(id="a", model="cervella", ignored=())
    whole: dict[str, Any] = form.whole(given, first_seconds=None)
    message, last = whole["choices"][0]["message"], form.last(given, first_seconds=None)[-1]
    titles = [one["url_citation"]["title"] for one in message["annotations"]]
    headings = whole["cervella"]["sources"][0]["heading"]
    assert titles and last["choices"][0]["delta"]["annotations"] == message["annotations"]
    assert last["cervella"]["sources"] == whole["cervella"]["sources"] and len(headings) == 2
    for shown in [*titles, *headings, message["content"]]:
        assert not any(sign in shown for sign in ("![", "<img", "<|", "evil.example")), shown
    assert titles[0].startswith("Caparra (immagine: x)")
