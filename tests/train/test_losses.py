"""Perplexity and its interval; and losses of a real model, as a trainer's environment measures them."""

from __future__ import annotations

import json
import math
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.errors import TerminalError
from components.llm import load_tokenizer
from components.train.losses import RowLoss, measure_losses, perplexity, perplexity_ratio
from tests.train.adapters import by_peft

TEXTS = ["La caparra ad agosto è del trenta per cento.", "Il forno si accende alle quattro, ogni giorno.", "Sì."]


def rows(number: int, *, seed: int = 0, mean: float = 2.0) -> list[RowLoss]:
    """Skewed, as losses of examples are."""
    draw = np.random.default_rng(seed)
    tokens = draw.lognormal(4.5, 0.7, number).astype(int) + 1
    return [RowLoss(int(t), float(t * loss)) for t, loss in zip(tokens, draw.gamma(4, mean / 4, number), strict=True)]


def test_perplexity_is_over_tokens_not_over_examples() -> None:
    found = perplexity([RowLoss(1, 3.0), RowLoss(9, 9.0)])
    assert found.value == pytest.approx(math.exp(12 / 10))
    assert (found.examples, found.tokens) == (2, 10)


@pytest.mark.parametrize("number", [1, 2, 9])
def test_few_examples_have_no_interval(number: int) -> None:
    found = perplexity(rows(number))
    assert (found.low, found.high) == (None, None) and found.value > 1


def test_the_interval_is_the_same_each_time_and_narrows_with_examples() -> None:
    few, many = perplexity(rows(20)), perplexity(rows(2000))
    assert few == perplexity(rows(20))
    assert few.low and few.high and many.low and many.high
    assert few.low < few.value < few.high
    assert many.high / many.low < (few.high / few.low) ** 0.3


def test_the_interval_holds_the_truth_about_as_often_as_the_docstring_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.train.losses._DRAWS", 300)
    whole = rows(200_000, seed=1)
    truth = perplexity_of(whole)
    held = 0
    for seed in range(200):
        found = perplexity(rows(30, seed=seed + 2), seed=seed)
        held += bool(found.low and found.high and found.low <= truth <= found.high)
    assert 0.85 <= held / 200 <= 0.97


def perplexity_of(some: list[RowLoss]) -> float:
    return math.exp(sum(row.nll for row in some) / sum(row.tokens for row in some))


def test_a_ratio_knows_that_both_are_of_the_same_examples() -> None:
    base = rows(40)
    draw = np.random.default_rng(9)
    adapted = [RowLoss(row.tokens, row.nll - row.tokens * float(draw.normal(0.1, 0.05))) for row in base]
    ratio = perplexity_ratio(base, adapted)
    assert ratio.value == pytest.approx(perplexity(adapted).value / perplexity(base).value)
    assert ratio.high and ratio.high < 1, "a gain of a tenth of a nat in every example is more than chance"
    apart = perplexity(base).low, perplexity(adapted).high
    assert apart[0] and apart[1] and apart[1] > apart[0], "although the two intervals overlap"


def test_losses_of_other_rows_are_not_compared() -> None:
    with pytest.raises(TerminalError, match="different rows"):
        perplexity_ratio([RowLoss(3, 1.0)], [RowLoss(4, 1.0)])


@pytest.mark.parametrize("some", [[], [RowLoss(0, 0.0)]])
def test_without_loss_there_is_no_perplexity(some: list[RowLoss]) -> None:
    with pytest.raises(TerminalError, match="no row carries loss"):
        perplexity(some)


@pytest.fixture(scope="module")
def python(trainer_environment: Callable[[str], Any]) -> Path:
    path: Path = trainer_environment("axolotl").python
    return path


@pytest.fixture(scope="module")
def model(tiny_qwen3: Callable[[str], Path]) -> Path:
    return tiny_qwen3("axolotl")


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory, python: Path, model: Path) -> Path:
    return by_peft(tmp_path_factory.mktemp("adapter"), model=model, python=python, size=0.3)


