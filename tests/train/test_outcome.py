"""A training is judged by what it left: each way to fail has its own reason, whatever the exit code was."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from safetensors.numpy import load_file, save_file

from components.errors import TerminalError
from components.train.estimate.architecture import Architecture, lora_parameters
from components.train.job import EFFECTIVE, LOG, MODEL, OUT, PROGRESS, Job, schedule
from components.train.running.causes import ENDED, STARTED, cause
from components.train.running.outcome import ADAPTER, Outcome, judge
from components.train.running.tensors import read_tensors
from tests.train.jobs import small_params

SHAPE = {
    "model_type": "qwen3", "hidden_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
    "num_hidden_layers": 2, "intermediate_size": 32, "vocab_size": 100, "tie_word_embeddings": True,
}  # fmt: skip
LAYERS = {
    "self_attn.q_proj": (16, 16), "self_attn.k_proj": (16, 8), "self_attn.v_proj": (16, 8),
    "self_attn.o_proj": (16, 16), "mlp.gate_proj": (16, 32), "mlp.up_proj": (16, 32), "mlp.down_proj": (32, 16),
}  # fmt: skip
R = 4


def adapter(seed: int) -> dict[str, Any]:
    random = numpy.random.default_rng(seed)
    found = {}
    for layer in range(2):
        for name, (inputs, outputs) in LAYERS.items():
            path = f"base_model.model.model.layers.{layer}.{name}"
            found[f"{path}.lora_A.weight"] = random.normal(size=(R, inputs)).astype("float32")
            found[f"{path}.lora_B.weight"] = random.normal(size=(outputs, R)).astype("float32")
    return found


@pytest.fixture
def job() -> Job:
    params = small_params(validation={"evaluations_per_epoch": 2, "patience": 2})
    return Job(params, "model", "train.jsonl", "validation.jsonl", 16, 6, schedule(params, rows=16))


@pytest.fixture
def folder(tmp_path: Path, job: Job) -> Path:
    """A training of eight steps that succeeded; the best evaluation was at step 6."""
    (tmp_path / MODEL).mkdir()
    (tmp_path / MODEL / "config.json").write_text(json.dumps(SHAPE), "utf-8")
    out = tmp_path / OUT
    for step in (6, 8):
        (out / f"checkpoint-{step}").mkdir(parents=True)
        save_file(adapter(step), str(out / f"checkpoint-{step}" / ADAPTER))
    save_file(adapter(6), str(out / ADAPTER))
    config = {"peft_type": "LORA", "r": R, "lora_alpha": 8, "base_model_name_or_path": "model"}
    (out / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    effective = {
        "trainer": {"name": "axolotl", "version": "0.19.0"}, "arguments": {"eval_on_start": True},
        "model": {"trainable_parameters": sum(one.size for one in adapter(6).values())},
    }  # fmt: skip
    (tmp_path / EFFECTIVE).write_text(json.dumps(effective), "utf-8")
    write_events(tmp_path, events())
    (tmp_path / LOG).write_text(f"{STARTED}now\nstep 8\n{ENDED}0\n", "utf-8")
    return tmp_path


def events() -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = [
        {"event": "begin", "step": 0, "steps": 8},
        {"event": "eval", "step": 0, "eval_loss": 3.0},
    ]
    held_out = {2: 2.0, 4: 1.5, 6: 1.0, 8: 1.2}
    for step in range(1, 9):
        told.append(log(step, 3 - step / 4))
        if step in held_out:
            told.append({"event": "eval", "step": step, "eval_loss": held_out[step]})
            told.append({"event": "save", "step": step, "checkpoint": f"out/checkpoint-{step}"})
    told.append(
        {
            "event": "end", "step": 8, "stopped_early": False, "best_eval_loss": 1.0,
            "best_checkpoint": "out/checkpoint-6", "peak_memory_bytes": 10**9, "peak_gpu_bytes": None,
        }
    )  # fmt: skip
    return [{"time": 1000.0 + number, **one} for number, one in enumerate(told)]


def log(step: int, loss: float) -> dict[str, Any]:
    return {"event": "log", "step": step, "steps": 8, "loss": loss, "learning_rate": 0.1, "tokens": 100 * step}


def write_events(folder: Path, told: list[dict[str, Any]]) -> None:
    (folder / PROGRESS).write_text("".join(json.dumps(one) + "\n" for one in told), "utf-8")


def change(folder: Path, alter: Callable[[list[dict[str, Any]]], None]) -> None:
    told = [json.loads(line) for line in (folder / PROGRESS).read_text("utf-8").splitlines()]
    alter(told)
    write_events(folder, told)


def test_what_came_out_of_a_training(folder: Path, job: Job) -> None:
    found = judge(folder, job, started=0)
    shape = Architecture(2, 16, 16, 8, 32, 100, True, 2048, 8)
    assert found.trainable_parameters == found.expected_trainable_parameters == lora_parameters(shape, R, "all-linear")
    assert (found.steps, found.steps_asked, found.stopped_early, found.sittings) == (8, 8, False, 1)
    assert (found.best_eval_loss, found.best_step, found.base_eval_loss) == (1.0, 6, 3.0)
    assert found.eval_perplexity == pytest.approx(math.e)
    assert found.train_loss == 1.0
    assert found.mean_last_epoch_loss == pytest.approx(sum(3 - step / 4 for step in (5, 6, 7, 8)) / 4)
    assert (found.tokens, found.seconds) == (800, 18.0)
    assert Outcome.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_a_later_sitting_counts_where_two_did_the_same_steps(folder: Path, job: Job) -> None:
    first = [*events()[:9], {"time": 1009.0, **log(5, 99.0)}, {"time": 1010.0, **log(6, 99.0)}]
    again = [one for one in events() if one["step"] > 4]
    write_events(folder, [*first, {"time": 2000.0, "event": "begin", "step": 4, "steps": 8},
                          *({**one, "time": one["time"] + 1000} for one in again)])  # fmt: skip
    found = judge(folder, job, started=0)
    assert found.sittings == 2
    assert found.mean_last_epoch_loss == pytest.approx(sum(3 - step / 4 for step in (5, 6, 7, 8)) / 4)
    assert found.base_eval_loss == 3.0
    assert found.seconds == 10 + 18


def test_a_training_that_stopped_early_with_reason_succeeds(folder: Path, job: Job) -> None:
    def early(told: list[dict[str, Any]]) -> None:
        told[0]["steps"] = 12
        told[-1].update(stopped_early=True, best_eval_loss=1.5, best_checkpoint="out/checkpoint-4")
        for one in told:
            if one["event"] == "eval" and one["step"] > 4:
                one["eval_loss"] = 1.6

    change(folder, early)
    (folder / OUT / "checkpoint-6").rename(folder / OUT / "checkpoint-4")
    longer = small_params(epochs=3, validation={"evaluations_per_epoch": 2, "patience": 2})
    asked = Job(longer, "model", "", "", 16, 6, schedule(longer, rows=16))
    found = judge(folder, asked, started=0)
    assert found.stopped_early and (found.steps, found.steps_asked, found.best_step) == (8, 12, 4)
    impatient = small_params(epochs=3, validation={"evaluations_per_epoch": 2, "patience": 3})
    with pytest.raises(TerminalError, match="it ended after 8 of 12 steps, and the held-out loss is no reason"):
        judge(folder, Job(impatient, "model", "", "", 16, 6, schedule(impatient, rows=16)), started=0)


def spoil(name: str, value: float) -> Callable[[Path], None]:
    def alter(folder: Path) -> None:
        for path in (folder / OUT / ADAPTER, folder / OUT / "checkpoint-6" / ADAPTER):
            tensors = load_file(str(path))
            for key in tensors:
                if key.endswith(name):
                    tensors[key] = numpy.full_like(tensors[key], value)
            save_file(tensors, str(path))

    return alter


def edit(index: int, **values: Any) -> Callable[[Path], None]:
    return lambda folder: change(folder, lambda told: told[index].update(values))


def cut(folder: Path) -> None:
    path = folder / OUT / ADAPTER
    path.write_bytes(path.read_bytes()[:-10])


def lose_layer(folder: Path) -> None:
    for path in (folder / OUT / ADAPTER, folder / OUT / "checkpoint-6" / ADAPTER):
        tensors = load_file(str(path))
        save_file({key: one for key, one in tensors.items() if "layers.1.mlp.down_proj" not in key}, str(path))


def last_checkpoint(folder: Path) -> None:
    save_file(adapter(8), str(folder / OUT / ADAPTER))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / OUT / ADAPTER).unlink(), "axolotl trained nothing"),
        (lambda folder: (folder / PROGRESS).unlink(), "axolotl trained nothing"),
        (lambda folder: change(folder, lambda told: told.pop()), "axolotl trained nothing"),
        (cut, "is cut short"),
        (lambda folder: (folder / OUT / ADAPTER).write_bytes(b"\x89PNG"), "is cut short, or no safetensors file"),
        (lambda folder: os.utime(folder / OUT / ADAPTER, (1, 1)), "is older than this training"),
        (spoil("layers.1.mlp.up_proj.lora_A.weight", math.nan), "the adapter has numbers that are none, in .*up_proj"),
        (spoil("lora_B.weight", 0.0), "14 of 14 lora_B in the adapter are zero"),
        (spoil("layers.0.mlp.up_proj.lora_B.weight", 0.0), "1 of 14 lora_B in the adapter are zero"),
        (lose_layer, r"the adapter has 1,856 parameters, the base's shape asks for 2,048"),
        (last_checkpoint, "not the one of the best checkpoint"),
        (edit(2, loss=math.nan), "the loss is no number at step 1"),
        (edit(4, eval_loss=math.inf), "a held-out loss is no number"),
        (edit(1, event="other"), "the base model was not evaluated before training"),
        (edit(0, steps=9), "8 steps were asked for, the trainer planned 9"),
        (edit(-1, step=5), "it ended after 5 of 8 steps, and the held-out loss is no reason"),
        (edit(-1, best_eval_loss=1.2), "the lowest held-out loss is 1.0, the trainer took 1.2 for it"),
        (edit(-1, best_checkpoint=None), "the trainer kept no best checkpoint"),
        (
            lambda folder: (folder / OUT / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 8}', "utf-8"),
            "says r: 8, asked was 4",
        ),
    ],
    ids=[
        "no adapter", "nothing told", "not to the end", "cut short", "no safetensors", "old", "NaN", "untrained",
        "one layer untrained", "a layer lost", "the last checkpoint's", "loss NaN", "held-out loss inf",
        "base not evaluated", "other number of steps", "ended in the middle", "other best", "no best", "other rank",
    ],
)  # fmt: skip
def test_a_training_that_failed_says_why_whatever_its_exit_code(
    folder: Path, job: Job, damage: Callable[[Path], object], reason: str
) -> None:
    damage(folder)
    with pytest.raises(TerminalError, match=reason) as error:
        judge(folder, job, started=1_000_000.0)
    assert str(folder / LOG) in str(error.value)


def test_the_digest_of_the_best_checkpoint_does_where_its_files_are_gone(folder: Path, job: Job) -> None:
    digest = hashlib.sha256((folder / OUT / ADAPTER).read_bytes()).hexdigest()
    shutil.rmtree(folder / OUT / "checkpoint-6")
    with pytest.raises(TerminalError, match="not the one of the best checkpoint"):
        judge(folder, job, started=0)
    saves = [number for number, one in enumerate(events()) if one["event"] == "save" and one["step"] == 6]
    edit(saves[0], adapter=digest)(folder)
    assert judge(folder, job, started=0).best_step == 6


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
def test_tensors_are_read_as_torch_wrote_them(tmp_path: Path, kind: str) -> None:
    values = numpy.array([[1.0, -2.5, 0.0078125], [3.0e4, 0.5, -0.0]], dtype="float32")
    if kind == "bfloat16":
        raw = (values.view("<u4") >> 16).astype("<u2").tobytes()
        header = json.dumps({"a": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}).encode()
        (tmp_path / "x").write_bytes(len(header).to_bytes(8, "little") + header + raw)
        wanted = ((values.view("<u4") >> 16) << 16).view("<f4")
    else:
        save_file({"a": values.astype(kind)}, str(tmp_path / "x"))
        wanted = values.astype(kind)
    found = read_tensors(tmp_path / "x")["a"]
    assert found.shape == (2, 3) and (found == wanted).all()


TRACE = 'Traceback (most recent call last):\n  File "x.py", line 1, in main\n    work()\n'


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        (
            TRACE + "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 14 GiB\n",
            r"the GPU's memory is too small: lower train.max_tokens \(now 128.*set train.batch_size to 1 and "
            r"train.accumulation to 4.*gradient_checkpointing: true",
        ),
        (TRACE + "OSError: [Errno 28] No space left on device\n", "the disk is full"),
        (
            TRACE + "OSError: We couldn't connect to 'https://hub' to load the files, and couldn't find them in the "
            "cached files.\nCheck your internet connection.\n",
            "could not be loaded: it is neither in the local cache nor found on the hub",
        ),
        (TRACE + "ValueError: Found sequence with 9 tokens too long, sequence too long\n", "longer than train.max_tok"),
        (TRACE + "KeyError: 'messages'\n", "it ended with KeyError: 'messages'"),
        ("[rank0]: " + TRACE.replace("\n", "\n[rank0]: ") + "RuntimeError: broken\n", "RuntimeError: broken"),
        (TRACE + "ValueError: first\n\nDuring handling of it:\n\n" + TRACE + "TypeError: last\n", "TypeError: last"),
        (
            TRACE + "pydantic_core.ValidationError: 1 validation error for Config\nlora_r\n  not an integer\n\nmore\n",
            "1 validation error for Config lora_r not an integer",
        ),
        (f"step 3\n{ENDED}-9\n", "it was killed from outside, most often because the machine's memory was full"),
        (f"step 3\n{ENDED}143\n", "it was stopped from outside"),
        (f"step 3\n{ENDED}1\n", "it ended with exit code 1; the last line that it printed: step 3"),
        ("", "it ended without saying why"),
    ],
    ids=[
        "GPU memory", "disk", "base", "long row", "other", "of a rank", "the last one", "of several lines", "killed",
        "stopped", "an exit code", "nothing",
    ],
)  # fmt: skip
def test_the_cause_is_found_in_what_was_printed(tmp_path: Path, printed: str, told: str) -> None:
    earlier = f"{STARTED}yesterday\n{TRACE}RuntimeError: of an earlier sitting\n{ENDED}1\n"
    (tmp_path / LOG).write_text(f"{earlier}{STARTED}today\n{printed}", "utf-8")
    found = cause(tmp_path / LOG, small_params())
    assert re.search(told, found), found
    assert "earlier sitting" not in found


def test_a_log_that_is_missing_has_no_cause(tmp_path: Path) -> None:
    assert cause(tmp_path / LOG, small_params()) == "it ended without saying why"
