"""Artefacts, tables, caches and records that are cut short, altered or foreign: mended, or told, and never believed."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from faults_house import STEPS, Ended, House, Undisturbed

pytestmark = pytest.mark.slow

SEALED = STEPS[:-1]


def artefact(house: House, step: str) -> Path:
    [found] = (house.workspace / "store" / step).iterdir()
    return found


def largest(folder: Path) -> Path:
    return max(
        (path for path in folder.iterdir() if path.name != "manifest.json"), key=lambda path: path.stat().st_size
    )


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    """One other byte, as long as before."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x20
    path.write_bytes(bytes(data))


def of_another(house: House, step: str) -> None:
    other = SEALED[SEALED.index(step) - 1]
    shutil.copy(artefact(house, other) / "manifest.json", artefact(house, step) / "manifest.json")


def a_file(house: House, step: str) -> None:
    home = artefact(house, step)
    shutil.rmtree(home)
    home.write_text("mine")


def a_folder(house: House, step: str) -> None:
    output = largest(artefact(house, step))
    output.unlink()
    output.mkdir()


ARTEFACTS: dict[str, Callable[[House, str], None]] = {
    "output cut short": lambda house, step: cut_short(largest(artefact(house, step))),
    "output altered": lambda house, step: flip(largest(artefact(house, step))),
    "output is a folder": a_folder,
    "manifest of another step": of_another,
    "artefact is a file": a_file,
}


def check_mended(house: House, done: Ended, undisturbed: Undisturbed) -> None:
    assert done.code == undisturbed.ended.code, done.err
    assert house.results() == undisturbed.results
    assert house.leftovers() == []


@pytest.mark.parametrize("damage", ARTEFACTS)
def test_damaged_artefacts_are_made_again(lived_in: House, damage: str, undisturbed: Undisturbed) -> None:
    """All of them at once: what is made again is what it was, and the models are asked nothing."""
    for step in SEALED:
        ARTEFACTS[damage](lived_in, step)
    done = lived_in.run()
    assert done.code == undisturbed.ended.code, done.err
    assert list(lived_in.statuses().values()) == ["done"] * len(STEPS)
    results = lived_in.results()
    assert {step: results[step] for step in SEALED} == {step: undisturbed.results[step] for step in SEALED}
    assert results["mlflow"]["versions"] == undisturbed.results["mlflow"]["versions"]  # scored again, the same release
    assert done.given == [] and lived_in.leftovers() == []


def test_a_damaged_artefact_is_made_again_and_nothing_else(lived_in: House, undisturbed: Undisturbed) -> None:
    """One step after the other; what is made again has the same digest, so the steps after it are skipped."""
    for step in ("sncp.collect", "index.chunk", "index.build", "persona.compile", "evaluate.score", "registry.gate"):
        cut_short(largest(artefact(lived_in, step)))
        done = lived_in.run()
        check_mended(lived_in, done, undisturbed)
        assert [name for name, status in lived_in.statuses().items() if status == "done"] == [step]
        assert done.given == []


def garbage(path: Path) -> None:
    path.write_bytes(b"\x00\xffno database at all \x00" * 200)


def foreign_database(path: Path, table: str) -> None:
    """A database of somebody else, in which a table may even have the name of ours."""
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    connection = sqlite3.connect(path)
    connection.execute(f"create table {table} (mine text)")
    connection.execute(f"insert into {table} values ('letter')")  # noqa: S608
    connection.commit()
    connection.close()


CACHES: dict[str, Callable[[Path], None]] = {
    "cut short": cut_short,
    "garbage": garbage,
    "of somebody else": lambda path: foreign_database(path, "letters"),
    "with another table of our name": lambda path: foreign_database(path, "cache"),
    "a folder": lambda path: (path.unlink(), path.mkdir()) and None,  # type: ignore[func-returns-value]
}


