"""A workspace on shared storage: what another machine keeps is never ended, used or started a second time from here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.errors import TerminalError
from components.services.prefect_server import find_or_start
from components.services.supervisor import control
from components.services.watch import end_frozen, is_elsewhere
from components.store import FileLock
from components.store.services import KEEPER_LOCK, services_folder


@pytest.fixture
def innocent() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has the pid that the other machine's server has there."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def folder(tmp_path: Path, innocent: subprocess.Popen[bytes]) -> Iterator[Path]:
    """Prefect's folder of a workspace whose server another machine runs; its lock is held, as NFS would say."""
    state = {
        "pid": innocent.pid, "began": "1", "host": "box-a", "api_url": "http://127.0.0.1:4233/api", "started": 1.0,
    }  # fmt: skip
    (tmp_path / "server.json").write_text(json.dumps(state))
    lock = FileLock(tmp_path / "server.lock")
    assert lock.try_exclusive()
    yield tmp_path
    lock.close()


def test_a_server_elsewhere_is_told_with_the_way_to_it(folder: Path, innocent: subprocess.Popen[bytes]) -> None:
    with pytest.raises(TerminalError, match=r"runs on another machine, box-a \(process \d+ there\)") as told:
        find_or_start(folder=folder, timeout_seconds=5, say=pytest.fail)
    assert "ssh -N -L 4233:127.0.0.1:4233 box-a, then PREFECT_API_URL=http://127.0.0.1:4233/api" in str(told.value)
    assert innocent.poll() is None


def test_a_pid_of_another_machine_is_never_killed(folder: Path, innocent: subprocess.Popen[bytes]) -> None:
    end_frozen(folder)
    assert innocent.poll() is None


def test_a_server_of_this_machine_is_known_by_when_it_began() -> None:
    from components.services.process_start import started_at

    here = {"pid": os.getpid(), "began": started_at(os.getpid())}
    assert not is_elsewhere(here) and not is_elsewhere({"pid": os.getpid()})  # of a version before
    assert is_elsewhere({**here, "began": "1"}) and is_elsewhere({**here, "pid": 2**22 + 1})


def test_a_keeper_elsewhere_is_neither_waited_for_nor_ended(
    tmp_path: Path, innocent: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_POLL_SECONDS", 0.01)
    services_folder(tmp_path).mkdir()
    lock = FileLock(services_folder(tmp_path) / KEEPER_LOCK)
    assert lock.try_exclusive()
    lock.write(json.dumps({"pid": innocent.pid, "started": "1", "host": "box-a"}))
    says = rf"box-a writes that it is its process {innocent.pid}\). Where several machines share the workspace"
    try:
        with pytest.raises(TerminalError, match=says):
            control.bring_up(tmp_path, prefect_port=4233, mlflow_port=5233, say=pytest.fail)
        with pytest.raises(TerminalError, match=says):
            control.bring_down(tmp_path, say=lambda _: None)
    finally:
        lock.close()
    assert innocent.poll() is None
