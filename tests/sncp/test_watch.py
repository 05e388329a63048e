"""What is noticed of notes that change: saves, renames, folders that appear, a root that comes back."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from components.sncp.params import SncpParams
from components.sncp.watch import Notices, look_at, settled, stamps_of

QUIET = 0.3


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    root = tmp_path / "notes"
    (root / "idee").mkdir(parents=True)
    (root / "idee" / "una.md").write_text("# Una\n", encoding="utf-8")
    return root


def params(root: Path) -> SncpParams:
    return SncpParams(root=root, sources={}, include=["**/*.md"])


class Waiting:
    """Somebody who waits for a change of the notes while the test makes it."""

    def __init__(self, root: Path, *, workspace: Path | None = None) -> None:
        self.root, self.workspace = root, workspace or root.parent / "workspace"
        self.said: list[str] = []
        self.looks = 0

    def look(self) -> dict[str, object]:
        self.looks += 1
        return dict(look_at(params(self.root), workspace=self.workspace))

    def told(self, change: Callable[[], None], *, seconds: float = 20.0) -> tuple[set[str], float]:
        """The names that differ, and when (monotonic) it was told; nothing when nothing was told in that time."""
        notices = Notices(self.root, ignored=self.workspace, say=self.said.append)
        before = self.look()
        ends = time.monotonic() + seconds
        timer = threading.Timer(1.5, change)
        timer.start()
        try:
            after = settled(
                self.look, before, notices=notices, quiet_seconds=QUIET, until=lambda: time.monotonic() > ends
            )  # type: ignore[arg-type]
            told = time.monotonic()
        finally:
            timer.join()
            notices.close()
        return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}, told


def test_a_save_is_told(notes: Path) -> None:
    changed, _ = Waiting(notes).told(lambda: stir(notes / "idee" / "una.md"))
    assert changed == {"idee/una.md"}


def test_an_editor_that_saves_by_renaming_is_told(notes: Path) -> None:
    def save() -> None:
        beside = notes / "idee" / ".una.md.swp"
        beside.write_text("# Una\n", encoding="utf-8")  # the same words: another file all the same
        beside.replace(notes / "idee" / "una.md")

    changed, _ = Waiting(notes).told(save)
    assert changed == {"idee/una.md"}


def test_many_saves_are_told_once_after_the_last_one(notes: Path) -> None:
    last = 0.0

    def type_on() -> None:
        nonlocal last
        for _ in range(12):
            stir(notes / "idee" / "una.md")
            last = time.monotonic()
            time.sleep(QUIET / 3)

    _, told = Waiting(notes).told(type_on)
    assert told > last > 0


def test_a_folder_that_appears_is_told_with_all_that_is_in_it(notes: Path, tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    for number in range(30):
        stir(beside / f"{number}.md")
    changed, _ = Waiting(notes).told(lambda: shutil.move(beside, notes / "nuova"))  # type: ignore[arg-type]
    assert len(changed) == 30


def test_a_note_in_a_folder_that_appeared_while_watched_is_told(notes: Path) -> None:
    waiting = Waiting(notes)
    waiting.told(lambda: stir(notes / "a" / "b" / "c.md"))
    changed, _ = waiting.told(lambda: stir(notes / "a" / "b" / "c.md"))
    assert changed == {"a/b/c.md"}


def test_what_is_no_note_and_what_runs_write_is_not_told(notes: Path) -> None:
    (notes / ".cervella").mkdir()
    waiting = Waiting(notes, workspace=notes / ".cervella")

    def write() -> None:
        stir(notes / ".cervella" / "chunks.md")
        stir(notes / "picture.png")

    changed, _ = waiting.told(write, seconds=4)
    assert changed == set()


def test_a_root_that_goes_and_comes_back_is_told_twice_and_watched_again(notes: Path, tmp_path: Path) -> None:
    waiting = Waiting(notes)
    gone, _ = waiting.told(lambda: shutil.move(notes, tmp_path / "away"))  # type: ignore[arg-type]
    assert {str(notes), "idee/una.md"} == gone
    back, _ = waiting.told(lambda: shutil.move(tmp_path / "away", notes))  # type: ignore[arg-type]
    assert {str(notes), "idee/una.md"} == back
    changed, _ = waiting.told(lambda: stir(notes / "idee" / "una.md"))
    assert changed == {"idee/una.md"}


def test_where_the_system_gives_no_notices_the_notes_are_looked_at(
    notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    import watchfiles

    def refuse(*paths: object, **options: object) -> None:
        raise OSError(28, "No space left on device (the limit of inotify)")

    monkeypatch.setattr(watchfiles, "watch", refuse)
    waiting = Waiting(notes)
    changed, _ = waiting.told(lambda: stir(notes / "idee" / "una.md"))
    assert changed == {"idee/una.md"}
    assert len(waiting.said) == 1 and "inotify" in waiting.said[0]


def test_a_look_at_files_beside_says_which_are_missing(tmp_path: Path) -> None:
    stir(tmp_path / "there.yaml")
    found = stamps_of([tmp_path / "there.yaml", tmp_path / "gone.yaml"])
    assert found[str(tmp_path / "gone.yaml")] == "missing"
    assert isinstance(found[str(tmp_path / "there.yaml")], tuple)


def stir(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as opened:
        opened.write(f"riga {time.monotonic_ns()}\n")
