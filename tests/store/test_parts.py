"""Outputs in parts, and digests that are not computed twice."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import TerminalError
from components.store import Artefact, StepSpec, Store, digests, file_digest
from components.store import parts as parts_module
from components.store.parts import Parts, former, write_parts


def hexed(number: int) -> str:
    return sha256(str(number).encode()).hexdigest()


def seal(
    workspace: Path, numbers: Sequence[int], *, value: str = "x", before: Parts | None = None, kept: Sequence[int] = ()
) -> Artefact:
    """A step with an item for each number: `number % 3` lines."""
    by_id = {hexed(number): number for number in numbers}

    def make(key: str) -> tuple[bytes, Any]:
        number = by_id[key]
        return b"".join(json.dumps([number, value]).encode() + b"\n" for _ in range(number % 3)), {"number": number}

    with Store(workspace).step(StepSpec("a.step", 1, {"size": 1}, {"numbers": repr((sorted(numbers), value))})) as step:
        if not step.sealed:
            write_parts(step, "things", list(by_id), make, kept={hexed(number) for number in kept}, before=before)
    return step.artefact


@pytest.mark.parametrize(("count", "parts"), [(0, 1), (1, 1), (255, 1), (256, 2), (1023, 4), (10_000, 64)])
def test_a_part_has_some_hundred_items(count: int, parts: int) -> None:
    assert parts_module._count(count) == parts


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(0, 60), max_size=30), st.sets(st.integers(0, 60), max_size=30))
def test_every_item_is_read_back_whatever_was_there_before(
    tmp_path_factory: pytest.TempPathFactory, old: set[int], new: set[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts_module, "_ITEMS", 2)
        workspace = tmp_path_factory.mktemp("parts")
        before = Parts(seal(workspace, sorted(old)), "things")
        after = Parts(seal(workspace, sorted(new), before=before, kept=sorted(old & new)), "things")
    assert {key: after.values(key) for key in after.entries if after.entries[key].size} == {
        hexed(number): [[number, "x"]] * (number % 3) for number in new if number % 3
    }
    assert {entry.about["number"] for entry in after.entries.values()} == new
    assert len(list(after.all_values())) == sum(number % 3 for number in new)


def test_what_is_kept_is_not_made_and_what_is_not_kept_is(tmp_path: Path) -> None:
    before = Parts(seal(tmp_path, [1, 2, 4]), "things")
    after = Parts(seal(tmp_path, [1, 2, 4], value="y", before=before, kept=[1, 4]), "things")
    assert [after.values(hexed(number))[0][1] for number in (1, 2, 4)] == ["x", "y", "x"]


@pytest.mark.parametrize("damage", ["things.jsonl", "things.items.json", "manifest.json"])
def test_the_newest_whole_artefact_is_the_former_one(tmp_path: Path, damage: str) -> None:
    older, newer = seal(tmp_path, [1]), seal(tmp_path, [1, 2])
    os.utime(older.path, (1, 1))
    spec = StepSpec("a.step", 1, {"size": 1, "other": 3})

    def found() -> Path | None:
        parts = former(Store(tmp_path), spec, "things", same=["size"])
        return parts.artefact.path if parts else None

    assert found() == newer.path
    (newer.path / damage).write_bytes(b"[]")
    assert found() == older.path
    (older.path / damage).unlink()
    assert found() is None


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(StepSpec("a.step", 2, {"size": 1}), id="other code"),
        pytest.param(StepSpec("a.step", 1, {"size": 2}), id="other parameter"),
        pytest.param(StepSpec("another.step", 1, {"size": 1}), id="other step"),
    ],
)
def test_an_artefact_of_something_else_is_no_former_one(tmp_path: Path, spec: StepSpec) -> None:
    seal(tmp_path, [1])
    assert former(Store(tmp_path), spec, "things", same=["size"]) is None


def test_without_hard_links_parts_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Parts(seal(tmp_path, [1, 2]), "things")

    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(parts_module, "link_file", refuse)
    with Store(tmp_path).step(StepSpec("a.step", 1, {"size": 1}, {"numbers": "again"})) as step:
        write_parts(step, "things", list(before.entries), lambda key: (b"", None), kept=before.entries, before=before)
    for name in ("things.jsonl", "things.items.json"):
        copy, original = step.artefact.file(name), before.artefact.file(name)
        assert copy.read_bytes() == original.read_bytes()
        assert copy.stat().st_ino != original.stat().st_ino


def test_an_output_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="has no output 'others'"):
        _ = Parts(seal(tmp_path, [1]), "others").entries


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A number for each file whose bytes were hashed."""
    reads: list[int] = []
    real = digests.hashlib.file_digest

    def counted(file: Any, name: str) -> Any:
        reads.append(1)
        return real(file, name)

    monkeypatch.setattr(digests.hashlib, "file_digest", counted)
    return reads


def settled(path: Path, data: bytes) -> Path:
    """A file that is older than a tick of the clock."""
    path.write_bytes(data)
    time.sleep(0.06)
    return path


def test_a_file_is_hashed_once(tmp_path: Path, hashed: list[int]) -> None:
    file = settled(tmp_path / "a", b"one")
    assert {file_digest(file) for _ in range(3)} == {sha256(b"one").hexdigest()}
    assert len(hashed) == 1


def test_a_file_that_was_just_written_is_hashed_each_time(tmp_path: Path, hashed: list[int]) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"one")
    file_digest(file)
    file.write_bytes(b"two")
    assert file_digest(file) == sha256(b"two").hexdigest()


def test_a_change_that_keeps_size_and_time_is_seen(tmp_path: Path) -> None:
    file = settled(tmp_path / "a", b"one")
    about = file.stat()
    file_digest(file)
    file.write_bytes(b"two")
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert file_digest(file) == sha256(b"two").hexdigest()


def test_a_link_is_not_hashed_again_and_a_change_through_it_is_seen(tmp_path: Path, hashed: list[int]) -> None:
    file = settled(tmp_path / "a", b"one")
    file_digest(file)
    digests.link_file(file, tmp_path / "b")
    assert file_digest(tmp_path / "b") == file_digest(file) == sha256(b"one").hexdigest()
    assert len(hashed) == 1
    time.sleep(0.06)
    (tmp_path / "b").write_bytes(b"two")
    assert file_digest(file) == sha256(b"two").hexdigest()
