"""What a trainer really uses, held against what was asked: effective.json, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.train.inside import asked
from components.train.inside.asked import value_at
from components.train.job import Job
from components.train.trainers import Expected, trainer

__all__ = ["differences", "difference", "value_at"]


def differences(job: Job, effective: Mapping[str, Any]) -> list[str]:
    """Each thing that the trainer uses otherwise than asked, in words; empty: all is as asked.

    Args:
        job: what was asked.
        effective: effective.json.
    """
    wanted = trainer(job.params.trainer).expected(job)
    return [told for one in wanted if (told := difference(one, effective)) is not None]


def difference(wanted: Expected, effective: Mapping[str, Any]) -> str | None:
    """How one thing differs from what was asked; None: it does not."""
    return asked.difference(wanted.what, wanted.path, wanted.value, effective)
