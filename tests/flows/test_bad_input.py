"""Bad input ends in a message and the right exit code, and writes nothing; damage is told, or mended."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

REFUSED = {
    "no such notes": ("-o", "sncp.root=FOLDER/missing", "no such folder"),
    "no notes": ("-o", "sncp.root=FOLDER/empty", "empty folder"),
    "a file for notes": ("-o", "sncp.root=FOLDER/file", "is a file, not a folder"),
    "no golden file": ("-o", "evaluate.golden=FOLDER/missing.jsonl", "no such file"),
    "an unknown key": ("-o", "index.serch.k=3", "did you mean 'search'?"),
    "a wrong value": ("-o", "index.search.k=many", "index.search.k"),
    "an unknown step": ("--force", "evaluate.scor", "did you mean 'evaluate.score'?"),
    "a file for a workspace": ("-o", "workspace=FOLDER/file", "workspace: is a file, not a folder"),
}
QUESTION = {"id": "a", "question": "Dove?", "lang": "it", "kind": "fact", "gold": ["NORD.md"], "evidence": "x"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_a_run_that_cannot_begin_writes_nothing(
    here: Any, new_workspace: Any, folder: Path, case: tuple[str, str, str]
) -> None:
    workspace = new_workspace()
    option, value, message = case
    done = here("run", "mvp", *workspace.options, option, value.replace("FOLDER", str(folder)))
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert not workspace.path.exists()


def test_a_faulty_recipe_is_told_by_line_and_column(here: Any, folder: Path, root: Path) -> None:
    recipe = folder / "faulty.yaml"
    recipe.write_text(f"extends: {root}/recipes/mvp.yaml\nname: faulty\nindex:\n  serch: {{k: 3}}\n", encoding="utf-8")
    for command in ("run", "plan", "validate", "reindex", "score"):
        done = here(command, recipe)
        assert (done.code, done.out) == (2, ""), command
        assert f"{recipe}:4:3" in done.err and "did you mean 'search'?" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "mvpp"), "neither a file nor a name in recipes/ (there: dataset, mvp"),
        (("run", "nowhere.yaml"), "no such file"),
        (("rnu", "mvp"), "did you mean 'run'?"),
        (("run",), "RECIPE"),
        (("run", "mvp", "-o", "index.search.k"), "index.search.k"),
        (("search", "mvp"), "QUESTION"),
        (("search", "mvp", "x", "-k", "0"), "-k"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_arguments_that_cannot_be_understood(here: Any, arguments: tuple[str, ...], message: str) -> None:
    done = here(*arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_a_workspace_that_cannot_be_written_is_named(here: Any, new_workspace: Any, tmp_path: Path) -> None:
    if os.path.isdir("/proc/self"):
        place = Path("/proc/no-workspace-here")  # not even root can write there
    else:
        place = tmp_path / "closed" / "workspace"
        place.parent.mkdir(mode=0o500)
    done = here("run", "mvp", *new_workspace().options, "-o", f"workspace={place}")
    assert (done.code, done.out) == (3, "")
    assert str(place) in done.err


@pytest.mark.slow
@pytest.mark.parametrize("command", ["search", "ask"])
def test_an_empty_question_is_no_question(here: Any, published: Any, command: str) -> None:
    done = here(command, "mvp", *published.options, "  \n ")
    assert (done.code, done.out) == (2, "")
    assert "the question is empty" in done.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (json.dumps(QUESTION | {"gold": ["NORDD.md"]}), 1, "'NORD.md'"),
        (json.dumps(QUESTION) + "\n{oops\n", 2, "not JSON"),
        (json.dumps(QUESTION) + "\n" + json.dumps(QUESTION), 2, "'a'"),
        ("", None, "golden.jsonl"),
    ],
    ids=["unknown note", "no JSON", "an id twice", "empty"],
)
def test_golden_questions_are_told_by_line(
    here: Any, published: Any, tmp_path: Path, text: str, place: int | None, message: str
) -> None:
    golden = tmp_path / "golden.jsonl"
    golden.write_text(text, encoding="utf-8")
    done = here("score", "mvp", *published.options, "-o", f"evaluate.golden={golden}", "--only", "retrieval")
    assert (done.code, done.out) == (2, "")
    assert (f"{golden}:{place}" if place else str(golden)) in done.err and message in done.err


@pytest.mark.slow
def test_a_spoiled_pointer_of_the_index_is_told(here: Any, spoiled: Any) -> None:
    (spoiled.path / "index" / "live.json").write_text("{spoiled", encoding="utf-8")
    for command in (("search", "mvp", "caparra"), ("index", "status", "mvp"), ("index", "rollback", "mvp")):
        done = here(*command, *spoiled.options)
        assert (done.code, done.out) == (3, ""), command
        assert "live.json" in done.err and "`cervella reindex RECIPE` puts it aside" in done.err


@pytest.mark.slow
def test_a_cache_that_is_no_database_is_moved_aside(here: Any, spoiled: Any) -> None:
    question = ("search", "mvp", "caparra e disdetta", "--json")
    before = here(*question, *spoiled.options)
    for file in (spoiled.path / "cache").glob("embeddings.sqlite*"):
        file.unlink()
    (spoiled.path / "cache" / "embeddings.sqlite").write_bytes(b"no database at all " * 300)
    after = here(*question, *spoiled.options)  # looks for no vector there: what people ask is not kept
    assert (after.code, after.json) == (0, before.json)
    assert here("score", "mvp", "--only", "retrieval", *spoiled.options).code == 0
    assert (spoiled.path / "cache" / "embeddings.sqlite.corrupt-1").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_can_be_made_again_is_and_mlflow_s_loss_is_told(program: Any, spoiled: Any, served: Any) -> None:
    """A truncated artefact, no pointer to the index (removed, as its message says), an MLflow database that is none:
    all but the last are mended on the way, and the last costs no step before it.
    """
    served(spoiled.path)
    (spoiled.path / "index" / "live.json").unlink()
    chunks = next((spoiled.path / "store" / "index.chunk").glob("*/chunks.jsonl"))
    whole = chunks.read_bytes()
    chunks.write_bytes(whole[: len(whole) // 2])
    (spoiled.path / "mlflow").mkdir()
    (spoiled.path / "mlflow" / "mlflow.db").write_bytes(b"no database either " * 300)
    done = program("run", "mvp", *spoiled.options)
    assert (done.code, done.out) == (3, "")
    assert "mlflow.db" in done.err
    [_, state] = spoiled.runs().values()
    assert state["status"] == "failed"
    steps = {step["name"]: step for step in state["steps"]}
    made = {name for name, step in steps.items() if step["status"] == "done"}
    assert made == {"index.chunk", "index.build"}
    assert steps["registry.gate"]["status"] == "skipped" and steps["registry.register"]["status"] == "failed"
    assert chunks.read_bytes() == whole
    assert steps["index.build"]["facts"]["embedded"] == 0  # the table still has every vector
    assert (spoiled.path / "mlflow" / "mlflow.db").read_bytes().startswith(b"no database either")  # nobody removed it
    assert spoiled.is_quiet()
