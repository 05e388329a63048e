"""One SQLite file that is never a reason to fail: what caches and the usage log are made of.

What a crash leaves behind: nothing to mend. Each piece of work is one transaction with a write-ahead log, so a kill
loses at most the one that was being written, and the next reader rolls the log back or forward; a power cut may lose
the last ones that were told done, never half of one. `-wal` and `-shm` files beside the database are part of it. A
file that is no database any more is moved aside to `NAME.corrupt-N` and begun anew. A full disk, a disk that can only
be read, or a lock held longer than the busy time-out makes it forget. Who meets the lock first waits so long, with
those behind it; from then on nobody does until the file works again. The log is told when that begins and when it is
over, reading and writing apart; of a fault that comes and goes, once in ten minutes.

Several threads share one connection under a lock; several processes may use the file at once.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

__all__ = ["SqliteFile"]

log = logging.getLogger(__name__)

_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)
_AGAIN_SECONDS = 600.0  # after which a fault that has been told and was over is told again
_READS, _WRITES = "nothing is read from it", "nothing is kept in it"
_T = TypeVar("_T")


@dataclass
class _Fault:
    """That reading, or writing, fails. `told_at`: when that was told (monotonic); `times`: since it works no more."""

    told_at: float = float("-inf")
    times: int = 0
    is_told: bool = False


class SqliteFile:
    """A SQLite file, opened at the first use.

    Args:
        path: of the file; its folder is made when missing.
        schema: statements that make tables and indexes where they are missing.
        what: the file in words, for warnings.
        busy_seconds: how long to wait for another process that writes, unless that was in vain the last time.
    """

    def __init__(self, path: Path, *, schema: Sequence[str], what: str, busy_seconds: float = 30.0) -> None:
        self.path = path
        self._schema = tuple(schema)
        self._what = what
        self._busy_seconds = self._patience = busy_seconds
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._faults = {_READS: _Fault(), _WRITES: _Fault()}

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            self._close()

    def _try_read(self, work: Callable[[sqlite3.Connection], _T], *, instead: _T) -> _T:
        """What `work` reads, or `instead` when the file cannot be used."""
        with self._lock:
            try:
                found = work(self._opened(_READS))
            except (sqlite3.Error, OSError) as error:
                self._mishap(error, _READS)
                return instead
            self._works(_READS)
            return found

    def _try_write(self, work: Callable[[sqlite3.Connection], object]) -> bool:
        """Do `work` in one transaction, on a new file when this one is broken; False when nothing could be kept."""
        with self._lock:
            for last in (False, True):
                try:
                    self._transact(work)
                    self._works(_WRITES)
                    return True
                except (sqlite3.Error, OSError) as error:
                    if not self._mishap(error, _WRITES) or last:
                        return False
        return False

    def _transact(self, work: Callable[[sqlite3.Connection], object]) -> None:
        connection = self._opened(_WRITES)
        connection.execute("BEGIN IMMEDIATE")
        try:
            work(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _opened(self, consequence: str) -> sqlite3.Connection:
        """The file, for work that has this consequence when it fails; who failed before does not wait for others."""
        self._patience = 0.0 if self._faults[consequence].times else self._busy_seconds
        connection = self._open()
        connection.execute(f"PRAGMA busy_timeout = {round(1000 * self._patience)}")
        return connection

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self.path, timeout=self._patience, isolation_level=None, check_same_thread=False
            )
            self._connection = connection
            self._inode = self.path.stat().st_ino
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            for statement in self._schema:
                connection.execute(statement)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            try:
                self._connection.close()
            except sqlite3.Error as error:
                log.warning("closing the %s %s: %s", self._what, self.path, error)
            self._connection = None

    def _mishap(self, error: Exception, consequence: str) -> bool:
        """Note the error; True when the file was broken and a new one may be begun at once."""
        self._close()
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & 0xFF in _BROKEN:
            aside = self._move_aside()
            log.warning("the %s %s is broken (%s): moved to %s, a new one is begun",
                        self._what, self.path, error, aside)  # fmt: skip
            return True
        fault = self._faults[consequence]
        fault.times += 1
        if not fault.is_told and time.monotonic() - fault.told_at >= _AGAIN_SECONDS:
            fault.is_told, fault.told_at = True, time.monotonic()
            log.warning("the %s %s cannot be used (%s): %s", self._what, self.path, error, consequence)
        return False

    def _works(self, consequence: str) -> None:
        """It could be used: what was told of before is over."""
        fault = self._faults[consequence]
        if fault.is_told:
            log.warning("the %s %s can be used again (%d times %s)", self._what, self.path, fault.times, consequence)
        fault.is_told, fault.times = False, 0

    def _move_aside(self) -> Path:
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.corrupt-{number}")).exists():
            number += 1
        # Another process may have been quicker: only the very file that was seen broken is moved. The log goes
        # first, because a new database beside an old log would replay it.
        try:
            if self.path.stat().st_ino == self._inode:
                for suffix in ("-wal", "-shm"):
                    log_file = self.path.with_name(self.path.name + suffix)
                    if log_file.exists():
                        os.replace(log_file, aside.with_name(aside.name + suffix))
                os.replace(self.path, aside)
        except OSError as error:
            log.warning("moving %s aside: %s", self.path, error)
        return aside
