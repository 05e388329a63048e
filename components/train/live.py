"""A training in MLflow while it goes on: one run for each training, whatever it is interrupted by.

MLflow is written to by a thread of its own, in batches: a training waits for it at its end alone, and never long. What
MLflow cannot take is tried again, told once, and never ends a training; the truth is `progress.jsonl` in the artefact.

State after a hard crash: a run with the status RUNNING, tagged with the fingerprint of its step, while nobody holds the
lock file of that fingerprint. The next training in this workspace marks it KILLED; the same training goes on in it, and
steps that it does again are not recorded twice.
"""

from __future__ import annotations

import math
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from components.store import FileLock, is_held, logger, sha256_hex
from components.store.mlflow_door import artifacts_of, mlflow_folder, open_client, open_experiment, tracking_uri
from components.store.mlflow_errors import explained
from components.store.mlflow_params import flat, param_values
from components.train.running.progress import Progress

__all__ = ["FINGERPRINT", "LiveRecord"]

FINGERPRINT = "cervella.train"
"""Tag of the run: fingerprint of the step `train.run`."""
_PLACE, _SITTINGS = "cervella.place", "cervella.sittings"
_METRICS = {
    "train/loss": "loss", "train/eval_loss": "eval_loss", "train/learning_rate": "learning_rate",
    "train/tokens_per_second": "tokens_per_second",
}  # fmt: skip
_BATCH, _PARAMS = 1000, 100  # of one call; MLflow refuses more
_EVERY, _LONGEST_WAIT = 2.0, 60.0
_LAST_WAIT = 30.0
"""Seconds that the end of a training waits for MLflow."""
_MOST = 200_000  # numbers that wait for an MLflow that does not answer
_Number = tuple[str, float, int, int]
"""(metric, value, unix milliseconds, step)"""


