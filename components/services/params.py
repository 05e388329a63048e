"""Section `execution` of a recipe: where its work is carried out, and who is told how it ended."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from components.params import Params

__all__ = ["EmailParams", "Event", "ExecutionParams", "NotifyParams"]

Event = Literal["failure", "refused", "champion", "done"]
"""failure: a run failed or its process died. refused: an index was not published, or the gate is not GO. champion:
another release is in service. done: a run ended well."""


class EmailParams(Params):
    """A mail server and who gets mail."""

    to: list[str] = Field(min_length=1, description="who gets it")
    sender: str = Field(default="cervella@localhost", description="the address that it comes from")
    host: str = Field(default="127.0.0.1", description="mail server (SMTP)")
    port: int = Field(default=25, ge=1, le=65535, description="its port")
    security: Literal["none", "starttls", "tls"] = Field(
        default="starttls", description="how the connection is protected; none: for a server on this machine alone"
    )
    user_env: str | None = Field(default=None, description="environment variable with the name to log in with")
    password_env: str | None = Field(default=None, description="environment variable with the password")


class NotifyParams(Params):
    """One receiver of news. Exactly one of webhook, webhook_env and email."""

    on: list[Event] = Field(default=["failure", "champion"], min_length=1, description="of what it is told")
    webhook: str | None = Field(default=None, description="address that gets a POST with JSON")
    webhook_env: str | None = Field(
        default=None, description="environment variable with that address, where the address is a secret itself"
    )
    email: EmailParams | None = Field(default=None, description="mail instead")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [self.webhook, self.webhook_env, self.email]
        if sum(way is not None for way in ways) != 1:
            raise ValueError("name exactly one of webhook, webhook_env and email")
        return self


class ExecutionParams(Params):
    """Where work is carried out. None of it changes what comes out, so nothing is done again because of it."""

    runner: Literal["local", "ray"] = Field(
        default="local", description="local: this machine. ray: embedding and evaluation are spread over a Ray cluster"
    )
    ray_address: str | None = Field(
        default=None,
        description="of the cluster, such as ray://HOST:10001 or HOST:6379; none: one that is started on this machine "
        "for as long as the run takes",
    )
    workers: int | None = Field(
        default=None, ge=1, description="at most so many workers of the cluster; none: as many as it has processors"
    )
    notify: list[NotifyParams] = Field(default=[], description="who is told how runs ended, and of a new champion")
