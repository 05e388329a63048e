"""Real LLaMA-Factory and real Unsloth (its backend for CPUs) on the tiny model, as test_axolotl_trains.py has Axolotl.

What is not seen here: anything that Unsloth does only on a GPU.
"""

from __future__ import annotations

import json
import os
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
from components.train.job import EFFECTIVE, LOG, OUT, PROGRESS, Job
from components.train.params import TrainerName
from components.train.running.masks import compare_masks, read_masks
from components.train.running.outcome import ADAPTER, Outcome, judge
from components.train.running.process import run_trainer
from components.train.running.progress import Event, read_events
from components.train.running.readback import differences
from components.train.running.tensors import read_tensors
from components.train.trainers import trainer
from tests.dataset.trainer_rows import conversation
from tests.train.jobs import answers, make_job, small_params
from tests.train.tiny_model import make_tiny_qwen3

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]
ROOT = Path(__file__).resolve().parents[2]
NAMES: tuple[TrainerName, ...] = ("llamafactory", "unsloth")
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
TOOLS = json.dumps([{"name": "clock", "description": "tells the time", "parameters": {"type": "object"}}])
CALL = '{"name": "clock", "arguments": {"zone": null}}'
RICH = [
    conversation(("human", "Which time is it?"), ("function_call", CALL), ("observation", "noon"),
                 ("gpt", "It is noon."), tools=TOOLS, system="Be short."),
    conversation(("system", "You are Ada."), ("human", "Hi {{idx}}"), ("gpt", "Hello."), ("human", "More"),
                 ("gpt", "\nYes.")),
    conversation(("human", "Think."), ("gpt", "<think>\nSo it is.\n</think>\n\nPerché no? 🙂")),
    conversation(("human", "Time?"), ("function_call", f"<think>\nI look.\n</think>\n\n[{CALL}, {CALL}]"),
                 ("observation", "noon"), ("gpt", "Noon.  "), tools=TOOLS),
    conversation(("human", "Both?"), ("gpt", ""), ("human", "Well?"), ("gpt", "<b>No</b>")),
]  # fmt: skip
"""Tools, systems, thoughts, what looks like a mark: what a mask may get wrong."""
EXTRA: dict[str, dict[str, Any]] = {"llamafactory": {"adam_beta2": 0.99}, "unsloth": {"sft": {"adam_beta2": 0.99}}}


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

    def losses(self) -> dict[int, float]:
        """Of each step, as it was done last."""
        return {one["step"]: one["loss"] for one in self.events if one["event"] == "log"}


@pytest.fixture(scope="module")
def tiny(trainer_environment: Callable[[str], Environment], tmp_path_factory: pytest.TempPathFactory) -> Path:
    python = trainer_environment(NAMES[0]).python
    return make_tiny_qwen3(tmp_path_factory.mktemp("model") / "tiny", python=python)


@pytest.fixture(scope="module")
def finished(
    trainer_environment: Callable[[str], Environment], tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[TrainerName], Training]:
    """The training that others are held against; done once with each trainer, never stopped."""
    done: dict[str, Training] = {}

    def get(name: TrainerName) -> Training:
        if name not in done:
            folder = tmp_path_factory.mktemp(name) / "job"
            job, started = make_recipe(name, folder, tiny), time.time()
            assert train(name, folder, trainer_environment(name)) == 0, (folder / LOG).read_text("utf-8")[-3000:]
            done[name] = Training(name, folder, job, started)
        return done[name]

    return get


def make_recipe(name: TrainerName, folder: Path, tiny: Path) -> Job:
    params = small_params(trainer=name, max_tokens=512, masks_shown=4, extra=EXTRA[name])
    return make_job(folder, params, model=tiny, validation=[*answers(5, first=100), *RICH])


