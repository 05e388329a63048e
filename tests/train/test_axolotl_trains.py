"""Real Axolotl on the tiny model: trained, judged, read back, stopped, killed, gone on with, and refused."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.dataset.conversation import Conversation
from components.errors import TerminalError
from components.train.environments import Environment
from components.train.job import EFFECTIVE, JOB, LOG, OUT, PROGRESS, Job
from components.train.running.masks import compare_masks, read_masks
from components.train.running.outcome import ADAPTER, Outcome, judge
from components.train.running.process import run_trainer
from components.train.running.progress import Event, Progress, read_events
from components.train.running.readback import differences
from components.train.running.tensors import read_tensors
from components.train.trainers import axolotl
from tests.dataset.trainer_rows import conversation, conversation_of
from tests.train.jobs import answers, make_job, small_params
from tests.train.tiny_model import make_tiny_qwen3

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]
ROOT = Path(__file__).resolve().parents[2]
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
TOOLS = json.dumps([{"name": "clock", "description": "tells the time", "parameters": {"type": "object"}}])
RICH = [
    conversation(("human", "Which time is it?"), ("function_call", '{"name": "clock", "arguments": {"zone": null}}'),
                 ("observation", "noon"), ("gpt", "It is noon."), tools=TOOLS, system="Be short."),
    conversation(("system", "You are Ada."), ("human", "Hi"), ("gpt", "Hello."), ("human", "More"), ("gpt", "\nYes.")),
    conversation_of({"conversations": [
        {"from": "human", "value": "One"}, {"from": "gpt", "value": "Not trained.", "train": False},
        {"from": "human", "value": "Two"}, {"from": "gpt", "value": "Trained, the end is not.", "train_detail": [
            {"begin_offset": 0, "end_offset": 8, "train": True}, {"begin_offset": 9, "end_offset": 23, "train": False},
        ]},
    ]}),
    conversation(("human", "Think."), ("gpt", "<think>\nSo it is.\n</think>\n\nPerché no? 🙂")),
]  # fmt: skip
"""Tools, systems, flags of training, thoughts: what a mask may get wrong."""


@dataclass
class Training:
    """A job that was trained."""

    folder: Path
    job: Job
    started: float

    @property
    def events(self) -> list[Event]:
        return read_events(self.folder / PROGRESS)

    @property
    def outcome(self) -> Outcome:
        return judge(self.folder, self.job, started=self.started)

    def losses(self) -> dict[int, float]:
        """Of each step, as it was done last."""
        return {one["step"]: one["loss"] for one in self.events if one["event"] == "log"}


@pytest.fixture(scope="module")
def environment(trainer_environment: Callable[[str], Environment]) -> Environment:
    return trainer_environment("axolotl")


@pytest.fixture(scope="module")
def tiny(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_qwen3(tmp_path_factory.mktemp("model") / "tiny", python=environment.python)


@pytest.fixture(scope="module")
def finished(environment: Environment, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """The training that the others are held against; never stopped."""
    folder = tmp_path_factory.mktemp("finished") / "job"
    job = make_recipe(folder, tiny)
    started = time.time()
    train(folder, environment)
    return Training(folder, job, started)


def make_recipe(folder: Path, tiny: Path) -> Job:
    params = small_params(max_tokens=512, masks_shown=4, extra={"adam_beta2": 0.99})
    return make_job(folder, params, model=tiny, validation=[*answers(6, first=100), *RICH])


def train(folder: Path, environment: Environment) -> int:
    """A sitting; when it begins, all that can refuse it is there."""

    def tell(progress: Progress) -> None:
        print(progress)
        if progress.event == "begin":
            job = Job.from_dict(json.loads((folder / JOB).read_bytes()))
            assert differences(job, json.loads((folder / EFFECTIVE).read_bytes())) == []
            assert len(read_masks(folder / "masks-validation.jsonl")) == job.validation_rows

    return run_trainer(folder, python=environment.python, entry=axolotl.ENTRY, tell=tell, environment=ONE_THREAD)


def test_a_training_succeeds_and_says_what_came_out(finished: Training) -> None:
    outcome = finished.outcome
    assert (outcome.steps, outcome.steps_asked, outcome.stopped_early, outcome.sittings) == (8, 8, False, 1)
    assert outcome.base_eval_loss is not None
    assert outcome.best_eval_loss < outcome.base_eval_loss, "the trained model is no better than its untrained twin"
    assert outcome.eval_perplexity == pytest.approx(math.exp(outcome.best_eval_loss))
    assert outcome.trainable_parameters == outcome.expected_trainable_parameters
    shown = json.loads((finished.folder / EFFECTIVE).read_bytes())["data"]
    assert outcome.tokens == 2 * shown["train_tokens"], "two epochs, padding not counted"
    assert outcome.tokens_per_second is not None and outcome.tokens_per_second > 0
    assert outcome.peak_memory_bytes > 100_000_000 and outcome.peak_gpu_bytes is None
    assert Outcome.from_dict(json.loads(json.dumps(outcome.to_dict()))) == outcome


def test_every_step_and_evaluation_is_told(finished: Training) -> None:
    told = [(one["event"], one["step"]) for one in finished.events]
    assert told[0] == ("begin", 0) and told[-1] == ("end", 8)
    assert [step for event, step in told if event == "log"] == list(range(1, 9))
    assert [step for event, step in told if event == "eval"] == [0, 2, 4, 6, 8]
    assert [step for event, step in told if event == "save"] == [2, 4, 6, 8]
    rates = [one["learning_rate"] for one in finished.events if one["event"] == "log"]
    assert max(rates) == pytest.approx(finished.job.params.learning_rate)


def test_the_trainer_uses_what_was_asked(finished: Training) -> None:
    effective = json.loads((finished.folder / EFFECTIVE).read_bytes())
    assert differences(finished.job, effective) == []
    assert effective["arguments"]["adam_beta2"] == 0.99, "train.extra did not arrive"
    assert effective["model"]["adapted_modules"] == dict.fromkeys(
        ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"], 2
    )
    assert effective["packages"]["axolotl"] == axolotl.VERSION


def test_what_was_asked_otherwise_is_told(finished: Training) -> None:
    effective = json.loads((finished.folder / EFFECTIVE).read_bytes())
    params = finished.job.params
    other = finished.job.from_dict(
        {
            **finished.job.to_dict(),
            "params": params.model_copy(
                update={"seed": 7, "lora": params.lora.model_copy(update={"r": 8, "targets": ["q_proj"]})}
            ).model_dump(mode="json"),
        }
    )
    told = " ".join(differences(other, effective))
    assert "train.seed: asked 7, the trainer uses 42 (arguments.seed)" in told
    assert "train.lora.r: asked 8, the trainer uses 4 (peft.r)" in told
    assert "train.lora.targets: asked q_proj, the trainer uses down_proj" in told


@pytest.mark.parametrize("side", ["train", "validation"])
def test_the_trainers_masks_are_the_audited_ones_token_by_token(finished: Training, side: str) -> None:
    rows = answers(16) if side == "train" else [*answers(6, first=100), *RICH]
    masks = read_masks(finished.folder / f"masks-{side}.jsonl")
    audit = compare_masks(rows, masks, "qwen3")
    assert audit.compared and audit.differing == ()
    assert [row.row for row in audit.rows] == list(range(4 if side == "train" else 10))


def test_the_adapter_is_the_best_checkpoints(finished: Training) -> None:
    best = finished.folder / OUT / f"checkpoint-{finished.outcome.best_step}" / ADAPTER
    ours, theirs = read_tensors(finished.folder / OUT / ADAPTER), read_tensors(best)
    assert all((ours[name] == theirs[name]).all() for name in theirs) and ours.keys() == theirs.keys()


def test_an_adapter_that_was_changed_afterwards_is_refused(finished: Training, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    shutil.copytree(finished.folder, folder, symlinks=True)
    path = folder / OUT / ADAPTER
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(TerminalError, match="is not the one of the best checkpoint"):
        judge(folder, finished.job, started=finished.started)


PARENT = """
import sys
from pathlib import Path
from components.train.running.process import run_trainer
run_trainer(Path(sys.argv[1]), python=Path(sys.argv[2]), entry="run_axolotl.py", tell=lambda one: None,
            environment={"OMP_NUM_THREADS": "1"})
