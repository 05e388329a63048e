"""The callback in a bare transformers Trainer, and the seals of checkpoints."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from components.train.environments import Environment
from components.train.inside import checkpoints
from components.train.job import JOB, PROGRESS
from components.train.running.progress import read_events
from tests.train.jobs import small_params

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    folder = tmp_path / "out" / "checkpoint-5"
    (folder / "deep").mkdir(parents=True)
    (folder / "optimizer.pt").write_bytes(b"state")
    (folder / "deep" / "more.bin").write_bytes(b"more")
    digests = checkpoints.seal(str(folder))
    assert digests.keys() == {"optimizer.pt", "deep/more.bin"}
    return folder


def test_a_checkpoint_as_it_was_sealed_is_whole(sealed: Path) -> None:
    assert checkpoints.is_whole(str(sealed))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "optimizer.pt").write_bytes(b"statf"),
        lambda folder: (folder / "optimizer.pt").unlink(),
        lambda folder: (folder / "deep" / "other.bin").write_bytes(b""),
        lambda folder: (folder / checkpoints.SEAL).unlink(),
        lambda folder: (folder / checkpoints.SEAL).write_text('{"optimizer', "utf-8"),
        lambda folder: (folder / checkpoints.SEAL).write_text("{}", "utf-8"),
    ],
    ids=["changed", "a file gone", "a file more", "not sealed", "a seal cut short", "an empty seal"],
)
def test_a_checkpoint_that_is_not_whole_is_removed_and_nothing_else(
    sealed: Path, damage: Callable[[Path], object]
) -> None:
    damage(sealed)
    (sealed.parent / "adapter").mkdir()
    assert not checkpoints.is_whole(str(sealed))
    checkpoints.remove_broken(str(sealed.parent))
    assert not sealed.exists() and (sealed.parent / "adapter").exists()


def test_nothing_is_removed_where_nothing_was_written(tmp_path: Path) -> None:
    checkpoints.remove_broken(str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


TRAINER = """
import os, sys, time
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM, Trainer, TrainingArguments
sys.path.insert(0, sys.argv[1])
from telling import make_telling
how = sys.argv[2]

class Rows(torch.utils.data.Dataset):
    def __init__(self, count, silent=()):
        self.count, self.silent = count, silent
    def __len__(self):
        return self.count
    def __getitem__(self, place):
        ids = [(place * 7 + number) % 50 for number in range(4 + place % 3)]
        return {"input_ids": ids, "labels": [-100] * len(ids) if place in self.silent else [-100, *ids[1:]]}

