"""What was told to whom, `<workspace>/services/notifications.jsonl`: the newest 500, a line each, oldest first.

It is how one event is sent once, whoever notices it: a line `sending` is written under a lock before it is sent, and
who finds one leaves it to the other. What could not be sent stays here with its text.

State after a hard crash: a line `sending` of a process that is gone; after a minute it counts no more, and who notices
the event next sends it, perhaps a second time. The file is always whole; a line that cannot be read is left out.
NOT covered: an event is known for as long as its line is among the newest 500.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from components.errors import CervellaError
from components.store import hold, logger, write_atomic
from components.store.services import services_folder

__all__ = ["JOURNAL", "KEPT", "claim", "read_journal", "record"]

JOURNAL = "notifications.jsonl"
KEPT = 500
_LOCK = "notifications.lock"
_LOCK_SECONDS = 2.0
_SENDING_SECONDS = 60


def read_journal(workspace: Path) -> list[dict[str, Any]]:
    """The lines: key, event, receiver, at, state, tries, and where it was not sent: why, text. Empty: none yet.

    Raises:
        OSError: it cannot be read. It is never taken for empty: the next line would be all that is left of it.
    """
    try:
        lines = (services_folder(workspace) / JOURNAL).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            one = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(one, dict) and all(isinstance(one.get(name), str) for name in ("key", "at", "state")):
            found.append(one)
    return found


def claim(workspace: Path, wanted: Sequence[dict[str, Any]]) -> list[str]:
    """Take what nobody has sent, or is sending, and say that it is being sent; returns the keys that were taken.

    Where the file cannot be read or written all are taken: told twice is better than not at all.
    """
    keys = [one["key"] for one in wanted]
    try:
        with _changing(workspace) as lines:
            known = {one["key"] for one in lines if one["state"] != "sending" or _is_new(one["at"])}
            lines += [one | {"state": "sending"} for one in wanted if one["key"] not in known]
    except (OSError, CervellaError) as error:
        logger.warning("the journal of notifications cannot be written: %s", error)
        return keys
    return [key for key in keys if key not in known]


def record(workspace: Path, ended: Sequence[dict[str, Any]]) -> None:
    """Write how they ended, in the place of `sending`. A full disk or a lock that stays held loses the record alone."""
    try:
        with _changing(workspace) as lines:
            keys = {one["key"] for one in ended}
            lines[:] = [one for one in lines if one["key"] not in keys] + list(ended)
    except (OSError, CervellaError) as error:
        logger.warning("the journal of notifications cannot be written: %s", error)


@contextmanager
def _changing(workspace: Path) -> Iterator[list[dict[str, Any]]]:
    folder = services_folder(workspace)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with hold(
        folder / _LOCK, what="notifications", timeout_seconds=_LOCK_SECONDS
    ):  # by each for the instant of a write
        lines = read_journal(workspace)
        yield lines
        text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in lines[-KEPT:])
        write_atomic(folder / JOURNAL, text.encode("utf-8", "replace"))


def _is_new(at: str) -> bool:
    try:
        return datetime.now(UTC) - datetime.fromisoformat(at) < timedelta(seconds=_SENDING_SECONDS)
    except (ValueError, TypeError):
        return False
