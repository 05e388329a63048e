"""Ports of 127.0.0.1: the one that is asked for, or the next free one; and who has a port that is taken."""

from __future__ import annotations

import os
import shlex
import socket
import sys
from contextlib import suppress
from pathlib import Path

from components.errors import InputError, TerminalError

__all__ = ["MLFLOW_PORT", "PREFECT_PORT", "check_port", "free_port", "holders", "is_free", "who_has"]

PREFECT_PORT = 4200
MLFLOW_PORT = 5000
_TRIES = 50


def check_port(port: int, *, option: str) -> int:
    """The port; raises InputError for one that a user's process cannot or should not take."""
    if not 1024 <= port <= 65535:
        why = "ports below 1024 belong to the system" if 0 <= port < 1024 else "there is no such port"
        raise InputError(f"{option} {port}: {why}; name one from 1024 to 65535, or leave the option out.")
    return port


def is_free(port: int) -> bool:
    """Whether nobody listens on the port of 127.0.0.1, be it on all addresses."""
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: one that has just ended is gone
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(wanted: int) -> int:
    """`wanted` if it is free, else the next free one; raises TerminalError when 50 in a row are taken.

    Between this answer and its use another process may take the port: whoever uses it must look whether it has it.
    """
    last = min(wanted + _TRIES, 65536)
    for port in range(wanted, last):
        if is_free(port):
            return port
    raise TerminalError(f"the ports {wanted} to {last - 1} of 127.0.0.1 are all taken; name another one.")


def holders(port: int) -> list[int]:
    """Pids of the processes of this user that listen on the port; empty where it is not known (not on Linux)."""
    if sys.platform != "linux":
        return []
    rows = [row.split() for row in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()] if sockets else []
    return [pid for pid in pids if sockets & _open_files(pid)]


def who_has(port: int) -> str:
    """Who listens on the port, in words."""
    for pid in holders(port):
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
            return f"process {pid}: {shlex.join(filter(None, words))[:160]}"
    return "another process"


def _open_files(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):  # it has ended, or is somebody else's
        for entry in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found.add(os.readlink(f"/proc/{pid}/fd/{entry}"))
    return found