def train(name: TrainerName, folder: Path, environment: Environment) -> int:
    return run_trainer(
        folder, python=environment.python, entry=trainer(name).ENTRY, tell=print, environment=ONE_THREAD
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_training_succeeds_and_says_what_came_out(
    finished: Callable[[TrainerName], Training], name: TrainerName
) -> None:
    training = finished(name)
    outcome = training.outcome
    assert (outcome.steps, outcome.steps_asked, outcome.stopped_early, outcome.sittings) == (8, 8, False, 1)
    assert outcome.base_eval_loss is not None
    assert outcome.best_eval_loss < outcome.base_eval_loss, "the trained model is no better than its untrained twin"
    assert outcome.trainable_parameters == outcome.expected_trainable_parameters
    assert outcome.tokens == 2 * training.effective["data"]["train_tokens"], "two epochs, padding not counted"
    told = [(one["event"], one["step"]) for one in training.events]
    assert told[0] == ("begin", 0) and told[-1] == ("end", 8)
    assert [step for event, step in told if event == "log"] == list(range(1, 9))
    assert [step for event, step in told if event == "eval"] == [0, 2, 4, 6, 8]
    assert [step for event, step in told if event == "save"] == [2, 4, 6, 8]


@pytest.mark.parametrize("name", NAMES)
def test_the_trainer_uses_what_was_asked(finished: Callable[[TrainerName], Training], name: TrainerName) -> None:
    training = finished(name)
    assert differences(training.job, training.effective) == []
    assert training.effective["arguments"]["adam_beta2"] == 0.99, "train.extra did not arrive"
    assert training.effective["model"]["adapted_modules"] == dict.fromkeys(
        ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"], 2
    )
    other = Job.from_dict(
        {**training.job.to_dict(), "params": training.job.params.model_copy(
            update={"seed": 7, "learning_rate": 0.5, "lora": training.job.params.lora.model_copy(update={"r": 8})}
        ).model_dump(mode="json")}
    )  # fmt: skip
    told = " ".join(differences(other, training.effective))
    assert "train.seed: asked 7, the trainer uses 42 (arguments.seed)" in told
    assert "train.learning_rate: asked 0.5, the trainer uses 0.02" in told
    assert "train.lora.r: asked 8, the trainer uses 4 (peft.r)" in told


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", ["train", "validation"])
def test_the_trainers_masks_are_the_audited_ones_token_by_token(
    finished: Callable[[TrainerName], Training], name: TrainerName, side: str
) -> None:
    rows = answers(16) if side == "train" else [*answers(5, first=100), *RICH]
    audit = compare_masks(rows, read_masks(finished(name).folder / f"masks-{side}.jsonl"), "qwen3")
    assert audit.compared and audit.differing == ()
    assert [row.row for row in audit.rows] == list(range(4 if side == "train" else 10))


@pytest.mark.parametrize("name", NAMES)
def test_the_adapter_is_the_best_checkpoints(finished: Callable[[TrainerName], Training], name: TrainerName) -> None:
    training = finished(name)
    best = training.folder / OUT / f"checkpoint-{training.outcome.best_step}" / ADAPTER
    ours, theirs = read_tensors(training.folder / OUT / ADAPTER), read_tensors(best)
    assert ours.keys() == theirs.keys() and all((ours[name] == theirs[name]).all() for name in theirs)
    assert (training.folder / OUT / "tokenizer.json").is_file()
    served = json.loads((training.folder / "model/tokenizer_config.json").read_text("utf-8"))["chat_template"]
    assert (training.folder / OUT / "chat_template.jinja").read_text("utf-8") == served


def test_both_train_the_same(finished: Callable[[TrainerName], Training]) -> None:
    """The same tokens, order and first weights: what differs is the kernel of the optimizer.

    Of an odd number of held-out examples transformers would count the last one twice, in LLaMA-Factory's version only.
    """
    one, other = (finished(name) for name in NAMES)
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


@pytest.mark.parametrize("name", NAMES)
def test_stopped_killed_and_gone_on_with_it_ends_as_if_never_stopped(
    trainer_environment: Callable[[str], Environment], tiny: Path, finished: Callable[[TrainerName], Training],
    tmp_path: Path, name: TrainerName,
) -> None:  # fmt: skip
    environment, folder = trainer_environment(name), tmp_path / "job"
    training = Training(name, folder, make_recipe(name, folder, tiny), time.time())

    parent = sitting(name, folder, environment)
    wait_for(parent, folder, lambda one: one["event"] == "log" and one["step"] >= 1)
    os.killpg(parent.pid, signal.SIGINT)  # a terminal's Ctrl-C
    _, errors = parent.communicate(timeout=600)
    assert "KeyboardInterrupt" in errors
    saved = max(one["step"] for one in training.events if one["event"] == "save")
    assert training.events[-1]["event"] == "save", "it went on after its checkpoint"
    assert not (folder / OUT / ADAPTER).exists(), "an adapter that is not finished looks like one"

    parent = sitting(name, folder, environment)
    wait_for(parent, folder, lambda one: one["event"] == "save" and one["step"] >= 4)
    parent.kill()
    parent.communicate(timeout=600)

    with pytest.raises(TerminalError, match="trained nothing"):
        training.outcome  # noqa: B018 (it raises)
    assert train(name, folder, environment) == 0
    begun = [one["step"] for one in training.events if one["event"] == "begin"]
    assert begun[:2] == [0, saved] and begun[2] in (4, 6)
    outcome, whole = training.outcome, finished(name)
    assert (outcome.steps, outcome.sittings) == (8, 3)
    assert training.losses() == pytest.approx(whole.losses(), rel=1e-4)
    assert outcome.best_eval_loss == pytest.approx(whole.outcome.best_eval_loss, rel=1e-4)
    assert outcome.tokens == whole.outcome.tokens


def sitting(name: TrainerName, folder: Path, environment: Environment) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder), str(environment.python), trainer(name).ENTRY], cwd=ROOT,
        stderr=subprocess.PIPE, text=True, start_new_session=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def wait_for(parent: subprocess.Popen[str], folder: Path, wanted: Callable[[Event], bool]) -> None:
    seen = len(read_events(folder / PROGRESS))
    while not any(map(wanted, read_events(folder / PROGRESS)[seen:])):
        assert parent.poll() is None, (folder / LOG).read_text("utf-8")[-3000:]
        time.sleep(0.02)


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


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("long", r"an example is longer than train.max_tokens \(128\).*a sequence of \d+ tokens"),
        ("key", "lora_rang"),
        ("base", "the base model nobody/has-this could not be loaded"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_words(
    trainer_environment: Callable[[str], Environment], tiny: Path, tmp_path: Path, name: TrainerName, kind: str,
    told: str,
) -> None:  # fmt: skip
    folder, base = tmp_path / "job", {"model": "nobody/has-this", "folder": None} if kind == "base" else {}
    job = make_job(
        folder, small_params(trainer=name, base=base), model=None if base else tiny,
        train=endless() if kind == "long" else None, change=unknown_key(name) if kind == "key" else None,
    )  # fmt: skip
    started = time.time()
    run_trainer(folder, python=trainer_environment(name).python, entry=trainer(name).ENTRY, tell=print,
                environment={**ONE_THREAD, "HF_HUB_OFFLINE": "1"})  # fmt: skip
    with pytest.raises(TerminalError, match=told) as error:
        judge(folder, job, started=started)
    assert str(folder / LOG) in str(error.value)
