"""What doctor says of a workspace: each trouble is made for real and found."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path

import pytest

from components.services import doctor_workspace as workspaces
from components.store import Run, StepSpec, Store
from components.store.locks import FileLock
from tests.flows.doctor_house import healthy, levels, only


def test_an_empty_workspace_is_healthy(tmp_path: Path) -> None:
    for check in (
        workspaces.check_rights, workspaces.check_clock, workspaces.check_locks, workspaces.check_runs,
        workspaces.check_leftovers, workspaces.check_databases, workspaces.check_artefacts,
    ):  # fmt: skip
        assert healthy(check(tmp_path)), check
        assert healthy(check(tmp_path / "not yet" / "there")), check
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    assert healthy(workspaces.check_disk(tmp_path / "new", needed=1, comfortable=2))
    assert levels(workspaces.check_disk(tmp_path, needed=1, comfortable=free * 2)) == ["warning"]
    assert levels(workspaces.check_disk(tmp_path, needed=free * 2, comfortable=free * 3)) == ["problem"]


def test_a_small_disk(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4g,nr_inodes=50", "x", small], capture_output=True
    ).returncode:
        pytest.skip("no right to mount here")
    try:
        found = only(workspaces.check_disk(small))
        assert found.level == "problem" and "room for" in found.says
    finally:
        subprocess.run(["umount", small], check=True)


@contextmanager
def nobody(folder: Path) -> Iterator[None]:
    """Root may do everything: for a moment this process is nobody."""
    for path in takewhile(lambda path: path != Path(tempfile.gettempdir()), [folder, *folder.parents]):
        path.chmod(0o755)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_no_right_to_write(tmp_path: Path) -> None:
    closed = tmp_path / "workspace"
    (closed / "cache").mkdir(parents=True)
    closed.chmod(0o777)
    (closed / "cache").chmod(0o555)
    with nobody(tmp_path):
        inside, new = only(workspaces.check_rights(closed)), only(workspaces.check_rights(tmp_path / "new"))
    assert inside.level == new.level == "problem"
    assert str(closed / "cache") in inside.says and "cannot be made" in new.says
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert "is a file" in only(workspaces.check_rights(tmp_path / "file")).says


def test_runs_of_the_future(tmp_path: Path) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    (tmp_path / "runs" / f"{tomorrow:%Y%m%d-%H%M%S}-mvp-0000").mkdir(parents=True)
    (tmp_path / "runs" / "20200101-000000-mvp-0000").mkdir()
    found = only(workspaces.check_clock(tmp_path))
    assert found.level == "warning" and "1 runs began later" in found.says


@pytest.mark.parametrize(("hours", "level"), [(0, "ok"), (30, "warning")])
def test_a_lock_that_is_held(tmp_path: Path, hours: int, level: str) -> None:
    (tmp_path / "locks").mkdir()
    lock = FileLock(tmp_path / "locks" / "index.build")
    since = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
    lock.write(json.dumps({"pid": 4711, "what": "reindex", "since": since}))
    assert only(workspaces.check_locks(tmp_path)).says == "nobody is at work"  # of a holder that is gone
    assert lock.try_exclusive()
    found = only(workspaces.check_locks(tmp_path))
    lock.close()
    assert found.level == level and "process 4711 (reindex)" in found.says


BEGIN = """
import os, signal, sys
from pathlib import Path
from components.store import Run, StepSpec, Store
run = Run.create(Path(sys.argv[1]), recipe="mvp", phase="mvp")
run.record_step("index.build", status="running")
with Store(Path(sys.argv[1])).step(StepSpec("index.build", 1, {}, {})) as step:
    step.write_text("half", "x" * 1000)
    (step.scratch / "paid").write_text("y")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_was_killed_and_what_it_left(root: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", BEGIN, str(tmp_path)], cwd=root, check=False)
    assert done.returncode == -9
    found = only(workspaces.check_runs(tmp_path))
    assert found.level == "warning" and "was killed in index.build" in found.says
    left = only(workspaces.check_leftovers(tmp_path))
    assert left.level == "warning" and left.says.startswith("2 folders of steps")
    time.sleep(1.1)  # runs are named by the second
    Run.create(tmp_path, recipe="mvp", phase="mvp").update(status="done")
    with Store(tmp_path).step(StepSpec("index.build", 1, {}, {})) as step:
        step.write_text("whole", "x")
    assert healthy(workspaces.check_runs(tmp_path)) and healthy(workspaces.check_leftovers(tmp_path))


def test_the_record_of_a_run_that_is_damaged(tmp_path: Path) -> None:
    run = Run.create(tmp_path, recipe="mvp", phase="mvp")
    run.update(status="done")
    (run.folder / "run.json").write_text("{", encoding="utf-8")
    found = only(workspaces.check_runs(tmp_path))
    assert found.level == "warning" and "run.json" in found.says


@pytest.mark.parametrize("name", ["cache/embeddings.sqlite", "usage/usage.sqlite"])
def test_what_was_put_aside(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir()
    (tmp_path / f"{name}.corrupt-1").write_bytes(b"x" * 2_000_000)
    found = only(workspaces.check_leftovers(tmp_path))
    assert found.level == "warning" and "2 MB" in found.says


def database(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as opened:
        opened.execute("CREATE TABLE cache (key TEXT PRIMARY KEY, value BLOB)")
        opened.executemany("INSERT INTO cache VALUES (?, ?)", [(str(n), b"x" * 300) for n in range(2000)])
    opened.close()


@pytest.mark.parametrize("name", ["cache/embeddings.sqlite", "mlflow/mlflow.db", "prefect/prefect.db",
                                  "usage/usage.sqlite", "serve/comparisons.sqlite"])  # fmt: skip
def test_a_damaged_database(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    database(path)
    assert healthy(workspaces.check_databases(tmp_path))
    data = bytearray(path.read_bytes())
    data[8192:12288] = os.urandom(4096)
    path.write_bytes(data)
    scribbled = only(workspaces.check_databases(tmp_path))
    path.write_bytes(b"no database at all " * 300)
    foreign = only(workspaces.check_databases(tmp_path))
    for found in (scribbled, foreign):
        assert found.level == "problem" and str(path) in found.says and found.mend
    assert path.read_bytes().startswith(b"no database")  # looked at, not touched


def test_a_database_in_use_is_not_damaged(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "embeddings.sqlite"
    database(path)
    with sqlite3.connect(path) as busy:
        busy.execute("BEGIN EXCLUSIVE")
        assert healthy(workspaces.check_databases(tmp_path))
    busy.close()


@pytest.mark.parametrize("damage", ["output", "manifest", "gone"])
def test_a_damaged_artefact(tmp_path: Path, damage: str) -> None:
    with Store(tmp_path).step(StepSpec("index.chunk", 1, {}, {})) as step:
        step.write_text("chunks.jsonl", "{}\n")
    assert healthy(workspaces.check_artefacts(tmp_path))
    folder = step.artefact.path
    if damage == "gone":
        (folder / "chunks.jsonl").unlink()
    else:
        (folder / {"output": "chunks.jsonl", "manifest": "manifest.json"}[damage]).write_text("{}", encoding="utf-8")
    found = only(workspaces.check_artefacts(tmp_path))
    assert found.level == "problem" and "index.chunk/" in found.says


def test_an_artefact_of_an_older_version(tmp_path: Path) -> None:
    folder = tmp_path / "store" / "index.chunk" / ("a" * 64)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text('{"format": 1}', encoding="utf-8")
    assert levels(workspaces.check_artefacts(tmp_path))[0] == "warning"
