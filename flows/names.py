"""Names of flow runs that people recognise in the Prefect UI."""

from __future__ import annotations

from pathlib import Path

from prefect.runtime import flow_run

__all__ = ["run_name"]


def run_name() -> str:
    """The run's id, as `cervella runs` lists it."""
    return Path(str(flow_run.parameters["run_dir"])).name
