"""Real trainings of the tiny model by each trainer: judged, read back, stopped, killed, gone on with, and refused.

What is not seen here: anything that a trainer does only on a GPU.
"""

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
from components.train.params import TrainerName
from components.train.running.masks import compare_masks, read_masks
from components.train.running.outcome import ADAPTER, Outcome, judge
from components.train.running.process import run_trainer
from components.train.running.progress import Event, Progress, read_events
from components.train.running.readback import differences
from components.train.running.tensors import read_tensors
from components.train.trainers import trainer
from tests.dataset.trainer_rows import conversation, conversation_of
from tests.train.jobs import answers, let_wait, make_job, small_params, waits
from tests.waiting import soon

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]
ROOT = Path(__file__).resolve().parents[2]
NAMES: tuple[TrainerName, ...] = ("axolotl", "llamafactory", "unsloth")
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
TOOLS = json.dumps([{"name": "clock", "description": "tells the time", "parameters": {"type": "object"}}])
CALL = '{"name": "clock", "arguments": {"zone": null}}'
RICH = [
    conversation(("human", "Which time is it?"), ("function_call", CALL), ("observation", "noon"),
                 ("gpt", "It is noon."), tools=TOOLS, system="Be short."),
    conversation(("human", "Think."), ("gpt", "<think>\nSo it is.\n</think>\n\nPerché no? 🙂")),
]  # fmt: skip
"""Tools, systems, thoughts: what a mask may get wrong."""
FLAGS = [
    conversation(("system", "You are Ada."), ("human", "Hi"), ("gpt", "Hello."), ("human", "More"), ("gpt", "\nYes.")),
    conversation_of({"conversations": [
        {"from": "human", "value": "One"}, {"from": "gpt", "value": "Not trained.", "train": False},
        {"from": "human", "value": "Two"}, {"from": "gpt", "value": "Trained, the end is not.", "train_detail": [
            {"begin_offset": 0, "end_offset": 8, "train": True}, {"begin_offset": 9, "end_offset": 23, "train": False},
        ]},
    ]}),
]  # fmt: skip
"""Flags of training, which Axolotl alone knows."""
MARKS = [
    conversation(("system", "You are Ada."), ("human", "Hi {{idx}}"), ("gpt", "Hello."), ("human", "More"),
                 ("gpt", "\nYes.")),
    conversation(("human", "Time?"), ("function_call", f"<think>\nI look.\n</think>\n\n[{CALL}, {CALL}]"),
                 ("observation", "noon"), ("gpt", "Noon.  "), tools=TOOLS),
    conversation(("human", "Both?"), ("gpt", ""), ("human", "Well?"), ("gpt", "<b>No</b>")),
]  # fmt: skip
"""What looks like a mark of the others' own templates."""
EXTRA: dict[str, dict[str, Any]] = {
    "axolotl": {"adam_beta2": 0.99}, "llamafactory": {"adam_beta2": 0.99}, "unsloth": {"sft": {"adam_beta2": 0.99}},
}  # fmt: skip


@dataclass
class Training:
    """A job that was trained."""

    name: TrainerName
    folder: Path
    job: Job
    started: float

    @property
    def events(self) -> list[Event]:
        return read_events(self.folder / PROGRESS)

    @property
    def outcome(self) -> Outcome:
        return judge(self.folder, self.job, started=self.started)

    @property
    def effective(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / EFFECTIVE).read_bytes())
        return found

    def steps(self, event: str) -> list[int]:
        return [one["step"] for one in self.events if one["event"] == event]

    def losses(self) -> dict[int, float]:
        """Of each step, as it was done last."""
        return {one["step"]: one["loss"] for one in self.events if one["event"] == "log"}


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> TrainerName:
    """All tests of one trainer come before those of the next."""
    found: TrainerName = request.param
    return found


@pytest.fixture(scope="module")
def finished(
    trainer_environment: Callable[[str], Environment], tiny_qwen3: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[TrainerName], Training]:  # fmt: skip
    """The training that others are held against; done once with each trainer, never stopped."""
    done: dict[str, Training] = {}

    def get(name: TrainerName) -> Training:
        if name not in done:
            folder = tmp_path_factory.mktemp(name) / "job"
            training = begun(name, folder, tiny_qwen3(name))
            assert train(name, folder, trainer_environment(name)) == 0, (folder / LOG).read_text("utf-8")[-3000:]
            done[name] = training
        return done[name]

    return get


