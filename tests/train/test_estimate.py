"""Estimates: what they are made of, what moves them, what they refuse, and how they do on published runs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any, get_args

import pytest

from benchmarks.training_estimates import coverage, judged
from components.train.estimate import Estimate, estimate
from components.train.estimate.hardware import HARDWARE
from components.train.estimate.memory import loss_kind
from components.train.estimate.speeds import Speed, machine_here
from components.train.params import HardwareName, Precision, TrainParams

CPU: dict[str, Any] = {
    "hardware": "cpu", "precision": "fp32", "optimizer": "adamw_torch", "max_tokens": 512,
    "base": {"model": "local/smollm2-135m-instruct", "template": "smollm2", "quantization": "none"},
}  # fmt: skip
GPUS = tuple(name for name in get_args(HardwareName) if name != "cpu")


def expect(
    params: TrainParams, *, measured: Speed | None = None, longest: int | None = None, rows: int = 540
) -> Estimate:
    """The owner's 540 examples of 800 tokens, 60 held out."""
    return estimate(params, rows=rows, tokens=rows * 800, longest=params.max_tokens if longest is None else longest,
                    validation_tokens=60 * 800, measured=measured)  # fmt: skip


def of(**values: Any) -> TrainParams:
    return TrainParams.model_validate(values)


SPEED = Speed("axolotl", "Qwen/Qwen3-4B", "t4", "Tesla T4", 500.0, 203, 800.0, 2048, 9.4, "", "2026-11-20")


# The machines


def test_the_table_of_machines_is_the_list_of_names() -> None:
    assert set(HARDWARE) == set(get_args(HardwareName))


@pytest.mark.parametrize("name", GPUS)
def test_a_machine_states_possible_things(name: HardwareName) -> None:
    machine = HARDWARE[name]
    assert 0.9 * machine.memory_gb < machine.usable_gib * 1.0737 <= machine.memory_gb * 1.0737
    assert 0 < machine.mfu[0] < machine.mfu[1] < 1
    assert set(machine.tflops) <= set(get_args(Precision))
    assert ("bf16" in machine.tflops) == (machine.capability >= (8, 0))  # a T4 only emulates it
    assert machine.tflops["fp32"] < machine.tflops["fp16"]
    assert machine.mfu_source


# Published runs


def test_published_runs_lie_in_the_bands_as_the_benchmark_says() -> None:
    rows = judged()
    assert coverage(rows, "gib_in", chosen=True) == (12, 12)
    assert coverage(rows, "gib_in", chosen=False) == (10, 11)
    assert coverage(rows, "seconds_in", chosen=True) == (12, 12)
    assert coverage(rows, "seconds_in", chosen=False) == (7, 8)
    outside = [row for row in rows if row["gib_in"] is False]
    assert all(row["gib"] < row["gib_estimate"][0] for row in outside)  # none took more than was said


def test_the_first_formula_is_within_what_the_research_computed() -> None:
    """Qwen3-4B, r 16, batch 1 x 2048: 6.5 GiB with all logits, 4.2 without, by the formula that the low end is."""
    plain, fused = expect(of()).vram_gib, expect(of(trainer="unsloth")).vram_gib
    assert plain is not None and fused is not None
    assert plain[0] <= 6.5 <= plain[1]
    assert fused[0] <= 4.2 <= fused[1]


# Memory


@pytest.mark.parametrize(
    ("change", "direction"),
    [
        ({"batch_size": 2}, 1), ({"lora": {"r": 64}}, 1), ({"optimizer": "adamw_torch"}, 1),
        ({"gradient_checkpointing": False}, 1), ({"base": {"model": "Qwen/Qwen3-8B"}}, 1),
        ({"base": {"model": "Qwen/Qwen3-4B", "quantization": "none"}}, 1), ({"trainer": "unsloth"}, -1),
        ({"extra": {"chunked_cross_entropy": True}}, -1), ({"base": {"model": "Qwen/Qwen3-1.7B"}}, -1),
        ({"accumulation": 64}, 0), ({"epochs": 9.0}, 0), ({"seed": 1}, 0),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else None,
)  # fmt: skip
def test_memory_moves_as_it_must(change: dict[str, Any], direction: int) -> None:
    before, after = expect(of()).vram_gib, expect(of(**change)).vram_gib
    assert before is not None and after is not None
    for low, high in zip(before, after, strict=True):
        assert (high > low) - (high < low) == direction


def test_memory_follows_the_longest_example_and_the_packed_length() -> None:
    short, long = expect(of(), longest=300), expect(of(), longest=1500)
    packed = expect(of(packing=True), longest=300)
    assert short.vram_gib is not None and long.vram_gib is not None and packed.vram_gib is not None
    assert short.vram_gib < long.vram_gib < packed.vram_gib
    assert expect(of(), longest=0).vram_gib == expect(of(), longest=2048).vram_gib  # not known: as long as allowed


def test_parts_are_the_whole_and_the_largest_comes_first() -> None:
    found = expect(of())
    assert found.vram_gib == pytest.approx((sum(p.low for p in found.parts), sum(p.high for p in found.parts)))
    assert [part.high for part in found.parts] == sorted((part.high for part in found.parts), reverse=True)
    assert found.parts[0].name == "logits"
    assert found.trainable == 33_030_144


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({}, "whole"), ({"trainer": "unsloth"}, "fused"), ({"extra": {"chunked_cross_entropy": True}}, "chunked"),
        ({"extra": {"chunked_cross_entropy": False}}, "whole"), ({"trainer": "llamafactory"}, "whole"),
        ({"trainer": "llamafactory"}, "whole"),
        ({"trainer": "llamafactory", "extra": {"chunked_cross_entropy": True}}, "whole"),
    ],
    ids=str,
)  # fmt: skip
def test_how_the_loss_is_computed_depends_on_the_trainer(values: dict[str, Any], kind: str) -> None:
    assert loss_kind(of(**values)) == kind


