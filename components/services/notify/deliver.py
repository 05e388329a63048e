"""Send one event to everybody who wants it: each once, all at the same time, within ten seconds, never raising."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.services.notify import journal
from components.services.notify.attempts import WITHIN_SECONDS, Outcome, attempt
from components.services.notify.mail import send_mail
from components.services.notify.news import News, as_json, as_mail, as_text
from components.services.notify.webhook import post, shown
from components.services.params import EmailParams, NotifyParams, is_web_address
from components.store import canonical_json, logger, sha256_hex

__all__ = ["Told", "deliver", "is_being_sent", "named", "variables"]


_MARGIN = 0.3  # seconds in which a try that ran out of time says so itself


@dataclass(frozen=True)
class Told:
    """What became of an event at one receiver, named as `named` does."""

    receiver: str
    outcome: Outcome


def variables(one: NotifyParams) -> dict[str, str]:
    """Environment variables that a receiver needs: key of the recipe, below `execution.notify[n]` -> name."""
    found = {"webhook_env": one.webhook_env}
    if one.email:
        found |= {"email.user_env": one.email.user_env, "email.password_env": one.email.password_env}
    return {key: name for key, name in found.items() if name}


def named(one: NotifyParams) -> str:
    """A receiver in words that give nothing away."""
    if one.email:
        return f"mail to {', '.join(one.email.to)} by {one.email.host}:{one.email.port}"
    return shown(one.webhook) if one.webhook else f"the address in {one.webhook_env}"


def deliver(
    news: News, receivers: Sequence[NotifyParams], *, workspace: Path, within_seconds: float = WITHIN_SECONDS,
    environment: Mapping[str, str] = os.environ,
) -> list[Told]:  # fmt: skip
    """Send `news` to those of `receivers` that want its event and have not had it.

    What could not be sent is told in the log, and kept in the journal of the workspace with its text.

    Args:
        news: the event.
        receivers: of the recipe.
        workspace: whose journal says what was sent before.
        within_seconds: for all of it; a receiver that has not answered by then counts as `maybe`.
        environment: where the variables are looked up that the receivers name.

    Returns:
        The receivers that it was sent to now, in order.
    """
    wanted = _wanted(news, receivers)
    lines = {key: _line(news, key, one) for key, one in wanted.items()}
    taken = journal.claim(workspace, list(lines.values())) if wanted else []
    deadline = time.monotonic() + within_seconds
    outcomes: dict[str, Outcome] = {}
    threads = []
    for key in taken:

        def work(key: str = key) -> None:
            outcomes[key] = _send(news, wanted[key], deadline=deadline - _MARGIN, environment=environment)

        # A daemon: a receiver that hangs keeps no process from ending.
        threads.append(threading.Thread(target=work, name="cervella-notify", daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    found = {key: outcomes.get(key) or _late(within_seconds) for key in taken}
    for key, outcome in found.items():
        if outcome.state != "sent":
            logger.warning("%s was not told of %s: %s", named(wanted[key]), news.event, outcome.why)
    if found:
        journal.record(workspace, [_ended(lines[key], news, outcome) for key, outcome in found.items()])
    return [Told(named(wanted[key]), outcome) for key, outcome in found.items()]


def is_being_sent(news: News, receivers: Sequence[NotifyParams], *, workspace: Path) -> bool:
    """Whether somebody else is still sending `news` to one of those that want it, or was killed while it did."""
    wanted = _wanted(news, receivers)
    try:
        lines = journal.read_journal(workspace) if wanted else []
    except OSError:  # nobody can say any more who sends
        return False
    return any(line["state"] == "sending" and line["key"] in wanted for line in lines)


def _wanted(news: News, receivers: Sequence[NotifyParams]) -> dict[str, NotifyParams]:
    """Key of the journal -> receiver, of those that want such an event."""
    wanted: dict[str, NotifyParams] = {}
    for one in receivers:
        if news.event in one.on:
            wanted.setdefault(f"{news.key}:{_identity(one)}", one)
    return wanted


def _send(news: News, one: NotifyParams, *, deadline: float, environment: Mapping[str, str]) -> Outcome:
    unset = [name for name in variables(one).values() if not environment.get(name, "").strip()]
    if unset:
        return Outcome("failed", 0, f"{', '.join(unset)} is not set where this process was started")
    try:
        if one.email:
            return _mail(news, one, one.email, deadline=deadline, environment=environment)
        url = one.webhook or environment[str(one.webhook_env)].strip()
        if not is_web_address(url):
            return Outcome("failed", 0, f"{one.webhook_env} holds no address that begins with https:// or http://")
        body = as_json(news, details=one.details)
        return attempt(lambda seconds: post(url, body, seconds=seconds), deadline=deadline)
    except Exception as error:  # a bug of ours ends in the journal, not in a run
        return Outcome("failed", 0, f"{type(error).__name__} in {__name__}")


def _mail(
    news: News, one: NotifyParams, params: EmailParams, *, deadline: float, environment: Mapping[str, str]
) -> Outcome:  # fmt: skip
    try:
        mail = as_mail(news, params, details=one.details)
    except (ValueError, UnicodeError):
        return Outcome("failed", 0, "it cannot be written as a mail")
    user = environment[params.user_env] if params.user_env else None
    password = environment[params.password_env] if params.password_env else None
    return attempt(
        lambda seconds: send_mail(mail, params, user=user, password=password, seconds=seconds), deadline=deadline
    )


def _late(within_seconds: float) -> Outcome:
    return Outcome("maybe", 1, f"no answer within {within_seconds:g} s")


def _identity(one: NotifyParams) -> str:
    """Who it is, whatever of the rest of its settings changes."""
    who: dict[str, Any] = {"webhook": one.webhook, "webhook_env": one.webhook_env}
    if one.email:
        who |= {"to": sorted(one.email.to), "host": one.email.host, "port": one.email.port}
    return sha256_hex(canonical_json(who))[:12]


def _line(news: News, key: str, one: NotifyParams) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"key": key, "event": news.event, "receiver": named(one), "at": now}


def _ended(line: dict[str, Any], news: News, outcome: Outcome) -> dict[str, Any]:
    line = line | {"state": outcome.state, "tries": outcome.tries}
    if outcome.state != "sent":  # without details: what they quote of a note would have to be forgotten here as well
        line |= {"why": outcome.why, "text": as_text(news, details=False)}
    return line
