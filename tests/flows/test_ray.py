"""A recipe with `execution: {runner: ray}`: the same index and the same answers, made by two workers, and told so."""

from __future__ import annotations

import importlib.util
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.errors import TerminalError
from components.recipe import load_recipe, start_run
from components.recipe.privacy import leaving
from components.store import Run
from flows.spread import spread

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (make setup-ray)")
RAY = ("-o", "execution.runner=ray", "-o", "execution.workers=2", "-o", "index.embedding.batch_size=8")


def rows(workspace: Any, run: Any, step: str, name: str) -> list[dict[str, Any]]:
    artefact = next(found["artefact"] for found in run.json["steps"] if found["name"] == step)
    text = (workspace.path / "store" / artefact / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def vectors(workspace: Any) -> dict[str, bytes]:
    """Key -> vector of the workspace's cache; a text that was embedded twice is there once, by its key."""
    with sqlite3.connect(workspace.path / "cache" / "embeddings.sqlite") as file:
        return dict(file.execute("SELECT key, value FROM cache"))


@needs_ray
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_run_on_ray_makes_the_same_index_and_the_same_answers(
    program: Any, finished: Any, new_workspace: Callable[..., Any]
) -> None:
    workspace = new_workspace(*RAY, first=False)
    done = program("run", "recipes/mvp.yaml", *workspace.options, "--json")
    assert done.code == finished.run.code, done.err
    assert "(raylet)" not in done.out + done.err
    (state,) = workspace.runs().values()
    assert len(state["ray"]) == 2, state["ray"]
    assert sum(counts["texts"] for counts in state["ray"].values()) == done.facts("index.build")["embedded"]
    assert sum(counts["answers"] for counts in state["ray"].values()) > 0
    digests = [
        json.loads((place.path / "store" / name / "index.json").read_text(encoding="utf-8"))["digest"]
        for place, run in ((workspace, done), (finished.as_it_was, finished.run))
        for name in [next(step["artefact"] for step in run.json["steps"] if step["name"] == "index.build")]
    ]
    assert digests[0] == digests[1]  # of the ids, texts and metadata of all chunks
    # Whoever scored other questions in the finished workspace since has left their vectors there besides.
    ours, theirs = vectors(workspace), vectors(finished.as_it_was)
    assert len(ours) >= done.facts("index.build")["embedded"]
    assert sorted(ours.items() - theirs.items()) == []
    for step, name in (("evaluate.answers", "answers.jsonl"), ("evaluate.candidate", "said.jsonl")):
        spread_out, alone = rows(workspace, done, step, name), rows(finished.as_it_was, finished.run, step, name)
        assert [row["text"] for row in spread_out] == [row["text"] for row in alone]
    assert workspace.is_quiet()


def test_ray_that_is_not_installed_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else found(name, *rest))
    run = frozen(tmp_path, "execution.runner=ray")
    with pytest.raises(TerminalError, match="make setup-ray"), spread(run):
        pass


def test_without_it_nothing_of_ray_is_looked_at(tmp_path: Path) -> None:
    with spread(frozen(tmp_path)):
        pass
    assert "ray" not in Run(next((tmp_path / "workspace" / "runs").iterdir())).read()


@pytest.mark.parametrize(
    ("address", "away"),
    [
        ("ray://box:10001", ["index.embedding.model", "llm.chat.model"]),
        ("ray://127.0.0.1:10001", []),
        (None, []),
    ],
    ids=["elsewhere", "here", "its own"],
)
def test_notes_leave_this_machine_by_a_cluster_elsewhere(root: Path, address: str | None, away: list[str]) -> None:
    values = ["execution.runner=ray", *([f"execution.ray_address={address}"] if address else [])]
    recipe = load_recipe(root / "recipes" / "mvp.yaml", overrides=values).recipe
    assert sorted(leaving(recipe)) == away
    assert leaving(recipe, asked=True) == {}  # a question from the terminal is answered here
    local = load_recipe(root / "recipes" / "mvp.yaml", overrides=[*values, "execution.runner=local"]).recipe
    assert leaving(local) == {}


def frozen(folder: Path, *overrides: str) -> Run:
    """A run of recipes/mvp.yaml that was begun and has done nothing."""
    root = Path(__file__).resolve().parents[2]
    values = [f"workspace={folder / 'workspace'}", "llm.chat.model=fake/chat", *overrides]
    return start_run(load_recipe(root / "recipes" / "mvp.yaml", overrides=values), force=[])
