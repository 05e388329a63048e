"""What a trainer is given: only audited rows, in its own form, under names that tell their content."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from components.dataset.params import DatasetParams
from components.dataset.steps import check_dataset, gather_examples, split_dataset
from components.errors import TerminalError
from components.store import Run, Step, StepSpec, Store, recorded_step
from components.train.job import AUDITED, DATA, INSIDE, JOB, MODEL, OUT, schedule
from components.train.params import TrainParams
from components.train.prepare import neutral, prepare, prepare_spec, read_job, write_job, write_prepared
from components.train.steps import run_spec
from components.train.trainers import trainer
from tests.train.jobs import small_params


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def sides(examples: Path, tmp_path: Path) -> dict[str, Path]:
    rows = [line for file in sorted((examples / "dataset").glob("*.jsonl")) for line in file.read_bytes().splitlines()]
    found = {"train": tmp_path / "train.jsonl", "validation": tmp_path / "validation.jsonl"}
    found["train"].write_bytes(b"\n".join(rows[:20]) + b"\n")
    found["validation"].write_bytes(b"\n".join(rows[20:24]) + b"\n")
    return found


def prepared(folder: Path, params: TrainParams, sides: dict[str, Path]) -> Path:
    folder.mkdir(parents=True)
    step = Step(StepSpec("train.prepare", 1, {}, {}), folder=folder, scratch=folder / "scratch", found=None)
    write_prepared(step, params, files=sides, template="qwen3")
    return folder


@pytest.mark.parametrize("name", ["axolotl", "llamafactory", "unsloth"])
def test_rows_are_in_the_trainer_s_form_and_names_tell_their_content(
    tmp_path: Path, sides: dict[str, Path], name: str
) -> None:
    params = small_params(trainer=name, max_tokens=1024)
    home = prepared(tmp_path / "prepared", params, sides)
    folder = tmp_path / "job"
    job = write_job(folder, prepared=home, model=tmp_path)
    for file, count in ((job.train_file, 20), (job.validation_file, 4)):
        data = (folder / DATA / file).read_bytes()
        assert hashlib.sha256(data).hexdigest()[:16] in file
        assert data.count(b"\n") == count
    assert (job.train_rows, job.validation_rows) == (20, 4)
    assert (folder / AUDITED / "train.jsonl").read_bytes() == sides["train"].read_bytes()
    assert set(trainer(name).files(job)) <= {str(p.relative_to(folder)) for p in folder.rglob("*")}
    assert (folder / INSIDE / "child.py").is_file()
    assert (folder / MODEL).resolve() == tmp_path.resolve()
    counts = json.loads((home / "counts.json").read_bytes())
    assert counts["train"]["rows"] == 20 and 0 < counts["train"]["trained"] < counts["train"]["tokens"]
    assert str(tmp_path) not in (folder / JOB).read_text(encoding="utf-8")  # it can be moved


def test_the_same_examples_elsewhere_are_the_same_training(examples: Path, tmp_path: Path) -> None:
    params, found = small_params(max_tokens=1024), []
    for place in ("here", "there"):
        folder = shutil.copytree(examples / "dataset", tmp_path / place)
        dataset = DatasetParams(examples=[folder / "*.jsonl"], reviews=folder / ".reviews.jsonl")
        run = Run.create(tmp_path / "workspace", recipe="smoke", phase="optimize")
        rows = gather_examples(run, dataset, generated=None)
        parts = split_dataset(
            run, dataset, examples=rows, check=check_dataset(run, dataset, examples=rows, golden=[], notes={})
        )
        with recorded_step(run, StepSpec("dataset.audit", 1, {}, {"split": parts.digest})) as step:
            if not step.sealed:
                step.write_json("verdict.json", {"passed": True, "reasons": []})
        made = prepare(run, params, split=parts, audit=step.artefact, template="qwen3")
        spec = run_spec(params, job=read_job(made), prepared=made.outputs_digest, base={})
        found.append((parts.digest, made.digest, spec.fingerprint))
    here, there = found
    assert here[:2] != there[:2] and here[2] == there[2]


def test_what_a_trainer_wrote_stays_when_a_job_is_written_again(tmp_path: Path, sides: dict[str, Path]) -> None:
    home = prepared(tmp_path / "prepared", small_params(max_tokens=1024), sides)
    folder = tmp_path / "job"
    write_job(folder, prepared=home, model=None)
    (folder / OUT / "checkpoint-2").mkdir(parents=True)
    (folder / OUT / "checkpoint-2" / "x").write_text("kept", encoding="utf-8")
    write_job(folder, prepared=home, model=None)
    assert (folder / OUT / "checkpoint-2" / "x").read_text(encoding="utf-8") == "kept"


def test_an_example_that_the_trainer_would_cut_is_refused(tmp_path: Path, sides: dict[str, Path]) -> None:
    with pytest.raises(TerminalError, match=r"longest example has \d+ tokens, train.max_tokens is 64"):
        prepared(tmp_path / "prepared", small_params(max_tokens=64), sides)


@pytest.mark.parametrize(("side", "said"), [("train", "left to train on"), ("validation", "validation_share")])
def test_an_empty_side_is_refused(tmp_path: Path, sides: dict[str, Path], side: str, said: str) -> None:
    sides[side].write_bytes(b"")
    with pytest.raises(TerminalError, match=said):
        prepared(tmp_path / "prepared", small_params(max_tokens=1024), sides)


def test_examples_that_the_audit_refused_are_not_trained_on(tmp_path: Path, sides: dict[str, Path]) -> None:
    run = Run.create(tmp_path / "workspace", recipe="r", phase="optimize")
    store = Store(run.workspace)
    with store.step(StepSpec("dataset.split", 1, {}, {})) as step:
        for name, path in sides.items():
            step.path(f"{name}.jsonl").write_bytes(path.read_bytes())
        step.write_json("split.json", {"files": {name: f"{name}.jsonl" for name in sides}})
    split = step.artefact
    for passed in (False, True):
        with store.step(StepSpec("dataset.audit", 1, {"passed": passed}, {})) as step:
            step.write_json(
                "verdict.json", {"passed": passed, "reasons": [] if passed else ["mine.jsonl:3: B3 no turn"]}
            )
        arguments = {"split": split, "audit": step.artefact, "template": "qwen3"}
        if passed:
            assert prepare(run, small_params(max_tokens=1024), **arguments).facts["train"] == 20
        else:
            with pytest.raises(TerminalError, match=r"not fit for training: mine.jsonl:3: B3"):
                prepare(run, small_params(max_tokens=1024), **arguments)


def test_what_belongs_to_this_machine_is_no_part_of_the_identity(tmp_path: Path) -> None:
    one, other = (
        small_params(
            base={"folder": str(tmp_path / name), "gguf": str(tmp_path / f"{name}.gguf")},
            prices=str(tmp_path / name), export={"merged": name == "a"},
        )
        for name in "ab"
    )  # fmt: skip
    same = [prepare_spec(params, split="s", audit="a", template="qwen3").fingerprint for params in (one, other)]
    assert same[0] == same[1]
    assert str(tmp_path) not in neutral(one).model_dump_json()
    assert prepare_spec(small_params(seed=1), split="s", audit="a", template="qwen3").fingerprint != same[0]


@pytest.mark.parametrize(
    ("rows", "changes", "steps"),
    [
        (540, {"batch_size": 1, "accumulation": 8, "epochs": 3}, (204, 68)),
        (16, {"batch_size": 2, "accumulation": 2, "epochs": 2}, (8, 4)),
        (17, {"batch_size": 2, "accumulation": 2, "epochs": 1}, (5, 5)),
        (3, {"batch_size": 4, "accumulation": 8, "epochs": 1}, (1, 1)),
        (100, {"batch_size": 1, "accumulation": 1, "epochs": 9, "max_steps": 7}, (7, 100)),
    ],
)
def test_steps_are_counted_as_the_trainer_counts_them(
    rows: int, changes: dict[str, Any], steps: tuple[int, int]
) -> None:
    found = schedule(small_params(**changes), rows=rows)
    assert (found.steps, found.per_epoch) == steps
    assert 1 <= found.eval_steps <= found.steps
