"""The model card and the inputs of a run: numbers and digests of all that a release rests on, texts of none."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.evaluate import EvaluateParams
from components.evaluate.params import JudgeParams, PersonalityParams
from components.registry import build_release, register
from components.registry.card import model_card
from components.registry.datasets import Data, dataset_inputs, evaluation_data, training_data
from components.store import Run, StepSpec
from tests.registry.conftest import gate_report
from tests.registry.shelf import seal

Arguments = Callable[[Path], dict[str, Any]]
SECRETIVE = "Dove tieni la chiave piccola?"
DATA = [Data("golden", "evaluation", "ab" * 32, "golden.jsonl", {"rows": 40, "lang": {"it": 30, "en": 10}})]


def card(scorecard: Any, **changes: Any) -> str:
    release = build_release(
        prompt="Sei Cervella.", chat={"model": changes.pop("model", "local/smollm2-135m-instruct"), "seed": 13},
        embedder="local/e5", chunk={"max_tokens": 200}, search={"k": 8}, answer={"min_score": 0.1},
        adapter=changes.pop("adapter", None), adapted=changes.pop("adapted", None), session={"max_tokens": 400},
    )  # fmt: skip
    values = {"model_name": "cervella", "recipe": "mvp", "prompt_tokens": 1812, "gate": gate_report("NO-GO"),
              "scorecard": scorecard, "data": DATA, **changes}  # fmt: skip
    return model_card(release=release, **values)


def test_what_is_on_it(scorecard: Any) -> None:
    text = card({**scorecard, "judge": None})
    for words in (
        "# cervella: release ", "**Gate of phase mvp: NO-GO**", "| persona | 1812 tokens", "the session context",
        "| its licence | Apache-2.0 |", "| adapter | none |", "| search | k 8 |", "| embedder | local/e5 |",
        "| recall_at_5 | 1 | 0.9124 to 1 | 40 |", "80 asked for, 80 scored, 0 failed", "- recall_at_5: NO-GO, proved",
        "no judge was asked", f"| golden | evaluation | rows 40, lang.it 30, lang.en 10 | {'ab' * 32} |",
        "cervella rollback RECIPE",
    ):  # fmt: skip
        assert words in text, words
    assert "Sei Cervella." not in text


def test_of_a_release_with_an_adapter(scorecard: Any) -> None:
    text = card(
        scorecard, adapter="cd" * 32, adapted={"model": "Qwen/Qwen3-4B"}, model="hosted_vllm/cervella",
        training={"trainer": "axolotl", "steps": 203, "base_eval_loss": 2.0, "best_eval_loss": 1.0},
        dataset_card="# Dataset of x\n\n**Fit for training**\n\n## Stages\n",
    )  # fmt: skip
    for words in (
        "| base model | hosted_vllm/cervella (Qwen/Qwen3-4B) |", "| its licence | Apache-2.0 |",
        f"| adapter | LoRA, SHA-256 {'cd' * 32} |", "trainer axolotl, steps 203, held-out loss before 2.0",
        "## Dataset of x", "### Stages",
    ):  # fmt: skip
        assert words in text, words


@pytest.mark.parametrize("model", ["anthropic/claude", "fake/good"])
def test_an_unknown_licence_is_no_licence(scorecard: Any, model: str) -> None:
    text = card(scorecard, model=model)
    assert "not known here" in text
    assert ("a double for tests" in text) == model.startswith("fake/")


def test_what_the_scorecard_says_of_its_judge_is_a_limit(scorecard: Any) -> None:
    counts = {"expected": 400, "scored": 398, "failed": 0, "unparsable": 2}
    scorecard |= {
        "judge": {"model": "m", "warning": "the judge is of the family of the candidate", **counts},
        "undecided": {"sounds_like_her": "the judge is not trusted"}, "warnings": ["few prompts"],
    }  # fmt: skip
    text = card(scorecard)
    assert "Judge: m, 400 verdicts asked for, 398 read, 0 failed, 2 unreadable." in text and "- few prompts" in text
    assert "- the judge is of the family of the candidate" in text
    assert "- sounds_like_her: not decided, the judge is not trusted" in text


@pytest.fixture
def files(tmp_path: Path) -> EvaluateParams:
    rows = [{"id": f"q{n}", "question": SECRETIVE, "prompt": SECRETIVE, "lang": "it" if n else "en"} for n in range(3)]
    for name in ("golden.jsonl", "prompts.jsonl", "labels.jsonl"):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows) + "\n", encoding="utf-8")
    for name, key in (("checklist.yaml", "rules"), ("tasks.yaml", "tasks")):
        (tmp_path / name).write_text(f'{key}:\n  - ask: "{SECRETIVE}"\n  - ask: "Altro?"\n', encoding="utf-8")
    return EvaluateParams(
        golden=tmp_path / "golden.jsonl", tasks=tmp_path / "tasks.yaml",
        judge=JudgeParams(labels=tmp_path / "labels.jsonl"),
        personality=PersonalityParams(prompts=tmp_path / "prompts.jsonl", checklist=tmp_path / "checklist.yaml"),
    )  # fmt: skip


def test_the_files_of_the_evaluation_by_our_own_digests(files: EvaluateParams, tmp_path: Path) -> None:
    found = {one.name: one for one in evaluation_data(files, evidence={})}
    assert set(found) == {"golden", "prompts", "checklist", "tasks", "labels"}
    for one in found.values():
        assert one.sha256 == hashlib.sha256((tmp_path / one.source).read_bytes()).hexdigest()
    assert found["golden"].counts == {"rows": 3, "lang": {"en": 1, "it": 2}}
    assert (found["checklist"].counts, found["tasks"].counts) == ({"rules": 2}, {"tasks": 2})
    assert str(tmp_path) not in str([found, dataset_inputs(list(found.values()))])


def test_what_was_scored_counts_and_not_what_the_file_has_become(files: EvaluateParams, tmp_path: Path) -> None:
    (tmp_path / "tasks.yaml").unlink()
    found = {one.name: one for one in evaluation_data(files, evidence={"golden": "cd" * 32})}
    assert (found["golden"].sha256, found["golden"].counts) == ("cd" * 32, {})
    assert "tasks" not in found


def test_both_sides_of_the_split_with_stages_and_licences(tmp_path: Path) -> None:
    run = Run.create(tmp_path, recipe="test", phase="optimize")
    row = {"conversations": [{"from": "human", "value": SECRETIVE}], "stage": "voice"}
    rows = [{**row, "provenance": {"licence": "CC0"}}, {**row, "provenance": None}, row]
    lines = ["".join(json.dumps(one) + "\n" for one in part) for part in (rows[:2], rows[2:])]
    names = {"train": "t.jsonl", "validation": "v.jsonl"}
    made = {"t.jsonl": lines[0], "v.jsonl": lines[1], "split.json": {"files": names}}
    split = seal(run, StepSpec("dataset.split", 1), made)
    train, validation = training_data(split)
    assert train.counts == {"rows": 2, "stage": {"voice": 2}, "licence": {"CC0": 1, "not told": 1}}
    assert (train.context, validation.context, validation.counts["rows"]) == ("training", "validation", 1)
    assert train.sha256 == hashlib.sha256(lines[0].encode()).hexdigest() and train.source == split.id
    assert training_data(None) == []


def test_all_of_it_is_in_mlflow_once(house: Path, arguments: Arguments, tmp_path: Path, files: EvaluateParams) -> None:
    from mlflow.tracking import MlflowClient

    given = arguments(house)
    (tmp_path / "page.html").write_text("<!doctype html>")
    data = evaluation_data(files, evidence={})
    given |= {"report": tmp_path / "page.html", "worst": [{"id": "q1", "failed": ["x"]}], "data": data,
              "card": "# Card\n\n" + "una riga\n" * 1000}  # fmt: skip
    done = register(**given)
    client = MlflowClient(tracking_uri=given["tracking_uri"], registry_uri=given["tracking_uri"])
    again = register(**given, at=lambda point: None)
    assert (done.created, again.created) == (True, False)
    inputs = client.get_run(done.run_id).inputs.dataset_inputs
    assert {one.dataset.name: one.dataset.digest for one in inputs} == {one.name: one.sha256[:36] for one in data}
    tags = [{tag.key: tag.value for tag in one.tags} for one in inputs]
    assert {one["cervella.sha256"] for one in tags} == {one.sha256 for one in data}
    assert {one["mlflow.data.context"] for one in tags} == {"evaluation"}
    assert SECRETIVE not in str([one.to_dictionary() for one in inputs])
    version = client.get_model_version("cervella", "1")
    assert version.description.startswith("# Card") and version.description.endswith("release/card.md")
    assert len(version.description) <= 5000
    root = house / "artifacts" / done.run_id / "artifacts"
    assert (root / "release" / "card.md").read_text(encoding="utf-8") == given["card"]
    assert (root / "report.html").read_text() == "<!doctype html>"
    assert json.loads((root / "worst.json").read_text())["data"] == [["q1", ["x"]]]


def test_two_datasets_that_mlflow_takes_for_one_are_told_apart() -> None:
    one, other = (Data("train examples", "training", digest, "s", {}) for digest in ("ab" * 32, "cd" * 32))
    digests = {entry.dataset.digest for entry in dataset_inputs([one, other])}
    assert digests == {("ab" * 32)[:36], ("cd" * 32)[:36]}