def collate(rows):
    longest = max(len(row["input_ids"]) for row in rows)
    def pad(key, value):
        return torch.tensor([row[key] + [value] * (longest - len(row[key])) for row in rows])
    masks = [[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in rows]
    return {"input_ids": pad("input_ids", 0), "labels": pad("labels", -100), "attention_mask": torch.tensor(masks)}

class Spoilt(Trainer):
    def compute_loss(self, model, inputs, *args, **more):
        loss = super().compute_loss(model, inputs, *args, **more)
        slow = how == "slow" and model.training
        time.sleep(600 if slow and self.state.global_step == 1 else 0)
        return loss * float("nan") if how == "nan" and model.training and self.state.global_step == 1 else loss

model = Qwen3ForCausalLM(Qwen3Config(vocab_size=64, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
    num_attention_heads=2, num_key_value_heads=1, head_dim=8, tie_word_embeddings=True))
arguments = TrainingArguments(
    output_dir="out", max_steps=3, per_device_train_batch_size=2, per_device_eval_batch_size=2, eval_strategy="steps",
    save_strategy="steps", eval_steps=2, save_steps=2, eval_on_start=True, logging_steps=1, report_to=[], use_cpu=True,
    load_best_model_at_end=True, metric_for_best_model="eval_loss", remove_unused_columns=False, disable_tqdm=True,
    max_grad_norm=0 if how == "nan" else 1.0, learning_rate=0.0 if how == "nan" else 0.01)
Spoilt(model=model, args=arguments, train_dataset=Rows(8, silent=[5] if how == "silent" else []),
       eval_dataset=Rows(3, silent=[1] if how == "silent held-out" else []), data_collator=collate,
       callbacks=[make_telling(package="transformers", config=lambda: {"how": how})]).train()
"""


@pytest.fixture
def start(
    trainer_environment: Callable[[str], Environment], tmp_path: Path
) -> Callable[[str], subprocess.Popen[str]]:  # fmt: skip
    python = trainer_environment("axolotl").python
    params = small_params(masks_shown=2).model_dump(mode="json")
    (tmp_path / JOB).write_text(json.dumps({"params": params}), "utf-8")

    def begin(how: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(python), "-c", TRAINER, str(ROOT / "components/train/inside"), how], cwd=tmp_path, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        )  # fmt: skip

    return begin


@pytest.mark.slow
def test_a_loss_that_is_no_number_is_told_as_it_is_and_the_last_step_is_evaluated(
    start: Callable[[str], subprocess.Popen[str]], tmp_path: Path
) -> None:
    _, errors = start("nan").communicate(timeout=500)
    told = read_events(tmp_path / PROGRESS)
    assert told and told[-1]["event"] == "end", errors[-2000:]
    losses = {one["step"]: one["loss"] for one in told if one["event"] == "log"}
    assert math.isnan(losses[2]), "the Trainer's filter hides NaN behind the mean of other steps"
    assert [one["step"] for one in told if one["event"] == "eval"] == [0, 2, 3]
    assert [one["step"] for one in told if one["event"] == "save"] == [2, 3]
    assert all(checkpoints.is_whole(str(path)) for path in (tmp_path / "out").glob("checkpoint-*"))
    tokens = [one["tokens"] for one in told if one["event"] == "log"]
    assert tokens == sorted(tokens) and 3 * 2 * 4 <= tokens[-1] <= 3 * 2 * 6, "padding was counted"
    effective = json.loads((tmp_path / "effective.json").read_bytes())
    assert effective["config"] == {"how": "nan"} and effective["peft"] is None
    assert (effective["data"]["train_rows"], effective["data"]["train_tokens"]) == (8, 4 + 5 + 6 + 4 + 5 + 6 + 4 + 5)
    masks = [json.loads(line) for line in (tmp_path / "masks-train.jsonl").read_text("utf-8").splitlines()]
    assert masks == [{"ids": [0, 1, 2, 3], "trained": [1, 2, 3]}, {"ids": [7, 8, 9, 10, 11], "trained": [1, 2, 3, 4]}]
    assert len((tmp_path / "masks-validation.jsonl").read_text("utf-8").splitlines()) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "told"),
    [("silent", "in 1 of 8 training examples, as in 6"), ("silent held-out", "in 1 of 3 held-out examples, as in 2")],
)
def test_rows_without_loss_end_it_before_the_first_step(
    start: Callable[[str], subprocess.Popen[str]], tmp_path: Path, how: str, told: str
) -> None:
    child = start(how)
    _, errors = child.communicate(timeout=500)
    assert child.returncode == 1 and f"no token carries loss {told}" in errors
    assert not [one for one in read_events(tmp_path / PROGRESS) if one["event"] in ("begin", "log")]


@pytest.mark.slow
def test_a_second_signal_ends_it_in_the_middle_of_a_step(
    start: Callable[[str], subprocess.Popen[str]], tmp_path: Path
) -> None:
    child = start("slow")
    while not any(one["event"] == "log" for one in read_events(tmp_path / PROGRESS)):
        assert child.poll() is None, child.stderr and child.stderr.read()[-2000:]
        time.sleep(0.05)
    child.send_signal(signal.SIGTERM)
    while not any(one["event"] == "stopping" for one in read_events(tmp_path / PROGRESS)):
        time.sleep(0.05)
    child.send_signal(signal.SIGTERM)  # within a second of the first: a terminal's Ctrl-C comes twice
    time.sleep(1.2)
    assert child.poll() is None
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=120)
    assert child.returncode == 128 + signal.SIGTERM
    assert not (tmp_path / "out" / "checkpoint-2").exists()
