"""The partner on a real index: what the prompt says is not retrieved again, what it took is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.answer import AnswerParams
from components.answer.steps import open_partner
from components.errors import TerminalError
from components.index import Index, SearchParams, chunk_documents
from components.llm import load_embedder, load_tokenizer
from components.llm.params import BudgetParams, ChatParams, LlmParams
from components.llm.spending import run_budget
from components.persona import PersonaParams, SessionParams
from components.persona.steps import compile_texts, persona_texts
from components.sncp.collect import collect
from components.sncp.params import DEFAULT_SOURCES
from components.store import Run


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, examples: Path):  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("partner")
    persona = PersonaParams(
        constitution=examples / "persona" / "COSTITUZIONE.md", dna=examples / "persona" / "DNA_FAMIGLIA.md",
        session=SessionParams(max_tokens=300), max_tokens=1500,
    )  # fmt: skip
    documents = collect(
        root=examples / "sncp", sources=DEFAULT_SOURCES, include=[], exclude=[], max_bytes=10**6, redact="redact",
        persona_files=persona.files,
    ).documents  # fmt: skip
    embedder = load_embedder(model="fake/embedding", cache=folder / "embeddings.sqlite")
    assert embedder is not None
    index = Index.open(folder / "index", embedder)
    index.sync(chunk_documents(documents, max_tokens=200, breadcrumbs=True, count_tokens=embedder.count_tokens))
    prompt, session = compile_texts(persona, persona_texts(persona, root=examples / "sncp", documents=documents))
    return folder, index, prompt, session


def partner(opened, model: str = "fake/chat", **budget: float):  # type: ignore[no-untyped-def]
    folder, index, prompt, session = opened
    llm = LlmParams(chat=ChatParams(model=model), budget=BudgetParams(**budget), cache=False)
    return open_partner(
        workspace=folder, index=index, search=SearchParams(k=20), prompt=prompt, session=session, llm=llm,
        answer=AnswerParams(),
    )  # fmt: skip


QUESTIONS = [
    "Chi sono e come parlo? Regole: mai, sempre",
    "Dove siamo arrivati con le prenotazioni?",
    "caparra ad agosto",
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_retrieval_leaves_out_what_the_prompt_says(opened, question: str) -> None:  # type: ignore[no-untyped-def]
    _, index, prompt, session = opened
    hits = partner(opened).retrieve(question)
    assert len(hits) == 20
    assert not [h for h in hits if prompt.in_prompt(h.path, h.first_line, h.last_line)]
    assert not [h for h in hits if session.in_prompt(h.path, h.first_line, h.last_line)]


def test_without_the_filter_the_prompt_would_be_retrieved(opened) -> None:  # type: ignore[no-untyped-def]
    _, index, prompt, _ = opened
    hits = index.search(QUESTIONS[0], k=20)
    assert [h for h in hits if prompt.in_prompt(h.path, h.first_line, h.last_line)]


def test_what_the_prompt_leaves_out_can_be_found(opened) -> None:  # type: ignore[no-untyped-def]
    _, _, prompt, _ = opened
    assert any(not section.included for section in prompt.sections)
    found = partner(opened).retrieve("Storie da ricordare")
    assert any(hit.kind == "persona" and "Storie" in " ".join(hit.heading) for hit in found)


def test_an_answer_says_what_it_took(opened) -> None:  # type: ignore[no-untyped-def]
    asked = partner(opened).ask("Quanto è la caparra ad agosto?")
    assert asked.answer.found and asked.answer.sources
    assert 0 < asked.search_seconds < asked.seconds
    source = asked.answer.sources[0]
    assert 1 <= source.first_line <= source.last_line


def test_a_question_over_its_budget_is_refused_before_it_is_asked(opened) -> None:  # type: ignore[no-untyped-def]
    dear = partner(opened, "fake/chat?cost=0.05", per_query_usd=0.01)
    with pytest.raises(TerminalError, match="per_query_usd"):
        dear.ask("Quanto è la caparra ad agosto?")


def test_the_steps_of_a_run_share_one_budget(tmp_path: Path) -> None:
    run = Run.create(tmp_path, recipe="mvp", phase="mvp")
    params = BudgetParams(per_run_usd=1.0, per_query_usd=1.0)
    with run_budget(run, params) as budget, budget.reserve(0.6, what="embedding") as money:
        money.settle(0.6)
    with run_budget(run, params) as budget:
        assert budget.per_run_usd == pytest.approx(0.4)
        with pytest.raises(TerminalError, match="per_run_usd"), budget.reserve(0.5, what="a call"):
            pass
    assert run.read()["spent_usd"] == pytest.approx(0.6)


def test_the_tokenizer_of_the_default_persona_is_here() -> None:
    assert load_tokenizer(PersonaParams().tokenizer).count("Perché no?") > 0
