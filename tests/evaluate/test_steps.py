"""The steps of the evaluation in a real store, on a real index of two notes, with doubles for the models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.answer import AnswerParams
from components.answer.steps import open_partner
from components.errors import TerminalError
from components.evaluate import EvaluateParams
from components.evaluate import steps as evaluate
from components.evaluate.records import AnswerRecord
from components.index import IndexParams, SearchParams
from components.index import steps as index
from components.index.params import EmbeddingParams
from components.llm.params import ChatParams, LlmParams
from components.persona import PersonaParams
from components.persona import steps as persona
from components.sncp import SncpParams
from components.sncp import steps as sncp
from components.store import Artefact, Run

INDEX = IndexParams(embedding=EmbeddingParams(model="fake/embedding"))
SEARCH = SearchParams()


class House:
    """A workspace with a published index of the notes in `root`."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "notes"
        self.root.mkdir()
        (self.root / "città.md").write_text("# Rilascio\n\nSi rilascia il venerdì mattina.\n", encoding="utf-8")
        (self.root / "b.md").write_text("# Backup\n\nIl backup gira ogni notte alle tre.\n", encoding="utf-8")
        self.golden = folder / "golden.jsonl"
        self.workspace = folder / "workspace"
        self.params = EvaluateParams(golden=self.golden, answers=2)

    def ask(self, *gold: str) -> None:
        rows = [
            {"id": f"q{number}", "question": "Quando si rilascia?", "lang": "it", "kind": "fact", "gold": [path]}
            for number, path in enumerate(gold)
        ]
        self.golden.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def run(self) -> Run:
        return Run.create(self.workspace, recipe="test", phase="mvp")

    def built(self, run: Run) -> tuple[Artefact, Artefact]:
        params = SncpParams(root=self.root, include=["**/*.md"])
        notes = sncp.collect_notes(run, params, persona_files=[])
        built = index.build_index(run, INDEX, chunks=index.chunk_notes(run, INDEX, notes=notes))
        documents = sncp.read_documents(notes)
        return built, persona.compile_persona(run, PersonaParams(), root=self.root, documents=documents)

    def retrieval(self, run: Run, built: Artefact) -> Artefact:
        opened = index.open_index(INDEX, workspace=self.workspace, built=built)
        return evaluate.retrieve_questions(run, self.params, SEARCH, index=opened, built=built)

    def answers(self, run: Run, built: Artefact, prompt: Artefact, chat: str) -> Artefact:
        llm, answer = LlmParams(chat=ChatParams(model=chat, retries=0)), AnswerParams()
        opened = index.open_index(INDEX, workspace=self.workspace, built=built)
        text, session = persona.read_persona(prompt)
        return evaluate.answer_questions(
            run, self.params, SEARCH, llm, answer,
            partner=lambda: open_partner(
                workspace=self.workspace, index=opened, search=SEARCH, prompt=text, session=session, llm=llm,
                answer=answer,
            ),
            known_paths=opened.paths, built=built, prompt=prompt,
        )  # fmt: skip


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def status(run: Run, name: str) -> Any:
    return next(step["status"] for step in run.read()["steps"] if step["name"] == name)


@pytest.mark.parametrize("spelling", ["./città.md", "cittA\u0300.md".lower(), "città.md"])
def test_gold_is_found_however_its_path_is_spelled(house: House, spelling: str) -> None:
    house.ask(spelling)
    run = house.run()
    built, prompt = house.built(run)
    retrieval, answers = house.retrieval(run, built), house.answers(run, built, prompt, "fake/chat")
    card = evaluate.score(run, house.params, AnswerParams(), retrieval=retrieval, answers=answers)
    assert card.read_json("scorecard.json")["metrics"]["mrr"]["value"] == 1.0


@pytest.mark.parametrize(
    ("chat", "passed"),
    [("fake/chat", True), ("fake/chat?reply=Il venerdì mattina.", False)],
    ids=["citing", "naming nothing"],
)
def test_a_golden_answer_that_names_no_source_fails_the_check_of_sources(house: House, chat: str, passed: bool) -> None:
    house.ask("città.md")
    run = house.run()
    built, prompt = house.built(run)
    [row] = house.answers(run, built, prompt, chat).read_jsonl("answers.jsonl")
    assert row["found"] and row["sources"] and bool(row["cited"]) is passed
    assert AnswerRecord.from_dict(row).to_dict() == row
    assert next(check["passed"] for check in row["checks"] if check["name"] == "sources") is passed


