"""What doctor says of a machine: each trouble is made for real and found."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from components.services import doctor_machine as machine
from tests.flows.doctor_house import healthy, in_a_process, only


@pytest.mark.parametrize(
    ("limits", "name", "level"),
    [
        ("ulimit -n 200;", "open files", "problem"), ("ulimit -n 512;", "open files", "warning"),
        ("ulimit -v 250000;", "memory", "problem"), ("ulimit -v 900000;", "memory", "warning"),
    ],
)  # fmt: skip
def test_limits_of_the_machine(root: Path, tmp_path: Path, limits: str, name: str, level: str) -> None:
    code, found = in_a_process(root, "-w", tmp_path / "new", limits=limits)
    assert (found[name]["level"], code) == (level, int(level == "problem"))
    assert found[name]["mend"]


@pytest.mark.parametrize(
    ("environment", "name", "level"),
    [
        ({"PYTHONIOENCODING": "ascii:backslashreplace"}, "text", "problem"),
        ({"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, "text", "problem"),
        ({"OMP_WAIT_POLICY": "active"}, "threads", "warning"), ({"OMP_NUM_THREADS": "900"}, "threads", "warning"),
    ],
    ids=["printed", "locale", "spinning", "too many"],
)  # fmt: skip
def test_settings_of_the_machine(
    root: Path, tmp_path: Path, environment: dict[str, str], name: str, level: str
) -> None:
    code, found = in_a_process(root, "-w", tmp_path / "new", **environment)
    assert (found[name]["level"], code) == (level, int(level == "problem"))


def test_a_prefect_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        url = f"http://me:hunt@er22@127.0.0.1:{taken.getsockname()[1]}/api?key=1"
        found = only(machine.check_prefect_url({"PREFECT_API_URL": url}))
    assert found.level == "problem" and "does not answer" in found.says
    assert "er22" not in found.says
    assert healthy(machine.check_prefect_url({}))


def test_no_loopback() -> None:
    code = "from components.services.doctor_machine import check_loopback; print([c.level for c in check_loopback()])"
    assert healthy(machine.check_loopback())
    command = ["unshare", "--net", "--map-root-user", sys.executable, "-c", code]
    if shutil.which("unshare") is None or subprocess.run(command[:3] + ["true"], capture_output=True).returncode:
        pytest.skip("no network namespaces here")
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True)
    assert done.stdout.strip() == "['problem']"
