"""Two weeks of nights, one after the other: edit, reindex, publish, clean. What grows, and what is left behind?

A night is the real command in a process of its own, on one server that stays up, as with `cervella up`. Two things are
not as they are: versions that readers may still be reading are kept for no time instead of 30 minutes, since all nights
are within minutes here; and the way back is 4 publications instead of 50, so that two weeks are longer than it.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.services import prefect_server
from components.store import FileLock, read_runs
from tests.processes import clean_environment, processes_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

NIGHTS = 14
NIGHT = """
import sys
from datetime import timedelta
from components.index import cleanup, published
published._KEPT = 4
cleanup.KEEP = timedelta(0)
cleanup.MARGIN = 0.5
from flows import cli
sys.argv = ["cervella", *sys.argv[1:]]
cli.main()
"""
RECIPE = """\
name: nights
phase: reindex
workspace: work
sncp: {root: notes, include: ["**/*.md"]}
index: {embedding: {model: fake/embedding}, chunk: {max_tokens: 100}}
"""


class Nights:
    """A folder with notes, a recipe and its workspace, over which nights pass."""

    def __init__(self, folder: Path, root: Path, examples: Path) -> None:
        self.folder, self.root, self.workspace = folder, root, folder / "work"
        for number, source in enumerate(sorted((examples / "sncp").rglob("*.md"))):
            for copy in range(3):  # some sixty notes, none like another
                text = source.read_text(encoding="utf-8").replace(" ", f" {copy}" if copy else " ")
                target = folder / "notes" / f"{copy}" / f"{number:02}.md"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
        self.recipe = folder / "nights.yaml"
        self.recipe.write_text(RECIPE, encoding="utf-8")

    def __call__(self, *arguments: object) -> str:
        done = subprocess.run(
            [sys.executable, "-c", NIGHT, *map(str, arguments)], cwd=self.root, env=clean_environment(), check=False,
            capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def edit(self, night: int) -> None:
        """A day's work: some notes are changed, one is new, one goes, one is renamed."""
        rng = random.Random(night)  # noqa: S311
        notes = sorted((self.folder / "notes").rglob("*.md"))
        for note in rng.sample(notes, 5):
            with note.open("a", encoding="utf-8") as opened:
                opened.write(f"\n## Giorno {night}\n\nUna riga del giorno {night} in {note.stem}.\n")
        (self.folder / "notes" / f"giorno-{night:02}.md").write_text(
            f"# Giorno {night}\n\nLa parola del giorno {night} è segnavento{night}.\n", encoding="utf-8"
        )
        notes[night].unlink()
        notes[-1 - night].rename(notes[-1 - night].with_name(f"rinominata-{night}.md"))

    def sizes(self) -> dict[str, int]:
        """Bytes on disk of each folder of the workspace, a file with several names once."""
        found: dict[str, int] = {}
        seen: set[int] = set()
        for path in sorted(self.workspace.rglob("*")):
            about = path.lstat()
            if path.is_file() and about.st_ino not in seen:
                seen.add(about.st_ino)
                name = path.relative_to(self.workspace).parts[0]
                found[name] = found.get(name, 0) + about.st_blocks * 512
        return found


@pytest.fixture
def nights(tmp_path: Path, root: Path, examples: Path, served: Callable[[Path], Path]) -> Iterator[Nights]:
    made = Nights(tmp_path, root, examples)
    with prefect_server(workspace=served(made.workspace), api_url=None):
        yield made
    shutil.rmtree(tmp_path / "work", ignore_errors=True)


def flow_runs(workspace: Path) -> list[str]:
    """States of all flow runs in Prefect's database, read past it."""
    import sqlite3

    database = sqlite3.connect(f"file:{workspace / 'prefect' / 'prefect.db'}?mode=ro", uri=True)
    try:
        return [row[0] for row in database.execute("select state_type from flow_run")]
    finally:
        database.close()


def test_two_weeks_of_nights_leave_an_index_and_little_else(nights: Nights) -> None:
    told: list[dict[str, Any]] = []
    sizes: list[dict[str, int]] = []
    for night in range(NIGHTS):
        if night:
            nights.edit(night)
        done = json.loads(nights("reindex", nights.recipe, "--json"))
        told.append({step["name"]: step for step in done["steps"]}["index.build"]["facts"])
        nights("gc", nights.recipe, "--keep", 3, "--yes")
        sizes.append(nights.sizes())
    workspace = nights.workspace
    print(json.dumps(sizes, indent=1))

    # published each night, and only what was edited was embedded
    assert all(0 < one["embedded"] <= 20 for one in told[1:]), told
    found = json.loads(nights("search", nights.recipe, f"segnavento{NIGHTS - 1}", "--json"))
    assert found[0]["path"] == f"giorno-{NIGHTS - 1:02}.md"
    status = json.loads(nights("index", "status", nights.recipe, "--json"))
    assert status["faults"] == [], status

    # no zombie runs, here and in Prefect; no processes, no locks that anybody holds
    assert [state["status"] for state in read_runs(workspace)] == ["done"] * NIGHTS
    assert flow_runs(workspace) == ["COMPLETED"] * NIGHTS
    left = processes_of(nights.folder, environment=False)
    assert [words for words in left if "prefect_process" not in words] == []  # but for the server
    locks = [path for path in workspace.rglob("*") if path.name in (".lock", "lock") or path.parent.name == "locks"]
    for path in locks:
        lock = FileLock(path)
        assert lock.try_exclusive(), path
        lock.close()
    assert [path.name for path in (workspace / "locks").iterdir()] in ([], ["keep"])  # the last gc's own
    assert list(workspace.glob("scratch/*")) == []
    assert not list((workspace / "store").glob("*/.*"))

    # disk: what a reindex needs does not grow with the nights; records of runs, of some kB each, stay
    artefacts = {folder.name: len(list(folder.iterdir())) for folder in (workspace / "store").iterdir()}
    assert artefacts["sncp.collect"] <= 3 and artefacts["index.build"] <= 3
    assert artefacts["index.chunk"] <= 4  # the way back
    for name in ("index", "store", "cache", "locks"):
        first, second = [max(one[name] for one in half) for half in (sizes[: NIGHTS // 2], sizes[NIGHTS // 2 :])]
        assert second <= 1.3 * first, (name, sizes)
    nights_of_records = [after["runs"] - before["runs"] for before, after in zip(sizes, sizes[1:], strict=False)]
    assert max(nights_of_records) < 50_000
    assert (
        sizes[-1]["prefect"] - sizes[0]["prefect"]
    ) / NIGHTS < 500_000  # history, which its server keeps for 90 days
