"""`cervella reindex --watch`: what ends it, and what it tells of a reindex that failed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.services import prefect_server
from tests.flows.test_watch import Watched, watched

__all__ = ["watched"]  # a fixture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Named:
    """`cervella` where PREFECT_API_URL names a server."""

    root: Path
    api_url: str

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Begin a command."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW"))}
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *map(str, arguments)], cwd=self.root, stdin=subprocess.DEVNULL,
            env=clean | {"PREFECT_API_URL": self.api_url, "MLFLOW_DISABLE_TELEMETRY": "true"}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip


def test_a_failure_names_its_run_and_another_workspace_ends_it_also_on_a_server_that_was_named(
    watched: Callable[..., Watched],  # noqa: F811
    root: Path,
    tmp_path_factory: pytest.TempPathFactory,
    served: Callable[[Path], Path],
) -> None:
    one = watched()
    with prefect_server(workspace=served(tmp_path_factory.mktemp("other"))) as server:
        one.program = Named(root, server.api_url)
        one.begin()
        assert one.next()["status"] == "done"
        for note in sorted(one.notes.rglob("*.md"))[2:]:
            note.unlink()
        refused = one.next()
        assert refused["status"] == "failed" and "would vanish" in refused["error"]
        assert refused["run"] in {run.name for run in (one.workspace / "runs").iterdir()}
        recipe = (one.folder / "watched.yaml").read_text(encoding="utf-8")
        one.write_recipe(recipe.replace("workspace: work\n", "workspace: elsewhere\n"))
        assert one.process is not None and one.process.wait(60) == 3
        assert one.hears("the recipe names another workspace now")
