"""The page of a training shows each token of its examples as what carries loss or not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.dataset.checks.tokens import Measurer
from components.train.report.facts import TrainingReport
from components.train.report.page import page, run_page
from components.train.report.shown import decode_tokens, shown_example
from components.train.running.masks import compare_masks
from tests.dataset.trainer_rows import conversation
from tests.pages import Outline, section
from tests.train.reports import ENVIRONMENT, JOB, finished_job, outcome_of, talks


def test_every_token_is_shown_as_what_carries_loss_or_not(report: TrainingReport) -> None:
    measurer = Measurer(template="qwen3")
    shown = [one for one in report.examples if one.side == "train"]
    for one, talk in zip(shown, talks(), strict=True):
        ids, trained = measurer.mask(talk) or ([], [])
        assert (one.count, one.trained) == (len(ids), len(trained))
        assert sum(turn.count for turn in one.turns) == len(ids)
        assert [turn.trained for turn in one.turns if turn.role != "assistant"] == [0] * (len(one.turns) - _own(talk))
    words = "".join(token.text for token in shown[0].turns[1].tokens if token.trained)
    assert words == "Il venerdì mattina: così è stato deciso. 🧠✨<|im_end|>"
    text = page(report)
    assert re.sub("</?i>", "", text).count(f"<mark>{words.replace('<', '&lt;').replace('>', '&gt;')}</mark>") == 2


def _own(talk: Any) -> int:
    return sum(turn.role == "gpt" for turn in talk.turns)


def test_the_masks_say_how_many_tokens_carry_loss_and_that_they_are_as_audited(report: TrainingReport) -> None:
    masks = section(page(report), "masks")
    assert "3 training examples: token by token as audited" in masks
    assert "165 of 249 tokens of the training examples carry loss (66%)" in masks
    assert "Training example 1 (row 1 of its file) 17 of 38 tokens carry loss (45%); as audited" in masks


def test_a_mask_that_differs_comes_first_and_is_told_in_red(tmp_path: Path, told: list[dict[str, Any]]) -> None:
    finished_job(tmp_path, told=told)
    rows = [json.loads(line) for line in (tmp_path / "masks-train.jsonl").read_text().splitlines()]
    rows[2]["trained"] = rows[2]["trained"][:-1]  # the end of the turn is not learnt
    (tmp_path / "masks-train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    audits = {"train": compare_masks(talks(), rows, "qwen3")}
    text = run_page(tmp_path, JOB, outcome=outcome_of(told), environment=ENVIRONMENT, audits=audits)
    masks = section(text, "masks")
    assert "1 of 3 training examples differ from what was audited" in masks
    assert masks.index("Training example 3") < masks.index("Training example 1")
    assert "1 tokens carry none that should" in masks
    assert '<h1 class="bad">' in text
    assert "learnt other tokens than those that were audited" in Outline(text).text


def test_without_a_tokenizer_the_examples_are_not_shown_and_the_rest_is(tmp_path: Path, told: Any) -> None:
    audits = finished_job(tmp_path, told=told, tokenizer=False, measured=False)
    text = run_page(tmp_path, JOB, outcome=outcome_of(told), environment=ENVIRONMENT, audits=audits)
    assert "there is no tokenizer.json beside the adapter" in section(text, "masks")
    assert "3 training examples: token by token as audited" in section(text, "masks")
    (tmp_path / "out" / "tokenizer.json").write_text("{")
    text = run_page(tmp_path, JOB, outcome=outcome_of(told), environment=ENVIRONMENT, audits=audits)
    assert "there is no tokenizer.json beside the adapter" in section(text, "masks")


def test_a_long_turn_shows_its_begin_and_its_end(tmp_path: Path, told: Any) -> None:
    rows = [conversation(("human", "?"), ("gpt", "inizio " + "mezzo " * 1500 + "fine."))]
    audits = finished_job(tmp_path, told=told, rows=rows)
    masks = section(run_page(tmp_path, JOB, outcome=outcome_of(told), environment=ENVIRONMENT, audits=audits), "masks")
    assert "inizio" in masks
    assert "fine.<|im_end|>" in masks
    assert re.search(r"… [\d,]+ tokens …", masks)
    assert masks.count("mezzo") < 500


@given(text=st.text(max_size=40))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_tokens_together_are_the_text(text: str, decoder: Any) -> None:
    ids = decoder.encode(text.encode("utf-8", "replace").decode(), add_special_tokens=False).ids
    tokens = list(decode_tokens([(one, True) for one in ids], decoder))
    assert "".join(token.text for token in tokens) == decoder.decode(ids, skip_special_tokens=False)


def test_a_character_of_many_tokens_that_is_learnt_in_part_counts_as_not_learnt(decoder: Any) -> None:
    ids = decoder.encode("🧬", add_special_tokens=False).ids
    assert len(ids) > 1
    pairs = [(one, number > 0) for number, one in enumerate(ids)]
    assert [(token.text, token.trained) for token in decode_tokens(pairs, decoder)] == [("🧬", False)]


@given(ids=st.lists(st.integers(0, 151_668), max_size=30), trained=st.lists(st.integers(0, 40), max_size=10))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tokens_can_be_shown(ids: list[int], trained: list[int], decoder: Any) -> None:
    found = shown_example({"ids": ids, "trained": trained}, side="train", place=0, decoder=decoder)
    assert sum(turn.count for turn in found.turns) == len(ids)
