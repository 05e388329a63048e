"""What the machine refuses, told for people: a full disk, no right to write, a limit on files.

Libraries hide the number of such an error in a text of their own (LanceDB in a RuntimeError, SQLite and MLflow in an
OperationalError), so texts are looked at as well. Not recognised: what a library neither numbers nor says in English.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.errors import TerminalError

__all__ = ["bytes_in_words", "machine_fault", "machine_faults_told"]

_ROOM = "free some space (`cervella gc` removes what no run needs), or put the workspace on another disk with"
_RIGHT = "give yourself the right to write there, or put the workspace elsewhere with"
# errno -> (what is wrong, how to mend it); texts in which libraries say the same -> errno
_KINDS: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", _ROOM),
    errno.EDQUOT: ("your share of the disk (quota) is used up", _ROOM),
    errno.EFBIG: ("a file would be larger than the file system, or `ulimit -f`, allows", "raise that limit, or use"),
    errno.EROFS: ("the disk can only be read", "put the workspace elsewhere with"),
    errno.EACCES: ("no right to read or write", _RIGHT),
    errno.EPERM: ("no right to do that", _RIGHT),
    errno.EMFILE: (
        "too many open files in this process",
        "raise the limit (`ulimit -n 4096`); a workspace is named by",
    ),
    errno.ENFILE: ("too many open files on this machine", "end other programs; a workspace is named by"),
    errno.EIO: ("the disk could not be read or written", "look at the disk's health, and put the workspace on another"),
    errno.ENOTDIR: ("a file is where a folder should be", "move it away, or name another workspace with"),
}
_TEXTS = {
    "no space left on device": errno.ENOSPC,
    "database or disk is full": errno.ENOSPC,
    "disk quota exceeded": errno.EDQUOT,
    "file too large": errno.EFBIG,
    "read-only file system": errno.EROFS,
    "attempt to write a readonly database": errno.EACCES,
    "permission denied": errno.EACCES,
    "too many open files": errno.EMFILE,
    "input/output error": errno.EIO,
    "disk i/o error": errno.EIO,
    "not a directory": errno.ENOTDIR,
}
_SAID = "the same command then goes on from where it stopped"


def machine_fault(error: BaseException, folder: Path) -> TerminalError | None:
    """The error told for people, when it is the machine's and not the program's; else None.

    Args:
        error: what was raised; the errors that caused it are looked at as well.
        folder: what was worked on, for an error that names no file; its disk is described.
    """
    if _SAID in str(error):
        return None
    for one in _chain(error):
        kind = one.errno if isinstance(one, OSError) else _kind_of_text(str(one))
        if kind in _KINDS:
            break
    else:
        return None
    what, remedy = _KINDS[kind]
    path = (
        Path(os.fsdecode(one.filename))
        if isinstance(one, OSError) and isinstance(one.filename, str | bytes)
        else folder
    )
    room = f" ({_room(path)})" if kind in (errno.ENOSPC, errno.EDQUOT) else ""
    # The words of a library are kept where they say more than the number does.
    words = "" if isinstance(one, OSError) else f" ({_first_line(str(error))})"
    return TerminalError(f"{path}: {what}{room}{words}. What was sealed is kept: {remedy} -o workspace=FOLDER; {_SAID}")


@contextmanager
def machine_faults_told(folder: Path) -> Iterator[None]:
    """Raise what the machine refuses inside the block as a TerminalError that says how to go on."""
    try:
        yield
    except Exception as error:
        fault = machine_fault(error, folder)
        if fault is None:
            raise
        raise fault from error


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    now: BaseException | None = error
    while now is not None and id(now) not in seen:
        seen.add(id(now))
        yield now
        now = now.__cause__ or (None if now.__suppress_context__ else now.__context__)


def _kind_of_text(text: str) -> int | None:
    lowered = text.lower()
    return next((kind for words, kind in _TEXTS.items() if words in lowered), None)


def _first_line(text: str, longest: int = 200) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= longest else line[:longest] + "..."


def _room(path: Path) -> str:
    """How full the disk of `path` is."""
    here = path.absolute()
    while not here.exists() and here != here.parent:
        here = here.parent
    try:
        usage = shutil.disk_usage(here)
        while not os.path.ismount(here):
            here = here.parent
    except OSError:
        return "how much is free cannot be told"
    return f"{bytes_in_words(usage.free)} of {bytes_in_words(usage.total)} are free on {here}"


def bytes_in_words(size: float) -> str:
    """A number of bytes in the unit that people would use (a GB is 10^9)."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
