"""Ctrl-C and kill -9 in the long steps: nothing is left running, and the same command goes on from there."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import soon

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# Slow enough to be met at work. The delays are per call, and batches are small: about twenty calls to embed the notes.
SLOW = ("-o", "index.embedding.model=fake/embedding?delay=0.3", "-o", "llm.chat.model=fake/chat?delay=1.5")


def cached(path: Path) -> int:
    """Values in a cache, read past the program."""
    if not path.exists():
        return 0
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        number: int = connection.execute("select count(*) from cache").fetchone()[0]
        return number
    except sqlite3.OperationalError:  # its table is not there yet
        return 0
    finally:
        connection.close()


class Story:
    """The same command on the same workspace, again and again."""

    def __init__(self, program: Any, workspace: Any) -> None:
        self.program, self.workspace = program, workspace
        self.embeddings = workspace.path / "cache" / "embeddings.sqlite"
        self.responses = workspace.path / "cache" / "responses.sqlite"

    def begin(self) -> Any:
        return self.program.start("run", "mvp", *self.workspace.options, "--json")

    def stop(self, process: Any, how: signal.Signals, *, when: Callable[[], object]) -> Any:
        """Send the signal to the whole group, as a terminal does, once `when` is true; the state of the run."""
        assert soon(lambda: when() or process.poll() is not None, seconds=120)
        assert process.poll() is None, process.communicate()
        os.killpg(process.pid, how)
        done = self.program.end(process, seconds=30)
        assert "Traceback" not in done.err
        assert self.workspace.is_quiet()
        return done, list(self.workspace.runs().values())[-1]

    def interrupt(self, *, when: Callable[[], object]) -> Any:
        done, state = self.stop(self.begin(), signal.SIGINT, when=when)
        assert (done.code, done.out) == (130, "")
        [told] = [line for line in done.err.splitlines() if line.startswith("cervella:")]
        assert "interrupted" in told and done.err.endswith(told + "\n")
        assert state["status"] == "interrupted"
        return state


def test_whatever_stops_a_run_the_same_command_goes_on(program: Any, new_workspace: Any, here: Any) -> None:
    workspace = new_workspace(
        "-o", "index.embedding.batch_size=8", "-o", "evaluate.answers=4", golden=6, doubles=SLOW, first=False
    )  # fmt: skip
    story = Story(program, workspace)

    # Ctrl-C while the Prefect server starts
    state = story.interrupt(when=(workspace.path / "prefect" / "server.lock").exists)
    assert state["steps"] == []

    # Ctrl-C while the notes are embedded
    state = story.interrupt(when=lambda: cached(story.embeddings) >= 16)
    assert [(step["name"], step["status"]) for step in state["steps"]] == [
        ("sncp.collect", "done"), ("index.chunk", "done"), ("index.build", "failed"),
    ]  # fmt: skip
    before = cached(story.embeddings)

    # kill -9 in the same step
    done, state = story.stop(story.begin(), signal.SIGKILL, when=lambda: cached(story.embeddings) >= before + 16)
    assert done.code == -signal.SIGKILL
    assert [step["status"] for step in state["steps"]] == ["skipped", "skipped", "running"]
    assert here("runs", "-w", workspace.path, "--json").json[0]["status"] == "died"
    before = cached(story.embeddings)
    assert before >= 32

    # Ctrl-C while the questions are answered
    state = story.interrupt(when=lambda: cached(story.responses) >= 1)
    steps = {step["name"]: step for step in state["steps"]}
    assert steps["evaluate.answers"]["status"] == "failed"
    built = steps["index.build"]["facts"]
    assert built["embedded"] == built["chunks"] - before  # what the killed runs had embedded is not embedded again

    kept = [
        json.loads(line[9:])["value"]  # behind its checksum
        for log in workspace.path.glob("scratch/*/paid.jsonl")
        for line in log.read_text(encoding="utf-8").splitlines()
    ]

    # and to the end
    done = program("run", "mvp", *workspace.options, "--json")
    assert done.code == 1, done.err
    assert set(list(done.steps.values())[:5]) == {"skipped"}
    assert set(list(done.steps.values())[5:]) == {"done"}
    answers = done.json["scorecard"]["answers"]
    assert (answers["scored"], answers["failed"]) == (4, 0)
    # Nor is an answer that had been given asked again: it comes from the step's log, or from the cache.
    [sealed] = (workspace.path / "store" / "evaluate.answers").glob("[!.]*/answers.jsonl")
    rows = [json.loads(line) for line in sealed.read_text(encoding="utf-8").splitlines()]
    assert answers["cached"] + sum(row in kept for row in rows) >= 1  # its seconds are those of the first time
    assert done.json["mlflow"]["version"] == 1
    assert not list((workspace.path / "store").glob("*/.*"))  # no half artefact
    assert workspace.is_quiet()
