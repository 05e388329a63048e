"""A bundle, trained for real in a folder of its own: cut by a kill, gone on with, brought home, judged and sealed."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError, TerminalError
from components.store import Artefact, Run, StepSpec, file_digest, recorded_step
from components.train.base import base_identity
from components.train.bundle.archive import read_manifest
from components.train.bundle.pack import Bundle, pack
from components.train.bundle.unpack import check_asked, take_home
from components.train.environments import Environment
from components.train.job import PROGRESS, Job
from components.train.params import TrainParams
from components.train.prepare import write_job
from components.train.running.progress import read_events
from components.train.steps import MEASURED, run_spec
from tests.train.jobs import let_wait, make_job, small_params, waits
from tests.train.test_bundle_archive import archive_of, member
from tests.waiting import soon

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@dataclass(frozen=True)
class Home:
    """The machine that packs and unpacks."""

    folder: Path
    model: Path
    prepared: Artefact
    job: Job
    spec: StepSpec
    bundle: Bundle


@pytest.fixture(scope="module")
def home(tiny_qwen3: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A job for the tiny model, packed with its weights."""
    folder = tmp_path_factory.mktemp("home")
    model = shutil.copytree(tiny_qwen3("axolotl"), folder / "model")  # a test writes into it
    make_job(folder / "made", small_params(), model=model)
    run = Run.create(folder / "workspace", recipe="smoke", phase="optimize")
    with recorded_step(run, StepSpec("train.prepare", 1, {}, {})) as step:
        for path in (folder / "made-prepared").iterdir():
            shutil.copyfile(path, step.path(path.name))
    job = write_job(folder / "job", prepared=step.artefact.path, model=model)
    let_wait(folder / "job")
    base = base_identity(job.params.base.model_copy(update={"folder": model}))
    spec = run_spec(job.params, job=job, prepared=step.artefact.outputs_digest, base=base)
    bundle = pack(folder / "job", out=folder / "out", spec=spec, recipe="smoke", version="0.1.0")
    return Home(folder, model, step.artefact, job, spec, bundle)


