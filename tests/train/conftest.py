"""Fixtures of the tests of training: the environments of trainers, and the report of a training."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from components.errors import TerminalError
from components.train.environments import Environment, find, find_environment, lock_digest
from components.train.environments.find import built_for_cuda, installed_packages, record_digest, trainer_name
from components.train.environments.install import install
from components.train.report.facts import TrainingReport, gather
from components.train.report.shown import load_decoder
from tests.train.reports import ENVIRONMENT, JOB, events, finished_job, outcome_of
from tests.train.small_trainers import environment, make
from tests.train.tiny_model import shared_tiny_qwen3


@pytest.fixture(scope="session")
def trainer_environment() -> Callable[[str], Environment]:
    """`trainer_environment("axolotl")`: that trainer's environment, installed now when it is missing or broken.

    CERVELLA_TEST_TRAINER_AXOLOTL (and the like) names the Python of another environment to take instead, as it is.
    Tests that use this are slow.
    """
    found: dict[str, Environment] = {}

    def get(name: str) -> Environment:
        if name not in found:
            named = os.environ.get(f"CERVELLA_TEST_TRAINER_{name.upper()}")
            found[name] = _as_it_is(name, Path(named)) if named else _installed(name)
        return found[name]

    return get


@pytest.fixture(scope="session")
def tiny_qwen3(session_folder: Path, trainer_environment: Callable[[str], Environment]) -> Callable[[str], Path]:
    """`tiny_qwen3("axolotl")`: folder of the tiny model, made once by that trainer's environment. For reading."""
    return lambda name: shared_tiny_qwen3(session_folder, python=trainer_environment(name).python)


def _installed(name: str) -> Environment:
    trainer = trainer_name(name)
    with contextlib.suppress(TerminalError):
        return find_environment(trainer)
    install(trainer, say=lambda text: print(f"{name}: {text}"))
    return find_environment(trainer)


def _as_it_is(name: str, python: Path) -> Environment:
    folder, trainer = python.parent.parent, trainer_name(name)
    versions = dict(package.rsplit("-", 1) for package in installed_packages(folder))
    return Environment(
        name=trainer, folder=folder, python=python, lock=lock_digest(trainer), trainer_version=versions[name],
        torch=versions["torch"], torch_digest=record_digest(folder) or "", cuda=built_for_cuda(folder),
    )  # fmt: skip


@contextmanager
def of_small_trainers(folder: Path, cache: Path) -> Iterator[None]:
    """Only what lies in `folder` is there to be installed."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(folder, cache).items():
            patch.setenv(name, value)
        patch.setattr(find, "_LOCKS", folder / "locks")
        find._lock_text.cache_clear()
        yield
    find._lock_text.cache_clear()


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of uv, in which it keeps what it knows about interpreters."""
    return tmp_path_factory.mktemp("uv")


@pytest.fixture
def small(tmp_path: Path, cache: Path) -> Iterator[Path]:
    """A small Axolotl that can be installed from this folder alone."""
    folder = make(tmp_path / "small")
    with of_small_trainers(folder, cache):
        yield folder


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A folder with a small Axolotl, installed."""
    folder = make(tmp_path_factory.mktemp("furnished") / "small")
    with of_small_trainers(folder, cache):
        install("axolotl", say=print)
    return folder


@pytest.fixture
def whole(tmp_path: Path, furnished: Path, cache: Path) -> Iterator[Environment]:
    """An installed Axolotl that may be broken."""
    folder = tmp_path / "small"
    shutil.copytree(furnished, folder, symlinks=True)
    with of_small_trainers(folder, cache):
        yield find_environment("axolotl")


@pytest.fixture(scope="module")
def told() -> list[dict[str, Any]]:
    return events(sittings=2)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, told: list[dict[str, Any]]) -> TrainingReport:
    """Of a training that went well."""
    folder = tmp_path_factory.mktemp("job")
    audits = finished_job(folder, told=told)
    return gather(folder, JOB, outcome=outcome_of(told), environment=ENVIRONMENT, audits=audits)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tokenizer")
    finished_job(folder)
    return load_decoder(folder / "out" / "tokenizer.json")
