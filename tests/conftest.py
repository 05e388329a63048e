"""Fixtures of all tests: no telemetry, the example notes, and the shared notes beside the checkout."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# A shell that starts the tests in the background makes them ignore Ctrl-C, nohup a closed terminal, and with them each
# program that they start and interrupt. A handler here is the default there.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Before any library is imported: none of them may look for a host outside this machine.
os.environ.update(
    LITELLM_LOCAL_MODEL_COST_MAP="True",
    MLFLOW_DISABLE_TELEMETRY="true",
    DO_NOT_TRACK="1",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    HF_HUB_OFFLINE="1",
)


# CI tries the same examples each time, so that a change is judged by itself; elsewhere new ones are looked for. No
# clock: how long examples take says how busy the machine is.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "here"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def examples() -> Path:
    """The project's own example notes."""
    return ROOT / "examples"


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this session have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


@pytest.fixture(scope="session")
def served(session_folder: Path) -> Callable[[Path], Path]:
    """Make a workspace, and with it the database of a Prefect server that was there before; returns the workspace.

    For tests that start a server and are not about a first start: that takes twice as long.
    """
    from tests.migrated import migrated

    def make(workspace: Path) -> Path:
        home = workspace / "prefect"
        home.mkdir(parents=True, mode=0o700)
        shutil.copy(migrated(session_folder), home)
        return workspace

    return make


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A tab of a real browser (tests.browser.Tab)."""
    from tests.browser import NAMES, installed, tab

    command = installed()
    if command is None:
        pytest.skip(f"no browser here: none of {', '.join(NAMES)} is installed")
    with tab(command, tmp_path_factory.mktemp("browser") / "profile") as opened:
        yield opened


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real notes and benchmarks, in the folder `shared` beside the checkout (or CERVELLA_SHARED)."""
    folder = Path(os.environ.get("CERVELLA_SHARED", ROOT.parent / "shared"))
    if not (folder / "data" / "sncp").is_dir():
        pytest.skip(f"the shared notes are not here: {folder}/data/sncp (set CERVELLA_SHARED to their folder)")
    return folder
