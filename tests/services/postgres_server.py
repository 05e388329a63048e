"""A real PostgreSQL server on loopback for tests, from the programs of this machine, as a user that is not root."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["PASSWORD", "Postgres", "postgres_server"]

PASSWORD = "s3cr3t@of/the:owner"


def _programs() -> Path:
    """Folder of initdb and pg_ctl; skips the test where there is none."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: int(place.parent.name), reverse=True)
    found = shutil.which("initdb")
    for place in [*places, *([Path(found).resolve().parent] if found else [])]:
        if (place / "initdb").exists() and (place / "pg_ctl").exists():
            return place
    pytest.skip("PostgreSQL's server is not on this machine (Debian: apt-get install postgresql)")


def _user() -> str | None:
    """Who the server runs as: None is whoever runs the tests; the server refuses root."""
    if os.getuid():
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    pytest.skip("PostgreSQL's server refuses root, and there is no other user here (postgres, nobody)")


class Postgres:
    """A server of its own, with a user `cervella` who has PASSWORD and owns the database `prefect`."""

    def __init__(self, folder: Path, bin_: Path, user: str | None) -> None:
        self.folder, self.bin, self.user = folder, bin_, user
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])

    def run(self, *command: object) -> str:
        done = subprocess.run(
            [str(self.bin / str(command[0])), *map(str, command[1:])], user=self.user, group=self.user, cwd="/",
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False, extra_groups=[] if self.user else None,
        )  # fmt: skip
        assert not done.returncode, done.stdout
        return done.stdout

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        # Its output to a file: what pg_ctl leaves running would keep a pipe open.
        self.run("pg_ctl", "-D", self.folder / "data", "-l", self.folder / "log", "-w", "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "-w", "stop")

    def sql(self, *statements: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Do them as the administrator; returns the rows of the last one."""
        import asyncio

        import asyncpg

        async def work() -> list[tuple[object, ...]]:
            connection = await asyncpg.connect(host=str(self.folder), port=self.port, user="admin", database=database)
            try:
                for statement in statements[:-1]:
                    await connection.execute(statement)
                return [tuple(row) for row in await connection.fetch(statements[-1])]
            finally:
                await connection.close()

        return asyncio.run(work())

    def url(self, *, password: str = PASSWORD, database: str = "prefect", user: str = "cervella") -> str:
        from urllib.parse import quote

        return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """A server for the block; nothing of it stays."""
    programs, user = _programs(), _user()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # a short path: one of a socket has at most 107 characters
    try:
        if user:
            shutil.chown(folder, user, user)
        server = Postgres(folder, programs, user)
        server.run(
            "initdb", "-D", folder / "data", "-U", "admin", "-E", "UTF8", "--auth-local=trust",
            "--auth-host=scram-sha-256", "--no-sync",
        )  # fmt: skip
        server.start()
        try:
            server.sql(
                f"create role cervella login password '{PASSWORD}'",
                "create database prefect owner cervella",
                "select 1",
            )
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
