"""Logs of bounded size: at most LIMIT bytes in a file, and as much again in `NAME.1`, what came before it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO

__all__ = ["LIMIT", "append_line", "end_of", "open_log", "rotate"]

LIMIT = 4_000_000


def open_log(path: Path) -> IO[bytes]:
    """Open a log for a process that is started now: rotated, and appended to, so that it may be cut under it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rotate([path])
    return path.open("ab")


def rotate(paths: Iterable[Path]) -> None:
    """Copy the end of each log beyond LIMIT to `NAME.1` and empty it in place: whoever appends to it goes on."""
    for path in paths:
        with suppress(OSError):
            size = path.stat().st_size
            if size <= LIMIT:
                continue
            with path.open("rb") as file:
                file.seek(size - LIMIT)
                path.with_name(f"{path.name}.1").write_bytes(file.read(LIMIT))
            os.truncate(path, 0)


def append_line(path: Path, text: str) -> None:
    """Append a line with the time of day. A full disk loses the line, not the caller."""
    with suppress(OSError), path.open("a", encoding="utf-8") as file:
        file.write(f"{datetime.now().astimezone().isoformat(sep=' ', timespec='seconds')}  {text}\n")


def end_of(path: Path, lines: int = 15) -> str:
    """The last lines of a log, told with its path."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 20_000))
            text = file.read().decode(errors="replace")
    except OSError:
        text = ""
    return f"The end of {path}:\n" + "\n".join(text.splitlines()[-lines:])