def held_out(name: TrainerName) -> list[Conversation]:
    """Ten examples. Of an odd number, LLaMA-Factory's version of transformers would count the last one twice."""
    rich = [*RICH, *(FLAGS if name == "axolotl" else MARKS)]
    return [*answers(10 - len(rich), first=100), *rich]


def begun(name: TrainerName, folder: Path, model: Path) -> Training:
    params = small_params(trainer=name, max_tokens=512, masks_shown=4, extra=EXTRA[name])
    return Training(name, folder, make_job(folder, params, model=model, validation=held_out(name)), time.time())


def train(name: TrainerName, folder: Path, environment: Environment) -> int:
    """A sitting; when it begins, all that can refuse it is there."""

    def tell(progress: Progress) -> None:
        print(progress)
        if progress.event == "begin":
            job = Job.from_dict(json.loads((folder / JOB).read_bytes()))
            assert differences(job, json.loads((folder / EFFECTIVE).read_bytes())) == []
            assert len(read_masks(folder / "masks-validation.jsonl")) == job.validation_rows

    return run_trainer(
        folder, python=environment.python, entry=trainer(name).ENTRY, tell=tell, environment=ONE_THREAD
    )  # fmt: skip


def test_a_training_succeeds_and_says_what_came_out(
    finished: Callable[[TrainerName], Training], name: TrainerName
) -> None:
    training = finished(name)
    outcome = training.outcome
    assert (outcome.steps, outcome.steps_asked, outcome.stopped_early, outcome.sittings) == (8, 8, False, 1)
    assert outcome.base_eval_loss is not None
    assert outcome.best_eval_loss < outcome.base_eval_loss, "the trained model is no better than its untrained twin"
    assert outcome.eval_perplexity == pytest.approx(math.exp(outcome.best_eval_loss))
    assert outcome.trainable_parameters == outcome.expected_trainable_parameters
    assert outcome.tokens == 2 * training.effective["data"]["train_tokens"], "two epochs, padding not counted"
    assert outcome.tokens_per_second is not None and outcome.tokens_per_second > 0
    assert outcome.peak_memory_bytes > 100_000_000 and outcome.peak_gpu_bytes is None
    assert Outcome.from_dict(json.loads(json.dumps(outcome.to_dict()))) == outcome


def test_every_step_and_evaluation_is_told(finished: Callable[[TrainerName], Training], name: TrainerName) -> None:
    training = finished(name)
    first, last = training.events[0], training.events[-1]
    assert (first["event"], first["step"], last["event"], last["step"]) == ("begin", 0, "end", 8)
    assert training.steps("log") == list(range(1, 9))
    assert training.steps("eval") == [0, 2, 4, 6, 8]
    assert training.steps("save") == [2, 4, 6, 8]
    rates = [one["learning_rate"] for one in training.events if one["event"] == "log"]
    assert max(rates) == pytest.approx(training.job.params.learning_rate)


def test_the_trainer_uses_what_was_asked(finished: Callable[[TrainerName], Training], name: TrainerName) -> None:
    training = finished(name)
    assert differences(training.job, training.effective) == []
    assert training.effective["arguments"]["adam_beta2"] == 0.99, "train.extra did not arrive"
    assert training.effective["model"]["adapted_modules"] == dict.fromkeys(
        ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"], 2
    )
    assert training.effective["packages"][name] == trainer(name).VERSION


def test_what_was_asked_otherwise_is_told(finished: Callable[[TrainerName], Training], name: TrainerName) -> None:
    training = finished(name)
    params = training.job.params
    lora = params.lora.model_copy(update={"r": 8, "targets": ["q_proj"]})
    asked = params.model_copy(update={"seed": 7, "learning_rate": 0.5, "lora": lora})
    other = Job.from_dict({**training.job.to_dict(), "params": asked.model_dump(mode="json")})
    told = " ".join(differences(other, training.effective))
    assert "train.seed: asked 7, the trainer uses 42 (arguments.seed)" in told
    assert "train.learning_rate: asked 0.5, the trainer uses 0.02" in told
    assert "train.lora.r: asked 8, the trainer uses 4 (peft.r)" in told
    assert "train.lora.targets: asked q_proj, the trainer uses down_proj" in told


