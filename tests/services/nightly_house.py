"""A folder with a prefect.yaml and recipes of its own on a real Prefect server, and a real worker."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.services.deployments import deploy_all
from components.services.deployments.server import Remote

ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
LONG = 300.0  # seconds, for what takes some ten where nothing else is done


class House:
    """A folder with prefect.yaml and recipes of its own, and the project's flows."""

    def __init__(self, *, folder: Path, root: Path, remote: Remote, environment: dict[str, str]) -> None:
        self.folder, self.root, self.remote, self.environment = folder, root, remote, environment
        self.workspace = folder / "work space"

    def deploy(self, *, nightly: str) -> None:
        text = (self.root / "prefect.yaml").read_text(encoding="utf-8")
        assert '"0 3 * * *"' in text
        (self.folder / "prefect.yaml").write_text(text.replace('"0 3 * * *"', f'"{nightly}"'), encoding="utf-8")
        deploy_all(api_url=self.remote.api_url, prefect_file=self.folder / "prefect.yaml", say=lambda _: None)

    def start(
        self, deployment: str, *, flow: str = "run-recipe", tags: Sequence[str] = (), **parameters: Any
    ) -> str:  # fmt: skip
        found = self.remote.ask("GET", f"/deployments/name/{flow}/{deployment}")
        path = f"/deployments/{found['id']}/create_flow_run"
        return str(self.remote.ask("POST", path, {"parameters": parameters, "tags": list(tags)})["id"])

    def run(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = self.remote.ask("GET", f"/flow_runs/{run}")
        return found

    def ended(self, run: str, *, seconds: float = LONG) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while (found := self.run(run))["state"]["type"] not in ENDED and time.monotonic() < deadline:
            time.sleep(0.5)
        assert found["state"]["type"] in ENDED, found["state"]
        return found

    def under(self, run: str) -> list[dict[str, Any]]:
        return self.remote.all("/flow_runs/filter", {"flow_runs": {"parent_flow_run_id": {"any_": [run]}}})

    def log(self, run: str) -> str:
        lines = self.remote.all("/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}})
        return "\n".join(line["message"] for line in lines)

    def shown(self, run: str) -> dict[str, dict[str, Any]]:
        """The artifacts of a flow run, by key."""
        found = self.remote.all("/artifacts/filter", {"flow_runs": {"id": {"any_": [run]}}})
        return {one["key"]: one for one in found if one["key"]}

    def records(self) -> list[dict[str, Any]]:
        """What the runs noted about themselves, oldest first."""
        return [json.loads(file.read_text(encoding="utf-8")) for file in sorted(self.workspace.glob("runs/*/run.json"))]

    def live_version(self) -> Any:
        return json.loads((self.workspace / "index" / "live.json").read_text(encoding="utf-8"))

    @contextmanager
    def worker(self, pool: str) -> Iterator[None]:
        with (self.folder / f"{pool}.log").open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool],
                cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            yield
        finally:
            worker.terminate()
            try:
                worker.wait(timeout=30)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
