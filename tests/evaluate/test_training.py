"""Scores of an adapter: from losses of examples to a scorecard, in a real store."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from components.answer import AnswerParams
from components.errors import TerminalError
from components.evaluate import EvaluateParams, build_scorecard, scorecard_markdown, training_scores
from components.evaluate import steps as evaluate
from components.evaluate.copying import words_of
from components.evaluate.judged import SOUNDS, Judged, rule_id
from components.evaluate.params import PersonalityParams
from components.evaluate.retrieval import score_retrieval
from components.evaluate.said import Item, Said
from components.index import SearchParams
from components.llm.params import LlmParams
from components.store import Artefact, Run, StepSpec, recorded_step
from components.train.losses import RowLoss
from tests.evaluate.spoken import DOUBTED

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


def test_the_gap_is_held_out_loss_less_train_loss_with_the_interval_of_the_held_out_part() -> None:
    found = training_scores(base=BASE, adapted=ADAPTED, train_loss=0.4, train_rows=540, seed=13).measures
    gap, held_out = found["loss_gap"], found["held_out_perplexity"]
    assert gap.value == pytest.approx(math.log(held_out.value) - 0.4)
    assert (gap.low, gap.high) == (
        pytest.approx(math.log(held_out.low) - 0.4), pytest.approx(math.log(held_out.high) - 0.4),
    )  # fmt: skip
    assert gap.n == 20
    few = training_scores(base=BASE[:5], adapted=ADAPTED[:5], train_loss=0.4, train_rows=540, seed=13).measures
    assert (few["loss_gap"].low, few["loss_gap"].high, few["loss_gap"].n) == (None, None, 5)
    unknown = training_scores(base=BASE, adapted=ADAPTED, train_loss=None, train_rows=540, seed=13).measures
    assert unknown["loss_gap"].to_dict() == {"value": None, "low": None, "high": None, "n": 20}


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


def test_what_was_said_and_trained_on_is_in_the_scorecard_and_in_its_identity(run: Run, tmp_path: Path) -> None:
    checklist = tmp_path / "checklist.yaml"
    checklist.write_text("rules:\n  - {id: calm, rule: She stays calm., ask: Is it calm?}\n", encoding="utf-8")
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("", encoding="utf-8")
    params = EvaluateParams(golden=None, personality=PersonalityParams(prompts=prompts, checklist=checklist))
    item = Item("personality", "p", "Come va?", "it", "daily")
    trained = "Va bene, grazie, e oggi si va con molta calma fino a sera."
    asked = seal(run, "evaluate.candidate", {
        "items.jsonl": json.dumps(asdict(item)) + "\n", "said.jsonl": json.dumps(Said(item, trained).to_dict()) + "\n",
    })  # fmt: skip
    judged = [
        Judged("candidate", item.key, question, "judge", (verdict,), verdict, "because")
        for question, verdict in ((SOUNDS, "yes"), (rule_id("calm"), "no"))
    ]
    judge = seal(run, "evaluate.judge", {
        "verdicts.jsonl": "".join(json.dumps(one.to_dict()) + "\n" for one in judged), "pairs.jsonl": "",
        "judge.json": json.dumps({"model": "fake/judge", "repeats": 1}),
    })  # fmt: skip
    agreement = seal(run, "evaluate.agreement", {"agreement.json": json.dumps({"groups": DOUBTED})})
    row = {"conversations": [{"from": "human", "value": "Come va?"}, {"from": "gpt", "value": trained}]}
    split = seal(run, "dataset.split", {
        "split.json": json.dumps({"files": {"train": "train-a.jsonl"}}), "train-a.jsonl": json.dumps(row) + "\n",
    })  # fmt: skip
    retrieval, answers = sealed_scores(run)
    given: dict[str, Any] = {"candidate": asked, "judge": judge, "agreement": agreement, "split": split}

    def scored(**changes: Any) -> Artefact:
        return evaluate.score(run, params, AnswerParams(), retrieval=retrieval, answers=answers, **{**given, **changes})

    found = scored()
    card = found.read_json("scorecard.json")
    assert card["metrics"]["copied_answers"]["value"] == 1.0
    assert card["copied"] == [{"key": "personality/p", "run": " ".join(words_of(trained))}]
    assert card["evidence"]["split"] == split.digest
    assert len(card["evidence"]["checklist"]) == 64
    assert card["judge"]["model"] == "fake/judge"
    assert (card["rules"][0]["failed"], card["judge"]["sounds_raw"]["value"]) == (1, 1.0)
    worst = list(found.read_jsonl("worst.jsonl"))
    assert [(row["id"], [one["question"] for one in row["failed"]]) for row in worst] == [
        ("p", ["rule:calm", "copied"])
    ]  # fmt: skip
    others = [scored(agreement=None), scored(split=None), scored(candidate=None, judge=None, agreement=None)]
    assert len({one.id for one in (found, *others)}) == 4
    assert "copied_answers" not in others[1].read_json("scorecard.json")["metrics"]
    checklist.write_text("rules:\n  - {id: calm, rule: Calm., ask: Is it calm?}\n", encoding="utf-8")
    assert scored().id not in {found.id, *(one.id for one in others)}


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