@pytest.fixture(scope="module")
def result(home: Home, python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of a training that was cut by a kill -9, and then went on, on another machine, to its end."""
    first, second, keep = (tmp_path_factory.mktemp(name) for name in ("first", "second", "drive"))
    waits(first / home.bundle.file.stem / "job", "save", 4)
    cut = start(first, home.bundle, python, "--keep", str(keep))
    kept = keep / f"training-{home.spec.fingerprint[:16]}"
    wait_for(lambda: (kept / "checkpoint-4").is_dir(), cut)
    trainers = children(cut.pid)
    assert trainers, "the trainer is a child of train.py"
    cut.kill()
    cut.communicate(timeout=60)
    assert soon(lambda: not any(map(alive, trainers)))
    shutil.rmtree(first)  # the machine is gone; what was kept is all there is

    done = start(second, home.bundle, python, "--keep", str(keep))
    told, _ = done.communicate(timeout=900)
    assert done.returncode == 0, told
    assert f"Going on from {kept}, step 4" in told and "Step 4 of 8 (going on)" in told
    assert "Trained: 8 steps" in told and "step 8  held-out loss" in told
    found = second / home.bundle.file.stem / home.bundle.result
    assert file_digest(keep / home.bundle.result) == file_digest(found)
    again = start(second, home.bundle, python)
    told, _ = again.communicate(timeout=300)
    assert again.returncode == 0 and "Training;" not in told  # what is done is not done again
    return found


@pytest.fixture(scope="module")
def python(trainer_environment: Callable[[str], Environment]) -> Path:
    return trainer_environment("axolotl").python


def start(folder: Path, bundle: Bundle, python: Path, *arguments: str) -> subprocess.Popen[str]:
    """Unzip a bundle and start its script, by a Python of its own that has nothing of ours."""
    with zipfile.ZipFile(bundle.file) as archive:
        archive.extractall(folder)
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "train.py", *arguments], cwd=folder / bundle.file.stem, env=environment(python),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def environment(python: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": str(Path.home()), "CERVELLA_TRAINER_PYTHON": str(python),
            "OMP_NUM_THREADS": "1"}  # fmt: skip


def wait_for(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    assert soon(lambda: true() or process.poll() is not None, seconds=900)
    assert process.poll() is None, process.stdout.read() if process.stdout else ""


def children(pid: int) -> list[int]:
    return [int(one) for task in Path(f"/proc/{pid}/task").iterdir() for one in (task / "children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def brought_home(home: Home, file: Path, workspace: Path, **changes: Any) -> Artefact:
    """As `cervella train unpack` does, into a workspace of its own."""
    manifest = read_manifest(file)
    check_asked(file, manifest, spec=home.spec, job=home.job)
    run = Run.create(workspace, recipe="smoke", phase="optimize")
    with recorded_step(run, home.spec) as step:
        if not step.sealed:
            take_home(file, manifest, step, job=home.job, prepared=home.prepared, model=home.model)
    return step.artefact


def test_it_comes_home_as_if_it_had_been_trained_here(home: Home, result: Path, tmp_path: Path) -> None:
    sealed = brought_home(home, result, tmp_path)
    assert sealed.id == f"train.run/{home.spec.fingerprint}"
    outcome = sealed.read_json("result.json")
    assert (outcome["steps"], outcome["sittings"]) == (8, 2)
    assert outcome["best_eval_loss"] < outcome["base_eval_loss"]
    there = sealed.read_json("environment.json")
    assert there["elsewhere"] and there["packages"]["axolotl"] == there["trainer_version"]
    losses = sealed.read_json(MEASURED)["splits"]["validation"]
    assert len(losses["base"]) == len(losses["adapted"]) == home.job.validation_rows
    assert sum(row["nll"] for row in losses["adapted"]) < sum(row["nll"] for row in losses["base"])
    assert "adapter_model.safetensors" in sealed.manifest["outputs"]
    assert not list(tmp_path.glob("scratch/*"))
    assert brought_home(home, result, tmp_path).digest == sealed.digest  # a second time: it is there


def test_nothing_of_a_changed_recipe_is_taken(home: Home, result: Path) -> None:
    def refused(params: TrainParams, *, job: Job | None = None, prepared: str = "0" * 64) -> str:
        asked = job or Job.from_dict({**home.job.to_dict(), "params": params.model_dump(mode="json")})
        base = base_identity(params.base.model_copy(update={"folder": home.model}))
        spec = run_spec(params, job=asked, prepared=prepared, base=base)
        with pytest.raises(TerminalError) as caught:
            check_asked(result, read_manifest(result), spec=spec, job=asked)
        return str(caught.value).split("since it was packed: ")[1].split(". Nothing was taken")[0]

    params = home.job.params
    slower = params.model_copy(update={"learning_rate": 0.001, "seed": 7})
    assert refused(slower) == "train.learning_rate was 0.02, is 0.001; train.seed was 42, is 7"
    wider = params.model_copy(update={"lora": params.lora.model_copy(update={"r": 8})})
    assert refused(wider) == "train.lora.r was 4, is 8"
    other = Job.from_dict({**home.job.to_dict(), "train_file": f"train-{'0' * 16}.jsonl"})
    assert "the training examples" in refused(params, job=other)
    (home.model / "added_tokens.json").write_text("{}", "utf-8")
    try:
        assert refused(params, prepared=home.prepared.outputs_digest) == "the weights of the base model"
    finally:
        (home.model / "added_tokens.json").unlink()


def changed(result: Path, to: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A result with other files, and digests that fit: made by somebody who knows how."""
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(result.read_bytes()))) as archive:
        files = {one.name: archive.extractfile(one).read() for one in archive}  # type: ignore[union-attr]
    manifest = json.loads(files.pop("manifest.json"))
    change(files)
    manifest["files"] = {
        name: {"sha256": sha256(data).hexdigest(), "bytes": len(data), "modified": time.time()}
        for name, data in files.items()
    }
    members = [member("manifest.json", json.dumps(manifest).encode()), *(member(*one) for one in files.items())]
    to.write_bytes(archive_of(members))
    return to


def edited(name: str, **values: Any) -> Callable[[dict[str, bytes]], None]:
    def change(files: dict[str, bytes]) -> None:
        files[name] = json.dumps({**json.loads(files[name]), **values}).encode()

    return change


def other_settings(files: dict[str, bytes]) -> None:
    effective = json.loads(files["effective.json"])
    effective["peft"]["r"] = 64
    files["effective.json"] = json.dumps(effective).encode()


def zeros(files: dict[str, bytes]) -> None:
    data = files["out/adapter_model.safetensors"]
    start = 8 + int.from_bytes(data[:8], "little")
    files["out/adapter_model.safetensors"] = data[:start] + bytes(len(data) - start)


def fewer_losses(files: dict[str, bytes]) -> None:
    losses = json.loads(files["losses.json"])
    losses["splits"]["validation"]["base"].pop()
    files["losses.json"] = json.dumps(losses).encode()