@pytest.mark.parametrize("side", ["train", "validation"])
def test_the_trainers_masks_are_the_audited_ones_token_by_token(
    finished: Callable[[TrainerName], Training], name: TrainerName, side: str
) -> None:
    rows = answers(16) if side == "train" else held_out(name)
    audit = compare_masks(rows, read_masks(finished(name).folder / f"masks-{side}.jsonl"), "qwen3")
    assert audit.compared and audit.differing == ()
    assert [row.row for row in audit.rows] == list(range(4 if side == "train" else 10))


def test_the_adapter_is_the_best_checkpoints(finished: Callable[[TrainerName], Training], name: TrainerName) -> None:
    training = finished(name)
    best = training.folder / OUT / f"checkpoint-{training.outcome.best_step}" / ADAPTER
    ours, theirs = read_tensors(training.folder / OUT / ADAPTER), read_tensors(best)
    assert ours.keys() == theirs.keys() and all((ours[key] == theirs[key]).all() for key in theirs)
    assert (training.folder / OUT / "tokenizer.json").is_file()
    if name != "axolotl":  # which writes its own, for the same tokens
        served = json.loads((training.folder / "model/tokenizer_config.json").read_text("utf-8"))["chat_template"]
        assert (training.folder / OUT / "chat_template.jinja").read_text("utf-8") == served


def test_an_adapter_that_was_changed_afterwards_is_refused(
    finished: Callable[[TrainerName], Training], tmp_path: Path
) -> None:
    training, folder = finished("axolotl"), tmp_path / "job"
    shutil.copytree(training.folder, folder, symlinks=True)
    path = folder / OUT / ADAPTER
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(TerminalError, match="is not the one of the best checkpoint"):
        judge(folder, training.job, started=training.started)


def test_two_trainers_train_the_same(finished: Callable[[TrainerName], Training]) -> None:
    """The same tokens, order and first weights: what differs is the kernel of the optimizer."""
    one, other = finished("llamafactory"), finished("unsloth")
    for side in ("train", "validation"):
        name = f"masks-{side}.jsonl"
        assert (one.folder / name).read_bytes() == (other.folder / name).read_bytes()
    assert one.outcome.base_eval_loss == pytest.approx(other.outcome.base_eval_loss, rel=1e-5)
    assert one.losses()[1] == pytest.approx(other.losses()[1], rel=1e-5)


PARENT = """
import sys
from pathlib import Path
from components.train.running.process import run_trainer
run_trainer(Path(sys.argv[1]), python=Path(sys.argv[2]), entry=sys.argv[3], tell=lambda one: None,
            environment={"OMP_NUM_THREADS": "1"})
"""


def test_stopped_or_killed_it_goes_on_and_ends_as_if_it_never_was(
    trainer_environment: Callable[[str], Environment], tiny_qwen3: Callable[[str], Path],
    finished: Callable[[TrainerName], Training], tmp_path: Path, name: TrainerName,
) -> None:  # fmt: skip
    """Ctrl-C goes through each trainer's own loop; what a kill leaves is the affair of our scripts: Axolotl alone."""
    environment, folder = trainer_environment(name), tmp_path / "job"
    training = begun(name, folder, tiny_qwen3(name))
    let_wait(folder)

    waiting = waits(folder, "begin", 0)
    parent = sitting(training, environment, until=("begin", 0))
    os.killpg(parent.pid, signal.SIGINT)  # a terminal's Ctrl-C
    assert soon(lambda: training.steps("stopping"))
    waiting.unlink()
    _, errors = parent.communicate(timeout=600)
    assert "KeyboardInterrupt" in errors
    assert training.steps("save") == [1] and training.events[-1]["event"] == "save", "it went on after its checkpoint"
    assert not (folder / OUT / ADAPTER).exists(), "an adapter that is not finished looks like one"
    with pytest.raises(TerminalError, match="trained nothing"):
        training.outcome  # noqa: B018 (it raises)

    if name == "axolotl":
        waiting = waits(folder, "save", 4)
        parent = sitting(training, environment, until=("save", 4))
        parent.kill()
        parent.communicate(timeout=600)
        waiting.unlink()
        with (folder / PROGRESS).open("ab") as file:
            file.write(b'{"event": "log", "ti')  # as a kill leaves a line
        half = folder / OUT / "checkpoint-7"
        shutil.copytree(folder / OUT / "checkpoint-4", half)
        (half / "optimizer.pt").write_bytes(b"PK")  # as a kill leaves a checkpoint
        with pytest.raises(TerminalError, match="trained nothing"):
            training.outcome  # noqa: B018 (it raises)

    assert train(name, folder, environment) == 0
    starts = [0, 1, 4] if name == "axolotl" else [0, 1]
    assert training.steps("begin") == starts
    if name == "axolotl":
        assert "checkpoint-7 is not as it was written" in (folder / LOG).read_text("utf-8")
    outcome, whole = training.outcome, finished(name)
    assert (outcome.steps, outcome.sittings) == (8, len(starts))
    assert training.losses() == pytest.approx(whole.losses(), rel=1e-4)
    assert outcome.best_eval_loss == pytest.approx(whole.outcome.best_eval_loss, rel=1e-4)
    assert outcome.tokens == whole.outcome.tokens


