"""Candidate, champion and control: what each is asked with, what counts as the same, and what is asked again."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from asking_house import INDEX, SEARCH, AskingHouse, items  # noqa: E402

from components.answer import MAX_QUESTION_CHARS, AnswerParams  # noqa: E402
from components.errors import TerminalError  # noqa: E402
from components.evaluate.asking import steps as asking  # noqa: E402
from components.evaluate.asking.contestants import (  # noqa: E402
    MAX_TASK_CHARS,
    Served,
    no_champion,
    no_control,
    read_champion_release,
)
from components.evaluate.checks import CHECKS  # noqa: E402
from components.evaluate.said import Item, Said  # noqa: E402
from components.index import Index, SearchParams  # noqa: E402
from components.llm.fake import FakeChat  # noqa: E402
from components.llm.params import ChatParams, LlmParams  # noqa: E402
from components.persona.steps import read_persona  # noqa: E402
from components.store import Artefact, StepSpec, recorded_step  # noqa: E402

TASK = Item(part="task", id="t1", prompt="Riassumi.\n\n" + "Il forno è caldo. " * 500, lang="it", kind="summary")


@pytest.fixture
def house(tmp_path: Path) -> AskingHouse:
    return AskingHouse(tmp_path)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Messages of each call of the chat model."""
    calls: list[Any] = []
    real = FakeChat.complete

    def complete(self: FakeChat, messages: Any, **options: Any) -> Any:
        calls.append([dict(message) for message in messages])
        return real(self, messages, **options)

    monkeypatch.setattr(FakeChat, "complete", complete)
    return calls


def said(made: Artefact) -> list[Said]:
    return list(asking.read_said(made))


