"""`cervella reindex --watch`: one process and one server, whatever is done to notes, recipe and server."""

from __future__ import annotations

import copy
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from components.store import hold
from tests.waiting import soon

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RECIPE = """\
name: watched
phase: mvp
workspace: work
sncp: {{root: notes, include: ["**/*.md"]}}
index: {{embedding: {{model: "{model}"}}, chunk: {{max_tokens: {tokens}}}, max_removed_share: 0.5}}
"""


class Watched:
    """A folder with notes, a recipe and its workspace, and the command at work on it."""

    def __init__(self, program: Any, workspace: Path, examples: Path, *, model: str = "fake/embedding") -> None:
        self.program, self.workspace, self.model = program, workspace, model
        self.folder = workspace.parent
        self.notes = self.folder / "notes"
        (self.notes / "decisioni").mkdir(parents=True)
        for number, source in enumerate(sorted((examples / "sncp").rglob("*.md"))[:16]):
            shutil.copy(source, self.notes / "decisioni" / f"{number:02}.md")
        self.write_recipe()
        self.process: subprocess.Popen[str] | None = None
        self.lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self.said: list[str] = []

    def write_recipe(self, text: str | None = None, *, tokens: int = 200) -> None:
        beside = self.folder / ".watched.yaml~"
        beside.write_text(text or RECIPE.format(model=self.model, tokens=tokens), encoding="utf-8")
        beside.replace(self.folder / "watched.yaml")

    def beside(self) -> Watched:
        """Another command on the same folder."""
        other = copy.copy(self)
        other.process, other.lines, other.said = None, queue.Queue(), []
        return other

    def begin(self) -> None:
        self.process = self.program.start(
            "reindex", self.folder / "watched.yaml", "--watch", "--json", "--quiet-seconds", "0.5"
        )
        assert self.process.stdout and self.process.stderr
        for stream, take in ((self.process.stdout, self._take), (self.process.stderr, self.said.append)):
            threading.Thread(target=_read, args=(stream, take), daemon=True).start()

    def _take(self, line: str) -> None:
        self.lines.put(json.loads(line))

    def next(self, seconds: float = 180) -> dict[str, Any]:
        """What the next reindex tells."""
        return self.lines.get(timeout=seconds)

    def is_silent(self, seconds: float) -> bool:
        try:
            self.lines.get(timeout=seconds)
        except queue.Empty:
            return True
        return False

    def hears(self, words: str) -> bool:
        return bool(soon(lambda: any(words in line for line in self.said), seconds=60))

    def end(self, how: signal.Signals = signal.SIGINT) -> int:
        assert self.process
        os.killpg(self.process.pid, how)
        return self.process.wait(timeout=60)

    def server(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.workspace / "prefect" / "server.json").read_text(encoding="utf-8"))
        return state

    def runs(self) -> list[str]:
        from components.store import read_runs

        return [state["status"] for state in read_runs(self.workspace)][::-1]

    def processes(self) -> list[str]:
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(self.folder) in words:
                found.append(words)
        return found


def _read(stream: IO[str], take: Callable[[str], None]) -> None:
    with stream:
        for line in stream:
            take(line)


@pytest.fixture
def watched(
    program: Any, examples: Path, tmp_path: Path, served: Callable[[Path], Path]
) -> Iterator[Callable[..., Watched]]:
    made: list[Watched] = []

    def make(beside: Watched | None = None, **options: str) -> Watched:
        made.append(beside.beside() if beside else Watched(program, served(tmp_path / "work"), examples, **options))
        return made[-1]

    yield make
    for one in made:
        if one.process and one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait()


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as opened:
        opened.write(f"\n{text}\n")


