"""The mvp flow without Prefect, in children that do something bad to themselves when they come to a named point.

Arguments of `main`: DEED POINT FILE and those of cervella. The child is `cervella` itself, with the flow's tasks called
as functions: what is left out is Prefect alone. Its standard output has a line of JSON for each point that it came to,
and for each text that a model was given.

Points are `STEP/WHAT`, with `#2` behind where the point is met a second time. Deeds: `kill` (SIGKILL), `interrupt`
(SIGINT), `fill` (the disk that FILE lies on), `limit` (no file may grow: `ulimit -f 0`), `none`.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.prefectless import FLOWS, called_as_functions

_KEPT = ExitStack()
"""What holds until this process ends."""
_WATCHED = ("run.json", "live.json", "recipe.yaml", "mlflow.db", "speeds.json")


def _fill(file: Path) -> None:
    """Write until nothing fits any more."""
    with file.open("ab", buffering=0) as ballast:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    ballast.write(b"\0" * size)
            except OSError:
                continue


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


class Hooks:
    """Where the child is told that it has come to a point."""

    def __init__(self, *, deed: str, point: str, ballast: Path, tell: Callable[[dict[str, str]], None]) -> None:
        self.step = "run"
        self.met: Counter[str] = Counter()
        self.point, self.tell = point, tell
        self.deeds: dict[str, Callable[[], None]] = {
            "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
            "interrupt": lambda: os.kill(os.getpid(), signal.SIGINT),
            "fill": lambda: _fill(ballast),
            "limit": _limit,
            "none": lambda: None,
        }
        self.deed = self.deeds[deed]
        self.is_full = False

    def at(self, what: str) -> None:
        """The child is here."""
        name = f"{self.step}/{what}"
        self.met[name] += 1
        if self.met[name] > 1:
            name = f"{name}#{self.met[name]}"
        self.tell({"point": name})
        if name == self.point or (self.is_full and self.deed is self.deeds["fill"]):
            self.is_full = True  # and stays so: a database that is closed meanwhile gives back what it kept beside
            self.deed()

    def around(self, owner: Any, name: str, *, before: str = "", after: str = "") -> None:
        """Points before and after each call of a function."""
        real = getattr(owner, name)

        def called(*args: Any, **options: Any) -> Any:
            if before:
                self.at(before)
            made = real(*args, **options)
            if after:
                self.at(after)
            return made

        setattr(owner, name, called)

    def install(self, given: Callable[[str], None]) -> None:
        """Put the points where they belong. `given`: told each text that a model is given."""
        from components.index import cleanup, commits
        from components.llm import cache, fake
        from components.registry import mlflow_log
        from components.store import Run, Store

        Store.__init__.__kwdefaults__["at"] = self.at
        mlflow_log.register.__kwdefaults__["at"] = self.at
        record, replace = Run.record_step, os.replace
        embed, complete = fake.FakeEmbedder.embed_passages, fake.FakeChat.complete

        def recorded(run: Any, name: str, **values: Any) -> None:
            begins = values.get("status") == "running"
            if begins:
                self.step = name
            elif values["status"] != "failed":
                self.at("ended")
            record(run, name, **values)
            self.at("begun" if begins else "recorded")

        def replaced(source: Any, target: Any, **options: Any) -> None:
            name = Path(os.fsdecode(target)).name if isinstance(target, str | bytes | os.PathLike) else ""
            if name in _WATCHED:
                self.at(f"{name} beside")
            replace(source, target, **options)
            if name in _WATCHED:
                self.at(f"{name} replaced")

        def embedded(model: Any, texts: Any, **marks: Any) -> Any:
            made = embed(model, texts, **marks)
            for text in texts:
                given(text)
            self.at("embedded")
            return made

        def answered(model: Any, messages: Any, **options: Any) -> Any:
            made = complete(model, messages, **options)
            given(json.dumps(messages))
            self.at("answered")
            return made

        Run.record_step = recorded  # type: ignore[method-assign]
        os.replace = replaced
        fake.FakeEmbedder.embed_passages = embedded  # type: ignore[method-assign]
        fake.FakeChat.complete = answered  # type: ignore[method-assign]
        self.around(cache.CacheFile, "_put", after="kept")
        self.around(commits, "merge", before="merging", after="merged")
        self.around(commits, "move_tag", after="tagged")
        self.around(cleanup, "cover", after="covered")


def prepare() -> None:
    """What a run needs, and no thread of it: only this is done before children are forked."""
    for name in (
        "flows.cli", "flows.commands.run", *FLOWS, "ruamel.yaml", "markdown_it", "ftfy", "alembic.command",
        "lancedb.query", "lancedb.expr", "lancedb.index", "mlflow.tracking",
        "mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store",
    ):  # fmt: skip
        importlib.import_module(name)
    from components.llm import load_tokenizer
    from components.persona import PersonaParams

    load_tokenizer(PersonaParams().tokenizer)


def without_prefect() -> None:
    """Let `cervella run` call the tasks of phase mvp as functions, for the rest of this process."""
    from flows.commands import run as command

    _KEPT.enter_context(called_as_functions())
    command._execute = _walk


def _walk(run: Any, server: Any) -> None:
    from components.recipe import load_frozen
    from components.recipe.measured import try_to_remember
    from flows import mvp

    mvp.mvp.fn(str(run.folder))
    try_to_remember(run, load_frozen(run.folder))
    run.update(status="done")


def main(deed: str, point: str, ballast: str, *arguments: str) -> None:
    """See above."""
    from flows import cli

    without_prefect()
    # A pipe, not a file: what is told stays told when no file may grow any more.
    with os.fdopen(os.dup(1), "w", buffering=1) as pipe:
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)

        def tell(value: dict[str, str]) -> None:
            pipe.write(json.dumps(value) + "\n")

        hooks = Hooks(deed=deed, point=point, ballast=Path(ballast), tell=tell)
        hooks.install(lambda text: tell({"given": text}))
        sys.argv = ["cervella", *arguments]
        code = 3
        try:
            cli.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        sys.stderr.flush()
    os._exit(code)