# Whether it fits


def test_the_owners_batch_does_not_fit_a_t4_and_says_why() -> None:
    found = expect(of(batch_size=4, accumulation=2, max_tokens=4096))
    assert (found.verdict, found.fits) == ("does not fit", False)
    assert found.refusal == found.notes[0]
    assert found.refusal.startswith(
        "does not fit: batch_size 4 x 4,096 tokens needs 26 GiB at the least, a T4 has 14.7."
    )
    assert "The most go to the logits (19 GiB): one score for each of the 151,936 words" in found.refusal
    assert "batch_size 1 with accumulation 8" in found.refusal


def test_what_is_said_to_be_enough_is_enough() -> None:
    """Follow the first change that a refusal names: batch 1, fewer tokens."""
    refused = of(batch_size=4, accumulation=2, max_tokens=4096)
    said = expect(refused).refusal or ""
    change = said.partition("To change: ")[2].partition(";")[0]
    assert change == "max_tokens 3072 and batch_size 1 with accumulation 8, which trains the same"
    assert expect(of(batch_size=1, accumulation=8, max_tokens=3072)).verdict == "fits"
    assert expect(of(batch_size=4, accumulation=2, max_tokens=3072)).verdict != "fits"


def test_short_examples_fit_where_long_ones_would_not_and_that_is_told() -> None:
    found = expect(of(batch_size=4, accumulation=2, max_tokens=4096), longest=500)
    assert found.verdict == "fits"
    assert any("an example of all 4,096 max_tokens would need" in note for note in found.notes)


def test_between_fitting_and_not_a_way_out_is_named() -> None:
    found = expect(of(base={"model": "Qwen/Qwen3-14B"}))
    assert (found.verdict, found.fits, found.refusal) == ("may not fit", True, None)
    assert any(note.strip().startswith("if it runs out of memory: ") for note in found.notes)


def test_a_model_that_is_too_large_is_told_which_machine_would_do() -> None:
    found = expect(of(base={"model": "meta-llama/Llama-3.3-70B-Instruct", "template": "llama3"}))
    assert not found.fits and found.refusal is not None
    assert found.refusal.endswith("To change: a larger GPU, such as an A100 80 GB.")
    assert any("accepted its licence (Llama 3.3 Community)" in note for note in found.notes)


def test_an_unknown_model_is_not_estimated_and_not_refused() -> None:
    found = expect(of(base={"model": "somebody/Some-Model-9B"}))
    assert (found.vram_gib, found.hours, found.disk_gb, found.trainable) == (None, None, None, None)
    assert (found.verdict, found.fits) == ("unknown", True)
    assert "somebody/Some-Model-9B" in found.notes[0]


# Hours


def test_the_owners_training_takes_less_than_four_hours_on_a_t4() -> None:
    found = expect(of())
    assert found.hours is not None and found.hours[1] < 4
    assert any("under the 4 h that were asked for" in note for note in found.notes)
    longer = expect(of(epochs=30.0))
    assert any("over the 4 h that were asked for" in note for note in longer.notes)


@pytest.mark.parametrize("name", [name for name in GPUS if name != "t4"])
def test_every_other_gpu_is_faster_than_a_t4_at_its_best(name: HardwareName) -> None:
    slow, fast = expect(of()).hours, expect(of(hardware=name)).hours
    assert slow is not None and fast is not None and fast[0] < slow[0]


@pytest.mark.parametrize(
    ("change", "direction"),
    [({"epochs": 6.0}, 1), ({"max_steps": 10}, -1), ({"gradient_checkpointing": False}, -1),
     ({"validation": {"evaluations_per_epoch": 8}}, 1), ({"base": {"model": "Qwen/Qwen3-8B"}}, 1),
     ({"lora": {"r": 64}}, 0)],
    ids=str,
)  # fmt: skip
def test_hours_move_as_they_must(change: dict[str, Any], direction: int) -> None:
    before, after = expect(of()).hours, expect(of(**change)).hours
    assert before is not None and after is not None
    for old, new in zip(before, after, strict=True):
        assert (new > old) - (new < old) == direction


