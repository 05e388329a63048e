"""The mvp flow without Prefect, in children that do something bad to themselves when they come to a named point.

`python dying_child.py` imports all that a run needs, once, and then forks a child for each line of JSON on stdin:
`{"arguments": [of cervella], "deed": DEED, "point": POINT, "ballast": FILE}`; the answer is a line of JSON with the
child's return code, what it wrote to stderr, and the points that it came to. The child is `cervella` itself, with the
flow's tasks called as functions: what is left out is Prefect alone.

Points are `STEP/WHAT`, with `#2` behind where the point is met a second time. Deeds: `kill` (SIGKILL), `interrupt`
(SIGINT), `fill` (the disk that FILE lies on), `limit` (no file may grow: `ulimit -f 0`), `none`.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import selectors
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from prefectless import FLOWS, called_as_functions  # noqa: E402

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


def import_all() -> None:
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


def _child(request: dict[str, Any], out: int) -> None:
    """The rest of the child's life."""
    from flows import cli

    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    # A pipe, not a file: what is told stays told when no file may grow any more.
    with os.fdopen(out, "w", buffering=1) as pipe:

        def tell(value: dict[str, str]) -> None:
            pipe.write(json.dumps(value) + "\n")

        hooks = Hooks(
            deed=request["deed"], point=request["point"], ballast=Path(request["ballast"]), tell=tell
        )  # fmt: skip
        hooks.install(lambda text: tell({"given": text}))
        sys.argv = ["cervella", *request["arguments"]]
        code = 3
        try:
            cli.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        sys.stderr.flush()
    os._exit(code)


def _drained(**pipes: int) -> dict[str, str]:
    """Everything that comes out of some pipes until their other ends are closed."""
    found: dict[str, list[bytes]] = {name: [] for name in pipes}
    with selectors.DefaultSelector() as waiting:
        for name, pipe in pipes.items():
            waiting.register(pipe, selectors.EVENT_READ, name)
        while waiting.get_map():
            for key, _ in waiting.select():
                if some := os.read(key.fd, 1 << 16):
                    found[key.data].append(some)
                else:
                    waiting.unregister(key.fd)
                    os.close(key.fd)
    return {name: b"".join(parts).decode(errors="replace") for name, parts in found.items()}


def _serve() -> None:
    warnings.filterwarnings("ignore", "lancedb fork support")  # its threads are not there yet, nor are MLflow's
    import_all()
    without_prefect()
    for line in sys.stdin:
        (told, tell), (err, stderr) = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(told)
            os.close(err)
            os.dup2(stderr, 2)
            os.close(stderr)
            _child(json.loads(line), tell)
        os.close(tell)
        os.close(stderr)
        drained = _drained(told=told, err=err)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status), **drained}), flush=True)


if __name__ == "__main__":
    _serve()