@pytest.fixture
def masks(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "masks-validation.jsonl"
    encoded = load_tokenizer("qwen3").encode_batch(TEXTS)
    made = [{"ids": one.ids, "trained": list(range(len(one.ids) // 2, len(one.ids)))} for one in encoded]
    made[2]["trained"] = [0]  # the first token: nothing stands before it
    file.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    yield file


# The same the long way: all logits, transformers' own loss over labels, peft merged into the base.
_OTHER_WAY = """
import json, sys
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

model, adapter, masks = sys.argv[1:4]
rows = [json.loads(line) for line in open(masks, encoding="utf-8")]
base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()

def losses(model):
    found = []
    for row in rows:
        ids = torch.tensor([row["ids"]])
        labels = torch.full_like(ids, -100)
        labels[0, row["trained"]] = ids[0, row["trained"]]
        number = int((labels[0, 1:] != -100).sum())
        with torch.no_grad():
            found.append([number, float(model(input_ids=ids, labels=labels).loss) * number if number else 0.0])
    return found

before = losses(base)
after = losses(PeftModel.from_pretrained(base, adapter).merge_and_unload())
print(json.dumps([before, after]))
"""


@pytest.mark.slow
def test_losses_are_those_of_transformers(
    python: Path, model: Path, adapter: Path, masks: Path, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    found = measure_losses(
        python=python, model=str(model), masks={"validation": masks, "train": masks}, folder=tmp_path / "work",
        adapter=adapter, tell=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert (found.device, found.dtype, found.config["model_type"]) == ("cpu", "float32", "qwen3")
    assert told[-1] == (12, 12) and len(told) == 12
    quiet = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [str(python), "-I", "-c", _OTHER_WAY, str(model), str(adapter), str(masks)]
    other = subprocess.run(command, env={**os.environ, **quiet}, check=True, capture_output=True, text=True)
    wanted = json.loads(other.stdout.splitlines()[-1])
    for split in found.splits.values():
        for mine, theirs in zip((split.base, split.adapted), wanted, strict=True):
            assert [row.tokens for row in mine] == [tokens for tokens, _ in theirs]
            assert [row.nll for row in mine] == pytest.approx([nll for _, nll in theirs], rel=1e-4)
    validation = found.splits["validation"]
    assert validation.base[2] == RowLoss(0, 0.0)
    assert abs(perplexity_ratio(validation.base, validation.adapted).value - 1) > 0.01, "the adapter changes something"


@pytest.mark.slow
def test_without_an_adapter_only_the_base_is_measured(python: Path, model: Path, masks: Path, tmp_path: Path) -> None:
    found = measure_losses(python=python, model=str(model), masks={"validation": masks}, folder=tmp_path / "work")
    assert len(found.splits["validation"].base) == 3 and found.splits["validation"].adapted == ()


@pytest.mark.slow
def test_broken_weights_are_told(python: Path, model: Path, adapter: Path, masks: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    broken = tmp_path / "broken"
    broken.mkdir()
    tensors = load_file(str(adapter / "adapter_model.safetensors"))
    save_file({name: values * np.nan for name, values in tensors.items()}, str(broken / "adapter_model.safetensors"))
    (broken / "adapter_config.json").write_bytes((adapter / "adapter_config.json").read_bytes())
    with pytest.raises(TerminalError, match=r"row 1 \(validation, adapted\) is nan"):
        measure_losses(
            python=python, model=str(model), masks={"validation": masks}, folder=tmp_path / "work", adapter=broken
        )


@pytest.mark.slow
def test_a_script_that_fails_says_why_and_where_all_of_it_is(python: Path, masks: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(TerminalError, match=r"(?s)ended with 1.*config\.json.*All of them: .*measure_losses\.log"):
        measure_losses(python=python, model=str(tmp_path / "none"), masks={"v": masks}, folder=tmp_path / "work")
