"""Section `execution` of a recipe: where its work is carried out, and who is told how it ended."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator, model_validator

from components.hosts import is_loopback
from components.params import Params

__all__ = ["EmailParams", "Event", "ExecutionParams", "NotifyParams", "is_web_address"]

Event = Literal["failure", "refused", "champion", "done"]
"""failure: a run failed, or its process died. refused: an index was not published, or the gate is not GO. champion:
another release is in service. done: a run ended well. A run is one of failure, refused and done."""


def _mail_address(text: str) -> str:
    if not re.fullmatch(r"[^@\s<>,;\"]+@[^@\s<>,;\"]+", text) or len(text) > 254:
        raise ValueError("expected an address such as anna@example.org, without a name before it")
    return text


def _variable(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        raise ValueError("expected the name of an environment variable, such as CERVELLA_WEBHOOK, not what is in it")
    return text


Variable = Annotated[str, AfterValidator(_variable)]
Address = Annotated[str, AfterValidator(_mail_address)]


def is_web_address(text: str) -> bool:
    """Whether it is an address that can be posted to: http or https, with a machine's name and a port that can be."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and text.isprintable()
    except ValueError:
        return False


class EmailParams(Params):
    """A mail server and who gets mail."""

    to: list[Address] = Field(min_length=1, description="who gets it")
    sender: Address = Field(default="cervella@localhost", description="the address that it comes from")
    host: str = Field(default="127.0.0.1", pattern=r"^\S+$", description="mail server (SMTP)")
    port: int = Field(default=25, ge=1, le=65535, description="its port")
    security: Literal["none", "starttls", "tls"] = Field(
        default="starttls", description="how the connection is protected; none: for a server on this machine alone"
    )
    user_env: Variable | None = Field(default=None, description="environment variable with the name to log in with")
    password_env: Variable | None = Field(default=None, description="environment variable with the password")

    @model_validator(mode="after")
    def _login_is_whole_and_hidden(self) -> Self:
        if (self.user_env is None) != (self.password_env is None):
            raise ValueError("name both of user_env and password_env, or none")
        if self.security == "none" and self.user_env and not is_loopback(self.host):
            raise ValueError("security: none would send the password unprotected to another machine; use starttls")
        return self


class NotifyParams(Params):
    """One receiver of news. Exactly one of webhook, webhook_env and email."""

    on: list[Event] = Field(default=["failure", "refused", "champion"], min_length=1, description="of what it is told")
    runs: Literal["workers", "all"] = Field(
        default="workers",
        description="workers: of runs that a form or a schedule started. all: also of `cervella run` and `reindex` in "
        "a terminal, such as those of cron. A new champion is always told",
    )
    details: bool = Field(
        default=False,
        description="send also the words of an error, or the reason of a promotion: secrets are masked in them, but "
        "they may name notes and questions",
    )
    webhook: str | None = Field(default=None, description="address that gets a POST with JSON")
    webhook_env: Variable | None = Field(
        default=None, description="environment variable with that address, where the address is a secret itself"
    )
    email: EmailParams | None = Field(default=None, description="mail instead")

    @field_validator("webhook")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None and not is_web_address(value):
            raise ValueError("expected an address that begins with https:// or http:// and names a machine")
        return value

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