"""


def test_stopped_killed_and_gone_on_with_it_ends_as_if_never_stopped(
    environment: Environment, tiny: Path, finished: Training, tmp_path: Path
) -> None:
    folder = tmp_path / "job"
    training = Training(folder, make_recipe(folder, tiny), time.time())

    parent = sitting(folder, environment)
    wait_for(parent, folder, lambda one: one["event"] == "log" and one["step"] >= 1)
    os.killpg(parent.pid, signal.SIGINT)  # a terminal's Ctrl-C
    _, errors = parent.communicate(timeout=600)
    assert "KeyboardInterrupt" in errors
    saved = max(one["step"] for one in training.events if one["event"] == "save")
    assert training.events[-1]["event"] == "save", "it went on after its checkpoint"
    assert not (folder / OUT / ADAPTER).exists(), "an adapter that is not finished looks like one"

    parent = sitting(folder, environment)
    wait_for(parent, folder, lambda one: one["event"] == "save" and one["step"] >= 4)
    parent.kill()
    parent.communicate(timeout=600)
    with (folder / PROGRESS).open("ab") as file:
        file.write(b'{"event": "log", "ti')  # as a kill leaves a line
    kept = sorted((folder / OUT).glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    half = folder / OUT / "checkpoint-7"
    shutil.copytree(kept[-1], half)
    (half / "optimizer.pt").write_bytes(b"PK")  # as a kill leaves a checkpoint

    with pytest.raises(TerminalError, match="trained nothing"):
        training.outcome  # noqa: B018 (it raises)
    assert train(folder, environment) == 0
    begun = [one["step"] for one in training.events if one["event"] == "begin"]
    assert begun[:2] == [0, saved] and begun[2] in (4, 6)
    assert "checkpoint-7 is not as it was written" in (folder / LOG).read_text("utf-8")
    outcome = training.outcome
    assert (outcome.steps, outcome.sittings) == (8, 3)
    assert training.losses() == pytest.approx(finished.losses(), rel=1e-4)
    assert outcome.best_eval_loss == pytest.approx(finished.outcome.best_eval_loss, rel=1e-4)
    assert outcome.tokens == finished.outcome.tokens


def sitting(folder: Path, environment: Environment) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder), str(environment.python)], cwd=ROOT, stderr=subprocess.PIPE,
        text=True, start_new_session=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def wait_for(parent: subprocess.Popen[str], folder: Path, wanted: Callable[[Event], bool]) -> None:
    seen = len(read_events(folder / PROGRESS))
    while not any(map(wanted, read_events(folder / PROGRESS)[seen:])):
        assert parent.poll() is None, (folder / LOG).read_text("utf-8")[-3000:]
        time.sleep(0.02)


def silent() -> list[Conversation]:
    row: Any = {"conversations": [{"from": "human", "value": "Hm"}, {"from": "gpt", "value": "Ah", "train": False}]}
    return [*answers(15), conversation_of(row)]


@pytest.mark.parametrize(
    ("given", "base", "told"),
    [
        ({"train": silent()}, {}, "no token carries loss in 1 of 16 training examples, as in 16"),
        (
            {"train": [*answers(15), conversation(("human", "Count."), ("gpt", "one two three " * 60))]}, {},
            r"an example is longer than train.max_tokens \(128\)",
        ),
        ({}, {"model": "nobody/has-this", "folder": None}, "the base model nobody/has-this could not be loaded"),
    ],
    ids=["an example without loss", "an example that is too long", "a base model that is not there"],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused_in_words(
    environment: Environment, tiny: Path, tmp_path: Path, given: dict[str, Any], base: dict[str, Any], told: str
) -> None:
    folder = tmp_path / "job"
    job = make_job(folder, small_params(base=base), model=None if base else tiny, **given)
    started = time.time()
    train(folder, environment)
    with pytest.raises(TerminalError, match=told) as error:
        judge(folder, job, started=started)
    assert str(folder / LOG) in str(error.value)