def status(house: AskingHouse, name: str) -> Any:
    newest = max((house.workspace / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    steps = json.loads((newest / "run.json").read_bytes())["steps"]
    return next(step["status"] for step in steps if step["name"] == name)


def test_eight_at_a_time_say_what_one_after_the_other_says(tmp_path: Path, house: AskingHouse) -> None:
    (tmp_path / "other").mkdir()
    other = AskingHouse(tmp_path / "other")
    asked = [*items(12), *items(12, part="task")]
    alone, together = said(house.candidate(asked, at_once=1)), said(other.candidate(asked, at_once=8))
    assert [one.item for one in together] == asked
    assert [replace(one, seconds=None) for one in together] == [replace(one, seconds=None) for one in alone]
    assert list(asking.read_items(house.candidate(asked))) == asked


def test_the_seconds_of_an_answer_are_its_own(house: AskingHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, real, searching = threading.Event(), Index.search, []

    def search(self: Index, question: str, **options: Any) -> Any:
        began = time.perf_counter()
        slow.wait(0.1)
        found = real(self, question, **options)
        searching.append(time.perf_counter() - began)
        return found

    monkeypatch.setattr(Index, "search", search)
    seconds = [one.seconds or 0.0 for one in said(house.candidate(items(8), at_once=8))]
    assert min(seconds) >= 0.1
    # Each waited for up to seven others: counted, that would make the sum more than four times that of the searches.
    # What is left beside them is work without a model.
    assert sum(seconds) < 2 * sum(searching), (seconds, searching)


def test_candidate_has_persona_notes_and_checks_and_the_control_has_none(house: AskingHouse, heard: list[Any]) -> None:
    [served] = said(house.candidate(items(1)))
    [bare] = said(house.control(items(1)))
    assert served.found and served.sources == ("a.md:1-3", "b.md:1-3")[: len(served.sources)] and served.sources
    assert [check.name for check in served.checks] == list(CHECKS)
    assert (bare.found, bare.sources, bare.checks) == (False, (), ())
    prompt, _ = read_persona(house.prompt)
    assert heard[0][0]["content"] == prompt.text and "venerdì mattina" in heard[0][1]["content"]
    assert heard[1] == [
        {"role": "system", "content": "Rispondi in italiano."},
        {"role": "user", "content": items(1)[0].prompt},
    ]


@pytest.mark.parametrize(
    ("chat", "cited", "passed"),
    [("fake/chat", ("a.md:1-3",), True), ("fake/chat?reply=Si rilascia il venerdì mattina.", (), False)],
    ids=["citing", "naming nothing"],
)
def test_an_answer_that_names_no_source_fails_the_check_of_sources(
    tmp_path: Path, chat: str, cited: tuple[str, ...], passed: bool
) -> None:
    [served] = said(AskingHouse(tmp_path, chat=chat).candidate(items(1)))
    assert served.found and "a.md:1-3" in served.sources  # the notes that the model was given: some may be local
    assert served.cited == cited
    assert next(check.passed for check in served.checks if check.name == "sources") is passed


def test_a_task_may_be_long_and_its_answer_too(house: AskingHouse, heard: list[Any]) -> None:
    assert MAX_QUESTION_CHARS < len(TASK.prompt) < MAX_TASK_CHARS
    long = replace(TASK, part="personality", id="p1")
    task, prompt = said(house.candidate([TASK, long]))
    assert task.error is None
    assert [check.name for check in task.checks] == ["language", "feminine", "phrases", "clean", "repetition"]
    assert prompt.error is not None and f"at most {MAX_QUESTION_CHARS}" in prompt.error
    assert TASK.prompt.strip() in heard[0][1]["content"]
    assert said(house.control([TASK]))[0].error is None


def test_a_secret_in_a_prompt_reaches_no_contestant(house: AskingHouse, heard: list[Any]) -> None:
    secret = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    item = replace(items(1)[0], prompt=f"Il token è {secret}, quando si rilascia?")
    house.candidate([item])
    house.control([item])
    assert len(heard) == 2
    assert secret not in json.dumps(heard)


def test_only_what_failed_is_asked_again(house: AskingHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real = FakeChat.complete

    def complete(self: FakeChat, messages: Any, **options: Any) -> Any:
        calls.append(messages[1]["content"])
        if broken and "versione 2?" in messages[1]["content"]:
            raise TerminalError("the server was down")
        return real(self, messages, **options)

    monkeypatch.setattr(FakeChat, "complete", complete)
    house.llm = LlmParams(chat=ChatParams(model="fake/chat", retries=0, temperature=0.7), cache=False)
    broken = True
    first = house.candidate(items(4), at_once=2)
    assert asking.failed_said(first) == 1
    assert [one.error for one in said(first)] == [None, None, "the server was down", None]
    assert said(first)[2].text == ""
    broken = False
    before, calls[:] = said(first), []
    again = house.candidate(items(4), at_once=2)
    assert len(calls) == 1 and "versione 2?" in calls[0]
    assert asking.failed_said(again) == 0
    assert [one for one in said(again) if one.item.id != "p2"] == [one for one in before if one.item.id != "p2"]
    assert said(house.candidate(items(4))) == said(again) and status(house, "evaluate.candidate") == "skipped"
    forced = house.new_run()
    forced.update(force=["evaluate.candidate"])
    house.candidate(items(4), run=forced)
    assert len(calls) == 5


def test_nobody_is_opened_when_there_is_nothing_to_ask(house: AskingHouse) -> None:
    def refuse() -> Any:
        raise AssertionError("opened")

    assert said(house.candidate([], contender=refuse)) == []
    made = house.candidate(items(1))
    assert house.candidate(items(1), contender=refuse).id == made.id


def test_nothing_found_in_another_index_counts_or_is_kept(house: AskingHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    real, turns = Index.search, iter(range(1000))

    def disturbed(self: Index, question: str, **options: Any) -> Any:
        if next(turns) == 2:
            (house.root / "c.md").write_text("# Nuova\n\nSi rilascia di lunedì.\n", encoding="utf-8")
            AskingHouse(house.root.parent)
        return real(self, question, **options)

    with monkeypatch.context() as broken:
        broken.setattr(Index, "search", disturbed)
        with pytest.raises(TerminalError, match="changed by another run"):
            house.candidate(items(9), at_once=3)
    [log] = (house.workspace / "scratch").glob("*/paid.jsonl")
    assert "lunedì" not in log.read_text(encoding="utf-8")
    with pytest.raises(TerminalError, match="changed by another run"):
        house.candidate(items(9), at_once=3)


def spec(house: AskingHouse, **changes: Any) -> StepSpec:
    values: dict[str, Any] = {
        "items": items(2), "chat": house.llm.chat, "search": SEARCH, "answer": AnswerParams(), "index": "i",
        "prompt": "p",
    } | changes  # fmt: skip
    return asking.candidate_spec(values.pop("items"), **values)


@pytest.mark.parametrize(
    "change",
    [
        {"items": items(3)},
        {"items": [items(2)[1], items(2)[0]]},
        {"items": [items(2)[0], replace(items(2)[1], lang="en")]},
        {"chat": ChatParams(model="fake/chat?seed=2")},
        {"chat": ChatParams(model="fake/chat", temperature=0.5)},
        {"search": SearchParams(k=3)},
        {"answer": AnswerParams(max_context_tokens=9)},
        {"index": "other"},
        {"prompt": "other"},
        {"adapter": "a"},
        {"leave_out_local": True},
    ],
    ids=lambda change: "-".join(change) if isinstance(change, dict) else str(change),
)
def test_whatever_answers_depend_on_is_in_the_identity(house: AskingHouse, change: dict[str, Any]) -> None:
    assert spec(house, **change).fingerprint != spec(house).fingerprint


def test_what_answers_do_not_depend_on_is_not(house: AskingHouse) -> None:
    patient = ChatParams(model="fake/chat", retries=9, timeout_seconds=1.0, api_key_env="KEY")
    assert spec(house, chat=patient).fingerprint == spec(house).fingerprint
    control = asking.control_spec(items(2), chat=patient)
    assert control == asking.control_spec(items(2), chat=ChatParams(model="fake/chat"))
    assert set(control.inputs) == {"items"}
    champion = asking.champion_spec(items(2), release="r", index="i")
    assert champion.fingerprint != asking.champion_spec(items(2), release="r", index="j").fingerprint
    assert champion.fingerprint != asking.champion_spec(items(2), release="s", index="i").fingerprint


# The champion


def record(house: AskingHouse, **changes: Any) -> dict[str, Any]:
    """A release as `components.registry.release` builds it."""
    prompt, _ = read_persona(house.prompt)
    return {
        "format": 1,
        "persona": {"prompt": prompt.text, "session": None},
        "base_model": house.llm.chat.sampled(),
        "adapter": None,
        "index": {
            "embedder": house.built.read_json("index.json")["embedder"],
            "chunk": INDEX.chunk.model_dump(mode="json"),
            "search": SEARCH.model_dump(mode="json"),
        },
        "answer": AnswerParams().model_dump(mode="json"),
    } | changes  # fmt: skip


def sealed(house: AskingHouse, release: dict[str, Any], *, adapter: bytes | None = None) -> Artefact:
    with recorded_step(house.new_run(), StepSpec("registry.release", 1, {"release": release})) as step:
        if not step.sealed:
            step.write_json("release.json", release)
            for name in ("prompt.md", "prompt.json", "session.json"):
                step.path(name).write_bytes(house.prompt.file(name).read_bytes())
            if adapter is not None:
                step.path("adapter.gguf").write_bytes(adapter)
    return step.artefact


def test_the_champion_is_asked_as_it_was_released(house: AskingHouse, heard: list[Any]) -> None:
    older = record(
        house,
        base_model={**record(house)["base_model"], "model": "fake/chat?reply=Sono+pronta.", "max_tokens": 99},
        index={**record(house)["index"], "search": SearchParams(k=1).model_dump(mode="json")},
        answer=AnswerParams(language="it").model_dump(mode="json"),
    )
    release = sealed(house, older)
    assert no_champion(older, candidate=record(house), files=release.manifest["outputs"]) is None
    champion = read_champion_release(release, llm=house.llm)
    assert (champion.llm.chat.max_tokens, champion.search.k, champion.answer.language) == (99, 1, "it")
    assert champion.llm.budget == house.llm.budget and champion.adapter is None
    from components.answer.steps import open_partner

    def contender() -> Served:
        partner = open_partner(
            workspace=house.workspace, index=house.index, search=champion.search, prompt=champion.prompt,
            session=champion.session, llm=champion.llm, answer=champion.answer, adapter=champion.adapter,
        )  # fmt: skip
        return Served(partner, built=house.built)

    spec = asking.champion_spec(items(2), release=champion.digest, index=house.built.digest)
    made = asking.ask_contestant(house.new_run(), spec, items(2), contender=contender, at_once=2)
    assert [one.text for one in said(made)] == ["Sono pronta."] * 2
    assert made.id.startswith("evaluate.champion/")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda release: None, "is the release in service"),
        (lambda release: release["index"].update(embedder="other@1"), "embedder other@1"),
        (lambda release: release["index"]["chunk"].update(max_tokens=100), "index.chunk"),
        (lambda release: release["base_model"].update(model="x", new_field=1), "another version"),
        (lambda release: release.pop("answer"), "another version"),
        (lambda release: release.update(adapter="d", base_model={"model": "local/smollm2-135m-instruct"}), "GGUF"),
    ],
    ids=["same", "embedder", "chunk", "unknown field", "missing section", "adapter"],
)
def test_there_is_no_champion_for_a_reason_in_words(
    house: AskingHouse, change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    release = record(house)
    change(release)
    told = no_champion(release, candidate=record(house), files=["release.json", "prompt.md"])
    assert told is not None and reason in told


def test_the_champions_adapter_lies_in_its_release_and_its_patience_is_the_recipes(house: AskingHouse) -> None:
    base = {"model": "local/smollm2-135m-instruct"}
    release = sealed(house, record(house, base_model=base, adapter="d"), adapter=b"GGUF")
    patient = ChatParams(timeout_seconds=7.0, retries=5, api_key_env="MY_KEY", temperature=1.0)
    champion = read_champion_release(release, llm=LlmParams(chat=patient))
    assert champion.adapter == release.file("adapter.gguf")
    assert (champion.llm.chat.timeout_seconds, champion.llm.chat.retries, champion.llm.chat.api_key_env) == (
        7.0, 5, "MY_KEY",
    )  # fmt: skip
    assert champion.llm.chat.temperature == 0.0
    elsewhere = read_champion_release(release, llm=LlmParams(chat=patient.model_copy(update={"api_base": "http://x"})))
    assert elsewhere.llm.chat == ChatParams(**base)


@pytest.mark.parametrize(
    ("model", "adapter", "there"),
    [("local/smollm2-135m-instruct", True, True), ("hosted_vllm/cervella", True, False), ("openai/gpt", False, True)],
)
def test_a_control_needs_a_base_model_with_a_name(model: str, adapter: bool, there: bool) -> None:
    told = no_control(LlmParams(chat=ChatParams(model=model)), adapter=adapter)
    assert (told is None) is there
    assert there or (told is not None and model in told)
