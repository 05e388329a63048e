"""SIGKILL and SIGINT at every commit point of every step of phase mvp: the same command goes on, once, to the same end.

One step, one house: it dies at one point after the other, each time begun by the same command, and then comes to its
end. What the parts leave when they are killed alone is in tests/store, tests/index, tests/llm and tests/registry.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from faults_house import STEPS, Ended, House, Nursery, Undisturbed

pytestmark = pytest.mark.slow

_BEFORE = ("run.json beside", "begun", "opened")
_SEALING = ("written", "flushed", "manifest")
_WORK = {
    "index.build": (
        "embedded", "kept", "embedded#2", "merging", "merged", "covered", "tagged", "live.json beside",
        "live.json replaced",
    ),
    "evaluate.retrieval": ("embedded", "kept"),
    "evaluate.answers": ("answered", "kept", "answered#2"),
    "registry.register": (
        "run created", "details logged", "artifacts logged", "prompt created", "prompt registered", "model created",
        "version created", "alias set", "run linked",
    ),
}  # fmt: skip
POINTS = {step: (*_BEFORE, *_WORK.get(step, ()), *_SEALING) for step in STEPS[:-1]}
POINTS["registry.register"] = (*_BEFORE[:2], *_WORK["registry.register"])
AFTER = ("renamed", "run.json beside#2", "recorded")
NOT_INTERRUPTED = ("run.json beside", "flushed", "run.json beside#2")
"""Where Ctrl-C finds nothing else than a moment later."""
LOST = {"index.build": 8, "evaluate.retrieval": 1, "evaluate.answers": 1}
"""Step -> what a model is given again after it died with an answer of it in hand: one batch."""


def points_of(deed: str, points: tuple[str, ...]) -> list[str]:
    return [point for point in points if deed == "kill" or point not in NOT_INTERRUPTED]


@pytest.fixture(params=["kill", "interrupt"])
def deed(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, furnished: Path, nursery: Nursery) -> Callable[[str, Path], House]:
    """A house in which every step before one is sealed; each was left by a run that was killed as the next began."""
    folder = tmp_path_factory.mktemp("stages")
    shutil.copytree(furnished, folder / "now")
    made: dict[str, Path] = {}

    def before(step: str, to: Path) -> House:
        for one in STEPS[len(made) : STEPS.index(step) + 1]:
            ended = House(folder / "now", nursery).run(deed="kill", at=f"{one}/run.json beside")
            assert ended.code == -signal.SIGKILL, ended.err
            made[one] = Path(shutil.copytree(folder / "now", folder / one))
        return House(Path(shutil.copytree(made[step], to)), nursery)

    return before


def die(house: House, point: str, deed: str) -> Ended:
    """Let a run die, and look at what it says of itself."""
    ended = house.run(deed=deed, at=point)
    assert ended.points[-1] == point or deed == "interrupt", f"went past {point}: {ended.points[-1]}"
    assert point in ended.points, f"never came to {point}: {ended.points}\n{ended.err}"
    if deed == "kill":
        assert ended.code == -signal.SIGKILL
        return ended
    assert ended.code == 130, ended.err
    assert ended.err.rstrip().endswith(
        "cervella: interrupted; what was sealed is kept, the same command goes on from there"
    )
    return ended


def check_state(house: House, step: str, point: str, deed: str) -> None:
    """What the record of the run says: everything before the step was skipped, and how the step ended."""
    state = house.states()[-1]
    assert state["status"] == {"kill": "died", "interrupt": "interrupted"}[deed]
    told = house.statuses()
    before = STEPS[: STEPS.index(step)]
    assert {name: told[name] for name in before} == dict.fromkeys(before, "skipped")
    if point not in ("run.json beside", "begun", "recorded"):
        assert told[step] == {"kill": "running", "interrupt": "failed"}[deed]
    assert set(told) <= {*before, step}


def check_end(house: House, ended: Ended, expected: dict[str, str], undisturbed: Undisturbed) -> None:
    assert ended.code == undisturbed.ended.code, ended.err
    assert house.statuses() == expected
    assert house.results() == undisturbed.results
    assert house.leftovers() == []


def given_again(deaths: list[Ended], last: Ended) -> int:
    """How many texts and questions a model was given that it had been given before."""
    given = Counter(text for ended in [*deaths, last] for text in ended.given)
    return sum(count - 1 for count in given.values())


def test_the_points_are_all_that_there_are(undisturbed: Undisturbed) -> None:
    """Every point is met, in this order; and no step has a point of sealing that is not among them."""
    met = undisturbed.ended.points
    for step, points in POINTS.items():
        named = [f"{step}/{point}" for point in (*points, *(AFTER if step != STEPS[-1] else AFTER[1:]))]
        assert [point for point in met if point in named] == named
    kinds = {point.partition("/")[2].partition("#")[0] for point in met}
    known = {point.partition("#")[0] for points in [*POINTS.values(), AFTER] for point in points}
    told_apart_by_no_kill = {"run.json replaced", "ended", "recipe.yaml replaced", "speeds.json replaced"}
    assert kinds - known == {"recipe.yaml beside", "speeds.json beside"} | told_apart_by_no_kill


@pytest.mark.parametrize("step", STEPS)
def test_a_step_dies_at_each_of_its_points_before_it_is_sealed(
    stage: Callable[[str, Path], House], tmp_path: Path, step: str, deed: str, undisturbed: Undisturbed
) -> None:
    house = stage(step, tmp_path / "house")
    points = points_of(deed, POINTS[step])
    deaths = []
    for point in points:
        deaths.append(die(house, f"{step}/{point}", deed))
        check_state(house, step, point, deed)
    last = house.run()
    number = STEPS.index(step)
    expected = dict.fromkeys(STEPS[:number], "skipped") | dict.fromkeys(STEPS[number:], "done")
    if deed == "kill" and step != "registry.register":
        expected[step] = "skipped"  # what was whole at `manifest` is sealed by the next
    check_end(house, last, expected, undisturbed)
    in_hand = sum(point.startswith(("embedded", "answered")) for point in points)
    assert given_again(deaths, last) == in_hand * LOST.get(step, 0)


def test_it_dies_after_each_seal(house: House, deed: str, undisturbed: Undisturbed) -> None:
    """In one house, step by step: what is sealed is skipped, however little the record of the run had said of it."""
    deaths = []
    for step in STEPS:
        for point in points_of(deed, AFTER if step != "registry.register" else AFTER[1:]):
            deaths.append(die(house, f"{step}/{point}", deed))
            check_state(house, step, point, deed)
    last = house.run()
    check_end(house, last, dict.fromkeys(STEPS, "skipped"), undisturbed)
    assert given_again(deaths, last) == 0 and last.given == []


def test_it_dies_before_the_first_step_and_after_the_last(
    house: House, nursery: Nursery, deed: str, undisturbed: Undisturbed
) -> None:
    for number, point in enumerate(("run.json beside", "run.json replaced", "recipe.yaml beside")):
        die(house, f"run/{point}", deed)
        states = house.states()
        assert len(states) == number  # a folder without `run.json` is of no run
        assert {state["status"] for state in states} <= {"died", "interrupted", "failed"}
    die(house, "registry.register/speeds.json beside", deed)
    check_end(house, house.run(), dict.fromkeys(STEPS, "skipped"), undisturbed)
    for path in house.workspace.rglob(".*"):  # what was written just now may be a write that is under way
        os.utime(path, (1, 1))
    assert nursery("gc", house.folder / "recipe.yaml", "--yes").code == 0
    hidden = {path.name for path in house.workspace.rglob(".*")}
    assert hidden == {".lock", ".register.lock"}  # of the index, and of MLflow's artifacts
    check_end(house, house.run(), dict.fromkeys(STEPS, "skipped"), undisturbed)


def test_a_step_that_is_forced_dies_between_the_old_and_the_new(
    lived_in: House, undisturbed: Undisturbed, deed: str
) -> None:
    """Whichever of the two is there, there is one, and it is whole."""
    for point in ("written", "manifest", "renamed"):
        ended = lived_in.run("--force", "index.chunk", deed=deed, at=f"index.chunk/{point}")
        assert ended.code == {"kill": -signal.SIGKILL, "interrupt": 130}[deed]
        check = lived_in.run()
        assert lived_in.statuses() == dict.fromkeys(STEPS, "skipped"), point
        assert check.given == [] and lived_in.results() == undisturbed.results
