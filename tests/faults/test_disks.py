"""A disk that is full, or no file may grow, from any step on: it is told, and the same command goes on later."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults_house import STEPS, House, Nursery, Undisturbed

pytestmark = pytest.mark.slow

POINTS = (
    "run/run.json replaced",
    *(f"{step}/begun" for step in STEPS),
    "index.build/merging", "index.build/merged", "index.build/tagged",
    "evaluate.answers/answered", "registry.register/run created", "registry.register/version created",
)  # fmt: skip
OF_A_LIMIT = (
    "run/run.json replaced", "sncp.collect/begun", "index.build/begun", "index.build/merging", "index.build/tagged",
    "evaluate.answers/begun", "registry.register/begun",
)  # fmt: skip
SIZE = "24m"


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk of its own, of 24 MB."""
    disk = tmp_path_factory.mktemp("disk")
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "small", disk]
    if shutil.which("mount") is None or subprocess.run(mounting, capture_output=True).returncode:
        pytest.skip("no right to mount here; that no file may grow is tried all the same")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def fails_and_goes_on(house: House, point: str, deed: str, undisturbed: Undisturbed, *, says: str) -> None:
    failed = house.run(deed=deed, at=point)
    house.ballast.unlink(missing_ok=True)
    assert point in failed.points
    assert failed.code == 3, failed.err
    told = failed.err.rstrip().splitlines()[-1]
    assert told.startswith("cervella: ") and says in told, failed.err
    assert "-o workspace=FOLDER; the same command then goes on from where it stopped" in told
    [state] = house.states()
    assert state["status"] in ("failed", "died")  # the disk may have been too full to say why
    last = house.run()
    assert last.code == undisturbed.ended.code, last.err
    if point.endswith("/begun"):
        number = STEPS.index(point.partition("/")[0])
        assert list(house.statuses().values()) == ["skipped"] * number + ["done"] * (len(STEPS) - number)
    assert house.results() == undisturbed.results
    assert house.leftovers() == []


@pytest.mark.parametrize("point", POINTS)
def test_no_step_takes_a_full_disk_for_done(
    small_disk: Path, furnished: Path, nursery: Nursery, point: str, undisturbed: Undisturbed
) -> None:
    folder = small_disk / "house"
    shutil.copytree(furnished, folder)
    try:
        fails_and_goes_on(House(folder, nursery), point, "fill", undisturbed, says="the disk is full (")
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("point", OF_A_LIMIT)
def test_no_step_takes_a_file_that_may_not_grow_for_done(house: House, point: str, undisturbed: Undisturbed) -> None:
    """As a quota, or `ulimit -f`, has it; and where nobody may mount a disk."""
    fails_and_goes_on(house, point, "limit", undisturbed, says="a file would be larger than")