def test_what_was_searched_is_scored_although_the_golden_file_changed_meanwhile(house: House) -> None:
    house.ask("città.md")
    run = house.run()
    built, prompt = house.built(run)
    retrieval, answers = house.retrieval(run, built), house.answers(run, built, prompt, "fake/chat")
    house.ask("b.md", "b.md", "b.md")
    card = evaluate.score(run, house.params, AnswerParams(), retrieval=retrieval, answers=answers)
    assert [row["id"] for row in card.read_jsonl("questions.jsonl")] == ["q0"]


def test_answers_that_failed_are_asked_again_by_the_next_run(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.llm.fake import FakeChat

    def fails(*_: object, **__: object) -> None:
        raise TerminalError("the key was refused")

    house.ask("città.md", "b.md")
    run = house.run()
    built, prompt = house.built(run)
    with monkeypatch.context() as broken:
        broken.setattr(FakeChat, "complete", fails)
        first = house.answers(run, built, prompt, "fake/chat")
    assert evaluate.failed_answers(first) == 2
    again = house.run()
    assert evaluate.failed_answers(house.answers(again, built, prompt, "fake/chat")) == 0
    assert status(again, "evaluate.answers") == "done"
    third = house.run()
    house.answers(third, built, prompt, "fake/chat")
    assert status(third, "evaluate.answers") == "skipped"


def test_a_score_is_never_of_an_index_that_was_changed_meanwhile(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.index import Index

    house.ask("città.md")
    run = house.run()
    built, _ = house.built(run)
    search = Index.search

    def disturbed(self: Index, question: str, **options: Any) -> Any:
        found = search(self, question, **options)
        (house.root / "c.md").write_text("# Nuova\n", encoding="utf-8")
        (house.root / "b.md").unlink()
        house.built(house.run())
        return found

    monkeypatch.setattr(Index, "search", disturbed)
    with pytest.raises(TerminalError, match="changed by another run"):
        house.retrieval(run, built)


def test_answers_many_at_a_time_are_those_of_one_after_the_other(house: House, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = House(tmp_path / "other")
    rows = []
    for where, at_once in ((house, 1), (other, 8)):
        where.ask(*["città.md"] * 9)
        where.params = EvaluateParams(golden=where.golden, answers=9, at_once=at_once)
        run = where.run()
        answers = where.answers(run, *where.built(run), "fake/chat")
        rows.append([{**row, "seconds": None, "cached": None} for row in answers.read_jsonl("answers.jsonl")])
    assert rows[0] == rows[1]
    assert len(rows[0]) == 9


def test_only_answers_that_failed_are_paid_for_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.llm.fake import FakeChat

    real, calls = FakeChat.complete, iter(range(100))

    def second_fails(self: FakeChat, messages: Any, **options: Any) -> Any:
        if next(calls) == 1:
            raise TerminalError("the server was down")
        return real(self, messages, **options)

    house.ask("città.md", "b.md")
    house.golden.write_text(house.golden.read_text(encoding="utf-8").replace("rilascia?", "salva?", 1), "utf-8")
    run = house.run()
    built, prompt = house.built(run)
    monkeypatch.setattr(FakeChat, "complete", second_fails)
    first = house.answers(run, built, prompt, "fake/chat?seed=1")
    assert evaluate.failed_answers(first) == 1
    # Without the cache only the rows of the artefact can tell what was answered.
    (house.workspace / "cache" / "responses.sqlite").unlink()
    again = house.answers(house.run(), built, prompt, "fake/chat?seed=1")
    assert evaluate.failed_answers(again) == 0
    assert next(calls) == 3


def test_answers_of_an_index_that_was_changed_meanwhile_are_not_kept(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.index import Index

    house.ask("città.md", "b.md")
    run = house.run()
    built, prompt = house.built(run)
    search = Index.search

    def disturbed(self: Index, question: str, **options: Any) -> Any:
        (house.root / "c.md").write_text("# Nuova\n\nTutta nuova.\n", encoding="utf-8")
        house.built(house.run())
        return search(self, question, **options)

    monkeypatch.setattr(Index, "search", disturbed)
    with pytest.raises(TerminalError, match="changed by another run"):
        house.answers(run, built, prompt, "fake/chat")
    assert not list((house.workspace / "scratch").glob("*/paid.jsonl"))
