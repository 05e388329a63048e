"""Scores of an adapter: from losses of examples to a scorecard, in a real store."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from components.answer import AnswerParams
from components.errors import TerminalError
from components.evaluate import EvaluateParams, build_scorecard, scorecard_markdown, training_scores
from components.evaluate import steps as evaluate
from components.evaluate.retrieval import score_retrieval
from components.index import SearchParams
from components.llm.params import LlmParams
from components.store import Artefact, Run, StepSpec, recorded_step
from components.train.losses import RowLoss

BASE = [RowLoss(10 + number, (10 + number) * (2.0 + number / 50)) for number in range(20)]
ADAPTED = [RowLoss(row.tokens, row.nll - row.tokens * 0.7) for row in BASE]


def seal(run: Run, name: str, files: dict[str, str]) -> Artefact:
    with recorded_step(run, StepSpec(name, 1, {"files": files})) as step:
        if not step.sealed:
            for file, text in files.items():
                step.write_text(file, text)
    return step.artefact


def losses(run: Run, **changes: Any) -> Artefact:
    """As the step `train.losses` seals them."""
    sides = {
        side: [{"tokens": row.tokens, "nll": row.nll} for row in rows]
        for side, rows in (("base", BASE), ("adapted", ADAPTED))
    }
    told = {"splits": {"validation": sides}, "device": "cpu", "dtype": "float32", "config": {}, "train_loss": 0.4,
            "train_rows": 540, "adapter": "ab" * 32, **changes}  # fmt: skip
    return seal(run, "train.losses", {"losses.json": json.dumps(told)})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "workspace", recipe="test", phase="optimize")


def test_perplexities_are_of_tokens_and_the_ratio_is_paired() -> None:
    found = training_scores(base=BASE, adapted=ADAPTED, train_loss=0.4, train_rows=540, seed=13).measures
    tokens = sum(row.tokens for row in BASE)
    assert found["base_perplexity"].value == pytest.approx(math.exp(sum(row.nll for row in BASE) / tokens))
    assert found["held_out_perplexity"].value == pytest.approx(math.exp(sum(row.nll for row in ADAPTED) / tokens))
    ratio = found["perplexity_against_base"]
    # every token gains the same, so drawing other examples changes nothing
    assert (ratio.value, ratio.low, ratio.high) == tuple(pytest.approx(math.exp(-0.7)) for _ in range(3))
    assert (ratio.n, found["train_loss"].value, found["train_loss"].n) == (20, 0.4, 540)


def test_losses_of_other_examples_are_refused() -> None:
    with pytest.raises(TerminalError):
        training_scores(base=BASE, adapted=ADAPTED[1:], train_loss=0.4, train_rows=540, seed=13)
    with pytest.raises(TerminalError):
        training_scores(base=BASE, adapted=ADAPTED, train_loss=math.nan, train_rows=540, seed=13)


def test_a_scorecard_with_training_has_its_scores_and_what_they_rest_on() -> None:
    retrieval = score_retrieval([], {})
    scores = training_scores(
        base=BASE, adapted=ADAPTED, train_loss=0.4, train_rows=540, seed=13, evidence={"adapter": "ab" * 32}
    )
    without = build_scorecard(retrieval=retrieval, answers=[], expected=0, evidence={"index": "i"})
    card = build_scorecard(retrieval=retrieval, answers=[], expected=0, evidence={"index": "i"}, training=scores)
    assert set(card["metrics"]) - set(without["metrics"]) == set(scores.measures)
    assert card["evidence"] == {"index": "i", "training": {"adapter": "ab" * 32}}
    assert without["evidence"] == {"index": "i"}
    assert "perplexity on the held-out examples" in scorecard_markdown(card)


def sealed_scores(run: Run) -> tuple[Artefact, Artefact]:
    with recorded_step(run, StepSpec("evaluate.retrieval", 4, {}, {"index": "i", "golden": "g"})) as step:
        if not step.sealed:
            step.write_jsonl("retrieval.jsonl", [])
            step.write_jsonl("golden.jsonl", [])
    return step.artefact, seal(run, "evaluate.answers", {"answers.jsonl": ""})


def test_the_step_scores_what_was_sealed(run: Run) -> None:
    retrieval, answers = sealed_scores(run)
    params, told = EvaluateParams(golden=run.folder / "golden.jsonl"), losses(run)
    plain = evaluate.score(run, params, AnswerParams(), retrieval=retrieval, answers=answers)
    trained = evaluate.score(run, params, AnswerParams(), retrieval=retrieval, answers=answers, losses=told)
    assert plain.id != trained.id
    assert "train_loss" not in plain.read_json("scorecard.json")["metrics"]
    card = trained.read_json("scorecard.json")
    assert card["metrics"]["train_loss"] == {"value": 0.4, "low": None, "high": None, "n": 540}
    assert card["evidence"]["training"] == {"adapter": "ab" * 32, "losses": told.digest}
    other = losses(run, train_loss=0.3)
    again = evaluate.score(run, params, AnswerParams(), retrieval=retrieval, answers=answers, losses=other)
    assert again.id != trained.id


def test_answers_with_an_adapter_are_other_answers(tmp_path: Path) -> None:
    golden = tmp_path / "golden.jsonl"
    golden.write_text("")
    specs = [
        evaluate.answers_spec(
            EvaluateParams(golden=golden), SearchParams(), LlmParams(), AnswerParams(), index="i", prompt="p",
            adapter=adapter,
        )
        for adapter in (None, "a", "b")
    ]  # fmt: skip
    assert len({spec.fingerprint for spec in specs}) == 3
    assert "adapter" not in specs[0].inputs


def test_the_adapter_to_answer_with_is_the_one_gguf_of_an_export(run: Run) -> None:
    export = seal(run, "train.export", {"adapter.gguf": "GGUF", "proof.json": "{}"})
    assert evaluate.adapter_file(export).read_text() == "GGUF"
    with pytest.raises(TerminalError, match=r"set train\.export\.gguf_adapter to true"):
        evaluate.adapter_file(seal(run, "train.export", {"proof.json": "{}"}))