@pytest.mark.parametrize("damage", [damage for damage in CACHES if damage != "cut short"])  # that is in tests/llm
def test_damaged_caches_cost_time_alone(lived_in: House, damage: str, undisturbed: Undisturbed) -> None:
    for name in ("embeddings.sqlite", "responses.sqlite"):
        CACHES[damage](lived_in.workspace / "cache" / name)
    for step in SEALED:
        shutil.rmtree(lived_in.workspace / "store" / step)
    shutil.rmtree(lived_in.workspace / "index")
    shutil.rmtree(lived_in.workspace / "mlflow" / "artifacts")
    (lived_in.workspace / "cache" / "speeds.json").write_text("[" * 100_000)
    done = lived_in.run()
    assert done.code == undisturbed.ended.code, done.err
    results = lived_in.results()
    assert {step: results[step] for step in SEALED} == {step: undisturbed.results[step] for step in SEALED}
    for name in ("embeddings.sqlite", "responses.sqlite"):
        kept = lived_in.workspace / "cache" / name
        if damage == "of somebody else" or damage == "with another table of our name":
            table = "letters" if damage == "of somebody else" else "cache"
            connection = sqlite3.connect(kept)
            assert connection.execute(f"select mine from {table}").fetchall() == [("letter",)]  # noqa: S608
            connection.close()


# More is in tests/index/test_damage.py.
INDEXES: dict[str, Callable[[Path], object]] = {
    "pointer nested without end": lambda uri: (uri / "live.json").write_text("[" * 100_000),
    "pointer is a folder": lambda uri: ((uri / "live.json").unlink(), (uri / "live.json").mkdir()),
    "data cut short": lambda uri: [cut_short(path) for path in uri.glob("*.lance/data/*.lance")],
    "table is a file": lambda uri: [(shutil.rmtree(path), path.write_text("mine")) for path in uri.glob("*.lance")],
    "all of it gone": shutil.rmtree,
}


@pytest.mark.parametrize("damage", INDEXES)
def test_a_damaged_index_is_mended_by_the_next_run(lived_in: House, damage: str, undisturbed: Undisturbed) -> None:
    INDEXES[damage](lived_in.workspace / "index")
    done = lived_in.run()
    check_mended(lived_in, done, undisturbed)
    assert done.given == []
    assert [step for step, status in lived_in.statuses().items() if status == "done"] == ["index.build"]


RECORDS: dict[str, str | bytes] = {
    "garbage": b"\x00\xff\x00",
    "cut short": '{"run": "x", "status": "don',
    "of another kind": '["not", "ours"]',
    "nested without end": "[" * 100_000,
    "of somebody else": '{"run": "x", "recipe": "x", "phase": "x", "status": "done", "steps": [{"name": "y"}]}',
}


@pytest.mark.parametrize("damage", RECORDS)
def test_a_damaged_record_of_a_run_stops_nothing(lived_in: House, damage: str, undisturbed: Undisturbed) -> None:
    [record] = (lived_in.workspace / "runs").glob("*/run.json")
    what = RECORDS[damage]
    record.write_bytes(what if isinstance(what, bytes) else what.encode())
    (record.parent / "recipe.yaml").write_bytes(b"\x00\xff: [")
    done = lived_in.run()
    check_mended(lived_in, done, undisturbed)
    assert set(lived_in.statuses().values()) == {"skipped"}
    assert [state["status"] for state in lived_in.states()] == ["damaged", "done"]


@pytest.mark.parametrize("damage", ["cut short", "garbage", "of somebody else", "a folder"])
def test_a_damaged_mlflow_database_is_told_and_left_alone(
    lived_in: House, furnished: Path, damage: str, undisturbed: Undisturbed
) -> None:
    path = lived_in.workspace / "mlflow" / "mlflow.db"
    CACHES[damage](path)
    before = path.read_bytes() if path.is_file() else b""
    done = lived_in.run()
    assert done.code == 3, done.err
    told = done.err.rstrip().splitlines()[-1]
    assert told.startswith("cervella: ") and str(path) in told and "Move it away" in told
    assert list(lived_in.statuses().values()) == ["skipped"] * (len(STEPS) - 1) + ["failed"]
    assert path.is_dir() or path.read_bytes() == before
    # and as the message says:
    path.rename(path.with_name("away"))
    shutil.copy(furnished / "work space" / "mlflow" / "mlflow.db", path)
    check_mended(lived_in, lived_in.run(), undisturbed)


def test_a_sealed_artefact_of_another_workspace_is_as_good(house: House, undisturbed: Undisturbed) -> None:
    """An artefact says all of itself: copied whole it is believed, since it is what would be made."""
    other = undisturbed.house.workspace / "store" / "persona.compile"
    shutil.copytree(other, house.workspace / "store" / "persona.compile")
    house.run()
    assert house.statuses()["persona.compile"] == "skipped"
    assert house.results() == undisturbed.results
