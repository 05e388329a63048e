"""The partner in pieces: what she says is what she says at once, and closing the stream ends and settles all of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.answer import Answer, AnswerParams, stream_answer
from components.answer.partner import Asked, Partner
from components.answer.steps import open_partner
from components.errors import InputError, TerminalError, TransientError
from components.index import Index, SearchParams, chunk_documents
from components.llm import Budget, Message, Reply, load_embedder
from components.llm.params import ChatParams, LlmParams
from components.persona import PersonaParams
from components.persona.steps import compile_texts, persona_texts
from components.sncp.collect import collect
from components.sncp.params import DEFAULT_SOURCES

HOSTILE = Path(__file__).resolve().parents[2] / "examples" / "hostile" / "questions.jsonl"
REPLIES = [
    item["reply"] for line in HOSTILE.read_text(encoding="utf-8").splitlines() if "reply" in (item := json.loads(line))
]
QUESTION = "Quanto è la caparra ad agosto?"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Any:
    folder = tmp_path_factory.mktemp("stream")
    persona = PersonaParams(constitution=examples / "persona" / "COSTITUZIONE.md", dna=None, max_tokens=1500)
    documents = collect(
        root=examples / "sncp", sources=DEFAULT_SOURCES, include=[], exclude=[], max_bytes=10**6, redact="redact",
        persona_files=persona.files,
    ).documents  # fmt: skip
    embedder = load_embedder(model="fake/embedding", cache=folder / "embeddings.sqlite")
    assert embedder is not None
    index = Index.open(folder / "index", embedder)
    index.sync(chunk_documents(documents, max_tokens=200, breadcrumbs=True, count_tokens=embedder.count_tokens))
    return folder, index, *compile_texts(persona, persona_texts(persona, root=examples / "sncp", documents=documents))


def partner(opened: Any, model: str = "fake/chat", **changes: Any) -> Partner:
    folder, index, prompt, session = opened
    return open_partner(
        workspace=folder, index=index, search=SearchParams(k=4), prompt=prompt, session=session,
        llm=LlmParams(chat=ChatParams(model=model, retries=0), cache=changes.pop("cache", False)),
        answer=AnswerParams(**changes.pop("answer", {})), **changes,
    )  # fmt: skip


def taken(stream: Generator[str | Asked, None, None]) -> tuple[list[str], Asked]:
    *pieces, asked = stream
    assert isinstance(asked, Asked) and all(isinstance(piece, str) for piece in pieces)
    return [str(piece) for piece in pieces], asked


def told(asked: Asked) -> Answer:
    """All but the seconds."""
    reply = asked.answer.reply
    return replace(asked.answer, seconds=0.0, reply=reply and replace(reply, seconds=0.0))


@pytest.mark.parametrize("reply", ["", "Di venerdì [1], e poi [9].\n\nFonti:\n[1] a.md", "<think>no</think>", *REPLIES])
def test_the_pieces_are_what_she_says_at_once(opened: Any, reply: str) -> None:
    from urllib.parse import quote

    model = f"fake/chat?reply={quote(reply)}"
    pieces, asked = taken(partner(opened, model).stream(QUESTION))
    assert "".join(pieces) == asked.answer.text
    assert told(asked) == told(partner(opened, model).ask(QUESTION))
    assert asked.answer.reply is not None and 0 < asked.search_seconds < asked.seconds


def test_words_come_before_the_end(opened: Any) -> None:
    pieces, _ = taken(
        partner(opened, "fake/chat?reply=La caparra per agosto si paga entro maggio [1].").stream(QUESTION)
    )
    assert len(pieces) > 4


def test_what_is_not_in_the_notes_is_one_piece_and_asks_nobody(opened: Any) -> None:
    pieces, asked = taken(partner(opened, "fake/chat?die_at=1", answer={"min_score": 1.0}).stream(QUESTION))
    assert pieces == [asked.answer.text] == ["Non è nelle note."] and not asked.answer.found


def test_a_repeated_question_is_answered_from_the_cache_either_way(opened: Any) -> None:
    her = partner(opened, "fake/chat?reply=Entro maggio [1].", cache=True)
    first = her.ask(QUESTION)
    pieces, again = taken(her.stream(QUESTION))
    assert again.answer.reply is not None and again.answer.reply.cached
    assert "".join(pieces) == first.answer.text


def test_closing_it_settles_the_money_and_leaves_no_budget_behind(opened: Any) -> None:
    budget = Budget(per_run_usd=1.0, per_query_usd=0.3)
    her = partner(opened, "fake/chat?reply=uno due tre quattro cinque sei&cost=0.25", budget=budget)
    stream = her.stream(QUESTION)
    assert next(stream)
    assert her.ask(QUESTION).answer.found, "a question in between has a purse of its own"
    stream.close()
    assert budget.spent_usd == 0.5
    with pytest.raises(TerminalError, match="per_query_usd"):
        partner(opened, "fake/chat?reply=uno&cost=0.4", budget=budget).ask(QUESTION)


def test_another_thread_may_take_the_next_piece(opened: Any) -> None:
    stream = partner(opened, "fake/chat?reply=uno due tre quattro cinque sei").stream(QUESTION)
    found: list[Any] = [next(stream)]
    thread = threading.Thread(target=lambda: found.extend(stream))
    thread.start()
    thread.join()
    assert "".join(found[:-1]) == "uno due tre quattro cinque sei" == found[-1].answer.text


def test_an_error_after_some_pieces_is_raised(opened: Any) -> None:
    stream = partner(opened, "fake/chat?reply=uno due tre quattro cinque sei&break_at=5").stream(QUESTION)
    pieces = []
    with pytest.raises(TransientError):
        for piece in stream:
            pieces.append(piece)
    assert pieces


@pytest.mark.parametrize("question", ["", "x" * 5000], ids=["empty", "too long"])
def test_a_question_that_is_none_is_refused_before_it_is_searched(
    opened: Any, question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    her = partner(opened)

    def search(*_: Any, **__: Any) -> Any:
        raise AssertionError("it was searched, which may cost")

    monkeypatch.setattr(her.index, "searched", search)
    with pytest.raises(InputError):
        next(her.stream(question))
    with pytest.raises(InputError):
        her.ask(question)


def test_a_mask_that_is_longer_than_its_secret_makes_no_question_too_long(opened: Any) -> None:
    question = "Quanto? password: Xk9#mQ2vL7"
    assert partner(opened).ask(question, max_chars=len(question)).answer.text


def test_the_log_tells_of_a_secret_and_nothing_of_what_was_asked(opened: Any, caplog: pytest.LogCaptureFixture) -> None:
    secret = "sk-ant-api03-" + "aB3dE5gH7jK9mN1pQ3sT5vX7zA9cE1gI" * 2
    history: Any = [{"role": "assistant", "content": f"Nella nota segreta: {secret}"}]
    partner(opened).ask(f"Quanto vale {secret}?", history=history)
    (record,) = [one for one in caplog.records if "masked" in one.getMessage()]
    assert ": 2)" in record.getMessage()
    assert not [word for word in ("vale", "Nella", "sk-ant", "REDACTED") if word in caplog.text]


def test_beats_come_while_the_guard_holds_everything_back(opened: Any) -> None:
    her = partner(opened, "fake/chat?reply=<think>a b c d e f g h</think>Ecco [1].")
    pieces, asked = taken(her.stream(QUESTION, beat_seconds=5))
    assert pieces.count("") > 5 and "".join(pieces) == asked.answer.text == "Ecco [1]."
    assert "" not in taken(her.stream(QUESTION))[0]


def test_max_tokens_reach_the_model(opened: Any) -> None:
    her = partner(opened, "fake/chat?reply=uno due tre quattro")
    for asked in (her.ask(QUESTION, max_tokens=2), taken(her.stream(QUESTION, max_tokens=2))[1]):
        assert asked.answer.text == "uno due"
        assert asked.answer.reply is not None and asked.answer.reply.finish_reason == "length"


class Unending:
    """A model whose pieces end without a reply."""

    model, is_local, leaves_to = "double", True, None

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def stream(
        self, messages: Sequence[Message], *, max_tokens: int | None, local_notes: Collection[str],
        beat_seconds: float | None,
    ) -> Generator[str | Reply, None, None]:  # fmt: skip
        yield "Ecco"


def test_a_model_that_forgets_the_end_is_told(chunk: Any) -> None:
    stream = stream_answer(
        QUESTION, prompt="Sei Cervella.", session=None, hits=[chunk(text="a")], chat=Unending(),  # type: ignore[arg-type]
        language="auto", max_context_tokens=99, min_score=0.0,
    )  # fmt: skip
    with pytest.raises(TerminalError, match="without an end"):
        list(stream)
