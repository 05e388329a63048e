"""gc on a disk that is full to its last block, where no folder can be made: it is what a person is told to do then."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from components.recipe.cleaning import clean_workspace
from components.recipe.model import Recipe
from components.store import Run, StepSpec, Store


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of 8 MB: ext4 needs a block for each new folder, a tmpfs none."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(8 << 20)
    making = ["mkfs.ext4", "-q", "-m", "0", "-b", "1024", str(image)]
    for command in (making, ["mount", "-o", "loop", str(image), str(folder)]):
        if shutil.which(command[0]) is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("no right to mount a disk here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(disk: Path) -> None:
    with (disk / "ballast").open("ab", buffering=0) as ballast:
        for size in (1 << 16, 1 << 10, 1):
            with suppress(OSError):
                while True:
                    ballast.write(b"\0" * size)
    with pytest.raises(OSError, match="No space left"):
        (disk / "folder").mkdir()


def test_all_that_nothing_needs_goes_and_nothing_else(disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    workspace = disk / "ws"
    recipe = Recipe.model_validate({
        "name": "casa", "phase": "reindex", "workspace": str(workspace), "sncp": {"root": str(disk)},
        "index": {"embedding": {"model": "fake/embedding"}},
    })  # fmt: skip
    run = Run.create(workspace, recipe="casa", phase="reindex")
    kept = StepSpec("index.chunk", 1)
    with Store(workspace).step(kept) as step:
        step.write_text("chunks", "x")
    run.record_step(kept.name, status="done", artefact=step.artefact.id)
    run.update(status="done")
    for number in range(60):  # folders of several blocks, some of which have no room for a longer name
        half = workspace / "store" / "index.chunk" / f".{f'{number:02x}' * 32}.x"
        half.mkdir()
        (half / "chunks").write_bytes(bytes(20_000))
    fill(disk)
    with suppress(OSError):
        for number in count():  # of the dead; there is no room for one more
            (workspace / "locks" / f"train.run.{number:016x}").touch()
    assert len(clean_workspace(recipe)) == 60 and not caplog.messages
    assert list((workspace / "store" / "index.chunk").iterdir()) == [step.artefact.path]
    assert shutil.disk_usage(disk).free > 60 * 20_000
    assert clean_workspace(recipe) == []
