"""A phase of the roadmap as a Prefect flow whose one parameter is the folder of its run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from prefect import Flow

from flows.names import run_name

__all__ = ["phase"]

Result = TypeVar("Result")


class _PhaseFlow(Flow[[str], Result]):
    """A flow whose parameters are text."""

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters as they are: Prefect imports FastAPI to see that text is JSON, and that takes longest."""
        return dict(parameters)


def phase(name: str) -> Callable[[Callable[[str], Result]], Flow[[str], Result]]:
    """Decorator: a function of the folder of a run is the flow `name`, whose runs have the run's id as their name."""
    return lambda work: _PhaseFlow(work, name=name, flow_run_name=run_name, validate_parameters=False)
