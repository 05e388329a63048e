"""Can this machine carry a run? Memory, open files, text, threads, the loopback network."""

from __future__ import annotations

import os
import resource
import socket
import sys
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from components.services.doctor import Check, Level
from components.services.watch import opener_to

__all__ = ["check_loopback", "check_memory", "check_open_files", "check_prefect_url", "check_text", "check_threads"]

_MEMORY = (300_000_000, 1_000_000_000)  # bytes: below the first nothing runs, below the second a run may be killed
_FILES = (256, 1024)


def check_memory() -> Iterator[Check]:
    """Memory that this process may still take: of the machine, its container, its own limit."""
    free = min(_memory())
    told = f"{free / 1e9:.1f} GB may be used"
    if free >= _MEMORY[1]:
        yield Check("memory", "ok", told)
        return
    level: Level = "problem" if free < _MEMORY[0] else "warning"
    yield Check(
        "memory", level, f"{told}; a run with local models takes about 1", "end other programs, or raise the limit"
    )


def _memory() -> Iterator[int]:
    yield os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, StopIteration, ValueError):
        rows = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        yield int(next(row for row in rows if row.startswith("MemAvailable:")).split()[1]) * 1024
    with suppress(OSError, ValueError):  # "max" is no number: no limit
        cgroup = Path("/sys/fs/cgroup")
        limit = int((cgroup / "memory.max").read_text(encoding="ascii"))
        used = int((cgroup / "memory.current").read_text(encoding="ascii"))
        held = (cgroup / "memory.stat").read_text(encoding="ascii").split()
        yield limit - used + int(held[held.index("inactive_file") + 1])
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        yield limit


def check_open_files() -> Iterator[Check]:
    """How many files this process may have open. A table has some for each version, a server one for each caller."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = float("inf") if soft == resource.RLIM_INFINITY else soft
    if limit >= _FILES[1]:
        yield Check("open files", "ok", "no limit" if limit == float("inf") else f"{soft:,}")
    else:
        level: Level = "problem" if limit < _FILES[0] else "warning"
        more = "" if hard == resource.RLIM_INFINITY or hard >= 4096 else f" (the hard limit is {hard})"
        yield Check("open files", level, f"at most {soft}", f"ulimit -n 4096{more}")


def check_text() -> Iterator[Check]:
    """Notes have accents: names of files and what is printed must be UTF-8."""
    names, printed = sys.getfilesystemencoding(), getattr(sys.stdout, "encoding", None) or "utf-8"
    odd = [f"{what} in {name}" for what, name in (("names of files", names), ("output", printed)) if not _is_utf8(name)]
    if odd:
        yield Check(
            "text", "problem", f"{' and '.join(odd)}: accents will be lost", "export LC_ALL=C.UTF-8 PYTHONUTF8=1"
        )
    else:
        yield Check("text", "ok", "UTF-8")


def _is_utf8(name: str) -> bool:
    return name.lower().replace("_", "-") in ("utf-8", "utf8")


def check_threads(environment: Mapping[str, str] = os.environ) -> Iterator[Check]:
    """OpenMP threads that spin while they wait cost a factor of 30 on a busy machine; too many threads cost less."""
    policy, threads = environment.get("OMP_WAIT_POLICY", "passive"), environment.get("OMP_NUM_THREADS", "")
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    odd = []
    if policy.lower() != "passive":
        odd.append(("OMP_WAIT_POLICY", f"{policy}: threads spin while they wait, and embedding is many times slower"))
    if threads and (not threads.isdigit() or not 1 <= int(threads) <= cpus):
        odd.append(("OMP_NUM_THREADS", f"{threads}: this process may use {cpus} processors"))
    for name, told in odd:
        yield Check("threads", "warning", f"{name}={told}", f"unset {name}")
    if not odd:
        yield Check("threads", "ok", f"{cpus} processors, waiting threads sleep")


def check_loopback() -> Iterator[Check]:
    """A run serves Prefect to itself on 127.0.0.1: it must be possible to listen there, and to be heard."""
    try:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
            with socket.create_connection(listener.getsockname(), timeout=3):
                pass
    except OSError as error:
        told = f"127.0.0.1 cannot be used ({error.strerror or error}): no Prefect server can be started"
        yield Check("loopback", "problem", told, "ip link set lo up, or allow the program local connections")
    else:
        yield Check("loopback", "ok", "127.0.0.1 answers")


def check_prefect_url(environment: Mapping[str, str] = os.environ) -> Iterator[Check]:
    """A server of one's own, when one is named."""
    url = environment.get("PREFECT_API_URL")
    shown = urllib.parse.urlsplit(url or "")._replace(query="", fragment="")
    told = f"PREFECT_API_URL names {shown._replace(netloc=shown.netloc.rpartition('@')[2]).geturl()}, which"
    if not url:
        yield Check("prefect", "ok", "a run uses the server that is up, or starts one for its own life")
        return
    try:
        with opener_to(url).open(f"{url.rstrip('/')}/health", timeout=3) as answer:
            answer.read(100)
    except (OSError, ValueError) as error:
        told = f"{told} does not answer ({error})"
        yield Check(
            "prefect", "problem", told, "start that server, or unset PREFECT_API_URL: a run then starts its own"
        )
    else:
        yield Check("prefect", "ok", f"{told} answers")
