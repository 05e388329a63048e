"""What prefect.yaml says, read and checked: work pools, deployments, schedules, and the forms of their flows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["CollisionStrategy", "Deployment", "Form", "Limit", "PrefectFile", "Schedule", "WorkPool"]

CollisionStrategy = Literal["ENQUEUE", "CANCEL_NEW"]


@dataclass(frozen=True)
class WorkPool:
    """Where workers take runs from. `concurrency_limit`: runs at a time; None: the file says nothing of it."""

    name: str
    type: str
    description: str | None
    concurrency_limit: int | None


@dataclass(frozen=True)
class Schedule:
    """When a deployment starts by itself. `active` None: the file does not say, so a pause by hand stays."""

    slug: str
    cron: str
    timezone: str
    parameters: Mapping[str, Any]
    active: bool | None


@dataclass(frozen=True)
class Limit:
    """How many runs of a deployment there may be at a time, and what happens to one too many."""

    limit: int
    collision_strategy: CollisionStrategy
    grace_period_seconds: int | None


@dataclass(frozen=True)
class Form:
    """What a flow asks for: its name, its description, and the JSON schema of its parameters."""

    flow: str
    description: str | None
    schema: Mapping[str, Any]

    @property
    def properties(self) -> Mapping[str, Any]:
        """Parameter -> its JSON schema."""
        properties: Mapping[str, Any] = self.schema.get("properties") or {}
        return properties

    @property
    def choices(self) -> Mapping[str, tuple[Any, ...]]:
        """Parameter -> what its dropdown holds; only parameters that have one."""
        return {name: found for name, field in self.properties.items() if (found := choices_of(field))}


@dataclass(frozen=True)
class Deployment:
    """A flow that can be started from the server."""

    name: str
    description: str | None
    entrypoint: str
    work_pool: str
    job_variables: Mapping[str, Any]
    parameters: Mapping[str, Any]
    tags: tuple[str, ...]
    limit: Limit | None
    schedules: tuple[Schedule, ...]
    form: Form

    @property
    def full_name(self) -> str:
        """As Prefect names it: flow/deployment."""
        return f"{self.form.flow}/{self.name}"


@dataclass(frozen=True)
class PrefectFile:
    """All of it."""

    name: str
    work_pools: tuple[WorkPool, ...]
    deployments: tuple[Deployment, ...]


def choices_of(field: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values that a JSON schema allows, if it lists them; a list of one value is written as `const`."""
    if "const" in field:
        return (field["const"],)
    return tuple(field.get("enum") or ())
