"""The probe: what it trains, what it keeps, whose speeds count; and three real steps of real trainers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError, TerminalError
from components.train.environments import Environment
from components.train.estimate import Speed, estimate, measured_speed, remember_speed, speeds_file
from components.train.estimate.probe import STEPS, check_hardware, probe, remember_training, write_probe
from components.train.estimate.speeds import base_name, machine_here, settings_of
from components.train.job import Job
from components.train.params import HardwareName, TrainParams
from components.train.running.outcome import Outcome
from components.train.running.progress import Progress
from tests.dataset.trainer_rows import conversation
from tests.train.jobs import answers, make_job, small_params

WORDS = "The key of the red door is under the stone beside the well, as it always was. "


def long_answers(count: int) -> list[Any]:
    """Examples of which every one is longer than the one before."""
    return [conversation(("human", f"Where is key {n}?"), ("gpt", WORDS * (n // 8 + 1) + str(n))) for n in range(count)]


def prepared(folder: Path, params: TrainParams, *, count: int = 40) -> Path:
    """What the step `train.prepare` leaves."""
    make_job(folder / "whole", params, model=None, train=long_answers(count), validation=answers(6))
    return folder / "whole-prepared"


# What is trained


def test_it_is_the_same_job_but_for_three_steps_on_the_longest_examples(tmp_path: Path) -> None:
    params = small_params(epochs=7.0, validation={"patience": 2})
    whole = Job.from_dict(json.loads((prepared(tmp_path, params) / "job.json").read_bytes()))
    job = write_probe(tmp_path / "probe", prepared=tmp_path / "whole-prepared", model=None)
    at = tmp_path / "probe" / "job"
    assert (job.schedule.steps, job.schedule.eval_steps, job.train_rows, job.validation_rows) == (STEPS, STEPS, 12, 1)
    lines = (at / "data" / job.train_file).read_bytes().splitlines()
    every = (tmp_path / "whole-prepared" / whole.train_file).read_bytes().splitlines()
    assert len(lines) == STEPS * params.batch_size * params.accumulation
    assert min(map(len, lines)) >= max(len(line) for line in every if line not in lines)
    same = job.params.model_copy(update={"max_steps": None, "validation": whole.params.validation, "masks_shown": 3})
    assert same == whole.params
    assert job.params.validation.patience is None
    config = (at / "config.yaml").read_text(encoding="utf-8")
    assert "max_steps: 3" in config and "eval_steps: 3" in config and job.train_file in config


def test_few_examples_are_taken_again_and_packs_take_all(tmp_path: Path) -> None:
    few = prepared(tmp_path / "few", small_params(), count=5)
    job = write_probe(tmp_path / "a", prepared=few, model=None)
    assert (job.train_rows, job.schedule.steps) == (5, STEPS)
    packs = prepared(tmp_path / "packs", small_params(packing=True), count=40)
    assert write_probe(tmp_path / "b", prepared=packs, model=None).train_rows == 40


@pytest.mark.parametrize(
    ("gpu", "named", "good"),
    [
        ("Tesla T4", "t4", True), ("Tesla T4", "rtx4090", False), ("NVIDIA L4", "l4", True), ("NVIDIA L4", "t4", False),
        ("NVIDIA L40S", "rtx4090", True), ("NVIDIA GeForce RTX 4090", "rtx4090", True),
        ("NVIDIA GeForce RTX 4090", "rtx3090", False), ("NVIDIA GeForce RTX 4090 Laptop GPU", "t4", True),
        ("NVIDIA A100-SXM4-40GB", "a100-40", True), ("NVIDIA A100-SXM4-80GB", "a100-40", False),
        ("NVIDIA A100 80GB PCIe", "a100-80", True), ("NVIDIA H100 80GB HBM3", "h100", True),
        ("NVIDIA H100 80GB HBM3", "a100-80", False), ("Tesla T4", "cpu", True), (None, "t4", True),
    ],
)  # fmt: skip
def test_another_gpu_than_the_recipe_names_is_told(gpu: str | None, named: HardwareName, good: bool) -> None:
    if good:
        check_hardware(named, gpu)
    else:
        with pytest.raises(InputError, match=f"this machine has {gpu}, train.hardware says {named}"):
            check_hardware(named, gpu)


# What is kept

PARAMS = TrainParams(base=TrainParams().base)
HERE = Speed(
    "axolotl", "Qwen/Qwen3-4B", "t4", machine_here("t4"), 400.0, 2, 800.0, 2048, 9.4, settings_of(PARAMS), "2026-11-20"
)


def test_a_speed_is_found_again_by_what_it_is_of(tmp_path: Path) -> None:
    file = speeds_file(tmp_path)
    assert file == tmp_path / "cache" / "training-speeds.json"
    assert measured_speed(file, PARAMS) is None
    remember_speed(file, HERE)
    assert measured_speed(file, PARAMS) == HERE
    for other in ({"trainer": "unsloth"}, {"hardware": "l4"}, {"batch_size": 2}, {"gradient_checkpointing": False},
                  {"base": {"model": "Qwen/Qwen3-8B"}}):  # fmt: skip
        assert measured_speed(file, TrainParams.model_validate(other)) is None, other
    for same in ({"learning_rate": 1e-4}, {"epochs": 1.0}, {"accumulation": 4}, {"seed": 7}):
        assert measured_speed(file, TrainParams.model_validate(same)) == HERE, same


def test_a_newer_speed_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    file = speeds_file(tmp_path)
    other = replace(HERE, trainer="unsloth")
    newer = replace(HERE, tokens_per_second=500.0, date="2026-11-21")
    for speed in (HERE, other, newer):
        remember_speed(file, speed)
    assert measured_speed(file, PARAMS) == newer
    assert len(json.loads(file.read_bytes())) == 2


def test_a_gpu_elsewhere_counts_a_processor_elsewhere_does_not(tmp_path: Path) -> None:
    file = speeds_file(tmp_path)
    colab = replace(HERE, machine="elsewhere", date="2026-11-25")
    remember_speed(file, colab)
    assert measured_speed(file, PARAMS) == colab
    remember_speed(file, HERE)
    assert measured_speed(file, PARAMS) == HERE  # older, but of this machine
    small = small_params()
    processor = replace(HERE, hardware="cpu", model=base_name(small), settings=settings_of(small), machine="cpu-other")
    remember_speed(file, processor)
    assert measured_speed(file, small) is None
    remember_speed(file, replace(processor, machine=machine_here("cpu")))
    assert measured_speed(file, small) is not None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", "[1, null, {}]", '[{"trainer": "axolotl"}]', "[" * 100_000], ids=lambda text: text[:9]
)
def test_a_damaged_file_counts_as_none_and_is_written_anew(tmp_path: Path, text: str) -> None:
    file = speeds_file(tmp_path)
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")
    assert measured_speed(file, PARAMS) is None
    remember_speed(file, HERE)
    assert measured_speed(file, PARAMS) == HERE


def test_a_speed_that_is_none_is_not_kept(tmp_path: Path) -> None:
    remember_speed(speeds_file(tmp_path), replace(HERE, tokens_per_second=0.0))
    assert not speeds_file(tmp_path).exists()


OUTCOME = Outcome(
    trainer="axolotl", trainer_version="0.19.0", steps=20, steps_asked=20, stopped_early=False, train_loss=1.0,
    mean_last_epoch_loss=1.0, best_eval_loss=1.0, best_step=20, base_eval_loss=2.0, eval_perplexity=2.7,
    trainable_parameters=1, expected_trainable_parameters=1, tokens=9000, tokens_per_second=123.4, seconds=80.0,
    peak_memory_bytes=2**30, peak_gpu_bytes=None, sittings=1,
)  # fmt: skip


@pytest.mark.parametrize("here", [True, False], ids=["here", "elsewhere"])
def test_a_finished_training_leaves_its_speed(tmp_path: Path, here: bool) -> None:
    params = small_params()
    trained = prepared(tmp_path, params)  # with its job.json, as a sealed training has it
    data = {"train_rows": 40, "train_tokens": 4000, "train_longest": 120}
    (trained / "effective.json").write_text(json.dumps({"data": data}), "utf-8")
    (trained / "result.json").write_text(json.dumps(OUTCOME.to_dict()), "utf-8")
    speed = remember_training(tmp_path, params, trained=trained, here=here)
    assert speed is not None
    assert (speed.tokens_per_second, speed.steps, speed.batch_tokens, speed.longest) == (123.4, 20, 200.0, 120)
    assert (speed.peak_gib, speed.machine) == (1.0, machine_here("cpu") if here else "elsewhere")
    assert measured_speed(speeds_file(tmp_path), params) == (speed if here else None)


def test_a_training_of_one_step_leaves_none(tmp_path: Path) -> None:
    trained = prepared(tmp_path, small_params())
    (trained / "result.json").write_text(json.dumps(replace(OUTCOME, tokens_per_second=None).to_dict()), "utf-8")
    assert remember_training(tmp_path, small_params(), trained=trained, here=True) is None
    assert not speeds_file(tmp_path).exists()


# The command


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["recipes/mvp.yaml"], 2, "its phase is mvp; only one of phase optimize trains"),
        (["recipes/none.yaml"], 2, "no such file"),
        (["--help"], 0, "Train three steps of RECIPE on its longest examples"),
    ],
    ids=["phase", "missing", "help"],
)  # fmt: skip
def test_the_command_says_what_it_takes(root: Path, arguments: list[str], code: int, said: str) -> None:
    command = [sys.executable, "-m", "flows.cli", "train", "probe", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)  # noqa: S603
    assert done.returncode == code
    assert said in " ".join((done.stdout + done.stderr).split())


# Three real steps


@pytest.mark.slow
@pytest.mark.parametrize("name", ["axolotl", "llamafactory"])
def test_three_real_steps_are_measured(
    tmp_path: Path, trainer_environment: Callable[[str], Environment], tiny_qwen3: Callable[[str], Path], name: str
) -> None:
    python, model = trainer_environment(name).python, tiny_qwen3(name)
    params = small_params(trainer=name, base={"folder": str(model)})
    ready = prepared(tmp_path, params)
    heard: list[Progress] = []
    speed = probe(tmp_path / "probe", params, prepared=ready, model=model, python=python, tell=heard.append)
    assert [p.step for p in heard if p.event == "log"] == [1, 2, 3]
    assert (speed.trainer, speed.model, speed.hardware) == (name, "folder/tiny", "cpu")
    assert speed.steps == STEPS - 1 and speed.tokens_per_second > 0
    assert speed.peak_gib is not None and 0.3 < speed.peak_gib < 8
    assert speed.batch_tokens <= 2 * speed.longest
    remember_speed(speeds_file(tmp_path), speed)
    told = estimate(params, rows=40, tokens=40 * 60, longest=speed.longest, validation_tokens=90,
                    measured=measured_speed(speeds_file(tmp_path), params))  # fmt: skip
    assert told.measured and told.hours is not None
    assert told.memory_gib == (speed.peak_gib, speed.peak_gib + 0.5)
    assert any(note.startswith("measured on this machine: ") for note in told.notes)


def test_a_training_that_cannot_begin_says_why(tmp_path: Path) -> None:
    """By a Python without the trainer, which stops at once. At what trainers themselves stop: test_trainings."""
    params = small_params(trainer="llamafactory", base={"folder": str(tmp_path)})
    ready, python = prepared(tmp_path, params), Path(sys.executable)
    with pytest.raises(TerminalError, match="llamafactory did not get through 3 steps: .*No module named 'llamafact"):
        probe(tmp_path / "probe", params, prepared=ready, model=tmp_path, python=python)
