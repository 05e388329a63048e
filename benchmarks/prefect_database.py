"""What Prefect's database bears: runs beside each other on the file of a workspace, and on PostgreSQL.

    python -m benchmarks.prefect_database                       # the file
    python -m benchmarks.prefect_database --database-env NAME   # and the PostgreSQL whose address NAME holds, in turn

A client is a process that does flow runs of 12 tasks that do nothing, one after the other: the work is Prefect's alone,
so what is compared is the two databases under the same server. The database is kept apart from the workspace's own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

TASKS = 12
CLIENT = f"""
import sys
from prefect import flow, task

@task
def nothing(number: int) -> int:
    return number

@flow(log_prints=True)
def many() -> None:
    for number in range({TASKS}):
        print(nothing(number))

many()  # imports and the first connection are not counted
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[1])):
    many()
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database-env", metavar="NAME", help="environment variable with the address of a PostgreSQL")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4], help="how many at once, one after the other")
    parser.add_argument("--runs", type=int, default=10, help="flow runs of each client")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures")
    asked = parser.parse_args()
    rows = [
        measure(variable, clients=clients, runs=asked.runs)
        for clients in asked.clients
        for variable in filter(lambda one: one != "", ("none", asked.database_env or ""))
    ]
    for row in rows:
        print(
            f"{row['database']:<12}{row['clients']:>3} clients: {row['seconds_a_run']:6.2f} s a run, "
            f"{row['runs_a_minute']:6.1f} runs a minute, page of runs in {row['page_ms']:6.0f} ms (median), "
            f"{row['locked']} times locked, {row['failed']} clients failed"
        )
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1))


def measure(variable: str, *, clients: int, runs: int) -> dict[str, Any]:
    """One database under so many clients; `variable` is "none" for the file.

    Returns database, clients, seconds_a_run, runs_a_minute, page_ms (median of a page of the UI, asked meanwhile),
    locked (how often the server's log says so), failed (clients).
    """
    from components.services import prefect_environment, prefect_server
    from components.services.database import choose_database
    from components.services.supervisor.kept import PATIENCE

    with tempfile.TemporaryDirectory() as place:
        workspace = Path(place)
        (workspace / "prefect").mkdir()
        choose_database(workspace / "prefect", None if variable == "none" else variable)
        with prefect_server(workspace=workspace) as server:
            environment = os.environ | prefect_environment(workspace) | {"PREFECT_API_URL": server.api_url}
            environment["PREFECT_CLIENT_MAX_RETRIES"] = PATIENCE  # as runs of a worker have it
            processes = [
                subprocess.Popen(  # noqa: S603 (our own program)
                    [sys.executable, "-c", CLIENT, str(runs)], env=environment, text=True,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                )
                for _ in range(clients)
            ]  # fmt: skip
            for process in processes:
                while process.stdout and (line := process.stdout.readline()) != "ready\n":
                    if not line:
                        raise SystemExit("a client did not start")
            ended, pages = threading.Event(), list[float]()
            looker = threading.Thread(target=_look, args=(server.api_url, ended, pages))
            began = time.monotonic()
            looker.start()
            for process in processes:
                if process.stdin:
                    process.stdin.write("go\n")
                    process.stdin.close()
            codes = [_drained(process) for process in processes]
            seconds = time.monotonic() - began
            ended.set()
            looker.join()
            log = (workspace / "prefect" / "server.log").read_text(errors="replace")
    return {
        "database": "file" if variable == "none" else "PostgreSQL",
        "clients": clients,
        "seconds_a_run": seconds / runs,
        "runs_a_minute": 60 * clients * runs / seconds,
        "page_ms": 1000 * statistics.median(pages),
        "locked": log.count("database is locked"),
        "failed": sum(code != 0 for code in codes),
    }


def _drained(process: subprocess.Popen[str]) -> int:
    if process.stdout:
        process.stdout.read()
    return process.wait()


def _look(api_url: str, ended: threading.Event, pages: list[float]) -> None:
    """Ask for what the page of runs shows, every half second; seconds of each answer. No answer counts as 60 s."""
    while not pages or not ended.wait(0.5):
        began = time.monotonic()
        try:
            _page(api_url)
        except (OSError, ValueError):
            pages.append(60.0)
        else:
            pages.append(time.monotonic() - began)


def _page(api_url: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{api_url}/csrf-token?client=looker", timeout=60) as answer:
        token = json.load(answer)["token"]
    headers = {"Content-Type": "application/json", "Prefect-Csrf-Token": token, "Prefect-Csrf-Client": "looker"}
    body = json.dumps({"limit": 20, "sort": "START_TIME_DESC"}).encode()
    request = urllib.request.Request(f"{api_url}/flow_runs/paginate", body, headers)  # noqa: S310 (ours)
    with opener.open(request, timeout=60) as answer:
        answer.read()


if __name__ == "__main__":
    main()