class LiveRecord:
    """The record of one training. Use it as a context manager around the training; `log` each progress."""

    def __init__(
        self, *, workspace: Path, tracking_uri: str | None, experiment: str, run_name: str, fingerprint: str,
        params: Mapping[str, Any], last_wait: float = _LAST_WAIT,
    ) -> None:  # fmt: skip
        """Nothing is written yet.

        Args:
            workspace: of the run.
            tracking_uri: where MLflow keeps its record; None: the database of the workspace.
            experiment: its name, made when there is none.
            run_name: for a new run.
            fingerprint: of the step; it tells whether a training is a new one.
            params: what is asked for, nested.
            last_wait: seconds that the end waits for MLflow.
        """
        self.run_id: str | None = None
        """Of the run in MLflow, once there is one."""
        self._workspace = workspace
        self._uri = tracking_uri
        self._experiment, self._run_name, self._fingerprint = experiment, run_name, fingerprint
        self._params = params
        self._last_wait = last_wait
        self._client: Any = None
        self._recorded: dict[str, int] = {}
        self._waiting: deque[_Number] = deque(maxlen=_MOST)
        self._guard = threading.Lock()
        self._wake = threading.Event()
        self._status: str | None = None
        self._ended = False
        self._warned = False
        self._lock: FileLock | None = None
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)

    def __enter__(self) -> LiveRecord:
        """Begin to record."""
        try:
            lock = FileLock(_lock_of(self._workspace, self._fingerprint))
            self._lock = lock if lock.try_exclusive() else None
        except Exception as error:
            self._warn(error)
        self._thread.start()
        return self

    def log(self, progress: Progress) -> None:
        """Record the numbers of a progress. Returns at once."""
        now = int(time.time() * 1000)
        self._ended = self._ended or progress.event == "end"
        numbers = [
            (metric, float(value), now, progress.step)
            for metric, field in _METRICS.items()
            if (value := getattr(progress, field)) is not None and math.isfinite(value)
        ]
        if progress.event != "log":  # the speed is that of the last step, told again
            numbers = [number for number in numbers if number[0] != "train/tokens_per_second"]
        with self._guard:
            self._waiting.extend(numbers)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Record what is left, and how it ended: FINISHED only when the trainer said that it was at its end."""
        if kind is None:
            self._status = "FINISHED" if self._ended else "FAILED"
        else:
            self._status = "FAILED" if issubclass(kind, Exception) else "KILLED"
        self._wake.set()
        self._thread.join(self._last_wait)
        if self._thread.is_alive():
            self._warn(TimeoutError(f"no answer within {self._last_wait:.0f} s"))
        if self._lock:
            self._lock.remove()
            self._lock.close()

    def _work(self) -> None:
        wait = _EVERY
        while True:
            last = self._status is not None
            try:
                uri = tracking_uri(self._workspace, self._uri)
                with explained(uri):
                    if self._client is None:
                        self._begin(uri)
                    self._flush()
                    if last:
                        self._client.set_terminated(self.run_id, status=self._status)
                wait = _EVERY
            except Exception as error:
                self._warn(error)
                wait = min(2 * wait, _LONGEST_WAIT)
            if last:
                return
            self._wake.wait(wait)

    def _warn(self, error: BaseException) -> None:
        if not self._warned:
            self._warned = True
            text = " ".join(str(error).split()) or type(error).__name__
            logger.warning("the training goes on, but MLflow does not record it: %s", text)

    def _begin(self, uri: str) -> None:
        """Find the run of this training or make one, and mark those of trainings that were killed."""
        artifacts = artifacts_of(self._workspace, uri)
        with mlflow_folder(artifacts):
            client = open_client(uri)
            experiment = open_experiment(client, self._experiment, artifacts)
        place = _place(self._workspace)
        _mark_killed(client, experiment, workspace=self._workspace, place=place, own=self._fingerprint)
        wanted = f"tags.`{FINGERPRINT}` = '{self._fingerprint}'"
        found = client.search_runs([experiment], wanted, order_by=["attributes.start_time DESC"], max_results=1)
        run = found[0] if found and found[0].info.status != "FINISHED" else None
        if run is None:
            tags = {FINGERPRINT: self._fingerprint, _PLACE: place, _SITTINGS: "1"}
            run = client.create_run(experiment, tags=tags, run_name=self._run_name)
        else:
            self._go_on(client, run)
        self._write_params(client, run)
        self.run_id = str(run.info.run_id)
        self._client = client

    def _go_on(self, client: Any, run: Any) -> None:
        """An earlier sitting was here: the run is running again, and what it has is not written twice."""
        run_id = run.info.run_id
        client.update_run(run_id, status="RUNNING")
        client.set_tag(run_id, _SITTINGS, str(int(run.data.tags.get(_SITTINGS, "1")) + 1))
        for metric in _METRICS:
            if metric in run.data.metrics:
                self._recorded[metric] = max(one.step for one in client.get_metric_history(run_id, metric))

    def _write_params(self, client: Any, run: Any) -> None:
        from mlflow.entities import Param

        values = param_values(flat(self._params))
        new = [Param(name, value) for name, value in values.items() if name not in run.data.params]
        for start in range(0, len(new), _PARAMS):
            client.log_batch(run.info.run_id, params=new[start : start + _PARAMS])

    def _flush(self) -> None:
        """Write all that waits. What could not be written waits on."""
        from mlflow.entities import Metric

        with self._guard:
            taken = list(self._waiting)
            self._waiting.clear()
        new = [number for number in taken if number[3] > self._recorded.get(number[0], -1)]
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            try:
                self._client.log_batch(self.run_id, metrics=[Metric(*number) for number in batch])
            except BaseException:
                with self._guard:
                    self._waiting.extendleft(reversed(new[start:]))
                raise


def _lock_of(workspace: Path, fingerprint: str) -> Path:
    """Held while this training is at work on this machine."""
    folder = workspace / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"training-{fingerprint[:16]}"


def _place(workspace: Path) -> str:
    """This workspace on this machine: others may record on the same server, and only here it is seen who is alive."""
    return sha256_hex(f"{socket.gethostname()}\0{workspace.absolute()}".encode("utf-8", "surrogatepass"))[:16]


def _mark_killed(client: Any, experiment: str, *, workspace: Path, place: str, own: str) -> None:
    """Mark runs as KILLED whose training is gone without a word."""
    wanted = f"attributes.status = 'RUNNING' and tags.`{_PLACE}` = '{place}'"
    for run in client.search_runs([experiment], wanted):
        fingerprint = run.data.tags.get(FINGERPRINT, "")
        if fingerprint == own or not is_held(_lock_of(workspace, fingerprint)):
            client.set_terminated(run.info.run_id, status="KILLED")
