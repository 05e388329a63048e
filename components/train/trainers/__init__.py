"""One module for each trainer: its configuration, its rows, and what its effective configuration must say."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from components.dataset.conversation import Conversation
from components.train.job import Job
from components.train.params import TrainerName, TrainParams

__all__ = ["Expected", "Trainer", "trainer"]


@dataclass(frozen=True)
class Expected:
    """One thing that a trainer must really use.

    Attributes:
        what: name of the setting in a recipe, such as train.lora.r.
        path: of the value in effective.json, dotted, such as peft.r.
        value: what must stand there, as JSON. Numbers are equal when they are within rounding of each other, lists of
            names in any order.
    """

    what: str
    path: str
    value: Any


class Trainer(Protocol):
    """What the module of a trainer offers."""

    @property
    def VERSION(self) -> str:  # noqa: N802
        """Of the trainer: the pinned one."""

    @property
    def ENTRY(self) -> str:  # noqa: N802
        """Script in `inside/` that its environment's Python starts."""

    @property
    def CONFIG(self) -> str:  # noqa: N802
        """Name of its configuration in the folder of a job."""

    def files(self, job: Job) -> Mapping[str, str]:
        """Name -> text of each file in the folder of a job that it needs beside the data."""

    def row(self, conversation: Conversation) -> dict[str, Any]:
        """A row of data/*.jsonl."""

    def set_by_us(self, params: TrainParams) -> frozenset[str]:
        """Its own keys that the section `train` sets: they cannot be in `extra`."""

    def expected(self, job: Job) -> list[Expected]:
        """What effective.json must say."""


def trainer(name: TrainerName) -> Trainer:
    """The module of a trainer."""
    return cast(Trainer, importlib.import_module(f"components.train.trainers.{name}"))