def sitting(training: Training, environment: Environment, *, until: tuple[str, int]) -> subprocess.Popen[str]:
    """A process that trains, once the trainer has told an event of a step."""
    event, step = until
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, training.folder, environment.python, trainer(training.name).ENTRY],
        cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert soon(lambda: step in training.steps(event) or parent.poll() is not None, seconds=900)
    assert parent.poll() is None, (training.folder / LOG).read_text("utf-8")[-3000:]
    return parent


def silent() -> list[Conversation]:
    row: Any = {"conversations": [{"from": "human", "value": "Hm"}, {"from": "gpt", "value": "Ah", "train": False}]}
    return [*answers(15), conversation_of(row)]


def endless() -> list[Conversation]:
    return [*answers(15), conversation(("human", "Count."), ("gpt", "one two three " * 60))]


def unknown_key(name: TrainerName) -> Callable[[dict[str, str]], None]:
    """A key that the check of a recipe would have refused."""

    def change(files: dict[str, str]) -> None:
        if name == "llamafactory":
            files["config.yaml"] += "lora_rang: 8\n"
        else:
            config = json.loads(files["config.json"])
            config["sft"]["lora_rang"] = 8
            files["config.json"] = json.dumps(config)

    return change


TOO_LONG = r"an example is longer than train.max_tokens \(128\)"
NOT_THERE = {"base": {"model": "nobody/has-this", "folder": None}}
REFUSED: dict[tuple[TrainerName, str], str] = {
    ("axolotl", "silent"): "no token carries loss in 1 of 16 training examples, as in 16",
    ("axolotl", "long"): TOO_LONG,
    ("llamafactory", "long"): rf"{TOO_LONG}.*a sequence of \d+ tokens",
    ("unsloth", "long"): rf"{TOO_LONG}.*a sequence of \d+ tokens",
    ("llamafactory", "key"): "lora_rang",
    ("unsloth", "key"): "lora_rang",
    **{(name, "base"): "the base model nobody/has-this could not be loaded" for name in NAMES},
}


@pytest.mark.parametrize(("name", "kind"), REFUSED)
def test_what_cannot_be_trained_is_refused_in_words(
    trainer_environment: Callable[[str], Environment], tiny_qwen3: Callable[[str], Path], tmp_path: Path,
    name: TrainerName, kind: str,
) -> None:  # fmt: skip
    folder = tmp_path / "job"
    job = make_job(
        folder, small_params(trainer=name, **(NOT_THERE if kind == "base" else {})),
        model=None if kind == "base" else tiny_qwen3(name),
        train=silent() if kind == "silent" else endless() if kind == "long" else None,
        change=unknown_key(name) if kind == "key" else None,
    )  # fmt: skip
    started = time.time()
    run_trainer(folder, python=trainer_environment(name).python, entry=trainer(name).ENTRY, tell=print,
                environment={**ONE_THREAD, "HF_HUB_OFFLINE": "1"})  # fmt: skip
    with pytest.raises(TerminalError, match=REFUSED[name, kind]) as error:
        judge(folder, job, started=started)
    assert str(folder / LOG) in str(error.value)