def test_the_index_follows_the_notes_whatever_happens(watched: Any) -> None:
    one = watched()
    one.begin()
    first = one.next()
    assert (first["status"], first["removed"]) == ("done", 0)
    assert first["added"] == first["embedded"] == first["chunks"] > 5
    server = one.server()

    # an editor that saves often causes one reindex
    note = sorted((one.notes / "decisioni").glob("*.md"))[0]
    for number in range(5):
        write(note, f"Salvato la volta {number}.")
        time.sleep(0.1)
    saved = one.next()
    assert (saved["status"], saved["notes"]) == ("done", first["notes"])
    assert 1 <= saved["embedded"] <= 5
    assert one.is_silent(4)

    # a folder that appears; a file that cannot be read as a note is told and not fatal
    write(one.folder / "beside" / "a.md", "# A\n\nLa barca parte alle nove.")
    write(one.folder / "beside" / "b.md", "# B\n\nIl forno si accende alle sei.")
    (one.folder / "beside" / "odd.md").write_bytes(b"\0\1\2" * 500)
    (one.folder / "beside").rename(one.notes / "nuova")
    appeared = one.next()
    assert (appeared["status"], appeared["notes"]) == ("done", first["notes"] + 2)

    # a reindex that is refused is told, and the next change is taken all the same
    decisions = one.notes / "decisioni"
    decisions.rename(one.folder / "away")
    refused = one.next()
    assert refused["status"] == "failed" and "max_removed_share" in refused["error"]
    (one.folder / "away").rename(decisions)
    assert one.next()["status"] == "done"

    # the recipe: changed, faulty, mended
    one.write_recipe(tokens=60)
    finer = one.next()
    assert finer["chunks"] > appeared["chunks"]
    assert one.hears("the recipe has changed")
    one.write_recipe("name: watched\nphase: mvp\nindx: {}\n")
    assert one.hears("watched.yaml:3:1")
    write(note, "Mentre la ricetta è rotta.")
    assert one.is_silent(3)
    one.write_recipe(tokens=60)
    assert one.next()["embedded"] == 1

    # somebody else writes the index meanwhile
    with hold(one.workspace / "index" / ".lock", what="a test"):
        write(note, "Mentre un altro scrive.")
        assert one.hears("another process is at work")
        assert one.is_silent(2)
    assert one.next()["status"] == "done"
    assert one.server() == server  # one for all of them

    # the server dies between two reindexes: another one takes its place, at the same address
    os.kill(server["pid"], signal.SIGKILL)
    write(note, "Dopo la morte del server.")
    after = one.next(300)
    assert (after["status"], after["embedded"]) == ("done", 1)
    assert one.server()["pid"] != server["pid"] and one.server()["api_url"] == server["api_url"]

    assert one.end() == 130
    assert soon(lambda: any("watched for" in line for line in one.said), seconds=5)
    assert "Traceback" not in "".join(one.said)
    assert soon(lambda: not one.processes(), seconds=15)
    assert one.runs().count("failed") == 1 and set(one.runs()) == {"done", "failed"}


def test_two_that_watch_and_one_that_reindexes_get_along(watched: Any, program: Any) -> None:
    one = watched()
    one.begin()
    assert one.next()["status"] == "done"
    two = watched(beside=one)
    two.begin()
    assert two.next()["embedded"] == 0
    note = one.notes / "decisioni" / "nuova.md"
    write(note, "# Nuova\n\nUna nota per tutti e due.")
    told = [one.next(), two.next()]
    assert [line["status"] for line in told] == ["done", "done"]
    assert sum(line["embedded"] for line in told) == 1
    done = program("reindex", one.folder / "watched.yaml", "--json")
    assert set(done.steps.values()) == {"skipped"}
    assert one.end(signal.SIGTERM) == 128 + signal.SIGTERM
    write(note, "Ancora una riga.")
    assert two.next()["status"] == "done"  # the server stays for the other one
    assert two.end() == 130
    assert soon(lambda: not one.processes(), seconds=15)


def test_ctrl_c_in_a_reindex_leaves_what_ctrl_c_always_leaves(watched: Any) -> None:
    one = watched(model="fake/embedding?delay=1")
    one.begin()
    assert soon(lambda: (one.workspace / "cache" / "embeddings.sqlite").exists(), seconds=120)
    assert one.end() == 130
    assert one.runs() == ["interrupted"]
    assert soon(lambda: not one.processes(), seconds=15)
