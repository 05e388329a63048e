"""`cervella` with an index in a bucket: written by one workspace, read by another, told by status and doctor."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.recipe import load_recipe
from components.recipe.faults import RecipeError
from components.recipe.privacy import index_without_local, leaving
from tests.bucket import Storage, running_storage

QUESTION = "Quanto si paga di caparra?"


@pytest.fixture(scope="module")
def storage() -> Iterator[Storage]:
    with running_storage() as made:
        yield made


@dataclass
class Machine:
    """A workspace of its own, and the commands in it."""

    root: Path
    folder: Path
    storage: Storage
    options: tuple[str, ...]

    def __call__(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "AWS_"))}
        return subprocess.run(
            [sys.executable, "-m", "flows.cli", *command, "-o", f"workspace={self.folder}", *self.options],
            cwd=self.root, env={**clean, **self.storage.environment, **environment}, capture_output=True, text=True,
            timeout=300,
        )  # fmt: skip

    def json(self, *command: str) -> Any:
        done = self(*command, "--json")
        assert done.returncode in (0, 1), done.stderr
        return json.loads(done.stdout)


def recipe(folder: Path, text: str, *, root: Path) -> Path:
    shutil.copytree(root / "examples", folder / "examples", dirs_exist_ok=True)
    path = folder / "mine.yaml"
    path.write_text(
        f"name: mine\nphase: reindex\nsncp: {{root: examples/sncp, include: ['**/*.md']}}\n"
        f"index: {{embedding: {{model: fake/embedding}}, {text}}}\n"
    )
    return path


@pytest.mark.slow
def test_one_machine_writes_and_another_reads(root: Path, tmp_path: Path, storage: Storage) -> None:
    address = f"s3://{storage.new_bucket()}/notes"
    common = ("-o", "index.embedding.model=fake/embedding")
    writer = Machine(root, tmp_path / "writer", storage, (*common, "-o", f"index.copy_to={address}"))
    reader = Machine(root, tmp_path / "reader", storage, (*common, "-o", f"index.uri={address}"))

    early = reader("search", "mvp", QUESTION)
    assert early.returncode == 3 and "nothing is published in s3://" in early.stderr

    run = writer.json("reindex", "mvp")
    assert [step["name"] for step in run["steps"]][-1] == "index.copy" and run["steps"][-1]["status"] == "done"
    assert run["steps"][-1]["facts"]["address"] == address

    here, there = writer.json("search", "mvp", QUESTION), reader.json("search", "mvp", QUESTION)
    assert here == there and here
    status = writer.json("index", "status", "mvp")
    assert status["copy"]["is_newest"] and status["bucket"] is None and status["faults"] == []
    status = reader.json("index", "status", "mvp")
    assert status["bucket"] == address and status["copy"] is None and status["faults"] == []
    for machine, told in ((writer, ("index copy", "which is the newest")), (reader, ("index", "notes, whole"))):
        checks = {check["name"]: check for check in machine.json("doctor", "mvp")["checks"]}
        assert checks[told[0]]["level"] == "ok" and told[1] in checks[told[0]]["says"]
    score = reader("score", "mvp", "--only", "retrieval", "--json")
    assert score.returncode == 0 and json.loads(score.stdout)["questions"], score.stderr
    answer = reader("ask", "mvp", QUESTION, "-o", "llm.chat.model=fake/chat", "--json")
    assert answer.returncode == 0, answer.stderr

    for command in (["reindex", "mvp"], ["run", "mvp"], ["plan", "mvp"], ["index", "rollback", "mvp"]):
        refused = reader(*command)
        assert refused.returncode == 2 and "only read" in refused.stderr, (command, refused.stderr)
    assert not (reader.folder / "runs").exists()

    storage.refuse = lambda method, path: 503
    failed = writer("reindex", "mvp", "-o", "index.chunk.max_tokens=90")
    storage.calm()
    assert failed.returncode == 3 and "503" in failed.stderr
    status = writer.json("index", "status", "mvp")
    assert status["published"]["number"] == 2 and not status["copy"]["is_newest"]
    assert reader.json("index", "status", "mvp")["published"]["number"] == 1
    copied = writer("index", "copy", "mvp")
    assert copied.returncode == 0 and "has publication 2" in copied.stdout, copied.stderr
    assert reader.json("index", "status", "mvp")["published"]["number"] == 2

    rolled = writer("index", "rollback", "mvp")
    assert rolled.returncode == 0, rolled.stderr
    assert reader.json("index", "status", "mvp")["published"]["how"] == "rollback"

    path = there[0]["path"]
    forgotten = writer("forget", "mvp", path, "--yes")
    assert forgotten.returncode == 0, forgotten.stderr
    assert path not in {hit["path"] for hit in reader.json("search", "mvp", QUESTION, "-k", "50")}
    told = json.loads(storage.keys(address.split("/")[2])["notes/published.json"])
    objects = {key.rpartition("/")[2] for key in storage.keys(address.split("/")[2]) if "/objects/" in key}
    assert objects == {sha for sha, _ in told["files"].values()}


def test_validate_and_plan_need_neither_boto3_nor_lancedb(root: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom flows.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    print({'boto3', 'botocore', 'lancedb'} & set(sys.modules))"
    )
    for command in (["validate", "mvp"], ["plan", "mvp", "-o", f"workspace={tmp_path}"], ["--help"]):
        options = [] if command == ["--help"] else ["-o", "index.copy_to=s3://some-bucket/notes"]
        done = subprocess.run(
            [sys.executable, "-c", code, *command, *options], cwd=root, capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == "set()", done.stdout


@pytest.mark.parametrize("address", ["s3://bucket", "s3://my.bucket-1/a/b c".replace(" ", "-"), "s3://bucket/x/"])
def test_an_address_survives_what_paths_go_through(root: Path, tmp_path: Path, address: str) -> None:
    loaded = load_recipe(recipe(tmp_path, f"uri: '{address}'", root=root))
    assert loaded.recipe.index.uri == address
    assert address in loaded.to_yaml()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("uri: 'gs://bucket/x'", "no address that an index can be read from"),
        ("uri: 's3://UPPER/x'", "no address that an index can be read from"),
        ("uri: 's3://key:secret@bucket/x'", "no address that an index can be read from"),
        ("copy_to: /some/folder", "s3://BUCKET/PREFIX"),
        ("copy_to: 's3://b'", "s3://BUCKET/PREFIX"),
        ("uri: 's3://bucket/x', copy_to: 's3://bucket/y'", "there is nothing to copy"),
    ],
    ids=["another store", "capitals", "a key in it", "a folder", "too short", "both"],
)
def test_what_is_no_address_is_told(root: Path, tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        load_recipe(recipe(tmp_path, text, root=root))


def test_local_notes_do_not_go_into_a_bucket_elsewhere(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe(tmp_path, "copy_to: 's3://bucket/x'", root=root)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    mine = load_recipe(made, overrides=["privacy.when_remote=leave_out"]).recipe
    assert leaving(mine) == {"index.copy_to": "s3://bucket/x"} and index_without_local(mine)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")  # storage on this machine
    assert leaving(mine) == {}
