"""A trainer as a child process: what it is given, what is told of it, and that it ends with us whichever way we end.

The trainers here are small scripts that tell steps as the real callback does and sleep; they run in the real child.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from components.train.job import INSIDE, JOB, LOG, MODEL, PROGRESS
from components.train.running.causes import cause
from components.train.running.process import run_trainer
from components.train.running.progress import Progress, read_events
from tests.train.jobs import small_params

ROOT = Path(__file__).resolve().parents[2]
TELL = """
import json, os, signal, sys, time
def tell(event, **values):
    with open("progress.jsonl", "a") as file:
        file.write(json.dumps({"event": event, "time": time.time(), **values}) + "\\n")
"""
STEPS = (
    TELL
    + """
tell("begin", step=0, steps=3)
tell("eval", step=0, eval_loss=2.5)
for step in (1, 2, 3):
    time.sleep(0.05)
    tell("log", step=step, steps=3, loss=3.0 - step, learning_rate=0.1, grad_norm=1.0, tokens=step * 100)
tell("end", step=3, stopped_early=False)
print("all steps done")
"""
)
PATIENT = (
    TELL
    + """
stopped = []
def stop(number, frame):
    if not stopped:
        tell("stopping", step=1, signal=signal.Signals(number).name)
        stopped.append(time.monotonic())
    elif time.monotonic() - stopped[0] > 1:
        os._exit(128 + number)
signal.signal(signal.SIGINT, stop)
signal.signal(signal.SIGTERM, stop)
open("pid", "w").write(str(os.getpid()))
tell("begin", step=0, steps=1000)
while not stopped:
    time.sleep(0.01)
time.sleep(SAVES)
open("saved", "w").write("a checkpoint")
os._exit(130)
"""
)


def make_folder(folder: Path, script: str) -> Path:
    (folder / INSIDE).mkdir(parents=True)
    for name in ("child.py", "checkpoints.py"):
        (folder / INSIDE / name).write_bytes((ROOT / "components/train/inside" / name).read_bytes())
    (folder / INSIDE / "entry.py").write_text(script, "utf-8")
    (folder / JOB).write_text(json.dumps({"params": small_params().model_dump(mode="json")}), "utf-8")
    return folder


def run(folder: Path, told: list[Progress]) -> int:
    return run_trainer(folder, python=Path(sys.executable), entry="entry.py", tell=told.append)


def test_every_event_is_told_with_the_speed_and_the_time_left(tmp_path: Path) -> None:
    told: list[Progress] = []
    assert run(make_folder(tmp_path / "job", STEPS), told) == 0
    assert [one.event for one in told] == ["starting", "begin", "eval", "log", "log", "log", "end"]
    assert [one.loss for one in told if one.event == "log"] == [2.0, 1.0, 0.0]
    assert told[2].eval_loss == 2.5
    speeds = [one.tokens_per_second for one in told if one.event == "log"]
    assert all(speed is not None and 100 < speed < 100 / 0.05 for speed in speeds)
    left = [one.seconds_left for one in told if one.event == "log"]
    assert left[0] is not None and left[1] is not None and left[0] > left[1] > 0
    assert left[2] == 0
    assert "all steps done" in (tmp_path / "job" / LOG).read_text("utf-8")


def test_a_second_sitting_tells_only_its_own_events(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "job", STEPS)
    run(folder, [])
    told: list[Progress] = []
    run(folder, told)
    assert [one.event for one in told] == ["starting", "begin", "eval", "log", "log", "log", "end"]
    assert len(read_events(folder / PROGRESS)) == 12


def test_an_exit_code_is_returned_and_noted(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "job", "raise SystemExit(7)")
    assert run(folder, []) == 7
    assert "ended with exit code 7" in (folder / LOG).read_text("utf-8")
    assert "exit code 7" in cause(folder / LOG, small_params())


def test_a_trainer_has_no_telemetry_none_of_our_packages_and_no_gpu_for_a_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    folder = make_folder(tmp_path / "job", "import json, os\njson.dump(dict(os.environ), open('seen', 'w'))")
    run(folder, [])
    seen = json.loads((folder / "seen").read_bytes())
    assert "PYTHONPATH" not in seen and "HF_HUB_OFFLINE" not in seen
    assert seen["AXOLOTL_DO_NOT_TRACK"] == seen["DO_NOT_TRACK"] == seen["UNSLOTH_DISABLE_STATISTICS"] == "1"
    assert seen["WANDB_MODE"] == "disabled" and seen["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert seen["CUDA_VISIBLE_DEVICES"] == ""
    assert Path(seen["HF_DATASETS_CACHE"]).parent == folder
    (folder / MODEL).mkdir()
    run(folder, [])
    assert json.loads((folder / "seen").read_bytes())["HF_HUB_OFFLINE"] == "1"


def test_a_trainer_gets_one_gpu_of_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    folder = make_folder(tmp_path / "job", "import os\nopen('seen', 'w').write(os.environ['CUDA_VISIBLE_DEVICES'])")
    params = small_params(hardware="rtx4090").model_dump(mode="json")
    (folder / JOB).write_text(json.dumps({"params": params}), "utf-8")
    run(folder, [])
    assert (folder / "seen").read_text("utf-8") == "2"


def test_an_error_in_who_listens_ends_the_trainer(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "job", PATIENT.replace("SAVES", "0"))

    def listen(progress: Progress) -> None:
        if progress.event == "begin":
            raise RuntimeError("the listener failed")

    with pytest.raises(RuntimeError, match="the listener failed"):
        run_trainer(folder, python=Path(sys.executable), entry="entry.py", tell=listen)
    assert not alive(int((folder / "pid").read_text("utf-8")))
    assert (folder / "saved").exists()


def test_a_checkpoint_that_is_not_as_it_was_sealed_is_removed_before_the_trainer_starts(tmp_path: Path) -> None:
    folder = make_folder(
        tmp_path / "job",
        TELL + "import checkpoints\n"
        "os.makedirs('out/checkpoint-1', exist_ok=True); open('out/checkpoint-1/weights', 'w').write('one')\n"
        "checkpoints.seal('out/checkpoint-1')\n"
        "os.makedirs('out/checkpoint-2', exist_ok=True); open('out/checkpoint-2/weights', 'w').write('half')\n",
    )
    run(folder, [])
    (folder / INSIDE / "entry.py").write_text("", "utf-8")
    run(folder, [])
    assert (folder / "out/checkpoint-1").exists() and not (folder / "out/checkpoint-2").exists()
    assert "out/checkpoint-2 is not as it was written" in (folder / LOG).read_text("utf-8")
    (folder / "out/checkpoint-1/weights").write_text("two", "utf-8")
    run(folder, [])
    assert not (folder / "out/checkpoint-1").exists()


PARENT = textwrap.dedent("""
    import sys
    from pathlib import Path
    from components.train.running.process import run_trainer
    run_trainer(Path(sys.argv[1]), python=Path(sys.executable), entry="entry.py",
                tell=lambda one: print(one.event, flush=True))
