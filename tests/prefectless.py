"""Flows without Prefect: their tasks are called as functions, and nothing is shown in its UI."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = ["FLOWS", "called_as_functions"]

FLOWS = ("flows.mvp", "flows.scoring")


@contextmanager
def called_as_functions(flows: Sequence[str] = FLOWS) -> Iterator[None]:
    """For the block, the tasks of these flows (of phase mvp) are the functions that they are made of."""
    from prefect import Task

    before: list[tuple[Any, str, Any]] = []

    def put(module: Any, name: str, value: Any) -> None:
        before.append((module, name, getattr(module, name)))
        setattr(module, name, value)

    try:
        for flow in map(importlib.import_module, flows):
            for name, value in list(vars(flow).items()):
                if isinstance(value, Task):
                    put(flow, name, value.fn)
        yield
    finally:
        for module, name, value in reversed(before):
            setattr(module, name, value)
