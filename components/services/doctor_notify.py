"""Can those who are to be told be reached? What is looked at is what they need, nothing is sent."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from components.hosts import is_loopback
from components.services.doctor import Check
from components.services.notify.deliver import named, variables
from components.services.notify.journal import read_journal
from components.services.params import NotifyParams
from components.store.services import services_of

__all__ = ["check_notify"]

_SHOWN = 20  # of the newest lines of the journal


def check_notify(
    receivers: Sequence[NotifyParams], *, workspace: Path, environment: Mapping[str, str] = os.environ
) -> Iterator[Check]:
    """Variables that are not set, here or where `cervella up` was called; what goes unprotected; what was not told."""
    if not receivers:
        return
    up = _kept_environment(workspace)
    good = True
    for number, one in enumerate(receivers):
        for key, name in variables(one).items():
            where = f"execution.notify[{number}].{key} names {name}, which is not set"
            if not environment.get(name, "").strip():
                good = False
                yield Check("notify", "warning", f"{where}: {named(one)} is not told", f"export {name}=...")
            elif up is not None and name not in up:
                good = False
                mend = "cervella down, then cervella up, where it is set"
                yield Check("notify", "warning", f"{where} where cervella up was called", mend)
        if open_to := _unprotected(one, environment):
            good = False
            yield Check("notify", "warning", f"{open_to} is told without protection of the connection", "use https, or "
                        "security: starttls")  # fmt: skip
    lost, journal = [], f"{workspace}/services/notifications.jsonl"
    try:
        lost = [line for line in read_journal(workspace)[-_SHOWN:] if line["state"] == "failed"]
    except OSError as error:
        good = False
        told = f"{journal} cannot be read ({error.strerror}): what was told is not known, and may be told twice"
        yield Check("notify", "warning", told, "give yourself the right to read it, or move it aside")
    if lost:
        good = False
        told = f"{len(lost)} of the last {_SHOWN} were not told, the last {lost[-1]['at']}: {lost[-1].get('why')}"
        yield Check("notify", "warning", told, f"see {journal}")
    if good:
        yield Check("notify", "ok", f"{len(receivers)} to be told")


def _unprotected(one: NotifyParams, environment: Mapping[str, str]) -> str | None:
    if one.email:
        open_ = one.email.security == "none" and not is_loopback(one.email.host)
        return one.email.host if open_ else None
    try:
        parts = urlsplit(one.webhook or environment.get(str(one.webhook_env), ""))
    except ValueError:
        return None
    host = parts.hostname or ""
    return host if parts.scheme == "http" and not is_loopback(host) else None


def _kept_environment(workspace: Path) -> set[str] | None:
    """Names of the variables that the keeper of the workspace has; None: there is none, or it is not to be known."""
    try:
        pid = int(services_of(workspace)["keeper"]["pid"])
        found = Path(f"/proc/{pid}/environ").read_bytes()
    except (KeyError, ValueError, TypeError, OSError):
        return None
    return {os.fsdecode(pair.partition(b"=")[0]) for pair in found.split(b"\0") if pair}
