"""A Ray cluster: one that is started here for as long as it is needed, on loopback, or one that is there already.

State after a hard crash: the kernel ends Ray's servers with this process, workers follow within seconds, two helpers of
Ray within 70 seconds (they look for its head that long). A folder of logs and sockets (`cervella-ray-*` in the folder
for temporary files) is removed by the next start.

**Not covered**: a cluster joined at HOST:6379 or `auto` whose head dies. Ray then ends the process that uses it within
a minute; what was embedded and answered is in the caches. (At ray://HOST the next call raises ConnectionError, which
`Workers` tells.) A cluster elsewhere that was told to call itself by a loopback address counts as this machine when it
is reached by one, through a tunnel say.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import secrets
import shutil
import socket
import tempfile
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from components.errors import TerminalError
from components.llm.machine import usable_cpus
from components.llm.places import is_here
from components.store.locks import FileLock

__all__ = ["Cluster", "address_leaves_to", "check_installed", "machines_elsewhere"]

_TOO_LATE = "; leave_out needs execution.ray_address to be an address that is neither this machine's nor trusted"
_OBJECT_STORE = 100 * 2**20  # bytes; batches of texts and vectors are some 100 kB
_CONNECT_SECONDS = 10.0
_TRIES, _NOT_STARTED = 3, "Starting Ray client server failed"
_END_SECONDS = 60.0
_PREFIX = "cervella-ray-"
_TOKEN = secrets.token_hex(32)  # what Ray lets this process and its workers in by; it reads it once in a process
_SETTINGS: dict[str, str | None] = {
    "RAY_ADDRESS": None,  # `auto` would follow it, wherever it leads
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a warning otherwise
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",  # it would take SIGTERM away from who handles it in this process
}


def check_installed() -> None:
    """Raise TerminalError, with the command, where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise TerminalError(
            "the recipe says execution.runner: ray, and Ray is not installed here. Install it: make setup-ray "
            "(or take the line out: everything runs without it)"
        )


def address_leaves_to(address: str | None, *, trusted_hosts: Collection[str] = ()) -> str | None:
    """Where texts go that are given to the cluster at `address`, in words; None: they stay on this machine.

    None is the cluster that is started here, `auto` one that runs here.
    """
    if address in (None, "auto") or is_here(f"http://{_host_and_port(address or '')}", trusted_hosts):
        return None
    return f"the Ray cluster at {_host_and_port(address or '')}"


def machines_elsewhere(machines: Collection[str], *, address: str | None, trusted_hosts: Collection[str]) -> str | None:
    """Where texts go that are given to a cluster of these machines (addresses by its own account), as above.

    They stay on this machine where it is the one machine of the cluster, or the one that the recipe trusts.
    """
    if len(machines) != 1:
        return f"a Ray cluster of {len(machines)} machines{_TOO_LATE}"
    (machine,) = machines
    host = _host_and_port(address or "").rpartition(":")[0].strip("[]")
    trusted = {name.lower() for name in trusted_hosts}
    if machine in trusted or (host and host.lower() in trusted) or _is_of_this_machine(machine):
        return None
    return f"a Ray cluster at {machine}{_TOO_LATE}"


def _is_of_this_machine(address: str) -> bool:
    """Whether the kernel lets one listen at it."""
    try:
        family = socket.getaddrinfo(address, None, flags=socket.AI_NUMERICHOST)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as listening:
            listening.bind((address, 0))
    except OSError:
        return False
    return True


