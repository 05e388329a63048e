"""The back-test: what a plan predicts against what a run then does, change by change, over the real steps."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.recipe.plan import Plan

sys.path.insert(0, str(Path(__file__).parent))
from plan_house import House  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SECRET = "Chiave: AKIA" + "QYLPMN5HHHFPZAM2\n"


def append(name: str, text: str) -> Callable[[House], Any]:
    def change(house: House) -> None:
        path = house.notes / name
        path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")

    return change


def write(name: str, text: str) -> Callable[[House], Any]:
    return lambda house: (house.notes / name).write_text(text, encoding="utf-8") and None


def override(*texts: str) -> Callable[[House], Any]:
    return lambda house: house.overrides.extend(texts)


def persona(house: House) -> None:
    path = house.folder / "persona" / "COSTITUZIONE.md"
    path.write_text(path.read_text(encoding="utf-8") + "\n## Una regola nuova\n\nPrima si misura.\n", encoding="utf-8")


def cleared_cache(house: House) -> None:
    shutil.rmtree(house.workspace / "cache", ignore_errors=True)


def no_table(house: House) -> None:
    shutil.rmtree(house.workspace / "index")


NEW = "# Il forno\n\nIl forno si accende il sabato alle sei, con legna di faggio.\n"
CHANGES: list[tuple[str, Callable[[House], Any]]] = [
    ("the first run", lambda house: None),
    ("nothing", lambda house: None),
    ("a note is edited", append("NORD.md", "\n## Il pozzo\n\nSi scava a settembre, dietro il fienile.\n")),
    ("blanks at the end of a note", append("NORD.md", "\n\n")),
    ("a note is added", write("docs/FORNO.md", NEW)),
    ("a note is renamed", lambda house: (house.notes / "docs/FORNO.md").rename(house.notes / "docs/FORNO_A_LEGNA.md")),
    ("a note is removed", lambda house: (house.notes / "docs/FORNO_A_LEGNA.md").unlink()),
    ("a note is added again, whose vectors are in the cache", write("docs/FORNO.md", NEW)),
    ("a secret is planted", append("NORD.md", "\n" + SECRET)),
    ("chunks are smaller", override("index.chunk.max_tokens=60")),
    ("another embedder", override("index.embedding.model=fake/embedding?dimensions=32")),
    ("and back to the first", override("index.embedding.model=fake/embedding")),
    ("the persona is edited", persona),
    ("a golden question is edited", lambda house: house.golden(question="Quando si accende il forno?")),
    ("the answer of a golden question is edited", lambda house: house.golden(answer="Sabato.")),
    ("more chunks are given to the model", override("index.search.k=3")),
    ("the search weighs vectors less", override("index.search.dense_weight=0.2")),
    ("a threshold", override("gate.mrr=0.1")),
    ("how long the context is", override("answer.max_context_tokens=300")),
    ("more questions are answered", override("evaluate.answers=5")),
    ("answers may come from the cache", override("llm.cache=true")),
    ("the same answers for another seed of the bootstrap", override("evaluate.seed=14")),
    ("the cache is cleared", cleared_cache),
    (
        "a note is renamed, whose vectors are in the table alone",
        lambda house: (cleared_cache(house), (house.notes / "docs/FORNO.md").rename(house.notes / "docs/IL_FORNO.md")),
    ),
    ("the tables are gone", no_table),
    ("the tables and the cache are gone", lambda house: (no_table(house), cleared_cache(house))),
    ("all back to the chunks of before", override("index.chunk.max_tokens=200")),
]


def test_every_change_is_done_as_it_was_planned(tmp_path: Path) -> None:
    house = House.make(tmp_path)
    for name, change in CHANGES:
        change(house)
        compare(house, name)


def test_forced_steps_are_done_as_they_were_planned(tmp_path: Path) -> None:
    house = House.make(tmp_path)
    house.run()
    for step in ("index.chunk", "index.build", "persona.compile"):  # pure: what comes after is known to be the same
        plan = compare(house, step, force=(step,))
        assert [found.name for found in plan.steps if found.action != "skip"] == [step]
    plan = compare(house, "answers", force=("evaluate.answers",))  # seconds differ, or not: nobody can know
    depends = {found.name for found in plan.steps if found.action == "depends"}
    assert depends == {"evaluate.score", "registry.gate", "registry.report"}


def compare(house: House, name: str, force: tuple[str, ...] = ()) -> Plan:
    """Plan, run, and hold the one against the other."""
    plan = house.plan(force=force)
    assert not plan.problems, name
    run, counted = house.run(force=force)
    status = {"done": "run", "skipped": "skip"}
    happened = {step["name"]: status[step["status"]] for step in run.read()["steps"]}
    predicted = {step.name: step.action for step in plan.steps}
    assert list(happened) == list(predicted), name
    certain = {step: action for step, action in predicted.items() if action != "depends"}
    assert {step: happened[step] for step in certain} == certain, name
    for step in plan.steps:
        told = next(found for found in run.read()["steps"] if found["name"] == step.name)
        if step.fingerprint:
            assert told["artefact"] == f"{step.name}/{step.fingerprint}", (name, step.name)
    facts = {step["name"]: step.get("facts", {}) for step in run.read()["steps"]}
    build = next(step for step in plan.steps if step.name == "index.build")
    if build.action == "run" and {"added", "updated", "removed"} <= build.facts.keys():
        expected = {key: facts["index.build"][key] for key in ("added", "updated", "removed")}
        assert {key: build.facts[key] for key in expected} == expected, name
    work = plan.work
    assert (work.texts, work.tokens) == (len(counted.texts), counted.tokens), name
    assert work.calls_at_least <= counted.calls <= work.calls_at_most, name
    if work.calls_at_least == work.calls_at_most:
        assert work.usd_at_least == pytest.approx(0.002 * counted.calls), name
    assert work.usd_at_least - 1e-9 <= 0.002 * counted.calls <= work.usd_at_most + 1e-9, name
    assert counted.prompt_tokens <= work.prompt_tokens_at_most, name
    assert counted.completion_tokens <= work.completion_tokens_at_most, name
    if not force:  # without a forced or failed model nothing has to be left open
        assert plan.count("depends") == 0, name
    return plan


def test_a_plan_by_two_processes_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.recipe import plan_ahead

    house = House.make(tmp_path)
    alone = house.plan().to_dict()
    begun: list[object] = []
    later = plan_ahead.Later

    def counted(function: Callable[[], object]) -> object:
        begun.append(function)
        return later(function)

    monkeypatch.setattr(plan_ahead, "_MUCH", 0)
    monkeypatch.setattr(plan_ahead, "Later", counted)
    assert house.plan().to_dict() == alone
    assert len(begun) == 1