""")


def start_parent(folder: Path, *, code: str = PARENT) -> subprocess.Popen[str]:
    """A process of its own, in a group of its own, that trains; ready once training has begun."""
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert parent.stdout is not None
    for line in parent.stdout:
        if line.strip() == "begin":
            return parent
    raise AssertionError(parent.stderr.read() if parent.stderr else "")


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 60
    while alive(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["the parent alone", "the group, as a terminal does"])
def test_ctrl_c_lets_the_trainer_save_and_then_interrupts(tmp_path: Path, whom: str) -> None:
    folder = make_folder(tmp_path / "job", PATIENT.replace("SAVES", "1.5"))
    parent = start_parent(folder)
    trainer = int((folder / "pid").read_text("utf-8"))
    if whom == "the parent alone":
        os.kill(parent.pid, signal.SIGINT)
    else:
        os.killpg(parent.pid, signal.SIGINT)
    out, errors = parent.communicate(timeout=120)
    assert "stopping" in out
    assert (folder / "saved").exists(), "the trainer was ended before its checkpoint was saved"
    assert "KeyboardInterrupt" in errors
    assert not alive(trainer)


@pytest.mark.slow
def test_a_second_ctrl_c_ends_the_trainer_at_once(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "job", PATIENT.replace("SAVES", "600"))
    parent = start_parent(folder)
    trainer = int((folder / "pid").read_text("utf-8"))
    os.killpg(parent.pid, signal.SIGINT)
    assert parent.stdout is not None
    assert parent.stdout.readline().strip() == "stopping"
    os.killpg(parent.pid, signal.SIGINT)
    parent.communicate(timeout=120)
    wait_for_end(trainer)
    assert not (folder / "saved").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_no_trainer_is_left_when_its_parent_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    folder = make_folder(tmp_path / "job", PATIENT.replace("SAVES", "600"))
    parent = start_parent(folder)
    trainer = int((folder / "pid").read_text("utf-8"))
    os.kill(parent.pid, number)
    parent.communicate(timeout=120)
    assert parent.returncode == -number
    wait_for_end(trainer)