FORGED: dict[str, tuple[Callable[[dict[str, bytes]], None], str]] = {
    "other settings": (other_settings, "other settings than the recipe's"),
    "an adapter of zeros": (zeros, "not trained|not the one of the best checkpoint"),
    "an adapter that is none": (
        lambda files: files.update({"out/adapter_model.safetensors": b"x" * 4000}), "cannot be used"),
    "code in the tokenizer": (
        edited("out/tokenizer_config.json", auto_map={"AutoTokenizer": "x--y"}), "names code to import"),
    "code in the adapter": (
        edited("out/adapter_config.json", auto_mapping={"parent_library": "os"}), "names code to import"),
    "code in the adapter, as a text": (edited("out/adapter_config.json", auto_mapping="os"), "names code to import"),
    "records of another shape": (lambda files: files.update({"effective.json": b"[]"}), "settings|understood"),
    "masks that are none": (lambda files: files.update({"masks-train.jsonl": b"[]\n"}), "cannot be understood"),
    "a time that is none": (lambda files: files.update({"started.json": b'"soon"'}), "cannot be understood"),
    "events of another shape": (
        lambda files: files.update({"progress.jsonl": files["progress.jsonl"] + b'{"event": "log", "time": 1}\n'}),
        "trained nothing|cannot be understood"),
    "another base": (
        edited("out/adapter_config.json", base_model_name_or_path="evil/model"), "base_model_name_or_path"),
    "without its record": (lambda files: files.pop("effective.json") and None, "has no effective.json"),
    "without its progress": (lambda files: files.pop("progress.jsonl") and None, "trained nothing"),
    "losses of other examples": (fewer_losses, "not of the 6 held-out examples"),
    "losses that are none": (lambda files: files.update({"losses.json": b"[1]"}), "losses.json cannot be understood"),
    "no JSON": (lambda files: files.update({"effective.json": b"{"}), "effective.json cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("made", FORGED.values(), ids=FORGED)
def test_what_is_not_what_was_asked_is_refused_and_nothing_is_sealed(
    made: tuple[Callable[[dict[str, bytes]], None], str], home: Home, result: Path, tmp_path: Path
) -> None:
    change, words = made
    file = changed(result, tmp_path / "forged.tar.gz", change)
    with pytest.raises((InputError, TerminalError), match=words):
        brought_home(home, file, tmp_path / "workspace")
    assert not list((tmp_path / "workspace" / "store").glob("train.run/*"))
    assert not list((tmp_path / "workspace" / "scratch").glob("*/elsewhere"))


def test_a_result_that_is_only_written_anew_is_taken(home: Home, result: Path, tmp_path: Path) -> None:
    """The control of the test above: what makes those be refused is what was changed in them."""
    sealed = brought_home(home, changed(result, tmp_path / "same.tar.gz", lambda files: None), tmp_path / "workspace")
    assert sealed.facts["steps"] == 8


def test_a_trainer_that_does_something_else_is_stopped_before_it_costs(
    home: Home, python: Path, tmp_path: Path
) -> None:
    def wider(texts: dict[str, str]) -> None:
        texts["config.yaml"] = texts["config.yaml"].replace("lora_r: 4", "lora_r: 8")

    make_job(tmp_path / "job", home.job.params, model=home.model, change=wider)
    bundle = pack(tmp_path / "job", out=tmp_path / "out", spec=home.spec, recipe="smoke", version="0.1.0")
    process = start(tmp_path / "there", bundle, python)
    told, _ = process.communicate(timeout=900)
    assert process.returncode == 1
    assert "would not train what was asked for: train.lora.r: asked 4, the trainer uses 8 (peft.r)" in told
    out = tmp_path / "there" / bundle.file.stem / "job" / "out"
    assert not (out / "adapter_model.safetensors").exists() and not list(out.glob("checkpoint-*"))


@pytest.fixture
def notebook(home: Home, tmp_path: Path) -> Iterator[Path]:
    """The notebook of the bundle, beside the bundle, as somebody would lay them."""
    shutil.copyfile(home.bundle.file, tmp_path / home.bundle.file.name)
    with zipfile.ZipFile(home.bundle.file) as archive:
        (tmp_path / "train.ipynb").write_bytes(archive.read(f"{home.bundle.file.stem}/train.ipynb"))
    yield tmp_path / "train.ipynb"


def test_the_notebook_trains_cell_by_cell_without_colab(home: Home, notebook: Path, python: Path) -> None:
    """Its cells as one program, in a Python where Colab's modules are absent; the training is interrupted once."""
    cells = ["".join(cell["source"]) for cell in json.loads(notebook.read_text("utf-8"))["cells"]
             if cell["cell_type"] == "code"]  # fmt: skip
    script = notebook.with_name("cells.py")
    script.write_text("\n".join(cells), "utf-8")
    command = [sys.executable, "-I", "-S", str(script)]

    def run() -> subprocess.Popen[str]:
        return subprocess.Popen(command, cwd=notebook.parent, env=environment(python), stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)  # fmt: skip

    job = notebook.parent / home.bundle.file.stem / "job"
    waiting = waits(job, "log", 1)
    first = run()
    wait_for(lambda: any(one["event"] == "log" for one in read_events(job / PROGRESS)), first)
    os.kill(first.pid, signal.SIGINT)  # Colab's stop button
    wait_for(lambda: any(one["event"] == "stopping" for one in read_events(job / PROGRESS)), first)
    waiting.unlink()
    told, _ = first.communicate(timeout=300)
    assert first.returncode and "Run this cell again: it goes on from the last checkpoint" in told
    second = run()
    told, _ = second.communicate(timeout=900)
    assert second.returncode == 0, told
    assert "This is not Colab" in told and "(going on)" in told and "The result: " in told
    file = notebook.parent / "cervella" / home.bundle.result
    assert brought_home(home, file, notebook.parent / "workspace").facts["steps"] == 8
