"""`cervella` with an index in a bucket: written by one workspace, read by another, told by status and doctor."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.recipe import load_recipe
from components.recipe.faults import RecipeError
from components.recipe.privacy import index_without_local, leaving
from components.services import prefect_server
from tests.bucket import Storage
from tests.processes import clean_environment

QUESTION = "Quanto si paga di caparra?"


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


@dataclass
class Machine:
    """A workspace of its own, and the commands in it: in this process, those that start a server in another."""

    root: Path
    folder: Path
    options: tuple[str, ...]

    def __call__(self, *command: str) -> Done:
        words = [*command, "-o", f"workspace={self.folder}", *self.options]
        if command[0] == "reindex":
            ended = subprocess.run(
                [sys.executable, "-m", "flows.cli", *words], cwd=self.root, env=clean_environment(),
                capture_output=True, text=True,
            )  # fmt: skip
            return Done(ended.returncode, ended.stdout, ended.stderr)
        from flows import cli

        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", ["cervella", *words])
            with pytest.raises(SystemExit) as told:
                cli.main()
        return Done(int(told.value.code or 0), out.getvalue(), err.getvalue())

    def json(self, *command: str) -> Any:
        done = self(*command, "--json")
        assert done.code in (0, 1), done.err
        return json.loads(done.out)


@dataclass(frozen=True)
class Pair:
    """One machine that writes to an address, another that reads from it, the first run of the writer, its server."""

    writer: Machine
    reader: Machine
    address: str
    run: Any
    server: ExitStack


@pytest.fixture(scope="module")
def pair(
    root: Path, tmp_path_factory: pytest.TempPathFactory, storage: Storage, served: Callable[[Path], Path]
) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in storage.environment.items():
            patch.setenv(name, value)
        address = f"s3://{storage.new_bucket()}/notes"
        common = ("-o", "index.embedding.model=fake/embedding", "-o", "llm.chat.model=fake/chat")
        writer = Machine(root, served(folder / "writer"), (*common, "-o", f"index.copy_to={address}"))
        reader = Machine(root, folder / "reader", (*common, "-o", f"index.uri={address}"))
        early = reader("search", "mvp", QUESTION)
        assert early.code == 3 and "nothing is published in s3://" in early.err
        with ExitStack() as server:
            server.enter_context(prefect_server(workspace=writer.folder))
            yield Pair(writer, reader, address, writer.json("reindex", "mvp"), server)


def recipe(folder: Path, text: str, *, root: Path) -> Path:
    shutil.copytree(root / "examples", folder / "examples", dirs_exist_ok=True)
    path = folder / "mine.yaml"
    path.write_text(
        f"name: mine\nphase: reindex\nsncp: {{root: examples/sncp, include: ['**/*.md']}}\n"
        f"index: {{embedding: {{model: fake/embedding}}, {text}}}\n"
    )
    return path


@pytest.mark.slow
def test_one_machine_writes_and_another_reads(pair: Pair) -> None:
    step = pair.run["steps"][-1]
    assert (step["name"], step["status"], step["facts"]["address"]) == ("index.copy", "done", pair.address)
    here, there = pair.writer.json("search", "mvp", QUESTION), pair.reader.json("search", "mvp", QUESTION)
    assert here == there and here
    assert pair.reader.json("score", "mvp", "--only", "retrieval")["questions"]
    assert pair.reader.json("ask", "mvp", QUESTION)["sources"]


@pytest.mark.slow
@pytest.mark.parametrize("notes", ["nowhere", "empty", "."])
def test_a_reader_needs_a_recipe_of_its_own_and_no_notes(pair: Pair, root: Path, tmp_path: Path, notes: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "chi.md").write_text("# Chi sei\n\nSei Anna.\n")
    shutil.copy(root / "examples/golden.jsonl", tmp_path)
    made = tmp_path / "mine.yaml"
    made.write_text(
        f"name: mine\nphase: mvp\nsncp: {{root: {notes}}}\npersona: {{constitution: chi.md}}\n"
        "evaluate: {golden: golden.jsonl, answers: 1}\n"
    )
    machine = Machine(root, tmp_path / "workspace", pair.reader.options)
    for command in ("validate {}", "search {} caparra", "ask {} caparra", "index status {}", "score {}"):
        done = machine(*command.format(made).split())
        assert done.code == 0, (command, done.err)


@pytest.mark.slow
def test_status_and_doctor_tell_of_both_ends(pair: Pair) -> None:
    status = pair.writer.json("index", "status", "mvp")
    assert status["copy"]["is_newest"] and status["bucket"] is None and status["faults"] == []
    status = pair.reader.json("index", "status", "mvp")
    assert status["bucket"] == pair.address and status["copy"] is None and status["faults"] == []
    assert f"read from    {pair.address}" in pair.reader("index", "status", "mvp").out
    for machine, name, says in ((pair.writer, "index copy", "which is the newest"), (pair.reader, "index", "whole")):
        checks = {check["name"]: check for check in machine.json("doctor", "mvp")["checks"]}
        assert checks[name]["level"] == "ok" and says in checks[name]["says"]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["reindex mvp", "run mvp", "plan mvp", "index rollback mvp"])
def test_what_would_write_into_a_bucket_is_refused(pair: Pair, command: str) -> None:
    refused = pair.reader(*command.split())
    assert refused.code == 2 and "only read" in refused.err and "index.copy_to" in refused.err
    assert not (pair.reader.folder / "runs").exists()


@pytest.mark.slow
def test_a_copy_that_fails_is_told_and_brought_later_and_forgetting_reaches_it(pair: Pair, storage: Storage) -> None:
    storage.refuse = lambda method, path: 503
    failed = pair.writer("reindex", "mvp", "-o", "index.chunk.max_tokens=90", "-o", "index.max_recall_drop=1")
    storage.calm()
    assert failed.code == 3 and "503" in failed.err
    status = pair.writer.json("index", "status", "mvp")
    assert status["published"]["number"] == 2 and not status["copy"]["is_newest"]
    assert pair.reader.json("index", "status", "mvp", "--quick")["published"]["number"] == 1
    copied = pair.writer("index", "copy", "mvp")
    assert copied.code == 0 and "has publication 2" in copied.out, copied.err
    assert pair.reader.json("index", "status", "mvp", "--quick")["published"]["number"] == 2

    rolled = pair.writer("index", "rollback", "mvp")
    assert rolled.code == 0, rolled.err
    assert pair.reader.json("index", "status", "mvp", "--quick")["published"]["how"] == "rollback"

    path = pair.reader.json("search", "mvp", QUESTION)[0]["path"]
    pair.server.close()  # beside a server nothing is forgotten
    forgotten = pair.writer("forget", "mvp", path, "--yes")
    assert forgotten.code == 0, forgotten.err
    assert path not in {hit["path"] for hit in pair.reader.json("search", "mvp", QUESTION, "-k", "50")}
    keys = storage.keys(pair.address.split("/")[2])
    told = json.loads(keys["notes/published.json"])
    objects = {key.rpartition("/")[2] for key in keys if "/objects/" in key}
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


@pytest.mark.slow
def test_local_notes_do_not_go_into_a_bucket_elsewhere(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: Storage, served: Callable[[Path], Path]
) -> None:
    for name, value in storage.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", storage.url.replace("127.0.0.1", "0.0.0.0"))  # noqa: S104
    made = str(recipe(tmp_path, "max_recall_drop: 1", root=root))
    (tmp_path / "examples/sncp/diario.md").write_text("# Diario\n\nLa diagnosi di Marta: zafferano.\n")
    bucket, local = storage.new_bucket(), ("-o", "privacy.local=['diario.md']")
    to = ("-o", f"index.copy_to=s3://{bucket}/x")
    machine = Machine(root, served(tmp_path / "workspace"), local)

    def leaked() -> list[str]:
        return [key for key, body in storage.keys(bucket).items() if b"zafferano" in body]

    with prefect_server(workspace=machine.folder):
        machine.json("reindex", made)
        for command in (["reindex", made], ["index", "copy", made]):
            refused = machine(*command, *to)
            assert refused.code == 3 and "diario.md" in refused.err and "must not leave" in refused.err, refused.err
        assert storage.keys(bucket) == {}
        done = machine.json("reindex", made, *to, "-o", "privacy.when_remote=leave_out")
    assert done["steps"][-1]["facts"]["uploaded"] and storage.keys(bucket) and not leaked()
    back = machine("index", "rollback", made, *to)
    assert back.code == 3 and "is published again" in back.out and "diario.md" in back.err and not leaked()
    copied = machine("index", "copy", made, *to, "-o", "privacy.trusted_hosts=['0.0.0.0']")
    assert copied.code == 0 and leaked()


def test_a_bucket_elsewhere_counts_as_leaving_this_machine(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe(tmp_path, "copy_to: 's3://bucket/x'", root=root)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    mine = load_recipe(made, overrides=["privacy.when_remote=leave_out"]).recipe
    assert leaving(mine) == {"index.copy_to": "s3://bucket/x"} and index_without_local(mine)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")  # storage on this machine
    assert leaving(mine) == {}
