"""The environment that Prefect runs in: everything under the workspace, loopback only, nothing sent anywhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from components.errors import TerminalError

__all__ = ["apply_environment", "file_url", "prefect_environment"]


def file_url(folder: Path) -> str:
    """Address of the database that is a file of `folder` (`<workspace>/prefect`), absolute."""
    return f"sqlite+aiosqlite:///{folder}/prefect.db"


def prefect_environment(workspace: Path, *, console_level: str = "CRITICAL") -> dict[str, str]:
    """Return the environment variables of a Prefect whose state lives in `<workspace>/prefect`.

    `console_level` is what Prefect's own log may say in the terminal (`"INFO"` for a talkative one). Whatever the
    level, runs and tasks log to the API, so that the UI shows everything.
    Nothing is read from or written to the user's own `~/.prefect`.
    """
    home = workspace.resolve() / "prefect"
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        # Server: one SQLite file (Prefect itself waits 60 s for its lock, see PRAGMA busy_timeout), unless another
        # database was chosen: only a server that is started learns of that. Leases that survive a restart (the
        # default keeps them in memory).
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": file_url(home),
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_UI_ENABLED": "true",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        # What a run tells is in the database a moment later: the default keeps events in memory for up to five seconds,
        # and a run waits for its last one (see `stored`).
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "0.2",
        # What is older than 90 days goes, runs too (the default forgets events alone, and grows for ever).
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        # A page in the user's browser must not be able to start runs on a server that asks for no password.
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        # After 2, 4 and 8 s a server that is gone is gone: the default asks for a minute, at each of several calls.
        "PREFECT_CLIENT_MAX_RETRIES": "3",
        # Our own seals say what need not be done again; Prefect would hash the parameters of each task for its cache.
        "PREFECT_TASKS_DEFAULT_NO_CACHE": "true",
        # A missing server is an error, never a silent temporary one: that mode loses task runs when the process ends.
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        # Nothing is sent to anybody.
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # Nor asked for through a proxy, when it is on this machine.
        "NO_PROXY": _with_loopback(os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""),
        # Terminal.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": console_level,
        "PREFECT_LOGGING_TO_API_ENABLED": "true",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "cervella",  # what a run tells in the terminal is in the UI as well
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # what is told after a run goes to the terminal alone
        "PREFECT_CLI_PROMPT": "false",
    }


def apply_environment(env: Mapping[str, str]) -> None:
    """Put `env` into this process's environment; to be called **before** anything imports Prefect.

    Prefect reads its settings once, when it is imported: a variable set later is ignored without a word, and the run
    would go to another server than the one that was named. So one process uses one server.
    Creates the folder PREFECT_HOME with its parents (Prefect only warns when the workspace does not exist yet).

    Raises:
        TerminalError: Prefect is already imported and a value of `env` differs from what it has read; or PREFECT_HOME
            cannot be created.
    """
    changed = sorted(name for name, value in env.items() if os.environ.get(name) != value)
    if changed and "prefect" in sys.modules:
        raise TerminalError(
            f"Prefect was imported before its settings were made, so it would ignore {', '.join(changed)}. "
            "Call apply_environment() first, and import flows and tasks after it."
        )
    if "PREFECT_HOME" in env:
        make_home(Path(env["PREFECT_HOME"]))
    os.environ.update(env)


def make_home(folder: Path) -> None:
    """Create Prefect's folder, for this user alone: the results that Prefect keeps in it run code when it reads them.

    Raises:
        TerminalError: it cannot be created, or not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fault = "" if os.access(folder, os.W_OK | os.X_OK) else "no right to write"
    except OSError as error:
        fault = error.strerror or str(error)
    if fault:
        raise TerminalError(
            f"{folder}: Prefect's files cannot be written there ({fault}). "
            "Give yourself the right to write, or name another folder with -o workspace=FOLDER."
        )


def _with_loopback(no_proxy: str) -> str:
    hosts = [host for host in no_proxy.split(",") if host]
    return ",".join([*hosts, *(host for host in ("127.0.0.1", "localhost") if host not in hosts)])