class Cluster:
    """A connection to a Ray cluster. There can be one in a process at a time, since Ray has only one.

    Ray is started by a thread that lives as long as the connection: what it starts dies with the thread that did, and
    in the main thread it would take the place of the handler of SIGTERM.
    """

    def __init__(self, *, address: str | None, most: int | None) -> None:
        """`address`: none: start one with `most` processors (none: all of this machine)."""
        self._address = address
        self._most = most
        self._ready, self._end = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._live, name="ray", daemon=True)

    def open(self) -> None:
        """Start it, or connect.

        Raises:
            TerminalError: it cannot be reached, or is of another version of Ray or Python; or this process is
                connected to one already.
        """
        if self._address is not None:
            _check_reachable(self._address)
        self._thread.start()
        try:
            self._ready.wait()
        except BaseException:  # Ctrl-C: what is being started ends as soon as it is there
            self._end.set()
            raise
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Disconnect; what was started here is ended."""
        self._end.set()
        if self._thread.ident is not None:
            self._thread.join(_END_SECONDS)

    def _live(self) -> None:
        try:
            with _started_here(self._most) if self._address is None else _found(self._address):
                self._ready.set()
                self._end.wait()
        except TerminalError as error:
            self._error = error
        except Exception as error:
            at = self._address or "this machine"
            self._error = TerminalError(f"Ray on {at}: {' '.join(str(error).split())[:500] or type(error).__name__}")
        finally:
            self._ready.set()


@contextmanager
def _started_here(most: int | None) -> Iterator[None]:
    with _own_folder() as folder:
        token = folder / "token"
        token.touch(mode=0o600)
        token.write_text(_TOKEN, encoding="ascii")
        settings = {
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token),
            # Without it Ray listens on every address of this machine, whatever address it is told (2.60).
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        }  # fmt: skip
        with _environment({**_SETTINGS, **settings}), _connected(
            address="local", num_cpus=most or usable_cpus(), object_store_memory=_OBJECT_STORE,
            include_dashboard=False, _node_ip_address="127.0.0.1", _temp_dir=str(folder / "r"),  # Ray opens it to all
        ):  # fmt: skip
            yield


@contextmanager
def _found(address: str) -> Iterator[None]:
    with _environment(_SETTINGS), _connected(address=address):
        yield


@contextmanager
def _connected(**options: Any) -> Iterator[None]:
    import ray
    import ray._private.worker as told_by_ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    told_by_ray._worker_logs_enabled = False  # it prints to standard output, `log_to_driver` or not
    if ray.is_initialized():
        raise TerminalError("this process is connected to a Ray cluster already: end that connection first")
    try:
        _join(configure_logging=False, logging_level=logging.ERROR, log_to_driver=False, **options)
        yield
    finally:
        ray.shutdown()


def _join(**options: Any) -> None:
    import ray

    for left in reversed(range(_TRIES)):
        try:
            ray.init(**options)
        except ConnectionAbortedError as error:
            # The door of a cluster (ray://) starts a process for each client, and gives it 30 s to be there: less than
            # it takes where all processors are at work.
            if not left or _NOT_STARTED not in str(error):
                raise
            ray.shutdown()
        else:
            return


@contextmanager
def _environment(settings: dict[str, str | None]) -> Iterator[None]:
    """Ray reads its settings in the environment, and so do the processes that it starts. None: not set."""
    before = {name: os.environ.get(name) for name in settings}
    _set(settings)
    try:
        yield
    finally:
        _set(before)


def _set(settings: dict[str, str | None]) -> None:
    for name, value in settings.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def _own_folder() -> Iterator[Path]:
    """A new folder that nobody else can read; those of processes that were killed are removed first."""
    # The path of a Unix socket may have 107 bytes, and Ray takes 70 of them.
    parent = Path(tempfile.gettempdir() if len(tempfile.gettempdir()) < 20 else "/tmp")  # noqa: S108
    for left in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError, TerminalError):
            _remove_if_left(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    lock = FileLock(folder / "alive")
    lock.try_exclusive()
    try:
        yield folder
    finally:
        lock.close()
        shutil.rmtree(folder, ignore_errors=True)


def _remove_if_left(folder: Path) -> None:
    if folder.stat().st_uid != os.getuid() or not (folder / "alive").exists():
        return
    lock = FileLock(folder / "alive")
    try:
        if lock.try_exclusive():
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        lock.close()


def _host_and_port(address: str) -> str:
    return address.partition("://")[2] or address


def _check_reachable(address: str) -> None:
    """Ray itself tries for minutes, and then ends this process."""
    if address == "auto":
        return
    host, _, port = _host_and_port(address).rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise TerminalError(
            f"no Ray cluster answers at {address} (execution.ray_address): {error}. Expected ray://HOST:10001, from "
            "anywhere, or HOST:6379, from a machine of the cluster. Is it up there (ray start --head)?"
        ) from None
