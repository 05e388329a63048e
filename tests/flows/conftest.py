"""The program as its users call it, on the example notes, with the doubles that ship as models: real servers, no wait.

A run starts a Prefect server, which takes its time: one finished run is shared by all tests that only read it.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.services import prefect_server
from flows import cli
from tests.empty_mlflow import put_empty_mlflow
from tests.processes import clean_environment, processes_of
from tests.waiting import soon

DOUBLES = ("-o", "index.embedding.model=fake/embedding", "-o", "llm.chat.model=fake/chat")


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its stdout, which must be one JSON value and nothing else."""
        return json.loads(self.out)

    @property
    def steps(self) -> dict[str, str]:
        """Step -> status, in order, of a run or plan with --json."""
        return {step["name"]: step.get("status") or step["action"] for step in self.json["steps"]}

    def facts(self, step: str) -> dict[str, Any]:
        """What a step of a run noted about itself."""
        facts: dict[str, Any] = next(found for found in self.json["steps"] if found["name"] == step)["facts"]
        return facts


@dataclass(frozen=True)
class Program:
    """`cervella` in a process of its own."""

    root: Path

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Begin a command, in a process group of its own, as a terminal would have it."""
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *map(str, arguments)],
            cwd=self.root,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def end(self, process: subprocess.Popen[str], *, seconds: float = 300) -> Done:
        """Wait for its end. What does not end is killed, and the test fails."""
        try:
            out, err = process.communicate(timeout=seconds)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        return Done(process.returncode, out, err)

    def __call__(self, *arguments: object) -> Done:
        """Run a command to its end. No command ever ends in a traceback."""
        done = self.end(self.start(*arguments))
        assert "Traceback" not in done.err, done.err
        return done


@pytest.fixture(scope="session")
def program(root: Path) -> Program:
    return Program(root)


@pytest.fixture(scope="session")
def here(root: Path) -> Callable[..., Done]:
    """`cervella` in this process, for commands that start nothing: libraries are imported once for all tests."""

    def command(*arguments: object) -> Done:
        out, err = io.BytesIO(), io.BytesIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(root)
            patch.setattr(sys, "argv", ["cervella", *map(str, arguments)])
            for name, stream in (("stdout", out), ("stderr", err)):
                patch.setattr(sys, name, io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True))
            with pytest.raises(SystemExit) as ended:
                cli.main()
            return Done(int(ended.value.code or 0), out.getvalue().decode(), err.getvalue().decode())

    return command


@dataclass(frozen=True)
class Workspace:
    """A workspace with the options that name it, and its notes, which a test may change."""

    path: Path
    notes: Path
    options: tuple[str, ...]

    def runs(self) -> dict[str, dict[str, Any]]:
        """Run -> its run.json, oldest first."""
        files = sorted((self.path / "runs").glob("*/run.json"))
        return {file.parent.name: json.loads(file.read_text(encoding="utf-8")) for file in files}

    def processes(self) -> list[str]:
        """Command lines of the processes that have this workspace among their arguments."""
        return processes_of(self.path, environment=False)

    def is_quiet(self) -> bool:
        """Whether nothing that belongs to the workspace runs any more, ten seconds from now at the latest."""
        return soon(lambda: not self.processes(), seconds=120)


@pytest.fixture(scope="session")
def new_workspace(
    tmp_path_factory: pytest.TempPathFactory, examples: Path, served: Callable[[Path], Path]
) -> Callable[..., Workspace]:
    """Make a workspace that is not there yet, with its own copy of the example notes.

    `first` no: the databases of Prefect and MLflow are there (see `served` and `put_empty_mlflow`).
    """

    def make(
        *options: str, golden: int | None = None, doubles: tuple[str, ...] = DOUBLES, first: bool = True
    ) -> Workspace:
        folder = tmp_path_factory.mktemp("flow")
        if not first:
            put_empty_mlflow(served(folder / "work space"))
        shutil.copytree(examples / "sncp", folder / "notes")
        named = ("-o", f"workspace={folder / 'work space'}", "-o", f"sncp.root={folder / 'notes'}")
        if golden is not None:  # the first questions alone
            lines = (examples / "golden.jsonl").read_text(encoding="utf-8").splitlines()[:golden]
            (folder / "golden.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
            named += ("-o", f"evaluate.golden={folder / 'golden.jsonl'}")
        return Workspace(folder / "work space", folder / "notes", (*doubles, *named, *options))

    return make


@pytest.fixture
def one_server() -> Iterator[Callable[[Workspace], None]]:
    """Keep a Prefect server for a workspace until the test ends, where several commands would each start one.

    Then nothing that belongs to the workspace runs any more.
    """
    with ExitStack() as servers:
        kept: list[Workspace] = []

        def keep(workspace: Workspace) -> None:
            servers.enter_context(prefect_server(workspace=workspace.path))
            kept.append(workspace)

        yield keep
    for workspace in kept:
        assert workspace.is_quiet(), workspace.processes()


@dataclass(frozen=True)
class Finished:
    """A first run of recipes/mvp.yaml: what the plan said before, how it ended, and where.

    `workspace` may have gone on since, with the tests of test_run.py; `as_it_was` has not. `seconds`: how long it took.
    """

    workspace: Workspace
    plan: Done
    run: Done
    seconds: float
    as_it_was: Workspace


@pytest.fixture(scope="session")
def finished(program: Program, new_workspace: Callable[..., Workspace]) -> Finished:
    workspace = new_workspace()
    plan = program("plan", "mvp", *workspace.options, "--json")
    assert not workspace.path.exists()  # a plan writes nothing
    begun = time.monotonic()
    run = program("run", "recipes/mvp.yaml", *workspace.options, "--json")
    seconds = time.monotonic() - begun
    copy = new_workspace()
    shutil.copytree(workspace.path, copy.path, ignore=shutil.ignore_patterns("prefect", "mlflow"))
    return Finished(workspace, plan, run, seconds, copy)


@pytest.fixture(scope="session")
def published(finished: Finished) -> Workspace:
    """A copy of what the finished run left, without Prefect and MLflow: for commands that only read."""
    return finished.as_it_was


@pytest.fixture
def spoiled(published: Workspace, tmp_path: Path) -> Iterator[Workspace]:
    """A copy of `published` that one test may break."""
    shutil.copytree(published.path, tmp_path / "spoiled")
    options = (*published.options, "-o", f"workspace={tmp_path / 'spoiled'}")
    yield Workspace(tmp_path / "spoiled", published.notes, options)
