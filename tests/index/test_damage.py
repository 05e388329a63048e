"""Corrupt, cut short, foreign: what is told, what a reindex makes of it, and that it costs no embedding."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from house import House  # noqa: E402

from components.errors import InputError, TerminalError  # noqa: E402
from components.index.published import read_published  # noqa: E402
from components.index.status import index_status  # noqa: E402
from components.index.table import connect  # noqa: E402


@pytest.fixture
def house(tmp_path: Path, examples: Path) -> House:
    made = House(tmp_path, examples / "sncp")
    made.reindex()
    made.embedded()
    return made


def table_of(house: House) -> Path:
    published = read_published(house.uri)
    assert published is not None
    return house.uri / f"{published.now.table}.lance"


def cut_short(house: House, pattern: str) -> None:
    for file in table_of(house).glob(pattern):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(house: House, pattern: str) -> None:
    """Other bytes, as long as before: no seal of sizes can notice."""
    for file in table_of(house).glob(pattern):
        data = bytearray(file.read_bytes())
        data[: len(data) // 2] = os.urandom(len(data) // 2)
        file.write_bytes(bytes(data))


def remove(house: House, pattern: str) -> None:
    for path in table_of(house).glob(pattern):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


DAMAGES: dict[str, Callable[[House], object]] = {
    "table gone": lambda house: shutil.rmtree(table_of(house)),
    "table empty": lambda house: remove(house, "*"),
    "data gone": lambda house: remove(house, "data"),
    "data cut short": lambda house: cut_short(house, "data/*.lance"),
    "data empty": lambda house: [file.write_bytes(b"") for file in table_of(house).glob("data/*")],
    "manifests gone": lambda house: remove(house, "_versions"),
    "manifests cut short": lambda house: cut_short(house, "_versions/*.manifest"),
    "full text gone": lambda house: remove(house, "_indices"),
    "full text cut short": lambda house: cut_short(house, "_indices/*/*"),
    "tag gone": lambda house: remove(house, "_refs"),
    "tag torn": lambda house: cut_short(house, "_refs/tags/live.json"),
    "tag of a version that is not there": lambda house: (table_of(house) / "_refs/tags/live.json").write_text(
        json.dumps({"branch": None, "version": 99, "manifestSize": 1})
    ),
    "pointer torn": lambda house: (house.uri / "live.json").write_bytes((house.uri / "live.json").read_bytes()[:40]),
    "pointer empty": lambda house: (house.uri / "live.json").write_bytes(b""),
    "pointer foreign": lambda house: (house.uri / "live.json").write_text('["not ours"]'),
    "pointer of before": lambda house: (house.uri / "live.json").write_text(
        '{"table": "chunks-0", "embedder": "x", "dimensions": 3, "digest": "0", "root": null}'
    ),
    "pointer contradicts itself": lambda house: (house.uri / "live.json").write_text(
        (house.uri / "live.json").read_text().replace('"digest": "', '"digest": "0', 1)
    ),
    "pointer gone": lambda house: (house.uri / "live.json").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_reindex_mends_it_from_the_cache(house: House, damage: str) -> None:
    DAMAGES[damage](house)
    house.reindex()
    assert house.embedded() == 0
    assert house.is_right()
    assert index_status(house.uri)["faults"] == []
    assert house.reindex()["status"] == "skipped"


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name not in ("full text gone", "full text cut short")])
def test_a_search_says_what_to_do(house: House, damage: str) -> None:
    DAMAGES[damage](house)
    with pytest.raises(TerminalError, match=r"reindex"):
        house.opened().search("caparra")


@pytest.mark.parametrize("damage", ["data cut short", "data gone", "manifests cut short", "full text cut short"])
def test_what_was_damaged_is_kept_aside_and_told(house: House, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    DAMAGES[damage](house)
    house.reindex()
    aside = table_of(house).name + ".damaged-1"
    assert (house.uri / aside).is_dir() and aside in caplog.text


def test_bytes_that_changed_without_a_files_length_are_found_by_status(house: House) -> None:
    flip(house, "data/*.lance")
    assert index_status(house.uri)["faults"]
    house.reindex(force=True)
    assert (house.embedded(), house.is_right(), index_status(house.uri)["faults"]) == (0, True, [])


def test_a_newer_pointer_is_left_alone(house: House) -> None:
    text = (house.uri / "live.json").read_text().replace('"format": 2', '"format": 3')
    (house.uri / "live.json").write_text(text)
    with pytest.raises(TerminalError, match="a newer version wrote it"):
        house.opened()
    with pytest.raises(TerminalError, match="a newer version wrote it"):
        house.reindex(force=True)
    assert (house.uri / "live.json").read_text() == text


def test_a_foreign_table_of_the_same_name_is_left_alone(house: House) -> None:
    import pyarrow as pa

    name = table_of(house).name.removesuffix(".lance")
    shutil.rmtree(table_of(house))
    foreign = connect(house.uri).create_table(name, pa.table({"mine": [1, 2, 3]}))
    with pytest.raises(TerminalError, match="other columns than ours, and is left as it is"):
        house.reindex(force=True)
    assert foreign.count_rows() == 3


def test_tables_of_others_in_the_same_folder_are_left_alone(house: House) -> None:
    import pyarrow as pa

    foreign = connect(house.uri).create_table("mine", pa.table({"mine": [1, 2, 3]}))
    house.using(max_tokens=100)
    house.reindex()
    assert foreign.count_rows() == 3


def test_the_folder_is_a_file(house: House, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for uri in (tmp_path / "file", tmp_path / "file" / "below"):
        house.using(uri=uri)
        with pytest.raises(InputError, match="is a file, or lies below one"):
            house.reindex()
    assert (tmp_path / "file").read_text() == "mine"


def test_rows_of_another_hand_are_taken_out(house: House) -> None:
    table = connect(house.uri).open_table(table_of(house).name.removesuffix(".lance"))
    row = table.search().limit(1).to_arrow()
    table.add(row)  # the same row twice: what a second writer without a key would do
    table.tags.update("live", table.version)
    assert index_status(house.uri)["faults"]
    house.reindex()
    assert (house.embedded(), house.is_right(), index_status(house.uri)["faults"]) == (0, True, [])


def test_the_notes_folder_is_read_only(house: House) -> None:
    for path in [house.root, *house.root.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = {path: path.stat().st_mtime_ns for path in house.root.rglob("*")}
    house.using(max_tokens=100)
    house.reindex()
    assert before == {path: path.stat().st_mtime_ns for path in house.root.rglob("*")}
    for path in [house.root, *house.root.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