def test_without_examples_there_are_no_hours_and_no_dollars() -> None:
    found = expect(of(), rows=0)
    assert (found.hours, found.usd, found.costs) == (None, None, ())
    assert found.vram_gib is not None
    assert any("no example is known yet" in note for note in found.notes)


# A measured speed


def test_a_measured_speed_narrows_the_band_and_says_where_it_is_from() -> None:
    guessed, found = expect(of()), expect(of(), measured=SPEED)
    assert found.measured and not guessed.measured
    assert found.hours is not None and guessed.hours is not None
    assert found.hours[1] / found.hours[0] < guessed.hours[1] / guessed.hours[0]
    tokens = 3 * 540 * 800 + 13 * 60 * 800 * 2 / 6  # three passes; an evaluation each 17 of 204 steps, one before
    assert found.hours[0] * 3600 == pytest.approx(0.85 * tokens / 500)
    assert any(note == "measured on another T4: 500 tokens a second over 203 steps, 2026-11-20" for note in found.notes)
    here = expect(of(), measured=replace(SPEED, machine=machine_here("t4")))
    assert any(note.startswith("measured on this machine: 500 tokens") for note in here.notes)
    assert not any("uncalibrated" in note for note in here.notes)
    assert any("uncalibrated" in note for note in guessed.notes)


def test_a_faster_machine_takes_less() -> None:
    slow, fast = (
        expect(of(), measured=SPEED).hours,
        expect(of(), measured=replace(SPEED, tokens_per_second=1000.0)).hours,
    )
    assert slow is not None and fast is not None and fast == pytest.approx((slow[0] / 2, slow[1] / 2))


def test_memory_that_was_measured_counts_for_rows_as_long() -> None:
    found = expect(of(), measured=SPEED)
    assert found.vram_gib == (9.4, 10.4)
    longer = expect(of(max_tokens=4096), measured=SPEED)
    assert longer.vram_gib == expect(of(max_tokens=4096)).vram_gib  # longer rows than those that were measured
    full = expect(of(), measured=replace(SPEED, peak_gib=15.2))
    assert not full.fits and full.refusal is not None and "needs 15 GiB" in full.refusal


def test_a_processor_has_no_hours_until_they_are_measured() -> None:
    params = of(**CPU)
    found = expect(params)
    assert found.vram_gib is None and found.memory_gib is not None and found.usable_gib > 0
    assert found.hours is None and found.usd is None
    assert any(note == "hours: not measured (nothing was measured on this processor)" for note in found.notes)
    speed = replace(SPEED, trainer="axolotl", model="local/smollm2-135m-instruct", hardware="cpu", peak_gib=2.0,
                    machine=machine_here("cpu"), tokens_per_second=60.0)  # fmt: skip
    measured = expect(params, measured=speed)
    assert measured.hours is not None and measured.usd == (0.0, 0.0)
    assert measured.memory_gib == (2.0, 2.5)


# Dollars and disk


def test_dollars_are_hours_with_setting_up_times_the_price() -> None:
    found = expect(of(hardware="rtx4090"))
    assert found.hours is not None and found.usd is not None
    vast = next(cost for cost in found.costs if cost.provider == "Vast.ai")
    assert vast.usd[0] == pytest.approx(0.31 * (found.hours[0] + found.setup_hours[0]))
    assert vast.usd[1] == pytest.approx(0.88 * (found.hours[1] + found.setup_hours[1]))
    assert found.usd == (min(c.usd[0] for c in found.costs), max(c.usd[1] for c in found.costs))
    assert vast.old and any("which is old" in note for note in found.notes)


def test_colabs_free_tier_costs_nothing_and_has_limits() -> None:
    found = expect(of())
    free = next(cost for cost in found.costs if cost.provider == "Colab, free")
    assert free.usd == (0, 0) and "12 h" in free.note
    line = next(note for note in found.notes if note.startswith("money"))
    assert "$0 at Colab, free" in line and "no promise of a GPU" in line


def test_disk_grows_with_what_is_kept() -> None:
    plain = expect(of()).disk_gb
    merged = expect(of(export={"merged": True})).disk_gb
    kept = expect(of(validation={"keep_checkpoints": 30})).disk_gb
    assert plain is not None and merged is not None and kept is not None
    assert plain[0] > 8.0  # the base model alone, in 16 bit
    assert merged[0] - plain[0] == pytest.approx(2 * 4_022_468_096 / 1e9)
    assert kept[0] - plain[0] == pytest.approx(27 * 33_030_144 * 6 / 1e9)


# The estimate as a thing


def test_an_estimate_is_json() -> None:
    found = expect(of(), measured=SPEED)
    told = json.loads(json.dumps(found.to_dict()))
    assert told["vram_gib"] == list(found.vram_gib or ()) and told["notes"] == list(found.notes)


def test_estimating_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom components.train.estimate import estimate\nfrom components.train.params import TrainParams\n"
        "estimate(TrainParams(), rows=9, tokens=900, longest=200, validation_tokens=90, measured=None)\n"
        "print(sorted({'torch', 'numpy', 'pandas', 'prefect', 'mlflow', 'litellm', 'datasets'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert said.stdout.strip() == "[]"
