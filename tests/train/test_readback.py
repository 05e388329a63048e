"""What a trainer uses, held against what was asked: each single thing that differs is told, and nothing else."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from components.train.job import Job, schedule
from components.train.params import TrainerName, TrainParams
from components.train.running.readback import difference, differences
from components.train.trainers import Expected, trainer

TRAINERS: list[TrainerName] = list(get_args(TrainerName))


def job_of(name: TrainerName) -> Job:
    params = TrainParams.model_validate({"trainer": name})
    return Job(params, "Qwen/Qwen3-4B", "train.jsonl", "validation.jsonl", 540, 60, schedule(params, rows=540))


def effective_of(wanted: list[Expected]) -> dict[str, Any]:
    """What a trainer would tell that uses exactly what is expected."""
    found: dict[str, Any] = {}
    for one in wanted:
        put(found, one.path, one.value)
    return found


def put(values: dict[str, Any], path: str, value: Any) -> None:
    *names, last = path.split(".")
    here: Any = values
    for name in names:
        here = here.setdefault(name, {})
    here[last] = value


def other_than(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    return value[1:] if isinstance(value, list) else f"{value}-other"


@pytest.mark.parametrize("name", TRAINERS)
def test_a_trainer_that_uses_what_was_asked_has_no_differences(name: TrainerName) -> None:
    job = job_of(name)
    assert differences(job, effective_of(trainer(name).expected(job))) == []


@pytest.mark.parametrize("name", TRAINERS)
def test_each_single_other_value_is_told(name: TrainerName) -> None:
    job = job_of(name)
    wanted = trainer(name).expected(job)
    assert len(wanted) > 20
    for one in wanted:
        effective = effective_of(wanted)
        put(effective, one.path, other_than(one.value))
        told = differences(job, effective)
        assert any(one.what in line and one.path in line for line in told), (one, told)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [(2e-4, 0.0002), (1, 1.0), (["a", "b"], ["b", "a"]), (None, None), (True, True), ("nf4", "nf4")],
    ids=str,
)
def test_the_same_written_otherwise_is_no_difference(wanted: Any, found: Any) -> None:
    assert difference(Expected("train.x", "x", wanted), {"x": found}) is None


@pytest.mark.parametrize(
    ("wanted", "found"),
    [(1, True), (False, 0), (2e-4, 2.1e-4), (["a"], ["a", "b"]), ("16", 16), (None, "nf4")],
    ids=str,
)
def test_what_only_looks_alike_is_a_difference(wanted: Any, found: Any) -> None:
    assert difference(Expected("train.x", "x", wanted), {"x": found}) is not None


def test_what_is_not_told_is_a_difference_unless_nothing_was_asked() -> None:
    assert difference(Expected("train.x", "a.b", 1), {"a": {}}) == "train.x: asked 1, a.b says nothing"
    assert difference(Expected("train.x", "a.b", None), {"a": {}}) is None
    assert difference(Expected("train.x", "a.1.b", 2), {"a": [{}, {"b": 2}]}) is None
