"""`cervella reindex --watch`: the index follows the notes while somebody writes them.

One Prefect server for all reindexes, and one process, so that what is imported stays imported. What goes wrong with one
reindex is told, and watching goes on. Ctrl-C ends it, with 130 as everywhere.

Nothing of its own is kept: a crash leaves what a reindex leaves, and the next one begins with a reindex.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from components.errors import CervellaError, TerminalError, TransientError
from components.index.steps import index_uri
from components.recipe import LoadedRecipe
from components.services import Server, prefect_server
from components.services.watch import fault_of
from components.sncp.watch import Look, Notices, look_at, settled, stamps_of
from components.store import Run, is_held, logger, machine_fault
from flows.commands.options import load
from flows.commands.run import execute, see_stored
from flows.commands.terminal import told_in_terminal

__all__ = ["watch_notes"]

_ADDRESS = "PREFECT_API_URL"
_KEEP = "keep"  # the lock of gc and forget
_RETRY_SECONDS = (60.0, 120.0, 300.0, 900.0)
"""Between two tries of a reindex that could not be done now; the last one is repeated."""
_SHOWN = 3
_FACTS = ("notes", "chunks", "added", "updated", "removed", "embedded", "recall")


def watch_notes(
    recipe: str, overrides: tuple[str, ...], *, force: Sequence[str], quiet_seconds: float, as_json: bool
) -> int:
    """Reindex now, and again whenever the notes, or the recipe, have changed and then stayed as they are for a while.

    Args:
        recipe: a file, or a name of `recipes/`.
        overrides: of `-o`.
        force: steps that the first reindex does again.
        quiet_seconds: how long nothing may change before a reindex begins.
        as_json: one JSON object a line for each reindex on stdout, instead of words.

    Raises:
        KeyboardInterrupt: the way that it ends.
        TerminalError: there is no Prefect server to be had, or the recipe names another workspace now.
    """
    watching = _Watching(recipe, overrides, list(force), quiet_seconds, as_json, load(recipe, overrides))
    try:
        return watching.go_on()
    finally:
        watching.close()


@dataclass
class _Watching:
    recipe: str
    overrides: tuple[str, ...]
    force: list[str]
    quiet_seconds: float
    as_json: bool
    loaded: LoadedRecipe
    notices: Notices | None = None
    done: int = 0
    failed: int = 0
    tries: int = 0
    """How often in a row a reindex could not be done for now."""
    last: Run | None = None
    faulty: bool = False
    """Whether the recipe was changed and cannot be used."""
    since: float = field(default_factory=time.monotonic)

    def go_on(self) -> int:
        """Until it is interrupted."""
        workspace, named, url = self.loaded.recipe.workspace, os.environ.get(_ADDRESS), ""
        while True:
            try:
                # Prefect reads the address once a process: a server that died is started again where it was.
                port = urlsplit(url).port if url and not named else None
                if not named:
                    os.environ.pop(_ADDRESS, None)  # ours, of the server that is gone: nobody named it
                with prefect_server(workspace=workspace, api_url=named, port=port, progress=self._say) as server:
                    if url not in ("", server.api_url):
                        raise TerminalError(
                            f"the Prefect server could not be started again at {url}, its port is taken: start "
                            "`cervella reindex --watch` again"
                        )
                    url = os.environ[_ADDRESS] = server.api_url
                    try:
                        self._watch(server)
                    finally:
                        if self.last and not fault_of(url):
                            see_stored(self.last, server)
            except TransientError as error:  # the server is gone, whatever was under way
                self._say(str(error))
            except TerminalError:
                if not url or not named:
                    raise
                self._say(f"{named} does not answer; it is asked again in a minute")
                time.sleep(_RETRY_SECONDS[0])

    def close(self) -> None:
        """Tell what there was."""
        if self.notices:
            self.notices.close()
        hours, rest = divmod(int(time.monotonic() - self.since), 3600)
        self._say(f"watched for {hours}:{rest // 60:02}:{rest % 60:02}: {self.done} reindexes, {self.failed} failed")

    def _watch(self, server: Server) -> None:
        """Reindex and wait, while the server answers. Returns when it does not."""
        seen = self._look()
        while True:
            self._until_free()
            if fault_of(server.api_url):
                return
            again = self._reindex(server)
            if again and fault_of(server.api_url):
                self.tries = 0
                return
            while True:
                before, seen = seen, self._wait(seen, again_in=again)
                if self._reload(before, seen):
                    break
            self._tell_changes(before, seen)

    def _look(self) -> dict[str, Any]:
        """Everything that a reindex depends on."""
        recipe = self.loaded.recipe
        return {**look_at(recipe.sncp, workspace=recipe.workspace), **self._small()}

    def _small(self) -> Look:
        """The files beside the notes: the recipe, persona, golden questions."""
        recipe = self.loaded.recipe
        golden = [recipe.evaluate.golden] if recipe.evaluate.golden else []
        return stamps_of([*self._recipe_files(), *recipe.persona.files, *golden])

    def _recipe_files(self) -> list[Path]:
        named = {origin.file for origin in self.loaded.origins.values() if origin.kind == "file" and origin.file}
        return sorted({self.loaded.path, *(Path(os.path.abspath(name)) for name in named)})

    def _wait(self, seen: dict[str, Any], *, again_in: float | None) -> dict[str, Any]:
        root = self.loaded.recipe.sncp.root
        if self.notices is None or self.notices.folder != root:
            if self.notices:
                self.notices.close()
            self.notices = Notices(root, ignored=self.loaded.recipe.workspace, say=self._say)
        due = None if again_in is None else time.monotonic() + again_in
        return dict(
            settled(
                self._look, seen, notices=self.notices, quiet_seconds=self.quiet_seconds,
                until=lambda: due is not None and time.monotonic() >= due, small=self._small,
            )
        )  # fmt: skip

    def _reload(self, before: Look, seen: Look) -> bool:
        """Load the recipe again where it has changed. False: it is faulty, and nothing is done until it is mended."""
        if not self.faulty and all(before.get(str(file)) == seen.get(str(file)) for file in self._recipe_files()):
            return True
        try:
            loaded = load(self.recipe, self.overrides)
            self.faulty = False
        except CervellaError as error:
            self.faulty = True
            self._say(f"the recipe cannot be used any more, and nothing is reindexed until it can:\n{error}")
            return False
        if loaded.recipe.workspace != self.loaded.recipe.workspace:
            raise TerminalError(
                f"the recipe names another workspace now ({loaded.recipe.workspace}): start "
                "`cervella reindex --watch` again"
            )
        if loaded.digest != self.loaded.digest:
            self._say("the recipe has changed, and was loaded again")
        self.loaded = loaded
        return True

    def _until_free(self) -> None:
        """Wait while another process writes the index, or removes things from the workspace."""
        told = False
        while self._is_taken():
            if not told:
                self._say("another process is at work on this index; waiting until it is done")
            told = True
            time.sleep(1)

    def _is_taken(self) -> bool:
        recipe = self.loaded.recipe
        uri = index_uri(recipe.index, workspace=recipe.workspace)
        return is_held(uri / ".lock") or is_held(recipe.workspace / "locks" / _KEEP)

    def _reindex(self, server: Server) -> float | None:
        """One reindex. Returns after how many seconds to try again, None: when something changes."""
        started, force, self.force = time.monotonic(), self.force, []
        error: BaseException | None = None
        run: Run | None = None
        try:
            self.last = run = execute(self.loaded, force=force, server=server)
        except CervellaError as raised:
            error = raised
        except Exception as raised:
            error = machine_fault(raised, self.loaded.recipe.workspace)
            if error is None:
                traceback.print_exception(raised)
                error = raised
        self.done += 1
        self.failed += error is not None
        self._tell(run, error, seconds=time.monotonic() - started)
        if not isinstance(error, TransientError):
            self.tries = 0
            return 1.0 if error and self._is_taken() else None
        self.tries += 1
        return _RETRY_SECONDS[min(self.tries, len(_RETRY_SECONDS)) - 1]

    def _tell(self, run: Run | None, error: BaseException | None, *, seconds: float) -> None:
        facts: dict[str, Any] = {}
        for step in run.read()["steps"] if run else []:
            facts.update({name: step.get("facts", {})[name] for name in _FACTS if name in step.get("facts", {})})
            if step["status"] == "skipped" and step["name"] == "index.build":
                facts.update(added=0, updated=0, removed=0, embedded=0)
        if self.as_json:
            told = {"run": run.id if run else None, "status": "failed" if error else "done", **facts}
            click.echo(json.dumps(told | {"seconds": round(seconds, 2), "error": str(error) if error else None}))
        elif error:
            click.echo(f"{_now()} not published: {error}\nwatching goes on", err=True)
        else:
            chunks = ", ".join(f"{facts.get(name, 0)} {name}" for name in ("added", "updated", "removed"))
            click.echo(f"{_now()} published, {facts.get('notes')} notes; chunks: {chunks} ({seconds:.1f} s)")

    def _tell_changes(self, before: Look, seen: Look) -> None:
        changed = sorted(name for name in before.keys() | seen.keys() if before.get(name) != seen.get(name))
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        self._say(f"changed: {', '.join(changed[:_SHOWN])}{more}" if changed else "trying again")

    def _say(self, text: str) -> None:
        with told_in_terminal():
            logger.info("%s %s", _now(), text)


def _now() -> str:
    return f"{datetime.now().astimezone():%H:%M:%S}"
