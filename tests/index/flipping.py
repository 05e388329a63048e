"""A writer that reindexes without end between two states of the notes, and a reader that looks without end.

Arguments of `main`: `write URI POINT TURN`, to die by its own hand when it comes to POINT for the TURN-th time; POINT
`none`: to go on until it is killed. `read URI STOP`: until the file STOP is there.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from support import Embedder, cut, note

from components.index import Chunk, Index, chunks_digest, cleanup, commits
from components.index import published as live
from components.index import sync as sync_module

POINTS = (
    "holding the lock", "before embedding", "after embedding", "before merge", "after merge", "before covering",
    "after covering", "before tag", "after tag", "before pruning", "after pruning", "before dropping",
    "before pointer", "inside pointer", "after pointer",
)  # fmt: skip


def states() -> tuple[list[Chunk], list[Chunk]]:
    """Two states: notes in both, changed, renamed, and only in one."""
    common = {f"n{number}.md": f"# Nota {number}\n\nforno pane vino {number}\n" for number in range(8)}
    first = common | {f"solo{number}.md": f"# Solo {number}\n\nprimavera {number}\n" for number in range(4)}
    second = common | {f"altro{number}.md": f"# Solo {number}\n\nprimavera {number}\n" for number in range(4)}
    first |= {"x.md": "# X\n\nstato primo alfa\n", "gone.md": "# Via\n\nprimo soltanto alfa\n"}
    second |= {"x.md": "\n\n# X\n\nstato secondo beta\n", "new.md": "# Nuova\n\nsecondo soltanto beta\n"}
    return tuple(cut(*(note(path, text) for path, text in texts.items())) for texts in (first, second))  # type: ignore[return-value]


def digests() -> list[str]:
    return [chunks_digest(state, Embedder().id) for state in states()]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str, turn: int) -> None:
    """Let this process die when it comes to `point` for the `turn`-th time."""
    place: dict[str, tuple[Any, str]] = {
        "lock": (sync_module, "_read"), "embedding": (Embedder, "embed_passages"), "merge": (commits, "merge"),
        "covering": (cleanup, "cover"), "tag": (commits, "move_tag"), "pruning": (cleanup, "prune"),
        "dropping": (cleanup, "drop_generations"), "pointer": (live, "write_published"),
    }  # fmt: skip
    when, _, what = point.partition(" ")
    owner, name = place[what.removeprefix("the ")]
    if point == "inside pointer":
        owner, name = os, "replace"
    real: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def dying(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += name != "replace" or str(args[1]).endswith("live.json")
        if calls == turn and when != "after":
            _die()
        made = real(*args, **options)
        if calls == turn:
            _die()
        return made

    setattr(owner, name, dying)


def write(uri: Path, point: str, turn: int) -> None:
    if point != "none":
        arm(point, turn)
    both = states()
    print("ready", flush=True)
    while True:
        for state in both:
            Index.open(uri, Embedder()).sync(state)


def read(uri: Path, stop: Path) -> None:
    """Look, and tell how often each state was seen whole, and all that was neither."""
    both, known = states(), digests()
    paths = [sorted({chunk.path for chunk in state}) for state in both]
    seen, wrong = [0, 0], []
    Index.open(uri, Embedder()).search("nota")  # libraries are imported here
    print("ready", flush=True)
    while not stop.exists():
        index = Index.open(uri, Embedder())
        try:
            digest = index.live_digest()
            if digest not in known:
                wrong.append(f"digest {digest}")
            else:
                seen[known.index(digest)] += 1
            found = sorted({hit.path for hit in index.search("nota solo forno primo secondo", k=100, candidates=100)})
            if found not in paths:
                wrong.append(f"hits {found}")
            if index.paths() not in paths:
                wrong.append("paths")
        except Exception as error:
            wrong.append(f"{type(error).__name__}: {error}")
    print(json.dumps({"seen": seen, "wrong": wrong[:5]}), flush=True)


def prepare() -> None:
    """Import what an index needs."""
    for name in ("lancedb.query", "lancedb.expr", "lancedb.index", "components.index.lance", "markdown_it"):
        importlib.import_module(name)


def main(what: str, uri: str, *more: str) -> None:
    """See above."""
    if what == "write":
        point, turn = more
        write(Path(uri), point, int(turn))
    else:
        read(Path(uri), Path(more[0]))
